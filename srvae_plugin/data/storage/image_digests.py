"""Digests that tell images apart."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.progress import Progress

__all__ = ["image_digests"]


_COMPARED_AT_ONCE = 256


def image_digests(
    load: Callable[[NDArray[np.int64]], Iterable[Any]], rows: NDArray[np.int64]
) -> NDArray[np.str_]:
    """One digest for each row, equal where what `load` returns for it is, array or bytes."""
    digests = []
    with Progress("comparing", len(rows), unit="images") as progress:
        for start in range(0, len(rows), _COMPARED_AT_ONCE):
            for image in load(rows[start : start + _COMPARED_AT_ONCE]):
                stored = image if isinstance(image, bytes) else np.asarray(image).tobytes()
                digests.append(hashlib.blake2b(stored, digest_size=16).hexdigest())
            progress.advance(min(_COMPARED_AT_ONCE, len(rows) - start))
    return np.array(digests)
