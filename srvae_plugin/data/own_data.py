"""A user's own images: an npz of images and factors, or a folder of image files.

Each takes one gin binding besides the name::

    dataset.name = "npz"
    dataset.path = "mine.npz"
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from srvae_plugin.data.image_files import picture_names
from srvae_plugin.data.image_table import ImageTable, bin_factors
from srvae_plugin.data.images_only import ImagesOnly
from srvae_plugin.data.locate import expanded
from srvae_plugin.data.npz_arrays import array_names, read_array
from srvae_plugin.data.own_images import SUFFIXES, ImageFiles, NpzImages

_log = logging.getLogger("srvae_plugin")


def npz(
    path: str | os.PathLike[str] | None = None, factor_bins: int | None = None
) -> ImageTable | ImagesOnly:
    """Returns the images of an npz with their factors, on a grid or not.

    The file holds, as plain arrays,

    * ``images``: (image, height, width) or (image, height, width, channel) with one channel or
      three; uint8, bool, or floating point in [0, 1]. uint8 images that hold nothing but 0 and 1
      are black and white;
    * ``factors``: (image, factor). Integers are classes; floating point numbers are continuous,
      for the metrics that take them (DCI by regression, SAP with ``continuous_factors``). Without
      this array the images can be learned and looked at but not scored;
    * ``factor_names``, if you like: (factor,) strings.

    The images stay in the file (uncompressed) or in the cache folder (compressed), memory-mapped;
    the factors take about half a kilobyte an image in memory.

    Args:
        path: the file.
        factor_bins: turn each floating point factor into classes, see
            :func:`srvae_plugin.data.image_table.bin_factors`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or holds something else.
    """
    file = _required(path, "an npz with the arrays images and factors")
    names = array_names(file)
    images = NpzImages(file)
    if "factors" not in names:
        _log.warning("%s has no array 'factors': its images cannot be scored", file)
        return ImagesOnly(images, "npz", str(file))
    factors = read_array(file, "factors")
    if factors.shape[:1] != (len(images),):
        transposed = factors.ndim == 2 and factors.shape[1] == len(images)
        hint = "; it is transposed: save factors.T" if transposed else ""
        raise ValueError(
            f"{file}: factors: got shape {factors.shape} for {len(images)} images; expected "
            f"({len(images)}, factor), one row an image{hint}"
        )
    try:
        factors = bin_factors(factors, factor_bins)
        labels = _factor_names(file, factors) if "factor_names" in names else None
        return ImageTable(factors, images.at, images.image_shape, labels, source=str(file))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def image_folder(
    path: str | os.PathLike[str] | None = None, size: int = 64, channels: int = 3
) -> ImagesOnly:
    """Returns the image files of a folder and its subfolders, which have no factors.

    They can be learned and looked at but not scored. Each is turned upright by its EXIF
    orientation, cut to the square in its middle and resized to ``size`` x ``size`` (bilinear and
    antialiased); what is transparent is white. The order is that of the relative paths. Files are
    read when they are asked for; only their names are kept in memory.

    Args:
        path: the folder.
        size: height and width in pixels; the paper's networks take 64.
        channels: 3 for RGB, 1 for grey.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it holds no image, or for another size or number of channels. A damaged file
            is an error when it is read.
    """
    folder = _required(path, "a folder of images")
    if channels not in (1, 3):
        raise ValueError(f"dataset.channels = {channels}: expected 1 (grey) or 3 (RGB)")
    if size < 1:
        raise ValueError(f"dataset.size = {size}: expected a number of pixels, at least 1")
    if not folder.is_dir():
        raise FileNotFoundError(f"dataset.path = '{folder}': no such folder")
    names = picture_names(folder, SUFFIXES)
    if not names:
        raise ValueError(
            f"dataset.path = '{folder}': found no image; expected files that end in "
            f"{', '.join(SUFFIXES)}"
        )
    images = ImageFiles([folder / name for name in names], size, channels)
    return ImagesOnly(images, "image_folder", str(folder))


def _required(path: str | os.PathLike[str] | None, expected: str) -> Path:
    if path is None:
        raise ValueError(f"dataset.path is not bound: expected {expected}")
    return expanded(path)


def _factor_names(file: Path, factors: NDArray[Any]) -> list[str]:
    names = read_array(file, "factor_names")
    if names.shape != factors.shape[1:2] or names.dtype.kind != "U":
        raise ValueError(
            f"factor_names: got {names.dtype} of shape {names.shape}; expected one string for each "
            f"of {factors.shape[1:2]} factors"
        )
    return [str(name) for name in names]
