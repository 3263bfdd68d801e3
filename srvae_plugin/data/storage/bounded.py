"""Files and archives of others, read so that nothing in them takes more than it may.

Nothing is unpacked to disk: names in archives are compared, never opened as paths.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from srvae_plugin.data.storage.zip_members import require_possible, values_offset

__all__ = ["LARGEST", "open_file", "open_tar", "open_unpacked", "read_zip_member", "tar_member"]


LARGEST = 1 << 26
"""Bytes of one member of an archive of pictures or matrices: the largest known has 5 MB."""
_ALWAYS_UNPACKED = 1 << 28
_MOST_UNPACKED = 100
"""An archive of more than 256 MB unpacked may be so many times its size: pictures are not."""
_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


def open_file(file: Path) -> IO[bytes]:
    """Opens a file to be read.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is a pipe or a device, which may have no end.
    """
    stream = open(file, "rb", opener=_without_waiting)  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise ValueError("it is not a regular file")
    return stream


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # nobody may write to a pipe


class _Limited:
    """A stream that refuses to be read on at once, or in all, for more than it may hold."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self._stream, self._most = stream, most

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LARGEST:
            raise ValueError(f"it has a part of {size:,} bytes, at most {LARGEST:,} are read")
        data = self._stream.read(size)
        self._require(self._stream.tell())
        return data

    def seek(self, place: int, whence: int = 0) -> int:
        if whence == 0:
            self._require(place)
        return self._stream.seek(place, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def _require(self, place: int) -> None:
        if place > self._most:
            raise ValueError(
                f"unpacked, it has more than {self._most:,} bytes, out of all proportion to the "
                "file"
            )


@contextmanager
def open_unpacked(file: Path) -> Iterator[IO[bytes]]:
    """Opens a file, unpacked by gzip, bzip2 or xz where it begins so.

    No more than 64 MB are read at once; of what is packed no more than 100 times the file.

    Raises:
        OSError, ValueError: as `open_file` does.
    """
    with ExitStack() as stack:
        stream = stack.enter_context(open_file(file))
        begin, most = stream.read(6), os.fstat(stream.fileno()).st_size
        stream.seek(0)
        for magic, unpack in _PACKED.items():
            if begin.startswith(magic):
                stream = stack.enter_context(unpack(stream))
                most = max(_ALWAYS_UNPACKED, _MOST_UNPACKED * most)
        yield _Limited(stream, most)  # type: ignore[misc]


@contextmanager
def open_tar(file: Path) -> Iterator[tarfile.TarFile]:
    """Opens a tar, packed or not; once it has been read whole, its checksum has been compared.

    Raises:
        OSError, ValueError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError: if it is
            damaged or something else.
    """
    with open_unpacked(file) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        yield archive
        while stream.read(1 << 20):  # the checksum stands behind what tarfile reads
            pass


def tar_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """Contents of a file in a tar.

    Raises:
        ValueError: if it is a link, or too large.
        OSError, EOFError: if it is damaged.
    """
    if not member.isfile():
        raise ValueError("it is a link or no file")
    if member.size > LARGEST:
        raise ValueError(f"it has {member.size:,} bytes, at most {LARGEST:,} are read")
    stream = archive.extractfile(member)
    data = stream.read() if stream is not None else b""
    if len(data) != member.size:
        raise EOFError("it ends too early")
    return data


def read_zip_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Contents of a file in a zip, its checksum compared.

    Raises:
        ValueError: if it claims to be larger than it can be, or too large.
        KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error: if it is damaged.
    """
    member = archive.getinfo(name)
    require_possible(member)
    if member.file_size > LARGEST:
        raise ValueError(f"it has {member.file_size:,} bytes, at most {LARGEST:,} are read")
    if archive.fp is not None:
        values_offset(archive.fp, member)
    return archive.read(member)
