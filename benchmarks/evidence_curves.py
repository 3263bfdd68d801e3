"""Scores over steps for docs/evidence.md, from the steps.csv that evidence_steps.py keeps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from srvae_plugin.report.comparison.pairs import FEWEST
from srvae_plugin.report.models import Model
from srvae_plugin.report.parts.curves import Curve, curve_chart
from srvae_plugin.report.parts.svg import color, document, element

_WIDTH, _HEIGHT, _LEFT, _COLUMN, _LINE = 440.0, 285.0, 58.0, 125.0, 18.0
"""Below a chart of the report there are three names on each line."""
Found = dict[tuple[str, int], dict[int, float]]
"""Value at each step, by model and seed."""


def t_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Student's interval of the mean of independent normal values; NaN for a single one.

    Example:
        >>> [round(end, 3) for end in t_interval([1.0, 2.0, 3.0])]
        [-0.484, 4.484]
    """
    found = np.asarray(values, np.float64)
    if len(found) < 2:
        return math.nan, math.nan
    half = float(stats.t.ppf((1 + level) / 2, len(found) - 1) * stats.sem(found))
    return float(found.mean()) - half, float(found.mean()) + half


def found_in(rows: Iterable[Mapping[str, str]], metric: str, key: str) -> Found:
    """One score of every run at every step that there is, of the rows of a steps.csv."""
    found: Found = {}
    for row in rows:
        if (row["metric"], row["key"]) == (metric, key):
            steps = found.setdefault((row["model"], int(row["seed"])), {})
            steps[int(row["step"])] = float(row["value"])
    return found


def step_rows(
    found: Found, models: Sequence[str], steps: Sequence[int], digits: int
) -> Iterator[list[object]]:
    """Each model's mean over seeds at each step, with its interval for five or more seeds."""
    for model in models:
        runs = [of for (name, _), of in sorted(found.items()) if name == model]
        if runs:
            yield [model, len(runs), *(_cell([of[s] for of in runs], digits) for s in steps)]


def difference_rows(
    found: Found, one: str, models: Sequence[str], steps: Sequence[int], digits: int
) -> Iterator[list[object]]:
    """`one` minus each other model, seed by seed, at each step."""
    for other in models:
        seeds = sorted({s for m, s in found if m == one} & {s for m, s in found if m == other})
        if seeds and other != one:
            pairs = [(found[one, seed], found[other, seed]) for seed in seeds]
            cells = (_cell([a[step] - b[step] for a, b in pairs], digits) for step in steps)
            yield [f"{one} minus {other}", len(seeds), *cells]


def _cell(values: Sequence[float], digits: int) -> str:
    """The mean and its interval; of too few seeds for one, the values themselves."""
    if len(values) < FEWEST:
        return ", ".join(f"{value:.{digits}f}" for value in values)
    low, high = t_interval(values)
    return f"{np.mean(values):.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def chart(found: Found, models: Sequence[str], title: str) -> str:
    """Every run's curve, as SVG, with the models' names below."""
    drawn = [Model(name, name, {}, number=number) for number, name in enumerate(models)]
    curves = []
    for model in drawn:
        for (name, seed), of in sorted(found.items()):
            if name == model.label:
                steps, values = _line(of)
                curves.append(Curve(model, f"{name}, seed {seed}", steps, values))
    names = [
        element("text", text=model.label, style=f"fill: {color(model.number)}", class_="name",
                x=_LEFT + _COLUMN * (model.number % 3), y=_HEIGHT + _LINE * (model.number // 3))
        for model in drawn
    ]  # fmt: skip
    height = _HEIGHT + _LINE * math.ceil(len(drawn) / 3)
    return document(_WIDTH, height, [curve_chart(curves, title, every=True), *names], title)


def _line(of: dict[int, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    steps, values = np.array(sorted(of.items()), np.float64).T
    return steps, values
