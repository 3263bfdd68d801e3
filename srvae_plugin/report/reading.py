"""Reads what lies in run directories, whoever made them: a value that is right, or ValueError."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srvae_plugin.data.storage.npy_header import read_npy

__all__ = [
    "MOST_PIXELS",
    "matrix_in",
    "opened_picture",
    "or_note",
    "seed_of",
    "texts",
]

_KINDS = ("GIF", "JPEG", "PNG")
"""Formats that runs' pictures are in; others, such as EPS, may start programs."""
MOST_PIXELS = 50_000_000
"""Of a picture, all of its frames together."""
_MOST_CELLS = 4_000_000
_T = TypeVar("_T")


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Gin bindings of a record: they are texts, and what is none has not been written by gin."""
    return {key: value for key, value in values.items() if isinstance(value, str)}


def or_note(work: Callable[[], _T], notes: list[str]) -> _T | None:
    """What is damaged is said in the report, once, and does not stop it."""
    try:
        return work()
    except (OSError, ValueError, MemoryError) as error:
        if str(error) not in notes:
            notes.append(str(error))
        return None


def seed_of(value: Any) -> int | None:
    """A seed that was written as a number or as digits; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = value.strip() if isinstance(value, str) else ""
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 20 else None


def matrix_in(path: Path) -> NDArray[np.float64]:
    """A matrix of importance in an .npy file.

    Raises:
        ValueError: if the file is damaged or holds anything but finite numbers >= 0 in two axes.
    """
    try:
        matrix = read_npy(path, _MOST_CELLS)
    except OSError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or not matrix.size:
        raise ValueError(f"{path} holds {matrix.dtype} {matrix.shape}, not a matrix of floats")
    loaded = matrix.astype(np.float64)
    if not (np.isfinite(loaded).all() and (loaded >= 0).all()):
        raise ValueError(f"{path}: importance must be finite and at least 0")
    return loaded


def opened_picture(path: Path) -> Image.Image:
    """A picture, its pixels not yet read.

    Raises:
        ValueError: if the file is damaged, or declares more pixels than a page can show.
    """
    try:
        image = Image.open(path, formats=_KINDS)
        frames = getattr(image, "n_frames", 1)
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        OverflowError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise ValueError(f"{path} is damaged: {error}") from None  # fmt: skip
    width, height = image.size
    if width * height * frames > MOST_PIXELS:
        image.close()
        raise ValueError(
            f"{path} is left out: {frames} pictures of {width} x {height} pixels, together more "
            f"than {MOST_PIXELS:,}"
        )
    return image
