"""What a data set's content is, as a digest: the same data at another place has the same one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from srvae_plugin.data.dsprites_variants import PaintedDSprites
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.data.storage.cache_folder import cache_file, open_cached
from srvae_plugin.data.storage.manifest import sha256_of
from srvae_plugin.data.storage.own_images import ImageFiles
from srvae_plugin.files import write_text

__all__ = ["digest_of"]


_SAMPLES = 256
_KEPT_FROM = 32 << 20
"""Bytes from which a file's digest is kept in the cache folder: smaller ones are read at once."""
_SETTLED_SECONDS = 5.0
_known: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


def digest_of(data: Any) -> str:
    """Return hex digits that tell the content of a data set from every other.

    That is, the first of these that it has:

    * its own ``content_digest``, a string that changes whenever its images or factors would;
    * its ``source``, the path of the file or folder it reads: the SHA-256 of the file's bytes, of a
      folder the names and bytes of its files;
    * of a table of factors, the factors, in whatever order its rows are;
    * otherwise 256 observations drawn with a fixed seed, and their factors. A change of a few
      images may go unnoticed then.

    It is computed once for each object. Empty if two draws with one seed differ: nothing can be
    said of such a data set.
    """
    with contextlib.suppress(TypeError):  # what cannot be a key is computed again
        if data in _known:
            return _known[data]
    digest = _compute(data)
    with contextlib.suppress(TypeError):
        _known[data] = digest
    return digest


def _compute(data: Any) -> str:
    own = getattr(data, "content_digest", None)
    if isinstance(own, str) and own:
        return own
    source = getattr(data, "source", None)
    if isinstance(source, str | os.PathLike) and source and Path(source).exists():
        read = _of_path(Path(source), _files_of(data))
        # What paints over the file's images may take more files, such as the scream.
        painted = isinstance(data, PaintedDSprites)
        return _hashed(read, _sampled(data)) if painted else read
    if isinstance(data, FactorTable) and source is None:
        return _of_table(data)
    return _sampled(data)


def _files_of(data: Any) -> list[Path] | None:
    """The files that a folder's data set reads, if it reads not all that is there."""
    if files := getattr(data, "source_files", ()):
        return list(files)
    images = getattr(data, "_images", None)
    return list(images.files) if isinstance(images, ImageFiles) else None


def _hashed(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def _of_table(table: FactorTable) -> str:
    held_out = table.num_observations - getattr(table, "_num_drawn", table.num_observations)
    # By their rows: metrics sort them too, and so the same table in another order is the same data.
    factors = np.ascontiguousarray(table.factors[np.lexsort(table.factors.T[::-1])])
    content = hashlib.sha256(factors.tobytes()).hexdigest()
    shape = f"{factors.dtype.str}{factors.shape}"
    return _hashed("table", content, shape, *map(str, table.factor_names), str(held_out))


def _sampled(data: Any) -> str:
    first, second = (_draw(data) for _ in range(2))
    return first if first == second else ""


def _draw(data: Any) -> str:
    random_state = np.random.RandomState(0)
    if getattr(data, "num_factors", 0):
        parts = data.sample(_SAMPLES, random_state)
    else:
        parts = (data.sample_observations(_SAMPLES, random_state),)
    digest = hashlib.sha256(repr(list(getattr(data, "factor_names", []))).encode())
    for part in parts:
        array = np.ascontiguousarray(part)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _of_path(path: Path, chosen: Iterable[Path] | None = None) -> str:
    """Digest of a file, or of a folder's files with their names relative to it."""
    if path.is_file():
        return _kept(path, [path], lambda: sha256_of(path))
    files = sorted(chosen if chosen is not None else _below(path))

    def read() -> str:
        named = {file: file.relative_to(path).as_posix() for file in files if path in file.parents}
        parts = [f"{named.get(file, file.name)} {sha256_of(file)}" for file in files]
        return _hashed("folder", *parts)

    return _kept(path, files, read)


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place) / name for name in names if not name.startswith("."))


def _kept(path: Path, files: list[Path], read: Any) -> str:
    """Digest of large data from the cache, as long as no file has another size or time."""
    status = [os.stat(file) for file in files]
    newest = max((s.st_mtime for s in status), default=0.0)
    if sum(s.st_size for s in status) < _KEPT_FROM or time.time() - newest < _SETTLED_SECONDS:
        # A file that was written a moment ago may be written again within its clock's tick.
        return read()
    stamps = (
        f"{file}|{s.st_size}|{s.st_mtime_ns}|{s.st_ino}"
        for file, s in zip(files, status, strict=True)
    )
    kept = cache_file(f"digests/{_hashed(str(path.resolve()), *stamps)}")
    with contextlib.suppress(OSError, ValueError), open_cached(kept) as file:
        digest, check = file.read(1000).decode("ascii").split()
        if check == _hashed(digest):
            return digest
    digest = read()
    with contextlib.suppress(OSError):  # it is computed again next time
        write_text(kept, f"{digest} {_hashed(digest)}\n")
    return digest
