"""Keeps arrays that are slow to make on disk, memory-mapped, shared by all processes.

The folder is ``$SRVAE_CACHE``, else ``$XDG_CACHE_HOME/srvae_plugin``, else
``~/.cache/srvae_plugin``. It can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import secrets
import shutil
import struct
import time
import weakref
from collections.abc import Callable, Iterator
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


def streamed_array(
    name: str,
    shape: tuple[int, ...],
    chunks: Callable[[], Iterator[NDArray[np.uint8]]],
) -> NDArray[np.uint8]:
    """Returns a read-only array from the cache, written piece by piece if it is not there.

    For arrays too large to be made in memory: at no time is more than one piece held. Of several
    processes that need it at once, one makes it and the others wait.

    Args:
        name: file name, with a version that changes whenever the contents would.
        shape: shape that the array must have.
        chunks: makes the array's rows, some at a time and in order, uint8.

    Raises:
        OSError: if the cache cannot be written; nothing is left of it then.
        ValueError: if the pieces have other rows than the array.
    """
    file = cache_folder().absolute() / name
    found = _open(file, shape, _is_not_blank)
    if found is None:
        with _alone(file):
            found = _open(file, shape, _is_not_blank)
            if found is None:
                _write_chunks(file, shape, chunks())
                found = _open(file, shape, lambda array: True)
    if found is None:
        raise OSError(f"the cache file {file} vanished while it was made; start again")
    return found


def _is_not_blank(array: NDArray[np.uint8]) -> bool:
    step = max(1, len(array) // 64)
    return bool(array[::step].any())


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Keeps other processes on this machine from making the same file meanwhile."""
    try:
        import fcntl

        file.parent.mkdir(parents=True, exist_ok=True)
        lock = open(file.with_name(f".{file.name}.lock"), "w")  # noqa: SIM115
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
            Path(lock.name).unlink(missing_ok=True)


def _write_chunks(file: Path, shape: tuple[int, ...], chunks: Iterator[NDArray[np.uint8]]) -> None:
    size, rows, begun = math.prod(shape), 0, time.monotonic()
    _log.info("writing %.2f GB to %s, once", size / 1e9, file)
    temporary = _temporary(file)
    with _explained(file, size):
        file.parent.mkdir(parents=True, exist_ok=True)
        _delete_leftovers(file)
        if (free := shutil.disk_usage(file.parent).free) < size:
            raise OSError(errno.ENOSPC, f"{free / 1e9:.2f} GB are free")
        stream = open(temporary, "xb")  # noqa: SIM115
    try:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        with _explained(file, size):
            np.lib.format.write_array_header_1_0(stream, header)
        for chunk in chunks:  # what a reader raises is not the cache's fault
            rows += len(chunk)
            if chunk.dtype != np.uint8 or chunk.shape[1:] != shape[1:]:
                raise ValueError(f"expected rows of {shape[1:]} bytes, got {chunk.shape[1:]}")
            with _explained(file, size):
                stream.write(np.ascontiguousarray(chunk).data)
        if rows != shape[0]:
            raise ValueError(f"expected {shape[0]} rows, got {rows}")
        with _explained(file, size):
            stream.flush()
            os.fsync(stream.fileno())
            os.replace(temporary, file)
    finally:
        with contextlib.suppress(OSError):  # of a full disk, said already
            stream.close()
        temporary.unlink(missing_ok=True)
    _log.info("wrote %s in %.0f s", file.name, time.monotonic() - begun)


@contextlib.contextmanager
def _explained(file: Path, size: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(
            f"cannot write the cache file {file} of {size / 1e9:.2f} GB ({error}); set "
            "SRVAE_CACHE to a folder with space"
        ) from error


def _temporary(file: Path) -> Path:
    return file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}")


def _delete_leftovers(file: Path) -> None:
    """Deletes what killed processes left: one at work has written in the last ten minutes."""
    for old in file.parent.glob(f".{file.name}.*-*"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > 600:
                old.unlink()


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
    temporary = _temporary(file)
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
