"""Keeps a second process out of a folder that one is writing."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from srvae_plugin.files import open_lock

__all__ = ["LOCK", "only_writer"]


logger = logging.getLogger("srvae_plugin")

LOCK = ".lock"
"""Name of the file in a folder that is locked while a process writes there."""
_TRIES = 100


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Keep other processes from writing in a folder, which is made if it is not there.

    The lock ends with its process, however that ends. Its file says who has it, and is deleted
    in the end, with the folder if nothing else was put there.

    Args:
        folder: what is locked.

    Raises:
        ValueError: another process is at work there.
    """
    try:
        import fcntl
    except ImportError:  # no locks here
        yield
        return
    there = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    file = _locked(path, folder, fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        if file is not None:
            with contextlib.suppress(OSError):  # a full disk: the lock holds without a name
                file.truncate(0)
                what = Path(sys.argv[0]).name or "python"
                file.write(f"{what}, process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        if file is not None:
            with contextlib.suppress(OSError):
                path.unlink()
            file.close()
        if not there:
            with contextlib.suppress(OSError):  # something was put there
                folder.rmdir()


def _locked(
    path: Path, folder: Path, flock: Callable[[IO[bytes], int], None], flags: int
) -> IO[bytes] | None:
    """The locked file; None where there are no locks."""
    for _ in range(_TRIES):
        try:
            file = open_lock(path)
        except OSError as error:
            if error.errno is None:  # a link
                raise
            logger.warning("%s cannot be locked: see that only one process writes there", folder)
            return None
        try:
            flock(file, flags)
        except BlockingIOError:
            owner = file.read(200).decode("utf-8", "replace").strip() or "another process"
            file.close()
            raise ValueError(
                f"{folder} is being written by {owner}: wait for its end, or choose another folder"
            ) from None
        except OSError:  # some network file systems have no locks
            logger.warning("%s cannot be locked: see that only one process writes there", folder)
            return file
        with contextlib.suppress(OSError):
            if os.fstat(file.fileno()).st_ino == os.stat(path).st_ino:
                return file
        file.close()  # its owner deleted it between our opening and locking
    raise ValueError(f"{folder} is being written by other processes: choose another folder")
