"""Writes tests/data/golden_metrics.json with the original's code: python tests/make_golden.py."""

import json
import zlib
from importlib.metadata import version
from pathlib import Path

import oracle
from metric_cases import GRIDS, REPRESENTATIONS, cases, original_run

PATH = Path(__file__).parent / "data" / "golden_metrics.json"


def main() -> None:
    entries = []
    for grid, sizes in GRIDS.items():
        for representation, function in REPRESENTATIONS.items():
            codes = function(sizes)
            # DCI fits a tree per factor value and stage: on the large grid once is enough.
            dci = grid == "tiny" or (grid == "dsprites" and representation == "noisy_factors")
            predictors = grid == "small" and representation in ("noisy_factors", "linear_mix")
            if grid == "small" and not predictors:
                continue
            asked = cases(seed=0, dci=dci, predictors=predictors)
            results = oracle.scores(codes, sizes, [original_run(*case) for case in asked])
            for (metric, seed, settings), scores in zip(asked, results, strict=True):
                scores.pop("seconds", None)
                entries.append(
                    {
                        "grid": grid,
                        "representation": representation,
                        "codes_crc32": zlib.crc32(codes.tobytes()),
                        "metric": metric,
                        "seed": seed,
                        "settings": settings,
                        "scores": scores,
                    }
                )
            print(grid, representation, "done", flush=True)
    packages = ("disentanglement-lib", "scikit-learn", "numpy", "scipy", "gin-config")
    golden = {"made_with": {name: version(name) for name in packages}, "entries": entries}
    lines = ",\n".join(json.dumps(entry) for entry in golden["entries"])
    made_with = json.dumps(golden["made_with"])
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(f'{{"made_with": {made_with},\n"entries": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
