"""Charts as SVG text: an axis, and marks that say what they are when pointed at."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from matplotlib.ticker import EngFormatter, MaxNLocator

__all__ = [
    "COLORS", "Axis", "axis", "color", "dashes", "document", "element", "vertical_grid",
]  # fmt: skip

COLORS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f5f00", "#5a4fcf",
    "#8c8c8c", "#b2182b",
)  # fmt: skip
"""Okabe and Ito's colours that can be read on white, and a few more."""

_DASHES = ("", "6 3", "2 3", "9 3 2 3")
"""Of the lines of the first ten models, the next ten, and so on."""
_EDGE = 24.0
"""Labels so near the ends of an axis are written inwards: they would be cut off."""


def color(number: int) -> str:
    """Colour of a model by its place in the report."""
    return COLORS[number % len(COLORS)]


def dashes(number: int) -> dict[str, str]:
    """What sets a model's lines apart from those of another model of the same colour."""
    pattern = _DASHES[number // len(COLORS) % len(_DASHES)]
    return {"stroke_dasharray": pattern} if pattern else {}


def element(tag: str, title: str = "", text: str = "", **attributes: float | str) -> str:
    """An SVG element; `title` is shown when it is pointed at. Texts and values are escaped.

    Attributes are called by their Python names: `stroke_width`, `class_`.
    """
    parts = []
    for name, value in attributes.items():
        shown = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
        parts.append(f' {name.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    inner = (f"<title>{escape(title)}</title>" if title else "") + escape(text)
    return f"<{tag}{''.join(parts)}>{inner}</{tag}>" if inner else f"<{tag}{''.join(parts)}/>"


def document(width: float, height: float, parts: Sequence[str], label: str) -> str:
    """An SVG that scales with the page; `label` says what it shows to those who cannot see it."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{escape(label)}" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


class Axis(NamedTuple):
    """A linear axis: `low` and `high` of the data lie at `start` and `end` pixels."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    labels: tuple[str, ...]

    def at(self, value: float) -> float:
        """Pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def axis(values: Sequence[float], start: float, end: float, short: bool = False) -> Axis:
    """An axis that holds all values with some room, round ticks on it.

    `short` is an axis of whole numbers, which writes 100k for 100,000. Without values it goes from
    0 to 1.
    """
    low, high = (min(values), max(values)) if len(values) else (0.0, 1.0)
    if low == high:
        room = max(abs(low) * 0.05, 1e-3)
        low, high = low - room, high + room
    room = (high - low) * 0.03
    low, high = low - room, high + room
    at = MaxNLocator(6, integer=short).tick_values(low, high)
    ticks = [float(tick) for tick in at if low <= tick <= high]
    labels = [EngFormatter(sep="")(tick) if short else f"{tick:.6g}" for tick in ticks]
    return Axis(low, high, start, end, tuple(ticks), tuple(labels))


def vertical_grid(x: Axis, top: float, bottom: float) -> list[str]:
    """Lines at the ticks of a horizontal axis, and their labels below."""
    parts = []
    for tick, label in zip(x.ticks, x.labels, strict=True):
        at = x.at(tick)
        parts.append(element("line", x1=at, x2=at, y1=top, y2=bottom, class_="grid"))
        side = "end" if at > x.end - _EDGE else "start" if at < x.start + _EDGE else "middle"
        parts.append(
            element("text", text=label, x=at, y=bottom + 17, class_="tick", text_anchor=side)
        )
    return parts
