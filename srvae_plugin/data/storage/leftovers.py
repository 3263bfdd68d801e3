"""What killed processes left in a folder, put right by the one that has its lock now.

Names are those of `srvae_plugin.files`: `.<name>.<token>.tmp<suffix>` is a file or folder that was
being written, `.<name>.<process>.old` a folder that was to be replaced.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

from srvae_plugin.files import delete_folder

__all__ = ["is_leftover", "put_right", "put_right_beside"]

_TEMPORARY = re.compile(r"\..+\.\d+(-[0-9a-f]{8})?\.tmp(\..*)?", re.DOTALL)
_ASIDE = re.compile(r"\.(.+)\.\d+\.old", re.DOTALL)


def is_leftover(name: str) -> bool:
    """Whether a name is that of something which is about to be written or deleted."""
    return bool(_TEMPORARY.fullmatch(name) or _ASIDE.fullmatch(name))


def put_right(folder: Path, below: bool = True) -> None:
    """Delete what was half-written in a folder, and give what was being replaced its name again.

    Only for who has the folder's lock: what another process is writing is deleted, too.

    Args:
        folder: whether it is there or not.
        below: whether to look in the folders in it.
    """
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            _put_right(Path(place, name))
        folders[:] = [name for name in folders if below and not is_leftover(name)]


def put_right_beside(path: Path) -> None:
    """The same for what is of one file or folder, for who has the lock beside it."""
    start = f".{path.name}."
    with contextlib.suppress(FileNotFoundError):
        for found in sorted(path.parent.iterdir()):
            if found.name.startswith(start) and is_leftover(found.name):
                _put_right(found)


def _put_right(path: Path) -> None:
    aside = _ASIDE.fullmatch(path.name)
    if aside and path.is_dir() and not path.with_name(aside[1]).exists():
        path.rename(path.with_name(aside[1]))
    elif aside and path.is_dir():
        delete_folder(path)
    elif _TEMPORARY.fullmatch(path.name):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
