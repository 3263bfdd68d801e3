"""Images with a table of factors, one row per image, whether or not they form a grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.own.factor_columns import equal_bins
from srvae_plugin.data.own.factor_kinds import FactorKinds
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.data.own.table_rows import Content
from srvae_plugin.data.storage.image_digests import image_digests

__all__ = ["ImageTable", "LoadImages", "bin_factors", "check_rows"]


LoadImages = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Row numbers (num,) to images (num, height, width, channel) in [0, 1]."""


class ImageTable(FactorTable):
    """Ground-truth data whose observations are the images of a table's rows.

    What is drawn and what metrics can do with it is as in :class:`FactorTable`: random rows;
    floating point factors are kept as they are, for the metrics that take them; to test on are
    other rows than to train on. Images of the same factors are told apart by a digest, made once
    when the first metric draws: copies of an image are not both trained and tested on, and scores
    do not depend on the order of the rows or on how many copies of the whole table there are.

    Args:
        factors: (image, factor) numbers.
        load_images: makes the images of given rows.
        observation_shape: height, width and channels.
        factor_names: one for each factor; "factor 0" and so on by default.
        held_out: how many rows, the last ones, serve only to test on.
        source: where the images come from.
        factor_kinds: as in :class:`FactorTable`.

    Raises:
        ValueError: if the factors have another shape or type, or there are none.
    """

    def __init__(
        self,
        factors: NDArray[Any],
        load_images: LoadImages,
        observation_shape: Sequence[int],
        factor_names: list[str] | None = None,
        held_out: int = 0,
        source: str = "",
        factor_kinds: FactorKinds | Sequence[str] | None = None,
    ) -> None:
        super().__init__(factors, factor_names, held_out, factor_kinds)
        self.source = source
        self.source_files: tuple[Path, ...] = ()
        """The files that `source` stands for, if it is a folder of which not all is read."""
        self._load_images = load_images
        self._observation_shape = [int(side) for side in observation_shape]

    @property
    def observation_shape(self) -> list[int]:
        """Height, width and channels of one image."""
        return list(self._observation_shape)

    def observations_at(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Images of these rows: float32 of shape (num, height, width, channel) in [0, 1].

        Raises:
            ValueError: if a row does not exist or its image is not in [0, 1].
        """
        return self._load_images(check_rows(indices, self.num_observations))

    def _content(self) -> Content:
        return self._digests

    def _digests(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        return image_digests(self._load_images, rows)


def check_rows(indices: NDArray[np.integer[Any]], num_rows: int) -> NDArray[np.int64]:
    """The indices as int64; ValueError unless they are integers (num,) below `num_rows`."""
    indices = np.asarray(indices)
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise ValueError(
            f"indices: got {indices.dtype} of shape {indices.shape}; expected integers of shape "
            "(num,), the row numbers of images"
        )
    outside = indices[(indices < 0) | (indices >= num_rows)]
    if len(outside):
        raise ValueError(
            f"indices: got {outside[0]}; expected 0 to {num_rows - 1}; indices are counted from 0 "
            "and do not wrap around"
        )
    return indices.astype(np.int64, copy=False)


def bin_factors(factors: NDArray[Any], num_bins: int | None) -> NDArray[Any]:
    """Floating point factors in bins, so that metrics that classify take them.

    A factor with at most `num_bins` distinct values is numbered by value, one with more by its
    place among `num_bins` bins of equal width over its range. Integer factors, and all of them if
    `num_bins` is None, are returned as they are.

    Args:
        factors: (image, factor) numbers.
        num_bins: at least 2.

    Raises:
        ValueError: if `num_bins` is below 2 or the factors are not a table of finite numbers.
    """
    if num_bins is None:
        return factors
    if num_bins < 2:
        raise ValueError(f"dataset.factor_bins = {num_bins}: expected at least 2, or None")
    if factors.ndim != 2 or factors.dtype.kind not in "iufb" or not np.isfinite(factors).all():
        raise ValueError(
            f"factors: got {factors.dtype} of shape {factors.shape}; expected finite numbers of "
            "shape (image, factor)"
        )
    if factors.dtype.kind != "f":
        return factors
    return np.stack([equal_bins(column, num_bins) for column in factors.T], axis=1)
