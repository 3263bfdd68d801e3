"""Keeps a second process out of a study's runs."""

from __future__ import annotations

from pathlib import Path

from srvae_plugin.data.storage.lock import LOCK, only_writer

__all__ = ["require_no_writer_in"]


def require_no_writer_in(runs: Path) -> None:
    """Raise ValueError if a process is at work in a run below a folder.

    One that lost its study may still be writing its last checkpoint.
    """
    for lock in sorted(runs.rglob(LOCK)):
        with only_writer(lock.parent):
            pass
