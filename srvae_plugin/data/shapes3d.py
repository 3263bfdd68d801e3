"""Shapes3D (Kim & Mnih, 2018, "Disentangling by Factorising"): one object in a coloured room."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.image_grid import ImageGrid, checked_sizes
from srvae_plugin.data.storage.array_cache import streamed_array
from srvae_plugin.data.storage.hdf5_arrays import array_in, require_readable
from srvae_plugin.data.storage.locate import Origin, PathLike, source_key
from srvae_plugin.data.storage.npz_stream import npy_member

__all__ = ["FACTOR_NAMES", "FACTOR_SIZES", "IMAGE_SHAPE", "ORIGIN", "Chunks", "shapes3d"]


FACTOR_SIZES = (10, 10, 10, 8, 4, 15)
FACTOR_NAMES = (
    "floor color",
    "wall color",
    "object color",
    "object size",
    "object type",
    "azimuth",
)
IMAGE_SHAPE = (64, 64, 3)
ORIGIN = Origin(
    "shapes3d",
    (
        "3dshapes/3dshapes.h5",
        "3dshapes/look-at-object-room_floor-hueXwall-hueXobj-hueXobj-sizeXobj-shapeXview-azi.npz",
    ),
    "https://github.com/google-deepmind/3d-shapes",
)

_CACHE_NAME = "shapes3d-v1-{key}.npy"
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_CHUNK = 1024
_LARGEST_CHUNK = 8192

Chunks = Callable[[], Iterator[NDArray[np.uint8]]]


def shapes3d(
    path: PathLike | None = None, factor_sizes: tuple[int, ...] | None = None
) -> ImageGrid:
    """Returns Shapes3D: 480,000 images of 64x64x3, every combination of six factors once.

    The factors are 0 floor color (10 values), 1 wall color (10), 2 object color (10), 3 object
    size (8), 4 object type (4) and 5 azimuth (15), as in disentanglement_lib.

    Random access to the official file, which is compressed in blocks of many images, is slow: on
    first use its images are written uncompressed to the cache (5.9 GB) and memory-mapped from then
    on. Peak memory while that happens (measured): 60 MB for the npz, 105 MB for an HDF5 file in
    blocks of 3,750 images, and never more than two pieces of 8,192 images, 200 MB; afterwards none
    but the pages in use.

    Args:
        path: DeepMind's 3dshapes.h5 or disentanglement_lib's npz, or the folder of either; by
            default below ``$DISENTANGLEMENT_LIB_DATA``.
        factor_sizes: sizes of the factors in a file that is an excerpt.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or something else, or not in the order of the factors.
    """
    sizes = checked_sizes(factor_sizes, FACTOR_SIZES, "shapes3d")
    file = ORIGIN.find(path)
    with ORIGIN.reading(file):
        with open(file, "rb") as stream:
            is_hdf5 = stream.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE
        chunks = _hdf5_chunks(file, sizes) if is_hdf5 else _npz_chunks(file, sizes)
    name = _CACHE_NAME.format(key=source_key(file))
    images = streamed_array(name, (math.prod(sizes), *IMAGE_SHAPE), chunks)
    return ImageGrid(images, sizes, FACTOR_NAMES, source=str(file))


def _hdf5_chunks(file: Path, sizes: tuple[int, ...]) -> Chunks:
    def chunks() -> Iterator[NDArray[np.uint8]]:
        import h5py  # slow to import, and few need it

        num = math.prod(sizes)
        with ORIGIN.reading(file):
            require_readable(file, "images", "labels")
            with h5py.File(file, "r") as archive:
                images, labels = array_in(archive, "images"), array_in(archive, "labels")
                _check_layout(images.shape, images.dtype, (num, *IMAGE_SHAPE))
                _check_labels(labels.shape, labels.dtype, sizes)
                _check_order(labels[:], sizes)
                # A slice that ends inside a block has the block unpacked again for the next one.
                block = images.chunks[0] if images.chunks else 1
                step = min(-(-_CHUNK // block) * block, _LARGEST_CHUNK)
                for start in range(0, num, step):
                    yield images[start : start + step]

    return chunks


def _npz_chunks(file: Path, sizes: tuple[int, ...]) -> Chunks:
    member = npy_member(file, "images")
    flat = (math.prod(sizes), *IMAGE_SHAPE)
    _check_layout(
        member.shape, member.dtype, (*sizes, *IMAGE_SHAPE) if len(member.shape) > 4 else flat
    )
    labels = npy_member(file, "labels")
    _check_labels(labels.shape, labels.dtype, sizes)
    _check_order(np.concatenate(list(labels.chunks((len(sizes),), 1 << 16))), sizes)

    def chunks() -> Iterator[NDArray[np.uint8]]:
        with ORIGIN.reading(file):
            yield from member.chunks(IMAGE_SHAPE, _CHUNK)

    return chunks


def _check_layout(shape: tuple[int, ...], dtype: np.dtype[Any], expected: tuple[int, ...]) -> None:
    if shape != expected or dtype != np.uint8:
        raise ValueError(f"images: expected uint8 of shape {expected}, found {dtype} of {shape}")


def _check_labels(shape: tuple[int, ...], dtype: np.dtype[Any], sizes: tuple[int, ...]) -> None:
    if math.prod(shape) != math.prod(sizes) * len(sizes) or dtype.kind not in "iuf":
        raise ValueError(
            f"labels: expected {math.prod(sizes)} rows of {len(sizes)} numbers, found {dtype} of "
            f"{shape}"
        )


def _check_order(labels: NDArray[Any], sizes: tuple[int, ...]) -> None:
    """Refuses labels unless each varies with its own factor, and with no other, along the grid."""
    grid = labels.reshape(*sizes, len(sizes))
    for axis, size in enumerate(sizes):
        values = np.moveaxis(grid[..., axis], axis, 0).reshape(size, -1)
        if (values != values[:, :1]).any() or len(np.unique(values[:, 0])) != size:
            raise ValueError(
                f"labels: the images are not in the order of the factors, {FACTOR_NAMES[axis]!r} "
                f"does not take {size} values along axis {axis} of {sizes}"
            )
