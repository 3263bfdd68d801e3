"""Files that are never half-written under their final name, and that a power cut leaves whole."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_NAME_SHOWN = 40
"""Of a long name so much is in the temporary one, which has to be a legal name too."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if all went well.

    The folder is created. What was written is on the disk when this returns: file and folder are
    synchronized.

    Raises:
        OSError: if the file cannot be written (disk full, read-only, name too long); it is named.
    """
    token = f"{os.getpid()}-{secrets.token_hex(4)}"  # nobody can put a link there beforehand
    temporary = path.with_name(f".{path.name[:_NAME_SHOWN]}.{token}.tmp{path.suffix[:20]}")
    with writing(path, temporary):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            sync(temporary)
            os.replace(temporary, path)
            sync_folder(path.parent)
        finally:
            with contextlib.suppress(OSError):  # said already, of a name or folder that cannot be
                temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one piece; see `replacing`."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file in one piece; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def writing(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Have an error of the system within say that `path` was being written.

    One that names another file than these two is left as it is: it was being read.

    Raises:
        OSError: of the same number as the system's.
    """
    try:
        yield
    except OSError as error:
        own = (path, temporary, *path.parents)
        if error.filename is not None and Path(os.fsdecode(error.filename)) not in own:
            raise
        named = OSError(f"cannot write {path}: {_reason(path, error)}")
        named.errno = error.errno
        raise named from error


def _reason(path: Path, error: OSError) -> str:
    for folder in path.parents:
        if folder.is_file():
            return f"{folder} is a file, expected a folder"
    return error.strerror or str(error)


def sync(path: Path) -> None:
    """Return when a file's bytes are on the disk."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk, where the system can do that."""
    with contextlib.suppress(OSError):  # Windows opens no folders, some file systems sync none
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Return when all files in a folder, at any depth, are on the disk with their names.

    For a folder that is written under a temporary name and then renamed. Raises OSError.
    """
    for place, _, names in os.walk(folder):
        for name in names:
            if not os.path.islink(path := Path(place) / name):
                sync(path)
        sync_folder(Path(place))


def open_lock(path: Path) -> IO[bytes]:
    """Open a file that is there to be locked, made if it is not there, its content left alone.

    A link is not followed: in a folder that others can write to it may lead anywhere.

    Raises:
        OSError: if it is a link or cannot be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        return open(os.open(path, flags, 0o666), "r+b", buffering=0)
    except OSError as error:
        if path.is_symlink():
            raise OSError(f"{path} is a link: a lock has to be a file; delete it") from error
        raise
