"""A user's own images: an npz of images and factors, or a folder of image files.

Each takes one gin binding besides the name::

    dataset.name = "npz"
    dataset.path = "mine.npz"
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.image_table import ImageTable
from srvae_plugin.data.images_only import ImagesOnly
from srvae_plugin.data.own.factor_columns import (
    FACTOR_ARRAYS,
    Bins,
    FactorColumns,
    Kinds,
    chosen_rows,
    places_of_values,
    read_columns,
)
from srvae_plugin.data.own.folder_factors import read_folder_factors
from srvae_plugin.data.own.image_scale import Layout, Scale
from srvae_plugin.data.sampling.held_out import SomeImages, split
from srvae_plugin.data.storage.decoded_files import DecodedFiles
from srvae_plugin.data.storage.image_files import picture_names
from srvae_plugin.data.storage.locate import expanded
from srvae_plugin.data.storage.mapped_images import StoredImages
from srvae_plugin.data.storage.npz_arrays import array_names, read_array
from srvae_plugin.data.storage.own_images import SUFFIXES, ImageFiles, NpzImages

__all__ = ["image_folder", "npz"]


_log = logging.getLogger("srvae_plugin")


def npz(
    path: str | os.PathLike[str] | None = None,
    factor_bins: Bins = None,
    factor_kinds: Kinds = None,
    held_out: float | None = None,
    white: float | None = None,
    black: float | None = None,
    layout: Layout | None = None,
) -> ImageTable | ImagesOnly:
    """Returns the images of an npz with their factors, on a grid or not.

    The file holds, as plain arrays,

    * ``images``: (image, height, width) or (image, height, width, channel) with one channel or
      three; uint8, bool, or floating point in [0, 1]. uint8 images that hold nothing but 0 and 1
      are black and white;
    * ``factors``: (image, factor) numbers or words, or a structured array with a field for each
      factor. In each of them words and whole numbers are classes, whatever type they are stored
      in; other numbers are continuous, for the metrics that take them. Without this
      array the images can be learned and looked at, and scored only by metrics that need no
      factors;
    * ``factor_names``, if you like: (factor,) strings;
    * ``factor_kinds``, if you like: (factor,) "class" or "continuous".

    The images stay in the file (uncompressed) or in the cache folder (compressed), memory-mapped;
    the factors take about half a kilobyte an image in memory.

    Args:
        path: the file.
        factor_bins: turn floating point factors into classes, see
            :func:`srvae_plugin.data.own.factor_columns.read_columns`: a number of bins for all,
            or one for each that is named.
        factor_kinds: "class" or "continuous" for each factor that is named, or a list.
        held_out: share of the images that are not trained on and the only ones scored on, see
            :func:`srvae_plugin.data.sampling.held_out.split`; they are its `held_out_data`.
            Copies of an image with the same factors are on one side; copies with other factors
            are not recognized.
        white: the stored value that becomes 1, such as 16 for images of 0 to 16; by default 255 of
            uint8 and 1 otherwise, with a warning if no pixel reaches three quarters of that.
        black: the stored value that becomes 0, such as -1 for images in [-1, 1].
        layout: order of the axes: "NHWC", "NCHW" (channels first) or "NHW".

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or holds something else.
    """
    file = _required(path, "an npz with the arrays images and factors")
    names = array_names(file)
    images = NpzImages(file, scale=Scale(white, black, layout))
    if "factors" not in names:
        _log.warning(
            "%s has no array 'factors': only metrics that need no factors can be scored", file
        )
        if factor_bins is not None or factor_kinds is not None:
            raise ValueError(
                f"{file} has no array 'factors': dataset.factor_bins and dataset.factor_kinds have "
                "no meaning; unbind them, or add the array"
            )
        return _images_only(images, "npz", str(file), held_out)
    arrays = {name: read_array(file, name) for name in FACTOR_ARRAYS if name in names}
    try:
        return _with_factors(arrays, images, (factor_kinds, factor_bins), held_out, str(file))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _with_factors(
    arrays: Mapping[str, NDArray[Any]],
    images: NpzImages | ImageFiles,
    bound: tuple[Kinds, Bins],
    held_out: float | None,
    source: str,
) -> ImageTable:
    columns = read_columns(arrays, len(images), *bound)
    if held_out is None:
        return _table(columns, images, source)
    places = places_of_values(arrays["factors"], len(images))
    train, score = split(len(images), held_out, images.digests, places)
    data = _table(chosen_rows(columns, train), SomeImages(images, train), source)
    data.held_out_data = _table(chosen_rows(columns, score), SomeImages(images, score), source)
    _log.info("%s: %d images to train on, %d to score on", source, len(train), len(score))
    return data


def _table(columns: FactorColumns, images: StoredImages, source: str) -> ImageTable:
    return ImageTable(
        columns.factors,
        images.at,
        images.image_shape,
        columns.names,
        source=source,
        factor_kinds=columns.kinds,
    )


def _images_only(
    images: NpzImages | ImageFiles, name: str, source: str, held_out: float | None
) -> ImagesOnly:
    if held_out is None:
        return ImagesOnly(images, name, source)
    sizes = None
    if isinstance(images, ImageFiles):  # only files of the same length are read
        lengths = [os.stat(file).st_size for file in images.files]
        sizes = np.unique(lengths, return_inverse=True)[1].reshape(-1, 1)
    train, score = split(len(images), held_out, images.digests, sizes)
    data = ImagesOnly(SomeImages(images, train), name, source)
    data.held_out_data = ImagesOnly(SomeImages(images, score), name, source)
    return data


def image_folder(
    path: str | os.PathLike[str] | None = None,
    size: int = 64,
    channels: int = 3,
    held_out: float | None = None,
    white: int | None = None,
    factors: str | Path | None = None,
    factor_bins: Bins = None,
    factor_kinds: Kinds = None,
    cached: bool = True,
) -> ImageTable | ImagesOnly:
    """Returns the image files of a folder and its subfolders, with their factors if there are some.

    Without factors they can be learned and looked at, and scored by metrics that need none. Each is
    turned upright by its EXIF orientation, cut to the square in its middle and resized to ``size``
    x ``size`` (bilinear and antialiased); what is transparent is white. The order is that of the
    relative paths. When the first image is asked for all files are decoded, once: the pixels are
    kept in the cache folder, memory-mapped, until a file changes (small sets in memory).

    Args:
        path: the folder.
        size: height and width in pixels; the paper's networks take 64.
        channels: 3 for RGB, 1 for grey.
        held_out: as in `npz`; files of the same bytes are on one side.
        white: the value of a pixel that becomes 1, 255 by default.
        factors: a csv or tsv with a line for each file, in the folder or elsewhere: a column
            ``file`` with its path below the folder, and a factor in each other column. Files
            without a line are left out.
        factor_bins, factor_kinds: as in `npz`.
        cached: keep the decoded pixels; otherwise files are decoded each time they are asked for.

    Raises:
        FileNotFoundError: if there is no such folder or table.
        ValueError: if it holds no image, or for another size or number of channels, or a table that
            does not fit. A damaged file is an error when it is read.
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
    if white is not None and not 1 <= white <= 255:
        raise ValueError(f"dataset.white = {white}: expected 1 to 255")
    kind = DecodedFiles if cached else ImageFiles

    def images_of(some: list[str]) -> ImageFiles:
        return kind([folder / name for name in some], size, channels, white)

    if factors is None:
        if factor_bins is not None or factor_kinds is not None:
            raise ValueError(
                "dataset.factor_bins and dataset.factor_kinds have no meaning without "
                "dataset.factors: bind that to a csv, or unbind them"
            )
        return _images_only(images_of(names), "image_folder", str(folder), held_out)
    inside = folder / factors
    table = inside if inside.is_file() else expanded(factors)
    found = read_folder_factors(table, names)
    arrays = {"factors": found.factors}
    kept = images_of(found.names)
    try:
        data = _with_factors(arrays, kept, (factor_kinds, factor_bins), held_out, str(folder))
    except ValueError as error:
        raise ValueError(f"{table}: {error}") from None
    data.source_files = (*kept.files, table)
    return data


def _required(path: str | os.PathLike[str] | None, expected: str) -> Path:
    if path is None:
        raise ValueError(f"dataset.path is not bound: expected {expected}")
    return expanded(path)
