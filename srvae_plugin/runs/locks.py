"""The one lock that everything takes which writes into a run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from srvae_plugin.data.storage.leftovers import put_right, put_right_beside
from srvae_plugin.data.storage.lock import LOCK, only_writer, only_writer_beside
from srvae_plugin.runs.directory import RunDirectory, holding_run

__all__ = ["only_writer_in", "only_writer_of", "only_writer_of_scores"]


@contextlib.contextmanager
def only_writer_in(folder: Path) -> Iterator[None]:
    """Keep other processes from writing in a run, or in a folder of scores.

    What a killed process left half-written there is deleted.

    Raises:
        ValueError: another process is at work there; it is named.
        OSError: the folder cannot be written.
    """
    with only_writer(folder):
        put_right(folder)
        yield


@contextlib.contextmanager
def only_writer_of(folder: Path) -> Iterator[None]:
    """The same for the folder of a step or of an export.

    If it lies in a run directory the run's lock is taken, otherwise one beside the folder: who
    replaces a folder would replace a lock in it, too.
    """
    run = _run_of(folder)
    if run is not None:
        with only_writer_in(run):
            yield
    else:
        with only_writer_beside(folder):
            put_right_beside(folder)
            yield


@contextlib.contextmanager
def only_writer_of_scores(folder: Path) -> Iterator[None]:
    """The same for a folder with those of each metric in a folder of its own."""
    with only_writer_in(_run_of(folder) or folder):
        yield


def _run_of(folder: Path) -> Path | None:
    run = holding_run(Path(os.path.abspath(folder)))
    if run is None or not (RunDirectory(run).config.is_file() or (run / LOCK).exists()):
        return None
    return run
