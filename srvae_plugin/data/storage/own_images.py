"""Images of a user's own, read when they are asked for: from an npz, or from image files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from srvae_plugin.data.own.image_scale import Scale, found_scale, image_axes, warn_of_dark_images
from srvae_plugin.data.storage.bounded import open_file
from srvae_plugin.data.storage.image_digests import image_digests
from srvae_plugin.data.storage.npz_arrays import MappedArray
from srvae_plugin.data.storage.open_picture import open_picture

__all__ = ["SUFFIXES", "ImageFiles", "NpzImages"]


SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""How the names of image files end."""

_KINDS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_EIGHT_BITS = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_FILES_LOOKED_AT = 16


class NpzImages:
    """Images of an npz, memory-mapped; see
    :class:`srvae_plugin.data.storage.mapped_images.StoredImages`.

    Args:
        path: the file.
        name: the array's name in it.
        scale: which stored values are black and white, and the order of the axes.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or the array is something else than images.
    """

    def __init__(
        self, path: str | os.PathLike[str], name: str = "images", scale: Scale | None = None
    ) -> None:
        self._mapped = MappedArray(path, name)
        array, scale = self._mapped.array, scale or Scale()
        self._axes = image_axes(self._where, array.shape, scale.layout)
        self._white, self._black = found_scale(self._where, array, scale)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self._axes.image_shape

    def __len__(self) -> int:
        return len(self._mapped.array)

    def at(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Images (num, height, width, channel) of these rows, float32 in [0, 1].

        Raises:
            ValueError: if one is not in [0, 1], or between black and white if they are bound.
        """
        stored = self._mapped.array[rows]
        low, high = self._black, self._white
        if not (np.all(stored >= low) and np.all(stored <= high)):  # NaN is neither
            wrong = next(
                row
                for row, image in zip(rows, stored, strict=True)
                if not (image.min() >= low and image.max() <= high)
            )
            self._refuse(int(wrong))
        if self._axes.channels_first:
            stored = np.moveaxis(stored, 1, 3)
        images = stored.reshape(-1, *self.image_shape).astype(np.float32)
        if low:
            images -= np.float32(low)
        if high - low != 1:
            images /= high - low
        return images

    def digests(self, rows: NDArray[np.int64]) -> NDArray[np.str_]:
        """A digest of each of these images as it is stored, whatever its scale is taken to be."""
        return image_digests(lambda some: self._mapped.array[some], rows)

    @property
    def _where(self) -> str:
        return f"{self._mapped.path}: {self._mapped.name}"

    def _refuse(self, row: int) -> None:
        image = self._mapped.array[row]
        expected = (
            f"{self._black:g} to {self._white:g} as in the images looked at when the file was "
            "opened; bind dataset.black and dataset.white to what is 0 and 1"
        )
        raise ValueError(
            f"{self._where}[{row}]: got values {image.min()} to {image.max()}; expected {expected}"
        )


class ImageFiles:
    """Image files, read and resized when asked for; see
    :class:`srvae_plugin.data.storage.mapped_images.StoredImages`.

    Args:
        files: the files.
        size: height and width to resize to, in pixels.
        channels: 3 for RGB, 1 for grey.
        white: value of a pixel that becomes 1.
    """

    def __init__(
        self, files: Sequence[Path], size: int, channels: int, white: int | None = None
    ) -> None:
        self.files, self.size, self.channels = files, size, channels
        self.white = 255 if white is None else white
        if white is None:
            self._warn_of_dark_ones()

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
            ValueError: if a file is damaged, has more than eight bits a channel, or is brighter
                than white.
        """
        images = np.empty((len(indices), *self.image_shape), np.float32)
        for image, index in zip(images, indices, strict=True):
            image[:] = self._read(self.files[index])
            if image.max() > self.white:
                raise ValueError(
                    f"{self.files[index]}: got a pixel of {image.max():g}; expected at most "
                    f"dataset.white = {self.white}"
                )
        images /= self.white
        return images

    def digests(self, indices: NDArray[np.int64]) -> NDArray[np.str_]:
        """A digest of each of these files' bytes."""
        return image_digests(lambda some: (self.files[k].read_bytes() for k in some), indices)

    def _warn_of_dark_ones(self) -> None:
        """Look at some files, the largest value of a pixel in them; damaged ones are left alone."""
        brightest = None
        looked_at = self.files[:: max(1, len(self.files) // _FILES_LOOKED_AT)]
        for file in looked_at:
            try:
                brightest = max(brightest or 0, int(self._read(file).max()))
            except (ValueError, OSError):  # said when it is asked for
                continue
        if brightest is not None:
            where = f"{self.files[0]} and others, {len(looked_at)} files looked at"
            warn_of_dark_images(where, brightest, white=255)

    def _read(self, file: Path) -> NDArray[np.uint8]:
        try:
            large_enough = (2 * self.size, 2 * self.size)
            with open_file(file) as stream, open_picture(stream, _KINDS, large_enough) as opened:
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
        except (FileNotFoundError, PermissionError, MemoryError):
            raise  # name the file themselves, or have nothing to do with it
        except Exception as error:  # damaged bytes lead Pillow to anything
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
