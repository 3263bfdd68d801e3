"""Reads DeepMind's own dSprites file, npz or HDF5, in bounded memory and without unpickling.

Format: https://github.com/google-deepmind/dsprites-dataset. The images take 3 GB unpacked, so they
are streamed and bit-packed a few thousand at a time; the npz's ``metadata`` member, a pickle, is
never opened.
"""

from __future__ import annotations

import math
import os
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.dsprites_renderer import FACTOR_SIZES, IMAGE_SIZE, PACKED_BYTES
from srvae_plugin.data.storage.locate import expanded

__all__ = ["FILE_NAME", "read_original"]


FILE_NAME = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_CHUNK = 4096
_REMEDY = (
    "download it again from https://github.com/google-deepmind/dsprites-dataset, or leave "
    "dataset.path unbound to use the embedded re-rendering"
)


def read_original(
    path: str | os.PathLike[str], factor_sizes: Sequence[int] = FACTOR_SIZES
) -> NDArray[np.uint8]:
    """Reads and packs the images of an original file.

    Args:
        path: the npz or the HDF5 file; told apart by content.
        factor_sizes: sizes of color, shape, scale, orientation, position x and position y; the
            file must hold exactly the grid they span.

    Returns:
        Packed images in the order of the factors, the last varying fastest (whatever the order in
        the file), uint8 of shape (images, 512).

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or something else than dSprites.
    """
    file = expanded(path)
    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: no such file; expected dSprites as {FILE_NAME} or .hdf5; {_REMEDY}"
        )
    try:
        with open(file, "rb") as stream:
            is_hdf5 = stream.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE
        return _read_hdf5(file, factor_sizes) if is_hdf5 else _read_npz(file, factor_sizes)
    except PermissionError:
        raise  # names the file itself, and downloading again would not help
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        RuntimeError,
        struct.error,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{file}: not a complete dSprites file: {reason}; {_REMEDY}") from error


def _read_npz(file: Path, factor_sizes: Sequence[int]) -> NDArray[np.uint8]:
    num_images = math.prod(factor_sizes)
    with zipfile.ZipFile(file) as archive:
        with _member(archive, "latents_classes") as stream:
            table = (num_images, len(factor_sizes))
            classes = np.concatenate(list(_npy_chunks(stream, "latents_classes", "iu", table)))
        with _member(archive, "imgs") as stream:
            pixels = (num_images, IMAGE_SIZE, IMAGE_SIZE)
            return _pack(classes, _npy_chunks(stream, "imgs", "u", pixels), factor_sizes)


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    members = archive.namelist()
    if f"{name}.npy" not in members:
        raise ValueError(f"expected the member {name}.npy, found {members[:10]}")
    return archive.open(f"{name}.npy")


def _npy_chunks(
    stream: IO[bytes], name: str, kinds: str, shape: tuple[int, ...]
) -> Iterator[NDArray[Any]]:
    """Yields the rows of a .npy stream, some at a time, after checking its header."""
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"{name}.npy: expected format 1.0 or 2.0, found {version}")
    with warnings.catch_warnings():
        # Numpy warns of headers written by Python 2 (737280L), as DeepMind's may be.
        warnings.simplefilter("ignore")
        found_shape, fortran_order, dtype = readers[version](stream)
    _check_layout(name, kinds, shape, found_shape, dtype)
    if fortran_order:
        raise ValueError(f"{name}: expected C order, found Fortran order")

    row_bytes = dtype.itemsize * math.prod(shape[1:])
    for start in range(0, shape[0], _CHUNK):
        expected = min(_CHUNK, shape[0] - start) * row_bytes
        data = stream.read(expected)
        if len(data) != expected:
            raise EOFError(f"{name} ends before row {start + _CHUNK} of {shape[0]}")
        yield np.frombuffer(data, dtype).reshape(-1, *shape[1:])
    # Reading past the end is what makes zipfile compare the checksum.
    if stream.read(1):
        raise ValueError(f"{name}: found more than the {shape[0]} rows of its header")


def _read_hdf5(file: Path, factor_sizes: Sequence[int]) -> NDArray[np.uint8]:
    import h5py  # slow to import, and few need it

    num_images = math.prod(factor_sizes)
    with h5py.File(file, "r") as archive:
        for name in ("imgs", "latents/classes"):
            if not isinstance(archive.get(name), h5py.Dataset):
                raise ValueError(f"expected the data set {name}, found {list(archive)[:10]}")
        images, classes = archive["imgs"], archive["latents/classes"]
        _check_layout("imgs", "u", (num_images, IMAGE_SIZE, IMAGE_SIZE), images.shape, images.dtype)
        _check_layout(
            "latents/classes", "iu", (num_images, len(factor_sizes)), classes.shape, classes.dtype
        )
        chunks = (images[start : start + _CHUNK] for start in range(0, num_images, _CHUNK))
        return _pack(classes[:], chunks, factor_sizes)


def _check_layout(
    name: str,
    kinds: str,
    shape: tuple[int, ...],
    found_shape: tuple[int, ...],
    found_dtype: np.dtype[Any],
) -> None:
    if found_shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, found {found_shape}")
    if found_dtype.kind not in kinds:
        raise ValueError(
            f"{name}: expected {'unsigned ' if kinds == 'u' else ''}integers, found {found_dtype}"
        )


def _pack(
    classes: NDArray[Any], chunks: Iterator[NDArray[Any]], factor_sizes: Sequence[int]
) -> NDArray[np.uint8]:
    """Packs images to where their classes say they belong."""
    num_images = math.prod(factor_sizes)
    position = np.ravel_multi_index(tuple(classes.T.astype(np.int64)), tuple(factor_sizes))
    if np.bincount(position, minlength=num_images).max() > 1:
        raise ValueError("the classes do not list every combination of factors exactly once")
    packed = np.empty((num_images, PACKED_BYTES), dtype=np.uint8)
    start = 0
    for images in chunks:
        if images.max() > 1:
            raise ValueError(f"imgs: expected the values 0 and 1, found {images.max()}")
        bits = np.packbits(images.reshape(len(images), -1).astype(np.uint8, copy=False), axis=1)
        packed[position[start : start + len(images)]] = bits
        start += len(images)
    return packed
