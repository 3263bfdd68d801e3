"""Ours against the original at the published study's settings: python benchmarks/parity.py.

Five representations of a data set with dSprites' factors (3, 6, 40, 32, 32), looked up and not
computed, so that the seconds are the metric's alone. Prints a row per metric and result, writes
everything as JSON after each metric: it can be interrupted.

    python benchmarks/parity.py --skip-dci
    python benchmarks/parity.py --metrics dci --representations noisy_factors --num-train 1000
    python benchmarks/parity.py --codes codes.npz       # array `codes` (737280, latent), grid order

DCI takes the original about 6 minutes of CPU. It is asked for twice, since its trees are not
seeded: the spread between its own runs is the measure for our difference from their mean.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import metric_cases
import oracle

from srvae_plugin import metrics

GRID = "dsprites"
OURS: dict[str, Callable[..., dict[str, float | int]]] = {
    "factor_vae_score": metrics.compute_factor_vae,
    "mig": metrics.compute_mig,
    "sap_score": metrics.compute_sap,
    "dci": metrics.compute_dci,
}
HEADER = (
    f"{'representation':<20}{'metric':<18}{'score':<23}{'ours':>20}{'original':>20}"
    f"{'|difference|':>14}{'own spread':>12}{'s ours':>8}{'s orig.':>8}"
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = [*("factors_themselves", "linear_mix", "noisy_factors", "dead_latents"), "trained"]
    parser.add_argument("--representations", nargs="+", choices=known, default=known)
    parser.add_argument("--metrics", nargs="+", choices=list(OURS), default=list(OURS))
    parser.add_argument("--skip-dci", action="store_true")
    parser.add_argument("--codes", type=Path, help="npz of a trained model's codes, array `codes`")
    parser.add_argument("--num-train", type=int, help="instead of the published 10,000")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=Path("parity.json"))
    return parser.parse_args()


def codes_of(name: str, path: Path | None) -> NDArray[Any] | None:
    sizes = metric_cases.GRIDS[GRID]
    if name != "trained":
        return metric_cases.REPRESENTATIONS[name](sizes)
    if path is None:
        print("trained: skipped, no --codes FILE given", flush=True)
        return None
    codes = np.load(path, allow_pickle=False)["codes"]
    if len(codes) != np.prod(sizes):
        raise SystemExit(f"{path}: codes must have {np.prod(sizes)} rows, got {codes.shape}")
    return codes


def compare(codes: NDArray[Any], metric: str, seed: int, num_train: int | None) -> dict:
    """Both sides' scores and seconds of one metric."""
    settings = dict(metric_cases.PAPER_SETTINGS[metric])
    if num_train is not None:
        settings["num_train"] = num_train
    data = metric_cases.IndexGrid(metric_cases.GRIDS[GRID])
    start = time.perf_counter()
    ours = OURS[metric](
        data, metric_cases.CachedLookUp(codes, data), np.random.RandomState(seed), **settings
    )
    ours["seconds"] = time.perf_counter() - start
    run = metric_cases.original_run(metric, seed, settings) | {"seed_trees": False}
    repeats = 2 if metric == "dci" else 1
    original = oracle.scores(codes, data.factors_num_values, [run] * repeats)
    return {"settings": settings, "seed": seed, "ours": ours, "original": original}


def show(representation: str, metric: str, result: dict) -> None:
    ours, original = result["ours"], result["original"]
    for key, value in original[0].items():
        if key == "seconds":
            continue
        values = [run[key] for run in original]
        spread = f"{max(values) - min(values):.1e}" if len(values) > 1 else "-"
        difference = abs(ours[key] - np.mean(values))
        print(
            f"{representation:<20}{metric:<18}{key:<23}{ours[key]:>20.15f}{value:>20.15f}"
            f"{difference:>14.1e}{spread:>12}{ours['seconds']:>8.2f}"
            f"{original[0]['seconds']:>8.2f}",
            flush=True,
        )


def main() -> None:
    options = arguments()
    if oracle.MISSING:
        raise SystemExit(f"the original is not installed: {', '.join(oracle.MISSING)} missing")
    packages = ("numpy", "scikit-learn", "disentanglement-lib")
    report: dict = {"versions": {name: version(name) for name in packages}, "results": {}}
    print(HEADER, flush=True)
    for representation in options.representations:
        codes = codes_of(representation, options.codes)
        if codes is None:
            continue
        for metric in options.metrics:
            if metric == "dci" and options.skip_dci:
                continue
            result = compare(codes, metric, options.seed, options.num_train)
            show(representation, metric, result)
            report["results"].setdefault(representation, {})[metric] = result
            unfinished = options.json.with_suffix(".part")
            unfinished.write_text(json.dumps(report, indent=2))
            os.replace(unfinished, options.json)


if __name__ == "__main__":
    main()
