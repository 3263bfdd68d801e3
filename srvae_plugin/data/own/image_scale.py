"""What the numbers and the axes of an array of images mean."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DARK",
    "Axes",
    "Layout",
    "Scale",
    "extent",
    "found_scale",
    "image_axes",
    "warn_of_dark_images",
]


Layout = Literal["NHWC", "NCHW", "NHW"]

_CHUNK_BYTES = 1 << 24
_LOOKED_AT_BYTES = 1 << 28
DARK = 0.75
"""Share of the way from black to white below which the largest value of all is warned of.

Pictures reach white almost always; those that stop at three quarters are more likely on another
scale, 0 to 127 or 0 to 100, say.
"""
_CHANNELS = (1, 3)

_log = logging.getLogger("srvae_plugin")


@dataclass(frozen=True)
class Scale:
    """What a user says of images; None: found out.

    Args:
        white: the stored value that becomes 1.
        black: the stored value that becomes 0.
        layout: the order of the axes, N for the images.
    """

    white: float | None = None
    black: float | None = None
    layout: Layout | None = None


class Axes(NamedTuple):
    """How an array (image, ...) is to be read."""

    image_shape: tuple[int, int, int]
    """Height, width and channels."""
    channels_first: bool


def found_scale(where: str, array: NDArray[Any], scale: Scale) -> tuple[float, float]:
    """The stored values of white and black.

    All images are looked at up to 256 MB of them, of more as many of equal distance. If nobody says
    what white is and none comes nearer to it than `DARK`, a warning says what was assumed.

    Raises:
        ValueError: if values lie outside, or nobody says what white is.
    """
    kind = array.dtype.kind
    if kind not in "biuf" or (kind in "iu" and array.dtype != np.uint8 and scale.white is None):
        raise ValueError(
            f"{where}: got {array.dtype}; expected uint8, bool, or floating point in [0, 1]; for "
            "other whole numbers bind dataset.white to the value that is 1"
        )
    low, high = extent(array)
    black = 0.0 if scale.black is None else float(scale.black)
    if scale.white is not None:
        white = float(scale.white)
    elif array.dtype == np.uint8 and high > 1:
        white = 255.0
    else:
        white = 1.0
    if not black < white:
        raise ValueError(f"dataset.white = {white:g}: expected more than dataset.black = {black:g}")
    if not (low >= black and high <= white):
        raise ValueError(
            f"{where}: got values {low:g} to {high:g}; expected finite values in "
            f"[{black:g}, {white:g}]: {_advice(low, high)}"
        )
    if scale.white is None:
        warn_of_dark_images(where, high, white, black)
    return white, black


def warn_of_dark_images(
    where: str, high: float, white: float, black: float = 0.0, remedy: str = ""
) -> None:
    """Say what was assumed if the largest value is far from what is taken as white."""
    brightest = (high - black) / (white - black)
    if brightest >= DARK:
        return
    if brightest <= 0:
        _log.warning("%s: every value is %g: all images are black", where, high)
        return
    bind = f"bind dataset.white = {high:g} if that is white, or dataset.white = {white:g} if they "
    _log.warning(
        "%s: the largest value is %g; taken as %g to %g, so that images are dark, at most %.2g of "
        "1: %s",
        where, high, black, white, brightest, remedy or f"{bind}are meant so",
    )  # fmt: skip


def extent(array: NDArray[Any]) -> tuple[float, float]:
    """Smallest and largest value, NaN if there is one, of at most 256 MB of the images."""
    row_bytes = max(1, array.dtype.itemsize * math.prod(array.shape[1:]))
    count = min(len(array), max(1, _LOOKED_AT_BYTES // row_bytes))
    rows = np.linspace(0, len(array) - 1, count).astype(np.int64)
    lows, highs = [], []
    step = max(1, _CHUNK_BYTES // row_bytes)
    for start in range(0, count, step):
        part = array[rows[start : start + step]]
        lows.append(float(part.min()))
        highs.append(float(part.max()))
    return float(np.min(lows)), float(np.max(highs))


def image_axes(where: str, shape: tuple[int, ...], layout: Layout | None) -> Axes:
    """How to read an array of this shape; a warning if it could be read in two ways.

    Raises:
        ValueError: if it cannot be read as images.
    """
    if len(shape) not in (3, 4) or 0 in shape:
        raise ValueError(_unreadable(where, shape))
    if layout is not None and len(layout) != len(shape):
        raise ValueError(
            f"dataset.layout = {layout!r}: {where} has shape {shape}; expected a layout of "
            f"{len(shape)} axes"
        )
    if len(shape) == 3:
        _warn_of_three_axes(where, shape, layout)
        return Axes((shape[1], shape[2], 1), False)
    first, last = shape[1] in _CHANNELS, shape[3] in _CHANNELS
    if layout == "NCHW":
        if not first:
            raise ValueError(f"{_unreadable(where, shape)}; dataset.layout = 'NCHW' is bound")
        return Axes((shape[2], shape[3], shape[1]), True)
    if not last:
        if first and layout is None:
            raise ValueError(
                f"{where}: got shape {shape}, channels first; expected (image, height, width, "
                "channel): bind dataset.layout = 'NCHW', or store images.transpose(0, 2, 3, 1)"
            )
        raise ValueError(_unreadable(where, shape))
    if first and layout is None and shape[1:] != (1, 1, 1):
        _log.warning(
            "%s: shape %s can be read in two ways; taken as (image, height, width, channel): bind "
            "dataset.layout = 'NHWC' if that is so, or 'NCHW'",
            where, shape,
        )  # fmt: skip
    return Axes((shape[1], shape[2], shape[3]), False)


def _warn_of_three_axes(where: str, shape: tuple[int, ...], layout: Layout | None) -> None:
    channels = shape[2] if shape[2] in _CHANNELS else shape[1]
    if layout is None and channels in _CHANNELS and shape[1] != shape[2]:
        _log.warning(
            "%s: shape %s can be read in two ways; taken as (image, height, width), %d grey images "
            "of %d x %d, and the %d not as channels: bind dataset.layout = 'NHW' if that is so, or "
            "store four axes",
            where, shape, *shape, channels,
        )  # fmt: skip


def _unreadable(where: str, shape: tuple[int, ...]) -> str:
    return (
        f"{where}: got shape {shape}; expected (image, height, width) or (image, height, width, "
        "channel) with one channel or three"
    )


def _advice(low: float, high: float) -> str:
    if not (np.isfinite(low) and np.isfinite(high)):
        return "store finite numbers"
    if low < 0:
        rounded = (-1.0, 1.0) if low >= -1 and high <= 1 else (low, high)
        return (
            f"bind dataset.black = {rounded[0]:g} and dataset.white = {rounded[1]:g} if these are "
            "black and white"
        )
    return (
        f"bind dataset.white = {high:g} if that is white, or store uint8, or divide by the "
        "largest value"
    )
