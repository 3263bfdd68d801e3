"""Cars3D (Reed et al., 2015, "Deep Visual Analogy-Making"): 183 car models, turned and tilted."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srvae_plugin.data.image_grid import ImageGrid, checked_sizes
from srvae_plugin.data.storage.array_cache import cached_array
from srvae_plugin.data.storage.locate import Origin, PathLike, source_key

__all__ = ["FACTOR_NAMES", "FACTOR_SIZES", "IMAGE_SHAPE", "ORIGIN", "cars3d"]


FACTOR_SIZES = (4, 24, 183)
FACTOR_NAMES = ("elevation", "azimuth", "object type")
IMAGE_SHAPE = (64, 64, 3)
ORIGIN = Origin(
    "cars3d",
    ("cars", "nips2015-analogy-data.tar.gz"),
    "http://www.scottreed.info/files/nips2015-analogy-data.tar.gz",
)

_CACHE_NAME = "cars3d-v1-{key}.npy"


def cars3d(path: PathLike | None = None, factor_sizes: tuple[int, ...] | None = None) -> ImageGrid:
    """Returns Cars3D: 17,568 images of 64x64x3, every combination of three factors once.

    The factors are 0 elevation (4 values), 1 azimuth (24) and 2 object type (183), as in
    disentanglement_lib. Its object types are numbered in whatever order the file system lists the
    files, so that factor 2 differs from machine to machine; here it is the order of their names.
    The 128x128 images are made smaller by Pillow's Lanczos filter, as there.

    The result (216 MB) is written to the cache on first use and memory-mapped from then on. Peak
    memory while that happens (measured): 415 MB, two copies of it; afterwards none but the pages in
    use. (disentanglement_lib holds 1.7 GB.)

    Args:
        path: the folder ``cars`` of the archive, or nips2015-analogy-data.tar.gz itself; by default
            below ``$DISENTANGLEMENT_LIB_DATA``.
        factor_sizes: sizes of the factors in an excerpt.

    Raises:
        FileNotFoundError: if there is neither.
        ValueError: if a file is damaged or something else, or there are not 183 cars.
    """
    sizes = checked_sizes(factor_sizes, FACTOR_SIZES, "cars3d")
    source = ORIGIN.find(path, is_source=True)
    names = [""] if source.is_file() else _names(source)
    if not names:
        raise ORIGIN.missing(source, what="files *.mat")
    images = cached_array(
        _CACHE_NAME.format(key=source_key(source, names)),
        (sizes[0] * sizes[1] * sizes[2], *IMAGE_SHAPE),
        lambda: _convert(source, sizes),
        lambda array: bool(array[::97].any()),
    )
    return ImageGrid(images, sizes, FACTOR_NAMES, source=str(source))


def _names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*.mat"))


def _convert(source: Path, sizes: tuple[int, ...]) -> NDArray[np.uint8]:
    cars: dict[str, NDArray[np.uint8]] = {}
    for name, contents in _files(source):
        with ORIGIN.reading(source / name):
            cars[name] = _car(contents, sizes)
    if len(cars) != sizes[2]:
        raise ValueError(
            f"{source}: expected {sizes[2]} cars *.mat, found {len(cars)}; get them again from "
            f"{ORIGIN.url}"
        )
    images = np.stack([cars[name] for name in sorted(cars)], axis=2)
    return images.reshape(-1, *IMAGE_SHAPE)


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        for name in _names(source):
            yield name, (source / name).read_bytes()
        return
    with ORIGIN.reading(source), tarfile.open(source, "r:*") as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if path.parent.name == "cars" and path.suffix == ".mat":
                if (stream := archive.extractfile(member)) is None:
                    raise ValueError(f"{member.name} is not a file")
                yield path.name, stream.read()


def _car(contents: bytes, sizes: tuple[int, ...]) -> NDArray[np.uint8]:
    """Returns the images of one car, (elevation, azimuth, 64, 64, 3)."""
    from scipy.io import loadmat  # slow to import, and few need it
    from scipy.io.matlab import MatReadError

    try:
        found = loadmat(io.BytesIO(contents), variable_names=["im"])
    except MatReadError as error:
        raise ValueError(str(error)) from error
    if "im" not in found:
        raise ValueError("expected the array 'im'")
    pixels = found["im"]
    expected = (128, 128, 3, sizes[1], sizes[0])
    if pixels.shape != expected or pixels.dtype != np.uint8:
        raise ValueError(
            f"im: expected uint8 of shape {expected}, found {pixels.dtype} of {pixels.shape}"
        )
    car = np.empty((*sizes[:2], *IMAGE_SHAPE), np.uint8)
    for elevation, azimuth in np.ndindex(*sizes[:2]):
        picture = Image.fromarray(np.ascontiguousarray(pixels[..., azimuth, elevation]))
        car[elevation, azimuth] = np.asarray(picture.resize((64, 64), Image.Resampling.LANCZOS))
    return car
