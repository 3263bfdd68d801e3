"""Keeps a second process out of a study and out of a run."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from srvae_plugin.data.storage.lock import LOCK, only_writer

__all__ = ["only_process_at", "only_study_in"]

__all__ = ["LOCK", "only_process_at", "only_study_in"]


logger = logging.getLogger("srvae_plugin")


@contextlib.contextmanager
def only_study_in(study: Path) -> Iterator[None]:
    """Keep a second `srvae-study` out of the directory; ValueError if there is one in it."""
    with only_writer(study):
        yield


def only_process_at(config: Path) -> IO[bytes] | None:
    """Wait until no other process is at a run, and keep others from it until the file is closed.

    One that lost its study may still be writing its last checkpoint. `config` is the run's gin
    file, which every process of the run locks; None if it cannot be locked.
    """
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        file = config.open("r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("another process is still at %s; waiting for its end", config.parent)
            fcntl.flock(file, fcntl.LOCK_EX)
        return file
    return None
