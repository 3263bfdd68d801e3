"""A whole data set as bytes, for those who keep it somewhere else than in this process's memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ByteTable", "byte_table_of"]


_DRAWING = (
    "sample_indices",
    "sample",
    "sample_observations",
    "sample_observations_from_factors",
    "observations_at",
    "_load_observations",
)


class ByteTable(NamedTuple):
    """The images of a data set, row i being observation i.

    rows: uint8, (image, height, width, channel), a pixel being its value / 255; or, if `packed`,
        (image, bytes) with eight pixels of 0 or 1 a byte, the first in its highest bit.
    """

    rows: NDArray[np.uint8]
    packed: bool = False


def byte_table_of(data: Any) -> ByteTable | None:
    """The data set's table, if what it draws is rows of it: `sample_indices` says which.

    None for a data set without one, and for a class that draws otherwise than the one whose
    table it inherits.
    """
    kind = type(data)
    states = _definer(kind, "byte_table")
    if states is None or _definer(kind, "sample_indices") is None:
        return None
    overridden = [_definer(kind, name) for name in _DRAWING]
    if any(cls is not None and not issubclass(states, cls) for cls in overridden):
        return None
    return data.byte_table()


def _definer(kind: type, name: str) -> type | None:
    return next((cls for cls in kind.__mro__ if name in vars(cls)), None)
