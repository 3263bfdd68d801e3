"""Scores that take the places of earlier ones, which stay until all of the new ones are there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from srvae_plugin.files import delete_folder, sync_folder, take_place
from srvae_plugin.runs.directory import ScoresDirectory, is_refusal, refused_folder

__all__ = ["finish_replacing", "replaced"]

_READY = ".replacing"
"""Folder of new scores that are complete: from here on the old ones are deleted."""


@contextmanager
def replaced(output: ScoresDirectory) -> Iterator[ScoresDirectory]:
    """Yield a folder for new scores; they take the places of those in `output` if all went well.

    A metric that was refused loses its former scores, too. Whoever calls this has the lock.

    Args:
        output: where the scores are, or will be.
    """
    finish_replacing(output)
    output.path.mkdir(parents=True, exist_ok=True)
    temporary = output.path / f".scores.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield ScoresDirectory(temporary)
        sync_folder(temporary)
        temporary.rename(output.path / _READY)
        sync_folder(output.path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    finish_replacing(output)


def finish_replacing(output: ScoresDirectory) -> None:
    """Put new scores in their places, which a killed process may have left undone."""
    ready = output.path / _READY
    if not ready.is_dir():
        return
    for path in sorted(path for path in ready.iterdir() if not path.name.startswith(".")):
        place = output.path / path.name
        if is_refusal(path):
            delete_folder(refused_folder(place))
            os.replace(path, place)
        else:
            take_place(path, place)
            output.refusal(path.name).unlink(missing_ok=True)
    delete_folder(ready)
    sync_folder(output.path)
