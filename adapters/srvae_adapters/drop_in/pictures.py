"""`visualize.visualize_util`: images in [0, 1], put side by side and written."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from srvae_plugin.files import write_bytes

__all__ = [
    "Picture",
    "Value",
    "add_below",
    "best_num_rows",
    "grid_save_images",
    "pad_around",
    "padded_grid",
    "padded_stack",
    "padding_array",
    "save_animation",
    "save_figure",
    "save_image",
]

Picture = NDArray[Any]
"""(height, width, channel) in [0, 1]."""
Value = Sequence[float] | None


def _bytes(image: Picture) -> NDArray[np.uint8]:
    colored = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    return (np.ascontiguousarray(colored) * 255.0).astype(np.uint8)


def save_image(image: Picture, image_path: str | Path) -> None:
    """Write an image of one or three channels."""
    content = io.BytesIO()
    Image.fromarray(_bytes(image)).save(content, Image.registered_extensions()[_ending(image_path)])
    write_bytes(Path(image_path), content.getvalue())


def _ending(path: str | Path) -> str:
    Image.init()
    return Path(path).suffix.lower()


def save_figure(figure: Figure, image_path: str | Path) -> None:
    """Write a figure as PNG."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_bytes(Path(image_path), content.getvalue())


def grid_save_images(images: Sequence[Picture] | NDArray[Any], image_path: str | Path) -> None:
    """Write the first n x n images as one, column after column."""
    side = math.isqrt(len(images))
    columns = [np.concatenate(images[side * i : side * i + side], axis=0) for i in range(side)]
    save_image(np.concatenate(columns, axis=1), image_path)


def padded_grid(
    images: Sequence[Picture],
    num_rows: int | None = None,
    padding_px: int = 10,
    value: Value = None,
) -> Picture:
    """Images row after row, with white, or `value`, between them."""
    num_rows = best_num_rows(len(images)) if num_rows is None else num_rows
    num_columns = math.ceil(len(images) / num_rows)
    missing = num_rows * num_columns - len(images)
    every = [*images, *[np.ones_like(images[0])] * missing]
    rows = [
        padded_stack(every[i * num_columns : (i + 1) * num_columns], padding_px, 1, value)
        for i in range(num_rows)
    ]
    return padded_stack(rows, padding_px, 0, value)


def padded_stack(
    images: Sequence[Picture], padding_px: int = 10, axis: int = 0, value: Value = None
) -> Picture:
    """Images one after the other along an axis."""
    between = padding_array(images[0], padding_px, axis, value)
    parts = [part for image in images for part in (between, image)]
    return np.concatenate(parts[1:], axis=axis)


def padding_array(image: Picture, padding_px: int, axis: int, value: Value = None) -> Picture:
    """A strip that fits an image along an axis, white or of one colour."""
    shape = list(image.shape)
    shape[axis] = padding_px
    if value is None:
        return np.ones(shape, dtype=image.dtype)
    return np.broadcast_to(np.asarray(value), shape).copy()


def best_num_rows(num_elements: int, max_ratio: int = 4) -> int:
    """Rows of the squarest grid that is full, or lacks least, up to `max_ratio` times as wide."""
    best, least = 1, num_elements
    for rows in range(math.isqrt(num_elements), 0, -1):
        if num_elements > max_ratio * rows * rows:
            break
        lacking = -num_elements % rows
        if lacking == 0:
            return rows
        if lacking < least:
            best, least = rows, lacking
    return best


def pad_around(
    image: Picture, padding_px: int = 10, axis: int | None = None, value: Value = None
) -> Picture:
    """An image with a margin along an axis, or all around."""
    if axis is None:
        return pad_around(pad_around(image, padding_px, 0, value), padding_px, 1, value)
    margin = padding_array(image, padding_px, axis, value)
    return np.concatenate([margin, image, margin], axis=axis)


def add_below(image: NDArray[Any], padding_px: int = 10, value: Value = None) -> Picture:
    """The image with three channels; the original's signature below it is not ours to write."""
    del padding_px, value
    image = image[..., np.newaxis] if image.ndim == 2 else image
    if image.shape[2] not in (1, 3):
        raise ValueError(f"expected an image of 1 or 3 channels, got shape {image.shape}")
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


def save_animation(
    list_of_animated_images: Sequence[Any] | NDArray[Any], image_path: str | Path, fps: float
) -> None:
    """Write an animation that shows several, each (frame, height, width, channel), in a grid."""
    frames = [
        Image.fromarray(_bytes(pad_around(add_below(padded_grid(list(images))))))
        for images in zip(*list_of_animated_images, strict=True)
    ]
    content = io.BytesIO()
    frames[0].save(
        content, "GIF", save_all=True, append_images=frames[1:], duration=round(1000 / fps), loop=0
    )
    write_bytes(Path(image_path), content.getvalue())
