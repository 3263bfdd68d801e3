"""Arrays in HDF5 files, whoever wrote them: all of it is in the file, and is of a size to read."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["array_in", "require_readable", "require_small"]

_PROBE = Path(__file__).with_name("hdf5_probe.py")
_SECONDS = 300

_LARGEST_BLOCK = 1 << 28
"""Bytes of a block, which is unpacked whole: the official files' have 46 MB at most."""
_ALWAYS_READ = 1 << 28
_MOST_UNPACKED = 100
"""As of members of a zip: see `zip_members`."""


def require_readable(file: Path, *names: str) -> None:
    """Has another process read arrays first: HDF5's library does not survive all damage.

    Raises:
        ValueError: if that process was ended by a signal, or did not end.
    """
    command = [sys.executable, str(_PROBE), str(file), *names]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ValueError(f"it is damaged: reading it took more than {_SECONDS} seconds") from None
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ValueError(f"it is damaged: reading it ends in {name}")


def array_in(archive: Any, name: str) -> Any:
    """An array of an open file, not read yet.

    Args:
        archive: an `h5py.File`.
        name: the array's path in it.

    Raises:
        ValueError: if there is none, if it lies in another file, or if parts of it are missing,
            which HDF5 would read as zeros.
    """
    import h5py  # slow to import, and few need it

    parts = name.split("/")
    for depth in range(1, len(parts) + 1):
        path = "/".join(parts[:depth])
        if isinstance(archive.get(path, getlink=True), h5py.ExternalLink | h5py.SoftLink):
            raise ValueError(f"{path} is a link: expected the data set {name!r} itself")
    found = archive.get(name)
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"expected the data set {name!r}, found {list(archive)[:10]}")
    if found.is_virtual or found.external:
        raise ValueError(f"{name} lies in other files: expected its values in this one")
    _require_whole(found, name)
    return found


def _require_whole(found: Any, name: str) -> None:
    size = math.prod(found.shape or ()) * found.dtype.itemsize
    if not size:
        return
    if found.chunks is None:
        stored = found.id.get_storage_size()
        if stored < size:
            raise ValueError(f"{name}: {size:,} bytes are declared, {stored:,} are there")
        return
    if (block := math.prod(found.chunks) * found.dtype.itemsize) > _LARGEST_BLOCK:
        raise ValueError(f"{name}: its blocks have {block:,} bytes, at most {_LARGEST_BLOCK:,}")
    pairs = zip(found.shape, found.chunks, strict=True)
    expected = math.prod(-(-length // step) for length, step in pairs)
    if (there := found.id.get_num_chunks()) != expected:
        raise ValueError(f"{name}: {expected:,} blocks are declared, {there:,} are there")


def require_small(found: Any, name: str) -> None:
    """Refuses an array that takes much more memory than it takes in the file; ValueError."""
    size = math.prod(found.shape or ()) * found.dtype.itemsize
    stored = found.id.get_storage_size()
    if size > max(_ALWAYS_READ, _MOST_UNPACKED * stored):
        raise ValueError(
            f"{name}: {stored:,} bytes would take {size / 1e9:.1f} GB of memory; if that is what "
            "you want, write it uncompressed"
        )
