"""Keeps a second process out of a study and out of a run."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from srvae_plugin.data.storage.lock import LOCK, only_writer

__all__ = ["only_study_in", "require_no_writer_in"]


logger = logging.getLogger("srvae_plugin")


@contextlib.contextmanager
def only_study_in(study: Path) -> Iterator[None]:
    """Keep a second `srvae-study` out of the directory; ValueError if there is one in it."""
    with only_writer(study):
        yield


def require_no_writer_in(runs: Path) -> None:
    """Raise ValueError if a process is at work in a run below a folder.

    One that lost its study may still be writing its last checkpoint.
    """
    for lock in sorted(runs.rglob(LOCK)):
        with only_writer(lock.parent):
            pass
