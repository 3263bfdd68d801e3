"""Zip files as numpy writes them, opened so that nothing in them takes more than it may."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import IO

__all__ = [
    "require_possible",
    "require_small",
    "require_small_members",
    "require_sound",
    "values_offset",
]


_LOCAL_HEADER = struct.Struct("<4s22xHH")
_MOST_DEFLATED = 1033
"""Deflate makes nothing smaller by more than that (1,032 times), and 1 for what is small."""
_ALWAYS_READ = 1 << 28
_MOST_INFLATED = 100
"""A member of more than 256 MB that is to be read into memory may be so many times its size in
the file: codes and factors are not; what is, takes memory out of nothing."""


def require_sound(archive: zipfile.ZipFile, file: Path) -> None:
    """Compares each member's own header with the directory of the file.

    Raises:
        ValueError: if they do not agree, members overlap, two have one name, or one claims more
            than can be packed in its bytes.
    """
    seen: set[str] = set()
    end = 0
    with open(file, "rb") as stream:
        for member in sorted(archive.infolist(), key=lambda info: info.header_offset):
            name = member.filename
            if name in seen:
                raise ValueError(f"it has two members {name!r}")
            seen.add(name)
            start = values_offset(stream, member)
            if member.header_offset < end or start + member.compress_size > archive.start_dir:
                raise ValueError(f"its member {name!r} does not lie where its directory says")
            end = start + member.compress_size
            require_possible(member)


def values_offset(stream: IO[bytes], member: zipfile.ZipInfo) -> int:
    """Returns the first byte of a member's values; ValueError if no such member is there."""
    stream.seek(member.header_offset)
    header = stream.read(_LOCAL_HEADER.size)
    if len(header) == _LOCAL_HEADER.size:
        signature, name_size, extra_size = _LOCAL_HEADER.unpack(header)
        begin = member.header_offset + _LOCAL_HEADER.size
        name = stream.read(name_size)
        coding = "utf-8" if member.flag_bits & 0x800 else "cp437"
        if signature == b"PK\3\4" and name == member.orig_filename.encode(coding, "replace"):
            return begin + name_size + extra_size
    raise ValueError(f"its member {member.filename!r} does not lie where its directory says")


def require_possible(member: zipfile.ZipInfo) -> None:
    """Refuses a member that claims more bytes than can be packed in its own; ValueError."""
    most = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: _MOST_DEFLATED}.get(member.compress_type)
    if most is None:
        raise ValueError(
            f"{member.filename}: expected it stored or deflated, as zip programs and numpy do, "
            f"found method {member.compress_type}"
        )
    if member.file_size > most * max(member.compress_size, 1):
        raise ValueError(
            f"{member.filename}: it claims {member.file_size:,} bytes in {member.compress_size:,}, "
            "more than can be packed in them"
        )


def require_small(member: zipfile.ZipInfo) -> None:
    """Refuses a member that takes much more memory than it takes in the file; ValueError."""
    most = max(_ALWAYS_READ, _MOST_INFLATED * member.compress_size)
    if member.file_size > most:
        raise ValueError(
            f"{member.filename}: {member.compress_size:,} bytes would take "
            f"{member.file_size / 1e9:.1f} GB of memory; if that is what you want, write it "
            "uncompressed, with numpy.savez"
        )


def require_small_members(file: Path) -> None:
    """Refuses a zip, if a file is one, that is damaged or takes much more memory than it is large.

    Raises:
        ValueError, zipfile.BadZipFile and others: its checksums are compared.
    """
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        require_sound(archive, file)
        for member in archive.infolist():
            require_small(member)
        if (wrong := archive.testzip()) is not None:
            raise ValueError(f"the checksum of its member {wrong!r} is another")
