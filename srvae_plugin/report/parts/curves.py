"""Learning curves of a report, from the scalars that training wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.report.models import Model
from srvae_plugin.report.parts.svg import (
    Axis,
    axis,
    color,
    dashes,
    document,
    element,
    vertical_grid,
)

__all__ = ["Curve", "curve_chart", "line_key"]

_LINES = 40
"""Up to so many runs are drawn each."""
_FIRST = 0.05
"""Share of the steps whose values may lie above a chart."""
_WIDTH, _HEIGHT, _LEFT, _TOP = 440.0, 270.0, 58.0, 30.0

_WINDOW = (
    f'<svg x="{_LEFT:g}" y="{_TOP:g}" width="{_WIDTH - 12 - _LEFT:g}" '
    f'height="{_HEIGHT - 36 - _TOP:g}" viewBox="{_LEFT:g} {_TOP:g} {_WIDTH - 12 - _LEFT:g} '
    f'{_HEIGHT - 36 - _TOP:g}">'
)


class Curve(NamedTuple):
    """One run's scalar."""

    model: Model
    name: str
    steps: NDArray[np.float64]
    values: NDArray[np.float64]


def curve_chart(curves: Sequence[Curve], title: str, every: bool = False) -> str:
    """Learning curves of one scalar; empty without any finite value.

    Of more than 40 runs the median of each model's is drawn, and the band of their middle half.
    The first steps' losses may lie above the chart. Values that are not finite are left out.

    Args:
        curves: one per run.
        title: what the values are.
        every: show all values, the first ones too, and mark each: there are few.
    """
    sound = [_finite(curve) for curve in curves]
    bands: list[Curve] = []
    lines = [curve for curve in sound if len(curve.steps)]
    if not lines:
        return ""
    if len(lines) > _LINES:
        lines, bands = _quartiles(lines)
    x = axis([float(end) for c in lines for end in (c.steps[0], c.steps[-1])],
             _LEFT, _WIDTH - 12, True)  # fmt: skip
    y = axis(_shown([*lines, *bands], every), _HEIGHT - 36, _TOP)
    parts = [element("text", text=title, x=_LEFT, y=16, class_="title"), *_grids(x, y)]
    # What lies above is cut off, so that a line leaves the chart and does not run along its edge.
    parts.append(_WINDOW)
    for curve in bands:
        fill = color(curve.model.number)
        parts.append(
            element("polygon", curve.name, points=_points(curve, x, y), fill=fill,
                    class_="interval")
        )  # fmt: skip
    for curve in lines:
        parts.append(
            element("polyline", curve.name, points=_points(curve, x, y), fill="none",
                    stroke=color(curve.model.number), class_="curve", **dashes(curve.model.number))
        )  # fmt: skip
        parts += _marks(curve, x, y) if every else []
    return document(_WIDTH, _HEIGHT, [*parts, "</svg>"], title)


def line_key(number: int) -> str:
    """A short piece of a model's line, by its place in the report."""
    line = element("line", x1=1, x2=27, y1=6, y2=6, stroke=color(number), class_="curve",
                   **dashes(number))  # fmt: skip
    return document(28, 12, [line], "its line")


def _shown(curves: Sequence[Curve], every: bool) -> list[float]:
    """Values that the chart must hold: without `every`, of all but the first steps."""
    values = np.concatenate([curve.values for curve in curves])
    if every:
        return [float(values.min()), float(values.max())]
    # The first losses are far above all others and would flatten them.
    last = max(float(curve.steps.max()) for curve in curves)
    later = np.concatenate([curve.values[curve.steps >= _FIRST * last] for curve in curves])
    low, high = np.percentile(later, [2, 98])
    # Nor is a run that went astray to flatten the others.
    top = later.max() if later.max() <= high + (high - low) else high
    return [float(values.min()), float(top)]


def _finite(curve: Curve) -> Curve:
    kept = np.isfinite(curve.values)
    return curve._replace(steps=curve.steps[kept], values=curve.values[kept])


def _grids(x: Axis, y: Axis) -> list[str]:
    parts = vertical_grid(x, _TOP, _HEIGHT - 36)
    parts.append(element("text", text="step", x=_WIDTH - 12, y=_HEIGHT - 4, class_="tick",
                         text_anchor="end"))  # fmt: skip
    for tick, label in zip(y.ticks, y.labels, strict=True):
        at = y.at(tick)
        parts.append(element("line", x1=_LEFT, x2=_WIDTH - 12, y1=at, y2=at, class_="grid"))
        parts.append(element("text", text=label, x=_LEFT - 6, y=at + 4, class_="tick",
                             text_anchor="end"))  # fmt: skip
    return parts


def _points(curve: Curve, x: Axis, y: Axis) -> str:
    """Pixels of a line, also a little outside the chart; a single point is a short stroke."""
    far = 10 * _HEIGHT
    heights = [min(max(y.at(value), -far), far) for value in curve.values]
    pixels = [(x.at(step), height) for step, height in zip(curve.steps, heights, strict=True)]
    if len(pixels) == 1:
        pixels.append((pixels[0][0] + 0.1, pixels[0][1]))
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in pixels)


def _marks(curve: Curve, x: Axis, y: Axis) -> list[str]:
    return [
        element("circle", f"{curve.name}, step {step:,.0f}: {value:.6g}", cx=x.at(step),
                cy=y.at(value), r=2.6, fill=color(curve.model.number), class_="seed")
        for step, value in zip(curve.steps, curve.values, strict=True)
    ]  # fmt: skip


def _quartiles(curves: Sequence[Curve]) -> tuple[list[Curve], list[Curve]]:
    """Median of each model's runs, and the band of the middle half as a closed line."""
    lines, bands = [], []
    for model in {curve.model.label: curve.model for curve in curves}.values():
        own = [curve for curve in curves if curve.model.label == model.label]
        steps = np.linspace(0, max(float(curve.steps[-1]) for curve in own), 80)
        # A run that ended earlier says nothing about later steps.
        values = np.stack([np.interp(steps, c.steps, c.values, right=np.nan) for c in own])
        low, middle, high = np.nanpercentile(values, [25, 50, 75], axis=0)
        lines.append(Curve(model, f"{model.label}: median of {len(own)} runs", steps, middle))
        around = np.concatenate([steps, steps[::-1]]), np.concatenate([low, high[::-1]])
        bands.append(Curve(model, f"{model.label}: middle half of {len(own)} runs", *around))
    return lines, bands
