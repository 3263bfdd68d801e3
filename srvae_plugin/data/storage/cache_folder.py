"""Where the cache is, and whose files in it are used.

The folder is ``$SRVAE_CACHE``, else ``$XDG_CACHE_HOME/srvae_plugin``, else
``~/.cache/srvae_plugin``. It can be deleted at any time. It may be shared: files of other users
than root are not used, since whoever may write them may change what a model is trained on; a user
who finds such files has a folder ``user-<number>`` in it. Links are not followed.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import IO

__all__ = ["cache_file", "cache_folder", "make_folder", "open_cached"]


_log = logging.getLogger("srvae_plugin")
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_said: set[Path] = set()


def cache_folder() -> Path:
    """Returns the folder for cached arrays; it need not exist."""
    if own := os.environ.get("SRVAE_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "srvae_plugin"
    return Path(os.path.expanduser("~")) / ".cache" / "srvae_plugin"


def cache_file(name: str) -> Path:
    """Returns the place of a cache file, which need not exist.

    Args:
        name: its name, or its path below the folder of the cache.
    """
    folder = cache_folder().absolute()
    file = folder / name
    foreign = next((place for place in (folder, file.parent, file) if not _is_ours(place)), None)
    if foreign is None:
        return file
    own = folder / f"user-{os.getuid()}"
    if foreign not in _said:
        _said.add(foreign)
        _log.warning(
            "%s belongs to another user (number %d) and is not used: caching in %s",
            foreign, foreign.lstat().st_uid, own,
        )  # fmt: skip
    return own / name


def make_folder(folder: Path) -> None:
    """Makes a folder of the cache.

    Raises:
        OSError: if it cannot be made, or belongs to another user.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not _is_ours(folder):
        raise OSError(f"{folder} belongs to another user")


def open_cached(file: Path) -> IO[bytes]:
    """Opens a cache file to be read.

    Raises:
        FileNotFoundError, NotADirectoryError: if it is not there.
        OSError: if it is a link or no file, belongs to another user, or cannot be read.
    """
    try:
        stream = open(file, "rb", opener=_without_links)  # noqa: SIM115
    except OSError as error:
        if file.is_symlink():
            raise OSError("it is a link") from error
        raise
    status = os.fstat(stream.fileno())
    if not stat.S_ISREG(status.st_mode) or not _owned(status):
        stream.close()
        raise OSError("it is not a file, or belongs to another user")
    return stream


def _without_links(path: str, flags: int) -> int:
    # Not blocking: what lies there may be a pipe that nobody writes to.
    return os.open(path, flags | _NO_LINKS | getattr(os, "O_NONBLOCK", 0))


def _is_ours(place: Path) -> bool:
    """Whether a file or folder is this user's or root's, or not there."""
    try:
        return _owned(place.stat() if place.is_dir() else place.lstat())
    except OSError:
        return True  # whoever opens it is told


def _owned(status: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or status.st_uid in (0, os.getuid())
