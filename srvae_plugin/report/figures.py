"""Figures of a report: all seeds of every model, and Hinton diagrams."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.report.pairs import Row
from srvae_plugin.report.published import PublishedScore
from srvae_plugin.report.scores import Table
from srvae_plugin.report.svg import (
    Axis,
    axis,
    color,
    document,
    element,
    vertical_grid,
)

_WIDTH, _MARGIN = 720.0, 14.0
_ROW = 54.0
_NAME = 16.0
"""Height of a model's name above its seeds."""
_FOOT = 26.0
_LETTERS = 96


def strip_plot(table: Table, published: Sequence[Sequence[PublishedScore]]) -> str:
    """Every seed of every model, one line a model below its name, and its statistics.

    `published` are the published numbers of each row of the table.
    """
    numbers = [float(v) for row in table.rows for v in row.values[np.isfinite(row.values)]]
    numbers += [p.mean for scores in published for p in scores if p.mean is not None]
    x = axis(numbers, _MARGIN, _WIDTH - _MARGIN)
    height = _ROW * len(table.rows)
    parts = vertical_grid(x, 0, height)
    for place, (row, scores) in enumerate(zip(table.rows, published, strict=True)):
        label = row.model.label
        name = label if len(label) <= _LETTERS else f"{label[: _LETTERS - 1]}…"
        top = _ROW * place
        parts.append(element("text", label, name, x=0, y=top + 13, class_="name"))
        y = top + _NAME + (_ROW - _NAME) / 2
        parts += [_published_mark(score, x, y) for score in scores if score.mean is not None]
        parts += _seeds(row, x, y)
    label = f"{table.score.title} on {table.data_set}: every seed of every model"
    return document(_WIDTH, height + _FOOT, parts, label)


def _seeds(row: Row, x: Axis, y: float) -> list[str]:
    summary, fill, parts = row.summary, color(row.model.number), []
    low, high = summary.interquartile_mean_interval
    if math.isfinite(low):
        title = f"interval of the interquartile mean: {low:.4f} to {high:.4f}"
        width = max(x.at(high) - x.at(low), 1.0)
        parts.append(
            element("rect", title, x=x.at(low), y=y - 11, width=width, height=22.0, rx=3,
                    fill=fill, class_="interval")
        )  # fmt: skip
    for place, (run, value) in enumerate(zip(row.runs, row.values, strict=True)):
        if math.isfinite(value):
            # The golden ratio spreads neighbours apart, and the same way every time.
            jitter = ((place * 0.618034) % 1 - 0.5) * 14
            seed = f"seed {run.seed}" if run.seed is not None else "no seed"
            parts.append(
                element("circle", f"{run.name}, {seed}: {value:.6g}", cx=x.at(value),
                        cy=y + jitter, r=3.2, fill=fill, class_="seed")
            )  # fmt: skip
    if math.isfinite(summary.mean):
        parts += _marks(row, x, y)
    return parts


def _marks(row: Row, x: Axis, y: float) -> list[str]:
    s = row.summary
    parts = []
    at = x.at(s.median)
    title = f"median: {s.median:.4f}"
    parts.append(element("line", title, x1=at, x2=at, y1=y - 12, y2=y + 12, class_="median"))
    at = x.at(s.interquartile_mean)
    title = f"interquartile mean: {s.interquartile_mean:.4f}"
    parts.append(element("circle", title, cx=at, cy=y, r=5.5, class_="iqm"))
    parts.append(_diamond(f"mean: {s.mean:.4f}", x.at(s.mean), y))
    for value, name in ((s.best, "best"), (s.worst, "worst")):
        if math.isfinite(value):
            title = f"mean of the {name} {s.k} of {s.runs}: {value:.4f}"
            parts.append(_triangle(title, x.at(value), y))
    return parts


def _diamond(title: str, x: float, y: float) -> str:
    points = f"{x - 6:.1f},{y:.1f} {x:.1f},{y - 6:.1f} {x + 6:.1f},{y:.1f} {x:.1f},{y + 6:.1f}"
    return element("polygon", title, points=points, class_="mean")


def _triangle(title: str, x: float, y: float) -> str:
    top = y + 9
    points = f"{x:.1f},{top:.1f} {x - 5:.1f},{top + 7:.1f} {x + 5:.1f},{top + 7:.1f}"
    return element("polygon", title, points=points, class_="extreme")


def _published_mark(score: PublishedScore, x: Axis, y: float) -> str:
    mean = score.mean or 0.0
    spread = f" ± {score.std:g}" if score.std is not None else ""
    title = f"published: {mean:g}{spread}, {score.source} ({score.confidence})"
    at = x.at(mean)
    line = element("line", title, x1=at, x2=at, y1=y - 15, y2=y + 15, class_="published")
    if score.std is None:
        return line
    low, high = (min(max(x.at(mean + s * score.std), x.start), x.end) for s in (-1, 1))
    band = element(
        "rect", title, x=low, y=y - 13, width=high - low, height=26.0, class_="published-band"
    )
    return band + line


def legend() -> list[tuple[str, str]]:
    """The marks of a strip plot, each as a small drawing, and what they mean."""
    fill = color(0)
    marks = [
        (element("circle", cx=12, cy=13, r=3.2, fill=fill, class_="seed"), "one seed"),
        (_diamond("", 12, 13), "mean"),
        (element("line", x1=12, x2=12, y1=3, y2=23, class_="median"), "median"),
        (element("circle", cx=12, cy=13, r=5.5, class_="iqm"), "interquartile mean"),
        (element("rect", x=3, y=4, width=18, height=18, rx=3, fill=fill, class_="interval"),
         "interval of the interquartile mean"),
        (_triangle("", 12, 1), "mean of the best and of the worst third"),
        (element("line", x1=12, x2=12, y1=2, y2=24, class_="published"), "published"),
        (element("rect", x=3, y=2, width=18, height=22, class_="published-band"), "published ±"),
    ]  # fmt: skip
    return [(document(24, 26, [mark], text), text) for mark, text in marks]


def hinton(matrix: NDArray[np.float64], factors: Sequence[str], title: str) -> str:
    """Importance of each latent for each factor: a square's area is its share of the largest.

    Args:
        matrix: (latent, factor), >= 0.
        factors: name of each factor.
        title: what it is of.
    """
    cell, left, top = 26.0, 40.0, 74.0
    largest = float(matrix.max()) or 1.0
    parts = []
    for column, name in enumerate(factors):
        at = left + cell * (column + 0.5)
        parts.append(
            element("text", text=name, x=at, y=top - 8, class_="tick",
                    transform=f"rotate(-45 {at:g} {top - 8:g})")
        )  # fmt: skip
    for row, values in enumerate(matrix):
        y = top + cell * (row + 0.5)
        parts.append(element("text", text=f"z{row}", x=left - 8, y=y + 4, class_="tick",
                             text_anchor="end"))  # fmt: skip
        for column, value in enumerate(values):
            x = left + cell * (column + 0.5)
            parts.append(element("rect", x=x - cell / 2, y=y - cell / 2, width=cell, height=cell,
                                 class_="cell"))  # fmt: skip
            side = (cell - 3) * math.sqrt(value / largest)
            said = f"z{row}, {factors[column]}: {value:.3f}"
            parts.append(element("rect", said, x=x - side / 2, y=y - side / 2, width=side,
                                 height=side, class_="hinton"))  # fmt: skip
    width = left + cell * matrix.shape[1] + 50
    return document(width, top + cell * len(matrix) + 6, parts, title)
