"""Arrays of a user's npz file, memory-mapped, without unpickling.

What ``numpy.savez`` wrote is mapped where it lies in the file. What ``numpy.savez_compressed``
wrote is decompressed once to the cache folder (see
:mod:`srvae_plugin.data.storage.array_cache`), some rows at a time, and mapped there.
"""

from __future__ import annotations

import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.storage.array_cache import streamed_array
from srvae_plugin.data.storage.locate import source_key
from srvae_plugin.data.storage.npz_stream import NpyMember, npy_member

_CHUNK_BYTES = 1 << 24
_UNREADABLE = (
    EOFError,
    KeyError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


class MappedArray:
    """An array of an npz file that is mapped again, not copied, in a process it is sent to.

    At most 16 MB of it are in memory at a time. A compressed one takes its uncompressed size on
    disk, in the cache folder.

    Args:
        path: the npz file.
        name: the array's name in it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, or holds no plain array of that name.
        OSError: if it is compressed and the cache cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], name: str) -> None:
        self.path, self.name = Path(path), name
        with _reading(self.path) as file:
            member = npy_member(file, name)
            array = member.mapped(member.shape)
            self.array: NDArray[Any] = _decompressed(member) if array is None else array

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "name": self.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def array_names(path: str | os.PathLike[str]) -> list[str]:
    """Names of the arrays in an npz file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or something else.
    """
    with _reading(path) as file, zipfile.ZipFile(file) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def read_array(path: str | os.PathLike[str], name: str) -> NDArray[Any]:
    """Reads a small array of an npz file into memory.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, or holds no plain array of that name.
    """
    with _reading(path) as file, zipfile.ZipFile(file) as archive:
        if f"{name}.npy" not in archive.namelist():
            raise ValueError(f"expected the array {name!r}, found {archive.namelist()[:10]}")
        with archive.open(f"{name}.npy") as stream:
            _refuse_objects(stream, name)
        with archive.open(f"{name}.npy") as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
            stream.read(1)  # past the end: zipfile compares the checksum only then
            return array


def _refuse_objects(stream: IO[bytes], name: str) -> None:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    if version <= (2, 0) and read(stream)[2].hasobject:
        raise ValueError(
            f"the array {name!r} holds Python objects, which are never unpickled: save it as "
            f"np.array({name}, dtype=str) if it holds words, or with dtype=float if numbers"
        )


@contextmanager
def _reading(path: str | os.PathLike[str]) -> Iterator[Path]:
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; expected an npz as numpy.savez writes it")
    try:
        yield file
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{file}: damaged, or no npz of plain arrays: {reason}; write it again"
        ) from None


def _decompressed(member: NpyMember) -> NDArray[Any]:
    row_bytes = member.dtype.itemsize * math.prod(member.shape[1:])
    if not member.shape or not member.shape[0] * row_bytes:
        return np.empty(member.shape, member.dtype)

    def chunks() -> Iterator[NDArray[np.uint8]]:
        for rows in member.chunks(member.shape[1:], max(1, _CHUNK_BYTES // row_bytes)):
            yield rows.view(np.uint8).reshape(len(rows), row_bytes)

    name = f"npz-v1-{source_key(member.file)}-{member.name}.npy"
    raw = streamed_array(name, (member.shape[0], row_bytes), chunks)
    return raw.view(member.dtype).reshape(member.shape)
