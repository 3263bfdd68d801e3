"""Rows of a user's table that are held out: never trained on, and the only ones scored on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.own.table_rows import Content, sorted_by_content
from srvae_plugin.data.storage.mapped_images import StoredImages

__all__ = ["SomeImages", "split", "to_score"]


_SEED = 0


def split(
    num_rows: int,
    share: float,
    content: Content | None = None,
    classes: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers to train on and to score on, both ascending.

    Rows are sorted by their classes and then by their content, equal ones form a group, and the
    rows to score on are those of the first groups of numpy's RandomState(0).permutation that have
    share * num_rows rows together. So it is the same for every run of a file, whatever the order of
    its rows; copies of a row are all on one side; and files that are sorted do no harm.

    Args:
        num_rows: how many rows there are.
        share: how many of them to score on, between 0 and 1.
        content: a key for each of some rows, equal where the observations are equal; asked for
            those only that share all classes. None: rows are told apart by their numbers.
        classes: (row, factor) the place of each value among the sorted ones of its factor, as the
            file has them. None: all rows share them.

    Raises:
        ValueError: if the share is not between 0 and 1, or leaves one part without a row.
    """
    if not 0 < share < 1:
        raise ValueError(f"dataset.held_out = {share}: expected a share between 0 and 1, .2 say")
    if classes is None:
        classes = np.zeros((num_rows, 1), dtype=np.int64)
    rows, groups, _ = sorted_by_content(classes, content)
    sizes = np.bincount(groups)
    order = np.random.RandomState(_SEED).permutation(len(sizes))
    # In units of what all groups have in common, so that a file that is doubled is split alike.
    ends = np.cumsum(sizes[order] // np.gcd.reduce(sizes))
    count = round(share * int(ends[-1]))
    chosen = order[: int(np.searchsorted(ends, count)) + 1] if count else order[:0]
    if not 0 < len(chosen) < len(order):
        scored = int(sizes[chosen].sum())
        raise ValueError(
            f"dataset.held_out = {share} of {num_rows} rows, {len(sizes)} of them different, "
            f"leaves {num_rows - scored} to train on and {scored} to score on; expected at least "
            "one of each"
        )
    is_scored = np.isin(groups, chosen)
    return np.sort(rows[~is_scored]), np.sort(rows[is_scored])


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
