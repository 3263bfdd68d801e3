"""Reads DeepMind's own dSprites file, npz or HDF5, in bounded memory and without unpickling.

Format: https://github.com/google-deepmind/dsprites-dataset. The images take 3 GB unpacked, so they
are streamed and bit-packed a few thousand at a time; the npz's ``metadata`` member, a pickle, is
never opened.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.dsprites_renderer import FACTOR_SIZES, IMAGE_SIZE, PACKED_BYTES
from srvae_plugin.data.storage.hdf5_arrays import array_in, require_readable
from srvae_plugin.data.storage.locate import expanded
from srvae_plugin.data.storage.npz_stream import NpyMember, npy_member

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
    except (PermissionError, MemoryError):
        raise  # downloading again would not help
    except Exception as error:  # damaged bytes lead libraries to anything
        reason = " ".join(str(error).split())
        raise ValueError(f"{file}: not a complete dSprites file: {reason}; {_REMEDY}") from error


def _read_npz(file: Path, factor_sizes: Sequence[int]) -> NDArray[np.uint8]:
    num_images = math.prod(factor_sizes)
    table, images = npy_member(file, "latents_classes"), npy_member(file, "imgs")
    _check_layout(table, "iu", (num_images, len(factor_sizes)))
    _check_layout(images, "u", (num_images, IMAGE_SIZE, IMAGE_SIZE))
    classes = np.concatenate(list(table.chunks((len(factor_sizes),), _CHUNK)))
    return _pack(classes, images.chunks((IMAGE_SIZE, IMAGE_SIZE), _CHUNK), factor_sizes)


def _read_hdf5(file: Path, factor_sizes: Sequence[int]) -> NDArray[np.uint8]:
    import h5py  # slow to import, and few need it

    num_images = math.prod(factor_sizes)
    require_readable(file, "imgs", "latents/classes")
    with h5py.File(file, "r") as archive:
        images, classes = array_in(archive, "imgs"), array_in(archive, "latents/classes")
        _check_layout(images, "u", (num_images, IMAGE_SIZE, IMAGE_SIZE))
        _check_layout(classes, "iu", (num_images, len(factor_sizes)))
        chunks = (images[start : start + _CHUNK] for start in range(0, num_images, _CHUNK))
        return _pack(classes[:], chunks, factor_sizes)


def _check_layout(found: NpyMember | Any, kinds: str, shape: tuple[int, ...]) -> None:
    """Refuses an array of an npz or an HDF5 file, not read yet, of another shape or type."""
    name = found.name.strip("/")
    if found.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, found {found.shape}")
    if found.dtype.kind not in kinds:
        raise ValueError(
            f"{name}: expected {'unsigned ' if kinds == 'u' else ''}integers, found {found.dtype}"
        )


def _pack(
    classes: NDArray[Any], chunks: Iterable[NDArray[Any]], factor_sizes: Sequence[int]
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
