"""Keeps arrays that are slow to make on disk, memory-mapped, shared by all processes.

The folder is ``$SRVAE_CACHE``, else ``$XDG_CACHE_HOME/srvae_plugin``, else
``~/.cache/srvae_plugin``. It can be deleted at any time.
"""

from __future__ import annotations

import logging
import os
import secrets
import struct
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger("srvae_plugin")

# What could not be written is shared while somebody uses it, not made again for each data set.
_in_memory: weakref.WeakValueDictionary[Path, NDArray[np.uint8]] = weakref.WeakValueDictionary()


def cache_folder() -> Path:
    """Returns the folder for cached arrays; it need not exist."""
    if own := os.environ.get("SRVAE_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "srvae_plugin"
    return Path(os.path.expanduser("~")) / ".cache" / "srvae_plugin"


def cached_array(
    name: str,
    shape: tuple[int, ...],
    make: Callable[[], NDArray[np.uint8]],
    is_sound: Callable[[NDArray[np.uint8]], bool],
) -> NDArray[np.uint8]:
    """Returns a read-only array from the cache, made and stored if it is not there.

    A damaged file is replaced. Where nothing can be written the array stays in memory. Either is
    said in one log line. Processes that do this at once do the work twice and are harmless: each
    writes under its own name and renames.

    Args:
        name: file name, with a version that changes whenever the contents would.
        shape: shape that the array must have.
        make: makes the array, uint8.
        is_sound: a quick look at the contents of a stored array.
    """
    file = cache_folder().absolute() / name
    found = _open(file, shape, is_sound)
    if found is None:
        found = _in_memory.get(file)
    if found is None:
        made = make()
        made.flags.writeable = False
        found = _open(file, shape, is_sound) if _write(file, made) else None
        if found is None:
            _in_memory[file] = found = made
    return found


def _open(
    file: Path, shape: tuple[int, ...], is_sound: Callable[[NDArray[np.uint8]], bool]
) -> NDArray[np.uint8] | None:
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.memmap) or array.dtype != np.uint8 or array.shape != shape:
            raise ValueError(f"it does not hold bytes of shape {shape}")
        if not is_sound(array):
            raise ValueError("its contents are wrong")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, EOFError, ValueError, struct.error) as error:
        _log.warning("cache file %s cannot be used and will be made again: %s", file, error)
        return None
    return array


def _write(file: Path, array: NDArray[np.uint8]) -> bool:
    temporary = file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Written, not memory-mapped: a full disk is then an exception and not a bus error.
            with open(temporary, "xb") as stream:
                np.save(stream, array, allow_pickle=False)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        _log.warning(
            "cannot write the cache (%s); keeping %.0f MB in memory instead; "
            "set SRVAE_CACHE to a folder with space to avoid this",
            error,
            array.nbytes / 1e6,
        )
        return False
    return True
