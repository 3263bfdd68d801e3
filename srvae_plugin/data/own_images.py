"""Images of a user's own, read when they are asked for: from an npz, or from image files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from srvae_plugin.data.npz_arrays import MappedArray

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""How the names of image files end."""

_LOOKED_AT = 512
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
_EIGHT_BITS = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")


class NpzImages:
    """Images of an npz, memory-mapped; see
    :class:`srvae_plugin.data.mapped_images.StoredImages`.

    Args:
        path: the file.
        name: the array's name in it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or the array is something else than images.
    """

    def __init__(self, path: str | os.PathLike[str], name: str = "images") -> None:
        self._mapped = MappedArray(path, name)
        shape, dtype = self._mapped.array.shape, self._mapped.array.dtype
        self._image_shape = _image_shape(self._where, shape)
        if dtype != np.uint8 and dtype.kind not in "fb":
            raise ValueError(
                f"{self._where}: got {dtype}; expected uint8, bool, or floating point in [0, 1]"
            )
        self._white = 1
        if dtype == np.uint8:
            rows = np.linspace(0, shape[0] - 1, min(shape[0], _LOOKED_AT)).astype(np.int64)
            self._white = 255 if self._mapped.array[rows].max() > 1 else 1

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self._image_shape

    def __len__(self) -> int:
        return len(self._mapped.array)

    def at(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Images (num, height, width, channel) of these rows, float32 in [0, 1].

        Raises:
            ValueError: if one is not in [0, 1].
        """
        stored = self._mapped.array[rows]
        if not (np.all(stored >= 0) and np.all(stored <= self._white)):  # NaN is neither
            wrong = next(
                row
                for row, image in zip(rows, stored, strict=True)
                if not (image.min() >= 0 and image.max() <= self._white)
            )
            self._refuse(int(wrong))
        images = stored.reshape(-1, *self._image_shape).astype(np.float32)
        if self._white != 1:
            images /= self._white
        return images

    @property
    def _where(self) -> str:
        return f"{self._mapped.path}: {self._mapped.name}"

    def _refuse(self, row: int) -> None:
        image = self._mapped.array[row]
        expected = (
            "0 and 1 as in the images looked at first (uint8 images are 0 to 255 if any of those "
            "is above 1)"
            if image.dtype == np.uint8
            else "finite values in [0, 1]; store uint8, or divide by the largest value"
        )
        raise ValueError(
            f"{self._where}[{row}]: got values {image.min()} to {image.max()}; expected {expected}"
        )


class ImageFiles:
    """Image files, read and resized when asked for; see
    :class:`srvae_plugin.data.mapped_images.StoredImages`.

    Args:
        files: the files.
        size: height and width to resize to, in pixels.
        channels: 3 for RGB, 1 for grey.
    """

    def __init__(self, files: Sequence[Path], size: int, channels: int) -> None:
        self.files, self.size, self.channels = files, size, channels

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.size, self.size, self.channels

    def __len__(self) -> int:
        return len(self.files)

    def at(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Images (num, size, size, channel), float32 in [0, 1].

        Raises:
            FileNotFoundError: if a file is gone.
            ValueError: if a file is damaged or has more than eight bits a channel.
        """
        images = np.empty((len(indices), *self.image_shape), np.float32)
        for image, index in zip(images, indices, strict=True):
            image[:] = self._read(self.files[index])
        images /= 255
        return images

    def _read(self, file: Path) -> NDArray[np.uint8]:
        try:
            with Image.open(file) as opened:
                # A large JPEG is decoded at a fraction of its size, never below the one asked for.
                opened.draft(None, (2 * self.size, 2 * self.size))
                if opened.mode not in _EIGHT_BITS:
                    raise ValueError(
                        f"its mode is {opened.mode}; expected eight bits a channel: convert it"
                    )
                upright = ImageOps.exif_transpose(opened)
                square = ImageOps.fit(
                    _opaque(upright), (self.size, self.size), Image.Resampling.BILINEAR
                )
            pixels = np.asarray(square if self.channels == 3 else square.convert("L"))
            return pixels.reshape(self.image_shape)
        except (FileNotFoundError, PermissionError):
            raise  # name the file themselves
        except _UNREADABLE as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"{file}: cannot be read as an image: {reason}; repair it or take it out of the "
                "folder"
            ) from None


def _opaque(image: Image.Image) -> Image.Image:
    """The image in RGB, over white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    layers = image.convert("RGBA")
    white = Image.new("RGBA", layers.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, layers).convert("RGB")


def _image_shape(where: str, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Height, width and channels of an array of images (image, height, width[, channel])."""
    if len(shape) == 4 and shape[3] not in (1, 3) and shape[1] in (1, 3):
        raise ValueError(
            f"{where}: got shape {shape}, channels first; expected (image, height, width, "
            "channel): store images.transpose(0, 2, 3, 1)"
        )
    if len(shape) not in (3, 4) or 0 in shape or shape[3:] not in ((), (1,), (3,)):
        raise ValueError(
            f"{where}: got shape {shape}; expected (image, height, width) or (image, height, "
            "width, channel) with one channel or three"
        )
    return shape[1], shape[2], shape[3] if len(shape) == 4 else 1
