"""Keeps a second process out of a folder, or away from a file, that one is writing."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from srvae_plugin.files import UnwritableError, open_lock, writing

__all__ = ["LOCK", "only_writer", "only_writer_beside"]


logger = logging.getLogger("srvae_plugin")

LOCK = ".lock"
"""Name of the file in a folder that is locked while a process writes there."""
_TRIES = 100
_NAME_SHOWN = 200
"""Of a name that is as long as names may be so much is in that of the lock beside it."""
_UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
_held: dict[Path, int] = {}
"""What this process has locked, and in which thread: that thread may lock it once more."""


@contextlib.contextmanager
def only_writer(folder: Path, wait: bool = False) -> Iterator[None]:
    """Keep other processes from writing in a folder, which is made if it is not there.

    The lock ends with its process, however that ends. Its file says who has it, and is deleted
    in the end, with the folder if nothing else was put there. What already has the lock may take
    it again.

    Args:
        folder: what is locked.
        wait: whether to wait for the end of a process that is at work there.

    Raises:
        ValueError: another process is at work there.
        OSError: the folder cannot be made or written.
    """
    with writing(folder):
        there = folder.is_dir()
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with _only(folder / LOCK, folder, wait):
            yield
    finally:
        if not there:
            with contextlib.suppress(OSError):  # something was put there
                folder.rmdir()


@contextlib.contextmanager
def only_writer_beside(path: Path, wait: bool = False) -> Iterator[None]:
    """The same for a file, or a folder that is replaced as a whole: the lock lies beside it."""
    with writing(path):
        there = path.parent.is_dir()
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _only(path.with_name(f".{path.name[:_NAME_SHOWN]}.lock"), path, wait):
            yield
    finally:
        if not there:
            with contextlib.suppress(OSError):
                path.parent.rmdir()


@contextlib.contextmanager
def _only(lock: Path, what: Path, wait: bool) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # no locks here
        yield
        return
    key = Path(os.path.realpath(lock))
    if _held.get(key) == threading.get_ident():
        yield
        return
    file = _locked(lock, what, fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if isinstance(file, str):
        if not wait:
            raise ValueError(
                f"{what} is being written by {file}: wait until it ends, or choose another folder"
            )
        logger.info("%s is still being written by %s; waiting until it ends", what, file)
        while isinstance(file, str):
            file = _locked(lock, what, fcntl.flock, fcntl.LOCK_EX)
    try:
        if file is not None:
            _held[key] = threading.get_ident()
            with contextlib.suppress(OSError):  # a full disk: the lock holds without a name
                file.truncate(0)
                name = Path(sys.argv[0]).name or "python"
                file.write(f"{name}, process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        if file is not None:
            del _held[key]
            with contextlib.suppress(OSError):
                lock.unlink()
            file.close()


def _locked(
    lock: Path, what: Path, flock: Callable[[IO[bytes], int], None], flags: int
) -> IO[bytes] | str | None:
    """The locked file; who has it, if somebody else does; None where there are no locks."""
    for _ in range(_TRIES):
        try:
            file = open_lock(lock)
        except OSError as error:
            if error.errno is None:  # a link
                raise
            if error.errno in _UNWRITABLE:
                said = f"cannot write {what}: {error.strerror}"
                raise UnwritableError(said, error.errno) from error
            logger.warning(
                "%s cannot be locked: make sure that only one process writes there", what
            )
            return None
        try:
            flock(file, flags)
        except BlockingIOError:
            owner = file.read(200).decode("utf-8", "replace").strip() or "another process"
            file.close()
            return owner
        except OSError:  # some network file systems have no locks
            logger.warning(
                "%s cannot be locked: make sure that only one process writes there", what
            )
            return file
        with contextlib.suppress(OSError):
            if os.fstat(file.fileno()).st_ino == os.stat(lock).st_ino:
                return file
        file.close()  # its owner deleted it between our opening and locking
    return "other processes"
