"""Rows of a user's table that are held out: never trained on, and the only ones scored on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.storage.mapped_images import StoredImages

_SEED = 0


def split(num_rows: int, share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers to train on and to score on, both ascending.

    The rows to score on are the first round(share * num_rows) of numpy's
    RandomState(0).permutation(num_rows): the same for every run of a file, and not the last ones,
    since files are often sorted.

    Raises:
        ValueError: if the share is not between 0 and 1, or leaves one part without a row.
    """
    if not 0 < share < 1:
        raise ValueError(f"dataset.held_out = {share}: expected a share between 0 and 1, .2 say")
    count = round(share * num_rows)
    if not 0 < count < num_rows:
        raise ValueError(
            f"dataset.held_out = {share} of {num_rows} rows leaves {num_rows - count} to train on "
            f"and {count} to score on; expected at least one of each"
        )
    order = np.random.RandomState(_SEED).permutation(num_rows)
    return np.sort(order[count:]), np.sort(order[:count])


def to_score(data: Any) -> Any:
    """The data set to score on: the rows that are held out, if there are such, else all of it."""
    held_out = getattr(data, "held_out_data", None)
    return data if held_out is None else held_out


class SomeImages:
    """Some of the images of another store."""

    def __init__(self, images: StoredImages, rows: NDArray[np.int64]) -> None:
        self._images, self._rows = images, rows

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels."""
        return self._images.image_shape

    def __len__(self) -> int:
        return len(self._rows)

    def at(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Images of these places among the chosen rows."""
        return self._images.at(self._rows[indices])
