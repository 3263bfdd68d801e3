"""Figures of a report: all seeds of every model, and Hinton diagrams."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.report.comparison.pairs import Row
from srvae_plugin.report.comparison.published import PublishedScore, mean_text
from srvae_plugin.report.parts.svg import (
    Axis,
    axis,
    color,
    document,
    element,
    vertical_grid,
)
from srvae_plugin.report.scores import Table

_WIDTH, _MARGIN = 720.0, 14.0
_ROW = 54.0
_NAME = 16.0
"""Height of a model's name above its seeds."""
_FOOT, _TOP = 46.0, 7.0
_LETTERS = 96
MANY = 3
"""Of fewer seeds the median is the mean, and best and worst are the seeds themselves."""
_DRAWN = 40
"""Rows and columns of a Hinton diagram at most."""

__all__ = ["MANY", "cell_strip", "hinton", "legend", "strip_plot"]


def strip_plot(table: Table, published: Sequence[Sequence[PublishedScore]]) -> str:
    """Every seed of every model, one line per model below its name, and its statistics.

    `published` are the published numbers of each row of the table.
    """
    numbers = [float(v) for row in table.rows for v in row.values[np.isfinite(row.values)]]
    numbers += [p.mean for scores in published for p in scores if p.mean is not None]
    x = axis(numbers, _MARGIN, _WIDTH - _MARGIN)
    height = _TOP + _ROW * len(table.rows)
    parts = vertical_grid(x, 0, height)
    for place, (row, scores) in enumerate(zip(table.rows, published, strict=True)):
        label = row.model.label
        name = _short(label, _LETTERS)
        top = _TOP + _ROW * place
        parts.append(element("text", label, name, x=0, y=top + 13, class_="name"))
        y = top + _NAME + (_ROW - _NAME) / 2
        parts += [_published_mark(score, x, y) for score in scores if score.mean is not None]
        parts += _seeds(row, x, y)
    # A figure that is taken out of the page has no heading.
    parts.append(element("text", text=table.score.title, x=_WIDTH - _MARGIN, y=height + 39,
                         class_="name", text_anchor="end"))  # fmt: skip
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
    diamond = _diamond(f"mean: {s.mean:.4f}", x.at(s.mean), y)
    if row.sound < MANY:
        return [diamond] if row.sound > 1 else []
    parts = []
    at = x.at(s.median)
    title = f"median: {s.median:.4f}"
    parts.append(element("line", title, x1=at, x2=at, y1=y - 12, y2=y + 12, class_="median"))
    at = x.at(s.interquartile_mean)
    title = f"interquartile mean: {s.interquartile_mean:.4f}"
    parts.append(element("circle", title, cx=at, cy=y, r=5.5, class_="iqm"))
    parts.append(diamond)
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
    mean = 0.0 if score.mean is None else score.mean
    spread = f" ± {score.std:g}" if score.std is not None else ""
    title = f"published: {mean_text(score)}{spread}, {score.source} ({score.confidence})"
    at = x.at(mean)
    line = element("line", title, x1=at, x2=at, y1=y - 15, y2=y + 15, class_="published")
    if score.std is None:
        return line
    low, high = (min(max(x.at(mean + s * score.std), x.start), x.end) for s in (-1, 1))
    band = element(
        "rect", title, x=low, y=y - 13, width=high - low, height=26.0, class_="published-band"
    )
    return band + line


def legend(plots: Sequence[str]) -> list[tuple[str, str]]:
    """The marks of some strip plots, each as a small drawing, and what they mean."""
    fill = color(0)
    marks = [
        ("seed", element("circle", cx=12, cy=13, r=3.2, fill=fill, class_="seed"), "one seed"),
        ("mean", _diamond("", 12, 13), "mean"),
        ("median", element("line", x1=12, x2=12, y1=3, y2=23, class_="median"), "median"),
        ("iqm", element("circle", cx=12, cy=13, r=5.5, class_="iqm"), "interquartile mean"),
        ("interval", element("rect", x=3, y=4, width=18, height=18, rx=3, fill=fill,
                             class_="interval"), "interval of the interquartile mean"),
        ("extreme", _triangle("", 12, 1), "mean of the best and of the worst third"),
        ("published", element("line", x1=12, x2=12, y1=2, y2=24, class_="published"), "published"),
        ("published-band", element("rect", x=3, y=2, width=18, height=22, class_="published-band"),
         "published ±"),
    ]  # fmt: skip
    return [
        (document(24, 26, [mark], text), text)
        for name, mark, text in marks
        if any(f'class="{name}"' in plot for plot in plots)
    ]


def hinton(
    matrix: NDArray[np.float64],
    factors: Sequence[str],
    title: str,
    order: Sequence[int] = (),
    largest: float | None = None,
) -> str:
    """Importance of each latent for each factor: a square's area is its share of the largest.

    Of more than 40 latents or factors those of the largest importance are drawn, which a line
    below says.

    Args:
        matrix: (latent, factor), >= 0.
        factors: name of each factor.
        title: what it is of.
        order: of the latents, from above; by default, and if it is of others, by number.
        largest: what fills a cell; by default the largest of them.
    """
    by_number = range(len(matrix))
    sorted_ = list(order) if sorted(order) == list(by_number) else list(by_number)
    rows = _largest(matrix.sum(axis=1), sorted_)
    columns = _largest(matrix.sum(axis=0), list(range(matrix.shape[1])))
    names = [_short(factors[column], 24) for column in columns]
    cell, left = 26.0, 46.0
    top = 24.0 + 4.6 * max(map(len, names))
    parts = []
    for place, name in enumerate(names):
        at = left + cell * (place + 0.5)
        parts.append(
            element("text", factors[columns[place]], name, x=at, y=top - 8, class_="tick",
                    transform=f"rotate(-45 {at:g} {top - 8:g})")
        )  # fmt: skip
    full = largest or float(matrix.max()) or 1.0
    for place, row in enumerate(rows):
        y = top + cell * (place + 0.5)
        parts.append(element("text", text=f"z{row}", x=left - 8, y=y + 4, class_="tick",
                             text_anchor="end"))  # fmt: skip
        for across, column in enumerate(columns):
            x = left + cell * (across + 0.5)
            value = float(matrix[row, column])
            parts.append(element("rect", x=x - cell / 2, y=y - cell / 2, width=cell, height=cell,
                                 class_="cell"))  # fmt: skip
            side = (cell - 3) * math.sqrt(value / full)
            said = f"z{row}, {factors[column]}: {value:.3f}"
            parts.append(element("rect", said, x=x - side / 2, y=y - side / 2, width=side,
                                 height=side, class_="hinton"))  # fmt: skip
    height = top + cell * len(rows) + 6
    width = left + cell * len(columns) + 4.6 * max(map(len, names)) + 16
    if matrix.shape != (len(rows), len(columns)):
        said = f"{len(rows)} of {len(matrix):,} latents, {len(columns)} of {matrix.shape[1]:,}"
        said += " factors: those of the largest importance"
        parts.append(element("text", text=said, x=4, y=height + 14, class_="tick"))
        width, height = max(width, 6.2 * len(said)), height + 22
    return document(width, height, parts, title)


def _largest(weights: NDArray[np.float64], places: list[int]) -> list[int]:
    """Up to 40 of the places, those of the largest weights, in the order in which they were."""
    kept = {*np.argsort(-weights, kind="stable")[:_DRAWN].tolist()}
    return [place for place in places if place in kept]


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def cell_strip(row: Row, scale: Axis) -> str:
    """A small drawing for a table: every seed, and the interval of the mean where there is one."""
    parts, fill = [], color(row.model.number)
    low, high = row.summary.mean_interval
    if math.isfinite(low):
        parts.append(element("line", x1=scale.at(low), x2=scale.at(high), y1=9.0, y2=9.0,
                             stroke=fill, class_="range"))  # fmt: skip
    for run, value in zip(row.runs, row.values, strict=True):
        if math.isfinite(value):
            seed = f"seed {run.seed}" if run.seed is not None else "no seed"
            parts.append(element("circle", f"{run.name}, {seed}: {value:.6g}", cx=scale.at(value),
                                 cy=9.0, r=2.6, fill=fill, class_="seed"))  # fmt: skip
    mean = row.summary.mean
    if math.isfinite(mean):
        at = scale.at(mean)
        parts.append(element("line", x1=at, x2=at, y1=2.0, y2=16.0, class_="median"))
    return document(scale.start + scale.end, 18, parts, f"seeds of {row.model.label}")
