"""Image files that are decoded once, and come from the cache from then on."""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.storage.array_cache import streamed_array
from srvae_plugin.data.storage.byte_table import ByteTable
from srvae_plugin.data.storage.mapped_images import MappedImages
from srvae_plugin.data.storage.own_images import ImageFiles
from srvae_plugin.progress import Progress

__all__ = ["DecodedFiles"]


_CACHE_NAME = "image-folder-v1-{key}.npy"
_SMALL = 1 << 22
"""Bytes of pixels up to which the memory holds them, without a file."""
_CHUNK = 256
_THREADS = 8

_log = logging.getLogger("srvae_plugin")


class DecodedFiles(ImageFiles):
    """The same images, decoded all at once when the first is asked for.

    The pixels are kept in a file of the cache folder, memory-mapped, with a checksum and under a
    name that changes when a file is moved or rewritten; processes share it. Where it cannot be
    written they stay in memory up to 1 GB. If a file cannot be read, or the pixels can be kept
    nowhere, a log line says so and files are decoded whenever they are asked for: a damaged one is
    then an error when its turn comes.
    """

    _decoded: MappedImages | None = None
    _is_tried = False

    def at(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Images (num, size, size, channel), float32 in [0, 1]; raises as `ImageFiles` does."""
        decoded = self._all()
        if decoded is None or not self._fits(decoded, indices):
            return super().at(indices)
        if self.white == 255:
            return decoded.at(indices)
        return np.divide(decoded.stored(indices), self.white, dtype=np.float32)

    def byte_table(self) -> ByteTable | None:
        """All pixels as they are stored; None unless 255 is white."""
        decoded = self._all() if self.white == 255 else None
        return None if decoded is None else decoded.byte_table()

    def _fits(self, decoded: MappedImages, indices: NDArray[np.int64]) -> bool:
        """Whether no pixel is brighter than white; `ImageFiles` names the file of one that is."""
        return self.white == 255 or int(decoded.stored(indices).max(initial=0)) <= self.white

    def _all(self) -> MappedImages | None:
        if not self._is_tried:
            self._is_tried = True
            try:
                self._decoded = MappedImages(self._array())
            except (OSError, ValueError, MemoryError) as error:
                _log.warning("image files are decoded one by one, again each time: %s", error)
        return self._decoded

    def _array(self) -> NDArray[np.uint8]:
        shape = (len(self.files), *self.image_shape)
        if math.prod(shape) <= _SMALL:
            return np.concatenate(list(self._chunks()))
        return streamed_array(_CACHE_NAME.format(key=self._key()), shape, self._chunks)

    def _chunks(self) -> Iterator[NDArray[np.uint8]]:
        threads = min(_THREADS, os.cpu_count() or 1)
        with (
            ThreadPoolExecutor(threads, "decoding") as pool,
            Progress("decoding", len(self.files), unit="images") as progress,
        ):
            for start in range(0, len(self.files), _CHUNK):
                chunk = self.files[start : start + _CHUNK]
                yield np.stack(list(pool.map(self._read, chunk)))
                progress.advance(len(chunk))

    def _key(self) -> str:
        digest = hashlib.sha256(f"{self.size} {self.channels}".encode())
        for file in self.files:
            status = os.stat(file)
            digest.update(
                f"|{os.path.abspath(file)}|{status.st_size}|{status.st_mtime_ns}".encode()
            )
        return digest.hexdigest()[:16]

    def __getstate__(self) -> dict[str, Any]:
        self._all()  # a worker process maps what is decoded here
        return self.__dict__
