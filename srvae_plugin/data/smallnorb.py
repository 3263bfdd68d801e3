"""SmallNORB (LeCun et al., 2004): toys photographed under varying elevation, azimuth and light."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srvae_plugin.data.image_grid import ImageGrid, checked_sizes
from srvae_plugin.data.storage.array_cache import cached_array
from srvae_plugin.data.storage.bounded import open_file
from srvae_plugin.data.storage.locate import Origin, PathLike, source_key

__all__ = [
    "FACTOR_NAMES",
    "FACTOR_SIZES",
    "IMAGE_SHAPE",
    "ORIGIN",
    "SPLITS",
    "smaller",
    "smallnorb",
]


FACTOR_SIZES = (5, 10, 9, 18, 6)
FACTOR_NAMES = ("category", "instance", "elevation", "azimuth", "lighting")
IMAGE_SHAPE = (64, 64, 1)
SPLITS = ("5x46789x9x18x6x2x96x96-training", "5x01235x9x18x6x2x96x96-testing")
ORIGIN = Origin("smallnorb", ("small_norb",), "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/")

_CACHE_NAME = "smallnorb-v1-{key}.npy"
_TYPES: dict[int, np.dtype[Any]] = {0x1E3D4C55: np.dtype("u1"), 0x1E3D4C54: np.dtype("<i4")}
_CHUNK = 256


def smallnorb(
    path: PathLike | None = None, factor_sizes: tuple[int, ...] | None = None
) -> ImageGrid:
    """Returns SmallNORB: 48,600 images of 64x64x1, training and test images together.

    The ground truth is 0 category (5 values), 1 elevation (9), 2 azimuth (18) and 3 lighting (6),
    as in disentanglement_lib; which of the 10 toys of a category is seen is drawn at random for
    each observation. It is the first image of each stereo pair, made smaller from 96x96 by Pillow's
    Lanczos filter on 32-bit integers, as there. That filter overshoots next to sharp edges: values
    below 0 or above 1, which disentanglement_lib keeps, are clipped here.

    The result (199 MB) is written to the cache on first use and memory-mapped from then on. Peak
    memory while that happens (measured): 210 MB, the result and 256 pairs; afterwards none but the
    pages in use. (disentanglement_lib holds 1.6 GB.)

    Args:
        path: folder of the six files smallnorb-*-{dat,cat,info}.mat or .mat.gz; by default
            ``small_norb`` below ``$DISENTANGLEMENT_LIB_DATA``.
        factor_sizes: numbers of categories, toys, elevations, azimuths and lightings in files that
            are an excerpt.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if one is damaged or something else.
    """
    sizes = checked_sizes(factor_sizes, FACTOR_SIZES, "smallnorb")
    folder = ORIGIN.find(path, is_source=True)
    names = [_name(folder, split, kind) for split in SPLITS for kind in ("dat", "cat", "info")]
    images = cached_array(
        _CACHE_NAME.format(key=source_key(folder, names)),
        (math.prod(sizes), *IMAGE_SHAPE),
        lambda: _convert(folder, names, sizes),
        lambda array: bool(array[::97].any()),
    )
    return ImageGrid(images, sizes, FACTOR_NAMES, [0, 2, 3, 4], str(folder))


def _name(folder: Path, split: str, kind: str) -> str:
    name = f"smallnorb-{split}-{kind}.mat"
    for found in (name, f"{name}.gz"):
        if (folder / found).is_file():
            return found
    raise ORIGIN.missing(folder, what=f"{name} or {name}.gz")


def _convert(folder: Path, names: list[str], sizes: tuple[int, ...]) -> NDArray[np.uint8]:
    images = np.empty((math.prod(sizes), *IMAGE_SHAPE), np.uint8)
    seen = np.zeros(len(images), dtype=np.int64)
    for dat, cat, info in (names[:3], names[3:]):
        places = _places(folder / cat, folder / info, sizes)
        np.add.at(seen, places, 1)
        with ORIGIN.reading(folder / dat), _Matrix(folder / dat) as matrix:
            matrix.require(np.dtype("u1"), (len(places), 2, 96, 96))
            for start in range(0, len(places), _CHUNK):
                chosen = places[start : start + _CHUNK]
                images[chosen, ..., 0] = smaller(matrix.rows(len(chosen))[:, 0])
            matrix.require_end()
    with ORIGIN.reading(folder):
        if (seen != 1).any():
            wrong = int(np.argmax(seen != 1))
            factors = [int(value) for value in np.unravel_index(wrong, sizes)]
            raise ValueError(
                f"expected each combination of factors of sizes {sizes} once in the labels, found "
                f"{factors} {seen[wrong]} times"
            )
    return images


def _places(cat: Path, info: Path, sizes: tuple[int, ...]) -> NDArray[np.int64]:
    """Returns the place in the grid of each image of a split."""
    with ORIGIN.reading(cat), _Matrix(cat) as matrix:
        matrix.require(np.dtype("<i4"), matrix.shape[:1])
        if not 0 < matrix.shape[0] <= math.prod(sizes):
            raise ValueError(f"expected at most {math.prod(sizes)} images, found {matrix.shape[0]}")
        categories = matrix.rows(matrix.shape[0])
        matrix.require_end()
    with ORIGIN.reading(info), _Matrix(info) as matrix:
        matrix.require(np.dtype("<i4"), (len(categories), 4))
        instance, elevation, azimuth, lighting = matrix.rows(len(categories)).T
        matrix.require_end()
        if (azimuth % 2).any():
            raise ValueError("expected even azimuths: tens of degrees in steps of 20 degrees")
        labels = (categories, instance, elevation, azimuth // 2, lighting)
        for label, size, name in zip(labels, sizes, FACTOR_NAMES, strict=True):
            if label.min() < 0 or label.max() >= size:
                raise ValueError(
                    f"{name}: expected 0 to {size - 1}, found {label.min()} to {label.max()}"
                )
    return np.asarray(np.ravel_multi_index(labels, sizes), dtype=np.int64)


class _Matrix:
    """NORB's binary matrix: type, number of dimensions, at least three sizes, then the values."""

    def __init__(self, file: Path) -> None:
        plain = open_file(file)
        packed = file.suffix == ".gz"
        self._stream = cast(IO[bytes], gzip.open(plain)) if packed else plain  # noqa: SIM115
        self._plain = plain
        try:
            magic, dimensions = np.frombuffer(self._read(8), "<i4")
            if int(magic) not in _TYPES or not 1 <= dimensions <= 4:
                raise ValueError(f"it does not begin as a matrix of bytes or integers: {magic:#x}")
            self.dtype = _TYPES[int(magic)]
            sizes = np.frombuffer(self._read(4 * max(3, int(dimensions))), "<i4")
            self.shape = tuple(sizes[:dimensions].tolist())
        except BaseException:
            self.__exit__()
            raise

    def require(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        if (self.dtype, self.shape) != (dtype, shape):
            raise ValueError(
                f"expected {dtype} of shape {shape}, found {self.dtype} of shape {self.shape}"
            )

    def rows(self, num: int) -> NDArray[Any]:
        size = num * math.prod(self.shape[1:]) * self.dtype.itemsize
        return np.frombuffer(self._read(size), self.dtype).reshape(num, *self.shape[1:])

    def require_end(self) -> None:
        if self._stream.read(1):
            raise ValueError("it is longer than its header says")

    def _read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise EOFError("it ends too early")
        return data

    def __enter__(self) -> _Matrix:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._plain.close()


def smaller(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Images (num, 96, 96) at 64x64, as :func:`smallnorb` has them; uint8 (num, 64, 64)."""
    smaller = np.empty((len(images), *IMAGE_SHAPE[:2]), np.uint8)
    for i, image in enumerate(images.astype(np.int32)):
        picture = Image.fromarray(image).resize((64, 64), Image.Resampling.LANCZOS)
        smaller[i] = np.clip(np.asarray(picture), 0, 255)
    return smaller
