"""Reads what lies in run directories, whoever made them: a value that is right, or ValueError."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srvae_plugin.data.storage.npy_header import read_npy

__all__ = [
    "MOST_PIXELS",
    "matrix_in",
    "opened_picture",
    "parse_json",
    "read_json",
    "seed_of",
    "texts",
]

_DIGITS = 300
"""A whole number of more digits is none that a computer calculates with."""
_KINDS = ("GIF", "JPEG", "PNG")
"""Formats that runs' pictures are in; others, such as EPS, may start programs."""
MOST_PIXELS = 50_000_000
"""Of a picture, all of its frames together."""
_MOST_CELLS = 4_000_000


def parse_json(text: str) -> Any:
    """A JSON text, whatever is in it.

    Raises:
        ValueError: if it is none, or nested deeper than anybody writes.
    """
    try:
        return json.loads(text, parse_int=_whole)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else math.copysign(math.inf, -(digits[0] == "-"))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds a dictionary.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it holds something else; the message names the file.
    """
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} is damaged: it holds no dictionary")
    return values


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Gin bindings of a record: they are texts, and what is none has not been written by gin."""
    return {key: value for key, value in values.items() if isinstance(value, str)}


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
        raise ValueError(f"{path} holds {matrix.dtype} {matrix.shape}, no matrix of floats")
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
