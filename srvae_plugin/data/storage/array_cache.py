"""Keeps arrays that are slow to make on disk, memory-mapped, shared by all processes.

The folder is that of :mod:`srvae_plugin.data.storage.cache_folder`. Each file has a checksum (see
:mod:`srvae_plugin.data.storage.checked_file`); a damaged one is made again.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import secrets
import shutil
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.storage.cache_folder import cache_file, make_folder
from srvae_plugin.data.storage.checked_file import DamagedError, open_array, write_array
from srvae_plugin.files import open_lock, sync_folder

__all__ = ["cached_array", "streamed_array"]


_log = logging.getLogger("srvae_plugin")

_KEPT_IN_MEMORY = 1 << 30
"""Bytes of an array that is kept in memory where the cache cannot be written."""

# What could not be written is shared while somebody uses it, not made again for each data set.
_in_memory: weakref.WeakValueDictionary[Path, NDArray[np.uint8]] = weakref.WeakValueDictionary()


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
    file = cache_file(name)
    found = _found(file, shape, is_sound)
    if found is None:
        made = make()
        try:
            _write(file, shape, [made])
            found = _found(file, shape, is_sound)
        except OSError as error:
            _say_unwritten(error, made.nbytes)
        if found is None:
            found = _kept(file, made)
    return found


def streamed_array(
    name: str,
    shape: tuple[int, ...],
    chunks: Callable[[], Iterator[NDArray[np.uint8]]],
) -> NDArray[np.uint8]:
    """Returns a read-only array from the cache, written piece by piece if it is not there.

    For arrays too large to be made in memory: at no time is more than one piece held. Of several
    processes that need it at once, one makes it and the others wait. Where nothing can be written
    an array of at most 1 GB stays in memory, with a log line.

    Args:
        name: file name, with a version that changes whenever the contents would.
        shape: shape that the array must have.
        chunks: makes the array's rows, some at a time and in order, uint8.

    Raises:
        OSError: if the cache cannot be written and the array is larger; nothing is left of it then.
        ValueError: if the pieces have other rows than the array.
    """
    file = cache_file(name)
    found = _found(file, shape)
    if found is None:
        with _alone(file):
            found = _found(file, shape)
            if found is None:
                found = _streamed(file, shape, chunks)
    return found


def _streamed(
    file: Path, shape: tuple[int, ...], chunks: Callable[[], Iterator[NDArray[np.uint8]]]
) -> NDArray[np.uint8]:
    size, begun = math.prod(shape), time.monotonic()
    _log.info("writing %.2f GB to %s, once", size / 1e9, file)
    try:
        _write(file, shape, _checked(chunks(), shape))
        _log.info("wrote %s in %.0f s", file.name, time.monotonic() - begun)
        found = _found(file, shape)
    except _ReadError as error:
        raise error.reason from None
    except OSError as error:
        if size > _KEPT_IN_MEMORY:
            raise OSError(
                f"cannot write the cache file {file} of {size / 1e9:.2f} GB ({error}); set "
                "SRVAE_CACHE to a folder with space"
            ) from error
        _say_unwritten(error, size)
        return _kept(file, _joined(shape, chunks))
    if found is None:
        raise OSError(f"the cache file {file} vanished while it was made; start again")
    return found


class _ReadError(Exception):
    """What a reader raised while it was asked for rows: not the cache's fault."""

    def __init__(self, reason: Exception) -> None:
        self.reason = reason
        super().__init__()


def _checked(
    chunks: Iterator[NDArray[np.uint8]], shape: tuple[int, ...]
) -> Iterator[NDArray[np.uint8]]:
    """The pieces, of these rows and no others; whatever goes wrong is a `_ReadError`."""
    rows = 0
    try:
        for chunk in chunks:
            rows += len(chunk)
            if chunk.dtype != np.uint8 or chunk.shape[1:] != shape[1:]:
                raise ValueError(f"expected rows of {shape[1:]} bytes, got {chunk.shape[1:]}")
            if rows > shape[0]:
                raise ValueError(f"expected {shape[0]} rows, got {rows} or more")
            yield chunk
        if rows != shape[0]:
            raise ValueError(f"expected {shape[0]} rows, got {rows}")
    except Exception as error:
        raise _ReadError(error) from error


def _joined(
    shape: tuple[int, ...], chunks: Callable[[], Iterator[NDArray[np.uint8]]]
) -> NDArray[np.uint8]:
    made, start = np.empty(shape, np.uint8), 0
    try:
        for chunk in _checked(chunks(), shape):
            made[start : start + len(chunk)] = chunk
            start += len(chunk)
    except _ReadError as error:
        raise error.reason from None
    return made


def _kept(file: Path, made: NDArray[np.uint8]) -> NDArray[np.uint8]:
    made.flags.writeable = False
    _in_memory[file] = made
    return made


def _say_unwritten(error: OSError, size: int) -> None:
    _log.warning(
        "cannot write the cache (%s); keeping %.0f MB in memory instead; "
        "set SRVAE_CACHE to a folder with space to avoid this",
        error,
        size / 1e6,
    )


def _found(
    file: Path,
    shape: tuple[int, ...],
    is_sound: Callable[[NDArray[np.uint8]], bool] = lambda array: True,
) -> NDArray[np.uint8] | None:
    try:
        array = open_array(file, shape)
        if not is_sound(array):
            raise DamagedError("its contents are wrong")
    except (FileNotFoundError, NotADirectoryError):
        return _in_memory.get(file)
    except (OSError, DamagedError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            raise MemoryError(f"{file} cannot be mapped") from error  # and it may well be whole
        _log.warning("cache file %s cannot be used and will be made again: %s", file, error)
        return _in_memory.get(file)
    return array


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Keeps other processes on this machine from making the same file meanwhile."""
    place = file.with_name(f".{file.name}.lock")
    try:
        import fcntl

        make_folder(file.parent)
        lock = open_lock(place)
    except (ImportError, OSError):
        # Without locks the work is done twice and is harmless; a folder that cannot be written is
        # reported where the file is.
        yield
        return
    with lock:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Whoever waits for it finds the finished file first, whoever comes later makes a new
            # lock and finds it too.
            with contextlib.suppress(OSError):
                place.unlink()


def _write(file: Path, shape: tuple[int, ...], chunks: Iterable[NDArray[np.uint8]]) -> None:
    """Writes a cache file; OSError if that fails, and nothing is left of it then."""
    make_folder(file.parent)
    _delete_leftovers(file)
    if (free := shutil.disk_usage(file.parent).free) < math.prod(shape):
        raise OSError(errno.ENOSPC, f"{free / 1e9:.2f} GB are free")
    temporary = file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        # Written, not memory-mapped: a full disk is then an exception and not a bus error.
        stream = open(temporary, "xb")  # noqa: SIM115
        try:
            write_array(stream, shape, chunks)
        finally:
            with contextlib.suppress(OSError):  # of a full disk, said already
                stream.close()
        os.replace(temporary, file)
        sync_folder(file.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _delete_leftovers(file: Path) -> None:
    """Deletes what killed processes left: one at work has written in the last ten minutes."""
    for old in file.parent.glob(f".{file.name}.*-*"):
        with contextlib.suppress(OSError):
            if time.time() - old.lstat().st_mtime > 600:
                old.unlink()
