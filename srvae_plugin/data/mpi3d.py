"""MPI3D (Gondal et al., 2019): a robot arm with an object, drawn, rendered and photographed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.image_grid import ImageGrid, checked_sizes
from srvae_plugin.data.storage.array_cache import streamed_array
from srvae_plugin.data.storage.locate import Origin, PathLike, source_key
from srvae_plugin.data.storage.npz_stream import NpyMember, npy_member

__all__ = [
    "FACTOR_NAMES",
    "FACTOR_SIZES",
    "FACTOR_SIZES_OF_COMPETITION",
    "IMAGE_SHAPE",
    "URL",
    "mpi3d",
    "mpi3d_real",
    "mpi3d_realistic",
    "mpi3d_toy",
]


FACTOR_NAMES = (
    "object color",
    "object shape",
    "object size",
    "camera height",
    "background color",
    "horizontal axis",
    "vertical axis",
)
FACTOR_SIZES = (6, 6, 2, 3, 3, 40, 40)
FACTOR_SIZES_OF_COMPETITION = (4, 4, 2, 3, 3, 40, 40)
IMAGE_SHAPE = (64, 64, 3)
URL = "https://github.com/rr-learning/disentanglement_dataset"

_CACHE_NAME = "{dataset}-v1-{key}.npy"
_CHUNK = 1024


def mpi3d_toy(
    path: PathLike | None = None, factor_sizes: tuple[int, ...] | None = None
) -> ImageGrid:
    """Returns MPI3D's simplistic renderings; see :func:`mpi3d`."""
    return mpi3d("mpi3d_toy", path, factor_sizes)


def mpi3d_realistic(
    path: PathLike | None = None, factor_sizes: tuple[int, ...] | None = None
) -> ImageGrid:
    """Returns MPI3D's realistic renderings; see :func:`mpi3d`."""
    return mpi3d("mpi3d_realistic", path, factor_sizes)


def mpi3d_real(
    path: PathLike | None = None, factor_sizes: tuple[int, ...] | None = None
) -> ImageGrid:
    """Returns MPI3D's photographs; see :func:`mpi3d`."""
    return mpi3d("mpi3d_real", path, factor_sizes)


def mpi3d(
    dataset: str, path: PathLike | None = None, factor_sizes: tuple[int, ...] | None = None
) -> ImageGrid:
    """Returns an MPI3D data set: 64x64x3, every combination of seven factors once.

    The factors are 0 object color, 1 object shape (6 values each in the final files, 4 each in
    those of the competition), 2 object size (2), 3 camera height (3), 4 background color (3),
    5 horizontal axis (40) and 6 vertical axis (40). Which it is follows from the number of images,
    1,036,800 or 460,800; disentanglement_lib has 4 for toy and realistic whatever the file.

    A file whose images are not compressed is memory-mapped where it lies; its checksum is compared
    once a day, which reads all of it. A compressed one is written to the cache on first use (5.7 or
    12.7 GB, since nothing else allows random access) and memory-mapped from then on. Peak memory
    while that happens (measured): 60 MB; afterwards none but the pages in use.

    Args:
        dataset: "mpi3d_toy", "mpi3d_realistic" or "mpi3d_real".
        path: the npz, or its folder; by default below ``$DISENTANGLEMENT_LIB_DATA``.
        factor_sizes: sizes of the factors in a file that is an excerpt.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or something else.
    """
    origin = Origin(dataset, (f"{dataset}/{dataset}.npz",), URL)
    file = origin.find(path)
    with origin.reading(file):
        member = npy_member(file, "images")
        sizes = _sizes(dataset, member, factor_sizes)
    shape = (math.prod(sizes), *IMAGE_SHAPE)

    def chunks() -> Iterator[NDArray[np.uint8]]:
        with origin.reading(file):
            yield from member.chunks(IMAGE_SHAPE, _CHUNK)

    with origin.reading(file):
        images = member.mapped(shape)
    if images is None:
        name = _CACHE_NAME.format(dataset=dataset, key=source_key(file))
        images = streamed_array(name, shape, chunks)
    return ImageGrid(images, sizes, FACTOR_NAMES, source=str(file))


def _sizes(
    dataset: str, member: NpyMember, factor_sizes: tuple[int, ...] | None
) -> tuple[int, ...]:
    known: list[tuple[int, ...]] = [FACTOR_SIZES, FACTOR_SIZES_OF_COMPETITION]
    if factor_sizes is not None:
        known = [checked_sizes(factor_sizes, FACTOR_SIZES, dataset)]
    if member.dtype == np.uint8 and member.shape[1:] == IMAGE_SHAPE:
        for sizes in known:
            if math.prod(sizes) == member.shape[0]:
                return sizes
    numbers = " or ".join(str(math.prod(sizes)) for sizes in known)
    raise ValueError(
        f"images: expected uint8 of shape ({numbers}, 64, 64, 3), found {member.dtype} of "
        f"shape {member.shape}"
    )
