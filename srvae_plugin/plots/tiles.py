"""Pages of labelled image tiles, laid out to the pixel: what a model's pictures are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

__all__ = [
    "DPI",
    "GAP",
    "GROUP_GAP",
    "TEXT",
    "ImageArray",
    "Page",
    "Raster",
    "enlarge",
    "grid_page",
    "intensities",
    "offsets",
    "signed",
    "signed_colormap",
    "signed_number",
    "slider_frames",
]


ImageArray = Float[np.ndarray, "*batch height width channel"]
Raster = UInt8[np.ndarray, "*batch height width 3"]

DPI = 200
GAP = 4
"""Pixels between neighbouring tiles."""
GROUP_GAP = 24
"""Pixels between groups of tiles."""
TEXT = 25
"""Text height in pixels on a page about 1,700 pixels wide: 11 pixels when shown 800 wide."""
_TILE = 128
_FRAME = 190
"""Grey of the line around a tile, so that white images end somewhere on a white page."""


def intensities(images: ImageArray) -> Raster:
    """Rasters of intensities in [0, 1]; what lies outside is clipped.

    Raises:
        ValueError: unless images have one channel or three.
    """
    if images.shape[-1] not in (1, 3):
        raise ValueError(
            f"images: got {images.shape[-1]} channels in shape {images.shape}; pictures show "
            "1 (grey) or 3 (RGB): select the channels to show first"
        )
    rgb = np.broadcast_to(images, (*images.shape[:-1], 3))
    return np.rint(255 * np.clip(rgb, 0, 1)).astype(np.uint8)


def signed_colormap(channels: int) -> str:
    """Name of the matplotlib colormap in which :func:`signed` draws."""
    return "RdBu_r" if channels == 1 else "gray"


def signed(images: ImageArray, limit: float) -> Raster:
    """Rasters of values in [-limit, limit].

    One channel is coloured from blue through white (0) to red; three channels are mapped
    affinely, each on its own, so that 0 is mid-grey.

    Raises:
        ValueError: for other channels.
    """
    unit = (images / limit + 1) / 2
    if images.shape[-1] == 1:
        return matplotlib.colormaps[signed_colormap(1)](unit[..., 0], bytes=True)[..., :3]
    return intensities(unit)


def enlarge(images: Raster) -> UInt8[np.ndarray, "*batch larger_height larger_width 3"]:
    """Repeat pixels so that the longer side comes to (at most) 128 pixels; never shrinks."""
    factor = max(1, _TILE // max(images.shape[-3:-1]))
    return images.repeat(factor, axis=-3).repeat(factor, axis=-2)


def offsets(count: int, size: int, start: int, gap: int = GAP) -> list[int]:
    """First pixel of each of `count` tiles of `size` pixels in one line."""
    return [start + i * (size + gap) for i in range(count)]


def signed_number(value: float) -> str:
    """Up to three significant digits with a true minus sign."""
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


class Page:
    """A white page of width x height pixels; x runs right and y down, as in an image."""

    def __init__(self, width: int, height: int):
        self._canvas = np.full((height, width, 3), 255, np.uint8)
        self._texts: list[tuple[float, float, str, dict[str, Any]]] = []
        self._bar: tuple[tuple[float, float, float, float], float, str] | None = None

    def place(self, image: UInt8[np.ndarray, "height width 3"], x: int, y: int) -> None:
        """Put an image's top left pixel at (x, y), a thin grey line around it."""
        height, width = image.shape[:2]
        self._canvas[y - 1 : y + height + 1, x - 1 : x + width + 1] = _FRAME
        self._canvas[y : y + height, x : x + width] = image

    def text(
        self,
        x: int | float,
        y: int | float,
        text: str,
        ha: str = "center",
        va: str = "center",
        size: int | float = TEXT,
    ) -> None:
        """Write at (x, y), aligned as matplotlib's `ha` and `va` say; `size` is in pixels."""
        style = {"ha": ha, "va": va, "fontsize": size * 72 / DPI, "linespacing": 1.3}
        self._texts.append((x, y, text, style))

    def colorbar(self, x: int, y: int, width: int, height: int, limit: float, cmap: str) -> None:
        """Show the colours of [-limit, limit], the three ticks -limit, 0 and limit below."""
        rows, columns = self._canvas.shape[:2]
        box = (x / columns, 1 - (y + height) / rows, width / columns, height / rows)
        self._bar = (box, limit, cmap)

    def figure(self) -> Figure:
        """The page as a figure; saved at its own resolution it is width x height pixels."""
        height, width = self._canvas.shape[:2]
        figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.imshow(
            self._canvas, interpolation="nearest", extent=(0, width, height, 0), aspect="auto"
        )
        for x, y, text, style in self._texts:
            axes.text(x, y, text, style)
        if self._bar is not None:
            box, limit, cmap = self._bar
            colors = ScalarMappable(Normalize(-limit, limit), cmap)
            bar = figure.colorbar(colors, cax=figure.add_axes(box), orientation="horizontal")
            ends = [-limit, 0.0, limit]
            bar.set_ticks(ends, labels=[signed_number(end) for end in ends])
            bar.ax.tick_params(labelsize=TEXT * 72 / DPI, length=2, width=0.5)
            bar.outline.set_linewidth(0.5)
        return figure

    def raster(self) -> UInt8[np.ndarray, "height width 3"]:
        """The page as pixels."""
        canvas = FigureCanvasAgg(self.figure())
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def grid_page(
    tiles: Raster,
    row_labels: list[str],
    column_labels: Mapping[int, str],
    first_apart: bool = False,
    title: str = "",
) -> Page:
    """A page of one grid of tiles.

    Args:
        tiles: (row, column, height, width, 3), at their size on the page.
        row_labels: one per row, right-aligned on the left.
        column_labels: texts above columns; none leaves out that line.
        first_apart: a wider gap after the first column.
        title: a line above the columns (all but the first, if that stands apart).
    """
    rows, columns, height, width = tiles.shape[:4]
    top = GAP + (TEXT + 16) * (bool(column_labels) + bool(title))
    # A character of this font is about half as wide as it is high.
    label_width = round(0.54 * TEXT * max(map(len, row_labels))) + GAP
    xs = offsets(columns, width, label_width + 16)
    if first_apart:
        xs[1:] = [x + GROUP_GAP for x in xs[1:]]
    ys = offsets(rows, height, top)
    page = Page(xs[-1] + width + GAP, ys[-1] + height + GAP)
    for row, y in enumerate(ys):
        page.text(label_width, y + height / 2, row_labels[row], ha="right")
        for column, x in enumerate(xs):
            page.place(tiles[row, column], x, y)
    for column, label in column_labels.items():
        page.text(xs[column] + width / 2, top - 14, label, va="baseline")
    if title:
        first = xs[1 if first_apart else 0]
        page.text((first + xs[-1] + width) / 2, TEXT, title, va="baseline")
    return page


def slider_frames(
    tiles: UInt8[np.ndarray, "tile frame height width 3"],
    labels: list[str],
    values: Float[np.ndarray, " frame"],
    limit: float,
) -> UInt8[np.ndarray, "frame page_height page_width 3"]:
    """Frames of an animation: all tiles, and below them a slider at the frame's value.

    Args:
        tiles: (tile, frame, height, width, 3), at their size on the page.
        labels: one for each tile, above it.
        values: the slider's value in each frame.
        limit: the slider goes from -limit to limit.
    """
    count, _, height, width = tiles.shape[:4]
    rows = -(-count // 6)
    xs = offsets(-(-count // rows), width, 8, gap=8)
    ys = offsets(rows, height, 26, gap=30)
    page = Page(xs[-1] + width + 8, ys[-1] + height + 42)
    places = [(x, y) for y in ys for x in xs][:count]
    for label, (x, y) in zip(labels, places, strict=True):
        page.text(x + width / 2, y - 12, label, size=15)
        page.place(tiles[0, 0], x, y)
    left, right, middle = 24, xs[-1] + width - 16, ys[-1] + height + 14
    unit = (right - left) / (2 * limit)
    for value in (-limit, 0.0, limit):
        page.text(left + (value + limit) * unit, middle + 17, signed_number(value), size=15)
    background = page.raster()
    background[middle - 1 : middle + 1, left:right] = 150
    frames = np.repeat(background[None], len(values), axis=0)
    for frame, value in enumerate(values):
        raster = frames[frame]
        for tile, (x, y) in zip(tiles[:, frame], places, strict=True):
            raster[y : y + height, x : x + width] = tile
        knob = round(left + (value + limit) * unit)
        raster[middle - 7 : middle + 7, knob - 3 : knob + 3] = 40
    return frames
