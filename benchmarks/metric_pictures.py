"""The pictures of the metric guide: every metric on codes with one defect, from none to much.

    python benchmarks/metric_pictures.py            # all metrics, some minutes
    python benchmarks/metric_pictures.py mig dci    # these

writes docs/measurements/metric_pictures.json and docs/images/metrics/<metric>.svg. All seeds are
fixed: the same versions write the same files. `--draw` draws again from the numbers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin import metrics
from srvae_plugin.config import plugins

DOCS = Path(__file__).parents[1] / "docs"
NUMBERS = DOCS / "measurements" / "metric_pictures.json"
PICTURES = DOCS / "images" / "metrics"
NUM_POINTS, SIZE, NUM_FACTORS = 2000, 6, 3
Array = NDArray[np.float64]


def factors_of_points() -> NDArray[np.int64]:
    """(points, factor): three independent factors of six values."""
    return np.random.default_rng(0).integers(SIZE, size=(NUM_POINTS, NUM_FACTORS))


def standardised(values: NDArray[Any]) -> Array:
    """Mean 0 and deviation 1 in each column."""
    return (values - values.mean(axis=0)) / values.std(axis=0)


def noise(like: Array, deviation: float, seed: int = 1) -> Array:
    """Gaussian noise of the shape of `like`."""
    return deviation * np.random.default_rng(seed).normal(size=like.shape)


def rotated(codes: Array, degrees: float) -> Array:
    """Latents 1 and 2, then 2 and 3, turned into each other; 45: all mixed."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned = codes.copy()
    for a, b in ((0, 1), (1, 2)):
        left, right = turned[:, a].copy(), turned[:, b].copy()
        turned[:, a], turned[:, b] = cosine * left - sine * right, sine * left + cosine * right
    return turned


def noisy(codes: Array, deviation: float) -> Array:
    """Noise on every latent, in units of its deviation."""
    return codes + noise(codes, deviation)


def duplicated(codes: Array, copies: int) -> Array:
    """So many of the latents stand there twice, the copies a little noisy."""
    more = codes[:, :copies]
    return np.hstack([codes, more + noise(more, 0.05, seed=2)])


def merged(codes: Array, others: int) -> Array:
    """The first latent holds so many other factors beside its own; their latents hold noise."""
    steps = np.round(codes / np.ptp(codes, axis=0) * (SIZE - 1))
    weights = np.array([SIZE**k if k <= others else 0 for k in range(NUM_FACTORS)])
    result = noise(codes, 1.0, seed=3)
    result[:, 0] = standardised(steps @ weights)
    result[:, others + 1 :] = codes[:, others + 1 :]
    return result


DEFECTS: dict[str, tuple[Callable[[Array, Any], Array], list[float], str]] = {
    "rotated": (rotated, [0, 9, 18, 27, 36, 45], "degrees"),
    "noisy": (noisy, [0, 0.2, 0.4, 0.6, 0.8, 1.0], "deviations"),
    "duplicated": (duplicated, [0, 1, 2, 3], "latents twice"),
    "merged": (merged, [0, 1, 2], "factors more in a latent"),
}
SMALL: dict[str, dict[str, Any]] = {
    "factor_vae_score": {"num_train": 1000, "num_eval": 500, "num_variance_estimate": 2000},
    "beta_vae_sklearn": {"num_train": 1000, "num_eval": 500},
    "strong_downstream_task": {"num_train": 500, "num_test": 250, "n_experiment": 3},
    "dci_es": {"probing": metrics.Probing(sizes=(1, 2, 3, 4, 6, 8))},
}
"""Settings where the defaults are for more points than there are here."""
SHOWN = {
    "downstream_task": {"mean_test_accuracy": "mean accuracy"},
    "reduced_downstream_task": {
        "mean_test_accuracy_reduced_factor": "the reduced factor",
        "mean_test_accuracy_other_factors": "the others",
    },
    "strong_downstream_task": {
        "mean_test_accuracy": "without a shift",
        "mean_strong_test_accuracy": "with a shift",
    },
    "unified_scores": {
        "importance_gbt_matrix.dci": "DCI of importance",
        "mutual_information_matrix.mig": "MIG of information",
        "mutual_information_matrix.modularity": "modularity of information",
        "accuracy_svm_matrix.sap": "SAP of accuracy",
    },
}
"""Ends of the keys to draw, of metrics without headline scores."""


def metrics_of_codes() -> list[str]:
    """Metrics that have a page: `validation` is others', on a few labelled observations."""
    return [name for name in plugins.names("metrics") if name != "validation"]


def core_of(name: str) -> Callable[..., dict[str, Any]]:
    """The function of arrays that belongs to a metric."""
    compute = plugins.find("metrics", name).__name__
    core: Callable[..., dict[str, Any]] = getattr(
        metrics, compute.removeprefix("compute_").removesuffix("_sklearn")
    )
    return core


def titles_of(name: str) -> dict[str, str]:
    """What to draw of a metric: the ends of keys, and their titles."""
    return SHOWN.get(name) or {h.key: h.title for h in plugins.metric_info(name).headlines}


def values_of(name: str, codes: Array) -> dict[str, float]:
    """A metric's scores of codes, by title."""
    scores = core_of(name)(codes, factors_of_points(), seed=0, **SMALL.get(name, {}))
    return {
        title: next(float(v) for key, v in scores.items() if key == end or key.endswith(f":{end}"))
        for end, title in titles_of(name).items()
    }


def measured(name: str) -> dict[str, dict[str, list[float]]]:
    """By defect and title, the scores at each size of the defect."""
    codes = standardised(factors_of_points())
    result: dict[str, dict[str, list[float]]] = {}
    for defect, (make, sizes, _) in DEFECTS.items():
        found = [values_of(name, make(codes, size)) for size in sizes]
        result[defect] = {t: [round(each[t], 4) for each in found] for t in found[0]}
    return result


WIDTH, HEIGHT, LEFT, TOP, GAP = 150, 110, 34, 34, 26
COLOURS = ("#3366cc", "#dc6900", "#2b8a3e", "#a61e8c")
DASHES = ("", "6 3", "2 3", "8 3 2 3")


def picture(name: str, numbers: dict[str, dict[str, list[float]]]) -> str:
    """An SVG with one panel for each defect and one line for each score."""
    titles = list(next(iter(numbers.values())))
    values = [v for lines in numbers.values() for line in lines.values() for v in line]
    low, high = min(0.0, *values), max(1.0, *values)
    width = LEFT + len(numbers) * (WIDTH + GAP)
    height = TOP + HEIGHT + 40 + 16 * len(titles)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11" fill="#444">',
        f"<title>{name} on codes that are rotated, noisy, duplicated or merged</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for k, (defect, lines) in enumerate(numbers.items()):
        parts += _panel(LEFT + k * (WIDTH + GAP), defect, lines, (low, high))
    for k, title in enumerate(titles):
        y = TOP + HEIGHT + 46 + 16 * k
        parts.append(f'<path d="M{LEFT} {y - 4}h26" {_stroke(k)}/>')
        parts.append(f'<text x="{LEFT + 32}" y="{y}">{title}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(
    left: int, defect: str, lines: dict[str, list[float]], limits: tuple[float, float]
) -> Iterator[str]:
    _, sizes, unit = DEFECTS[defect]
    low, high = limits

    def at(size: float, value: float) -> str:
        x = left + WIDTH * size / sizes[-1]
        return f"{x:.1f},{TOP + HEIGHT * (high - value) / (high - low):.1f}"

    yield f'<text x="{left}" y="{TOP - 12}" font-weight="bold">{defect}</text>'
    yield f'<path d="M{left} {TOP}h{WIDTH}v{HEIGHT}h-{WIDTH}z" fill="none" stroke="#bbb"/>'
    for value in sorted({low, 0.0, high}):
        y = float(at(0, value).partition(",")[2])
        yield f'<path d="M{left} {y:.1f}h{WIDTH}" stroke="#ddd"/>'
        yield f'<text x="{left - 4}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
    for size in (sizes[0], sizes[-1]):
        x = left + WIDTH * size / sizes[-1]
        yield f'<text x="{x:.1f}" y="{TOP + HEIGHT + 13}" text-anchor="middle">{size:g}</text>'
    middle = left + WIDTH / 2
    yield f'<text x="{middle:.1f}" y="{TOP + HEIGHT + 26}" text-anchor="middle">{unit}</text>'
    for k, line in enumerate(lines.values()):
        points = " ".join(at(size, value) for size, value in zip(sizes, line, strict=True))
        yield f'<polyline points="{points}" fill="none" {_stroke(k)}/>'


def _stroke(k: int) -> str:
    dash = f' stroke-dasharray="{DASHES[k]}"' if DASHES[k] else ""
    return f'stroke="{COLOURS[k]}" stroke-width="2"{dash}'


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("metrics", nargs="*", help="names in gin (default: all)")
    parser.add_argument("--draw", action="store_true", help="draw what was measured before")
    options = parser.parse_args()
    kept = json.loads(NUMBERS.read_text(encoding="utf-8")) if NUMBERS.exists() else {}
    for name in options.metrics or metrics_of_codes():
        if not options.draw:
            kept[name] = measured(name)
            print(name, kept[name])
            text = ",\n".join(f'"{key}": {json.dumps(kept[key])}' for key in sorted(kept))
            NUMBERS.write_text(f"{{{text}}}\n", encoding="utf-8")
        PICTURES.mkdir(exist_ok=True)
        (PICTURES / f"{name}.svg").write_text(picture(name, kept[name]), encoding="utf-8")


if __name__ == "__main__":
    main()
