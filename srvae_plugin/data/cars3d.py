"""Cars3D (Reed et al., 2015, "Deep Visual Analogy-Making"): 183 car models, turned and tilted."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srvae_plugin.data.image_grid import ImageGrid, checked_sizes
from srvae_plugin.data.storage.array_cache import cached_array
from srvae_plugin.data.storage.bounded import LARGEST, open_file, open_tar, tar_member
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
_HEADER = 128
_ORDERS = {b"IM": "<", b"MI": ">"}
_COMPRESSED = 15
_NUMPY_NAMES = {"double": "float64", "single": "float32"}


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
            with ORIGIN.reading(source / name), open_file(source / name) as file:
                if os.fstat(file.fileno()).st_size > LARGEST:
                    raise ValueError(f"it has more than {LARGEST:,} bytes")
                contents = file.read()
            yield name, contents
        return
    with ORIGIN.reading(source), open_tar(source) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if path.parent.name == "cars" and path.suffix == ".mat":
                with ORIGIN.reading(source / member.name):
                    contents = tar_member(archive, member)
                yield path.name, contents


def _car(contents: bytes, sizes: tuple[int, ...]) -> NDArray[np.uint8]:
    """Returns the images of one car, (elevation, azimuth, 64, 64, 3)."""
    from scipy.io import loadmat, whosmat  # slow to import, and few need it

    _require_sound(contents)
    expected = (128, 128, 3, sizes[1], sizes[0])
    found = [(shape, kind) for name, shape, kind in whosmat(io.BytesIO(contents)) if name == "im"]
    if len(found) != 1:
        raise ValueError("expected the array 'im'")
    if found[0] != (expected, "uint8"):
        shape, kind = found[0]
        raise ValueError(
            f"im: expected uint8 of shape {expected}, found "
            f"{_NUMPY_NAMES.get(kind, kind)} of {shape}"
        )
    pixels = loadmat(io.BytesIO(contents), variable_names=["im"])["im"]
    if pixels.shape != expected or pixels.dtype != np.uint8:
        raise ValueError("im: its values are not what its header says")
    car = np.empty((*sizes[:2], *IMAGE_SHAPE), np.uint8)
    for elevation, azimuth in np.ndindex(*sizes[:2]):
        picture = Image.fromarray(np.ascontiguousarray(pixels[..., azimuth, elevation]))
        car[elevation, azimuth] = np.asarray(picture.resize((64, 64), Image.Resampling.LANCZOS))
    return car


def _require_sound(contents: bytes) -> None:
    """Unpacks a MATLAB 5 file piece by piece: each part's checksum, and how much it holds.

    scipy compares no checksums, and takes a part's own word for its size.

    Raises:
        EOFError, ValueError, zlib.error: if it is damaged or holds more than a car.
    """
    order = _ORDERS.get(contents[_HEADER - 2 : _HEADER])
    if order is None:
        raise ValueError("it does not begin as a MATLAB 5 file")
    place = _HEADER
    while place < len(contents):
        if place + 8 > len(contents):
            raise EOFError("it ends too early")
        kind, size = struct.unpack_from(f"{order}II", contents, place)
        place += 8
        if place + size > len(contents):
            raise EOFError("it ends too early")
        if kind == _COMPRESSED:
            _require_small(contents[place : place + size])
        place += size


def _require_small(packed: bytes) -> None:
    stream, total = zlib.decompressobj(), 0
    while not stream.eof:
        part = stream.decompress(packed, 1 << 20)
        packed, total = stream.unconsumed_tail, total + len(part)
        if not part and not packed and not stream.eof:
            raise EOFError("a part of it ends too early")
        if total > LARGEST:
            raise ValueError(f"unpacked, a part of it has more than {LARGEST:,} bytes")
