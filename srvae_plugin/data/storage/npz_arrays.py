"""Arrays of a user's npz file, memory-mapped, without unpickling.

What ``numpy.savez`` wrote is mapped where it lies in the file. What ``numpy.savez_compressed``
wrote is decompressed once to the cache folder (see
:mod:`srvae_plugin.data.storage.array_cache`), some rows at a time, and mapped there.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.storage.array_cache import streamed_array
from srvae_plugin.data.storage.locate import source_key
from srvae_plugin.data.storage.npy_header import read_header
from srvae_plugin.data.storage.npz_stream import NpyMember, npy_member
from srvae_plugin.data.storage.zip_members import require_small, require_sound

__all__ = ["MappedArray", "array_names", "read_array"]


_CHUNK_BYTES = 1 << 24


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
        self._open(check=True)

    def _open(self, check: bool) -> None:
        with _reading(self.path) as file:
            member = npy_member(file, self.name)
            array = member.mapped(member.shape, check)
            self.array: NDArray[Any] = _decompressed(member) if array is None else array

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "name": self.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path, self.name = state["path"], state["name"]
        self._open(check=False)  # the process that sent it has read it


def array_names(path: str | os.PathLike[str]) -> list[str]:
    """Names of the arrays in an npz file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or something else.
    """
    with _reading(path) as file, zipfile.ZipFile(file) as archive:
        require_sound(archive, file)
        return [name.removesuffix(".npy") for name in archive.namelist()]


def read_array(path: str | os.PathLike[str], name: str) -> NDArray[Any]:
    """Reads a small array of an npz file into memory.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, holds no plain array of that name, or takes much more memory
            than the file is large.
    """
    with _reading(path) as file, zipfile.ZipFile(file) as archive:
        require_sound(archive, file)
        if f"{name}.npy" not in archive.namelist():
            raise ValueError(f"expected the array {name!r}, found {archive.namelist()[:10]}")
        member = archive.getinfo(f"{name}.npy")
        with archive.open(member) as stream:
            header = read_header(stream)
            if header.dtype.hasobject:
                raise ValueError(
                    f"the array {name!r} holds Python objects, which are never unpickled: save it "
                    f"as np.array({name}, dtype=str) if it holds words, or with dtype=float if "
                    "numbers"
                )
            if member.file_size != stream.tell() + header.size:
                raise ValueError(
                    f"{name}: its header says {header.dtype} of shape {header.shape}, "
                    f"{header.size:,} bytes; it has {member.file_size - stream.tell():,}"
                )
            require_small(member)
            values = np.empty(header.shape, header.dtype, "F" if header.fortran_order else "C")
            _fill(values, stream)
    return values


def _fill(values: NDArray[Any], stream: IO[bytes]) -> None:
    flat = values.reshape(-1, order="A")
    rows = max(1, _CHUNK_BYTES // max(1, flat.itemsize))
    for start in range(0, flat.size if flat.itemsize else 0, rows):
        part = flat[start : start + rows]
        data = stream.read(part.nbytes)
        if len(data) != part.nbytes:
            raise EOFError("it ends too early")
        part[:] = np.frombuffer(data, flat.dtype)
    if stream.read(1):  # past the end: zipfile compares the checksum only then
        raise ValueError("it is longer than its header says")


@contextmanager
def _reading(path: str | os.PathLike[str]) -> Iterator[Path]:
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; expected an npz as numpy.savez writes it")
    try:
        yield file
    except MemoryError:
        raise ValueError(f"{file}: its arrays do not fit in memory") from None
    except Exception as error:  # zipfile and numpy raise whatever damaged bytes lead to
        if isinstance(error, OSError) and (error.filename or error.errno is None):
            raise  # of the system or the cache: it says what it is about
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{file}: damaged, or not an npz of plain arrays: {reason}; write it again"
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
