"""Arrays in files of the cache with a checksum, so that a flipped bit is found.

Such a file is a plain npy with 20 bytes behind its values, which numpy does not look at: a mark,
the number of bytes before it and their CRC-32. It finds damage, not malice.
"""

from __future__ import annotations

import math
import os
import stat
import struct
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.storage.cache_folder import cache_file, make_folder, open_cached
from srvae_plugin.data.storage.npy_header import read_header

__all__ = ["DamagedError", "open_array", "require_crc", "write_array"]


_END = struct.Struct("<8sQI")
_MARK = b"srvae\x00v1"
_BLOCK = 1 << 22
_OFTEN = 1 << 30
"""Files of at most so many bytes are read whole by each process that opens them (3 GB a second
where they are in memory); larger ones once a day."""
_ALWAYS = 1 << 20
"""Files of at most so many bytes are read each time: one that was written within a tick of the
clock cannot be told from the one before."""
_DAY = 86_400.0
_checked: set[tuple[int, ...]] = set()


class DamagedError(ValueError):
    """A file does not hold what was written."""


def write_array(
    stream: IO[bytes], shape: tuple[int, ...], chunks: Iterable[NDArray[np.uint8]]
) -> None:
    """Writes an array, some rows at a time, and what tells whether it is whole.

    Args:
        stream: a new file.
        shape: of the array, uint8.
        chunks: its rows, in order.

    Raises:
        OSError: if it cannot be written.
    """
    summed = _Summed(stream)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(summed, header)
    for chunk in chunks:
        summed.write(np.ascontiguousarray(chunk).data)
    stream.write(_END.pack(_MARK, summed.size, summed.crc))
    stream.flush()
    os.fsync(stream.fileno())
    _checked.add(_identity(stream.fileno()))


class _Summed:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.size = self.crc = 0

    def write(self, data: bytes | memoryview) -> None:
        self.crc = zlib.crc32(data, self.crc)
        self.size += memoryview(data).nbytes
        self._stream.write(data)


def open_array(file: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Maps an array that `write_array` wrote.

    Raises:
        DamagedError: if the file holds something else.
        OSError: as `open_cached` does, or if it cannot be read.
    """
    with open_cached(file) as stream:
        try:
            header = read_header(stream)
        except ValueError as error:
            raise DamagedError(f"it is not an array: {error}") from None
        offset = stream.tell()
        if header != (shape, False, np.uint8):
            raise DamagedError(f"it does not hold bytes of shape {shape}")
        size = offset + math.prod(shape)
        stream.seek(size)
        end = stream.read(_END.size + 1)
        if len(end) != _END.size or _END.unpack(end)[:2] != (_MARK, size):
            raise DamagedError("it is cut short, or an older version wrote it")
        _require_crc(stream, 0, size, _END.unpack(end)[2])
        return np.memmap(stream, np.uint8, "r", offset, shape)


def require_crc(file: Path, offset: int, size: int, crc: int) -> None:
    """Compares the checksum of a part of a user's file, read as often as files of the cache are.

    Raises:
        DamagedError: if it is another one.
        OSError: if the file cannot be read.
    """
    with open(file, "rb") as stream:
        _require_crc(stream, offset, size, crc)


def _require_crc(stream: IO[bytes], offset: int, size: int, crc: int) -> None:
    identity = (*_identity(stream.fileno()), offset, size, crc)
    if size > _ALWAYS and (
        identity[:4] in _checked or identity in _checked or _was_checked_today(identity)
    ):
        return
    stream.seek(offset)
    found, left = 0, size
    while left and (block := stream.read(min(_BLOCK, left))):
        found, left = zlib.crc32(block, found), left - len(block)
    if left or found != crc:
        raise DamagedError("its checksum does not agree with its content")
    _checked.add(identity)
    _note(identity)


def _identity(descriptor: int) -> tuple[int, ...]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _note_of(identity: tuple[int, ...]) -> Path | None:
    """The empty file that says by its time when a large file was last read whole."""
    if identity[5] <= _OFTEN:
        return None
    return cache_file("checked/" + "-".join(f"{number:x}" for number in identity))


def _was_checked_today(identity: tuple[int, ...]) -> bool:
    note = _note_of(identity)
    if note is None:
        return False
    try:
        with open_cached(note) as stream:
            status = os.fstat(stream.fileno())
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and 0 <= time.time() - status.st_mtime < _DAY


def _note(identity: tuple[int, ...]) -> None:
    note = _note_of(identity)
    if note is None:
        return
    try:
        make_folder(note.parent)
        note.unlink(missing_ok=True)
        note.open("xb").close()
    except OSError:
        pass  # it is read again next time
