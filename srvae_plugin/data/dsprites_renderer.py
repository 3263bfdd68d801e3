"""Draws dSprites (Matthey et al., 2017) from its geometry, pixel for pixel.

The original was drawn with LOVE2D: polygons without antialiasing on a 64 px canvas whose y axis
points down. This module repeats that drawing in integers of 1/256 px, the grid to which a
rasteriser snaps vertices, so that no rounding error of a crossing can flip a pixel.

Images are kept bit-packed: one image is 512 bytes, ``np.packbits(image, axis=1)`` flattened row by
row. A row of 64 pixels is then one big-endian 64-bit word, and filling it between the crossings of
the outline is an exclusive or of words.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FACTOR_NAMES",
    "FACTOR_SIZES",
    "IMAGE_SIZE",
    "NUM_IMAGES",
    "PACKED_BYTES",
    "render_all",
    "render_images",
    "render_packed",
]


FACTOR_NAMES = ("color", "shape", "scale", "orientation", "position x", "position y")
FACTOR_SIZES = (1, 3, 6, 40, 32, 32)
IMAGE_SIZE = 64
PACKED_BYTES = IMAGE_SIZE * IMAGE_SIZE // 8
NUM_IMAGES = 737280

_RADIUS = 9.6
_SUBPIXELS = 256
_ALL_PIXELS = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_SCALES = np.linspace(0.5, 1.0, 6)
_ORIENTATIONS = np.linspace(0.0, 2.0 * np.pi, 40)
_CENTRES = 16.0 + 32.0 * np.linspace(0.0, 1.0, 32)


def _square() -> NDArray[np.float64]:
    return _RADIUS * np.array([[-1.0, 1.0, 1.0, -1.0], [-1.0, -1.0, 1.0, 1.0]])


def _ellipse() -> NDArray[np.float64]:
    t = 2.0 * np.pi * np.arange(100) / 100
    return np.stack([1.33 * _RADIUS * np.cos(t), _RADIUS / 1.33 * np.sin(t)])


def _heart() -> NDArray[np.float64]:
    t = 2.0 * np.pi * np.arange(150) / 150
    profile = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([_RADIUS * np.sin(t) ** 3, -0.15 * _RADIUS - 2 * _RADIUS / 29 * profile])


_OUTLINES = (_square(), _ellipse(), _heart())


def _vertices(
    shape: int,
    scale: int,
    orientation: int,
    centres_x: NDArray[np.float64],
    centres_y: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the snapped x of shape (centres_x, vertex) and y (centres_y, vertex), in 1/256 px."""
    x, y = _SCALES[scale] * _OUTLINES[shape]
    c, s = np.cos(_ORIENTATIONS[orientation]), np.sin(_ORIENTATIONS[orientation])
    placed_x = centres_x[:, None] + (c * x + s * y)
    placed_y = centres_y[:, None] + (-s * x + c * y)
    return _snap(placed_x), _snap(placed_y)


def _snap(position: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.floor(_SUBPIXELS * position + 0.5).astype(np.int64)


def _fill(xs: NDArray[np.int64], ys: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Fills one polygon at every pair of horizontal and vertical placements (even-odd rule).

    A pixel is on if its centre is inside. A centre on a left edge or on the lower end of an edge
    counts as inside, one on a right edge or on the upper end does not.

    Args:
        xs: vertex positions in 1/256 px, shape (horizontal placements, vertices).
        ys: the same downwards, shape (vertical placements, vertices).

    Returns:
        Packed images, shape (horizontal placements, vertical placements, 512).
    """
    half = _SUBPIXELS // 2
    num_vertices = ys.shape[1]
    dx, dy = np.roll(xs, -1, axis=1) - xs, np.roll(ys, -1, axis=1) - ys
    low, high = np.minimum(ys, ys + dy), np.maximum(ys, ys + dy)
    # An edge crosses the rows whose centre line lies in (low, high]: horizontal edges cross none.
    first_row = (low - half) // _SUBPIXELS + 1
    rows_crossed = ((high - half) // _SUBPIXELS + 1 - first_row).ravel()

    edge = np.repeat(np.arange(rows_crossed.size), rows_crossed)
    rank_in_edge = np.arange(edge.size) - np.repeat(
        np.cumsum(rows_crossed) - rows_crossed, rows_crossed
    )
    row = first_row.ravel()[edge] + rank_in_edge
    line = edge // num_vertices * IMAGE_SIZE + row
    order = np.argsort(line, kind="stable")
    edge, row, line = edge[order], row[order], line[order]

    vertex = edge % num_vertices
    rise = dy.ravel()[edge]
    climbed = _SUBPIXELS * row + half - ys.ravel()[edge]
    # The first pixel whose centre is not left of the crossing: a ceiling, in exact integers.
    numerator = (xs[:, vertex] - half) * rise + climbed * dx[:, vertex]
    column = -(-numerator // (_SUBPIXELS * rise))
    # Every sprite stays at least 3 px inside the canvas, so 0 < column < 64 and the shift is sound.
    from_column_on = _ALL_PIXELS >> column.astype(np.uint64)

    starts = np.flatnonzero(np.diff(line, prepend=-1))
    words = np.zeros((xs.shape[0], ys.shape[0] * IMAGE_SIZE), dtype=">u8")
    words[:, line[starts]] = np.bitwise_xor.reduceat(from_column_on, starts, axis=1)
    return words.view(np.uint8).reshape(xs.shape[0], ys.shape[0], PACKED_BYTES)


def render_all() -> NDArray[np.uint8]:
    """Renders the whole data set.

    Returns:
        Packed images in dSprites's own order (position y varies fastest), uint8, shape
        (737280, 512): 377 MB.
    """
    shapes, scales, orientations, positions = FACTOR_SIZES[1:5]
    packed = np.empty(
        (shapes, scales, orientations, positions, positions, PACKED_BYTES), dtype=np.uint8
    )
    for shape, scale, orientation in np.ndindex(shapes, scales, orientations):
        vertices = _vertices(shape, scale, orientation, _CENTRES, _CENTRES)
        packed[shape, scale, orientation] = _fill(*vertices)
    return packed.reshape(NUM_IMAGES, PACKED_BYTES)


def render_packed(factors: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Renders chosen images, bit-packed.

    Args:
        factors: integers of shape (n, 5): shape, scale, orientation, position x, position y.

    Returns:
        uint8 of shape (n, 512).

    Raises:
        ValueError: if the factors have another shape or type, or a value does not exist.
    """
    factors = np.asarray(factors)
    sizes = np.array(FACTOR_SIZES[1:])
    if factors.ndim != 2 or factors.shape[1] != 5 or factors.dtype.kind not in "iu":
        raise ValueError(
            f"factors: got {factors.dtype} of shape {factors.shape}; expected integers of shape "
            "(n, 5): shape, scale, orientation, position x, position y"
        )
    if factors.size and ((factors < 0) | (factors >= sizes)).any():
        raise ValueError(
            f"factors: every row must lie between 0 and {(sizes - 1).tolist()}; got values from "
            f"{factors.min(axis=0).tolist()} to {factors.max(axis=0).tolist()}"
        )
    packed = np.empty((len(factors), PACKED_BYTES), dtype=np.uint8)
    for i, (shape, scale, orientation, x, y) in enumerate(factors.tolist()):
        centre_x, centre_y = _CENTRES[x : x + 1], _CENTRES[y : y + 1]
        packed[i] = _fill(*_vertices(shape, scale, orientation, centre_x, centre_y))[0, 0]
    return packed


def render_images(factors: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Renders chosen images.

    Args:
        factors: integers of shape (n, 5): shape, scale, orientation, position x, position y.

    Returns:
        uint8 of shape (n, 64, 64), values 0 and 1.

    Raises:
        ValueError: as in :func:`render_packed`.
    """
    packed = render_packed(factors)
    return np.unpackbits(packed, axis=1).reshape(-1, IMAGE_SIZE, IMAGE_SIZE)
