"""Finite data sets whose images lie in one file, in the order of their factors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import FactorGrid
from srvae_plugin.data.storage.byte_table import ByteTable
from srvae_plugin.data.storage.mapped_images import MappedImages

__all__ = ["ImageGrid", "checked_sizes"]


class ImageGrid(FactorGrid):
    """A grid of factors over stored images.

    Args:
        images: uint8 of shape (num, height, width, channel), one for every combination of factors,
            the last factor varying fastest; a memory-mapped array stays on disk.
        factor_sizes, factor_names, latent_factor_indices: as in :class:`FactorGrid`.
        source: the file or folder that the images come from.

    Raises:
        ValueError: if the images are not bytes or as many as the factors have combinations.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        factor_sizes: Sequence[int],
        factor_names: Sequence[str],
        latent_factor_indices: Sequence[int] | None = None,
        source: str = "",
    ) -> None:
        self._images = MappedImages(images)
        super().__init__(
            factor_sizes, factor_names, self._images.image_shape, latent_factor_indices
        )
        self.source = source
        if len(self._images) != self.num_observations:
            raise ValueError(
                f"images: got {len(self._images)}; expected {self.num_observations}, one for each "
                f"combination of factors of sizes {self.factor_sizes}"
            )

    def _load_observations(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._images.at(indices)

    def byte_table(self) -> ByteTable:
        """All images, as they are stored."""
        return self._images.byte_table()


def checked_sizes(
    factor_sizes: Sequence[int] | None, official: Sequence[int], dataset: str
) -> tuple[int, ...]:
    """Returns the sizes to expect of a file: the official ones unless a user gives others.

    Raises:
        ValueError: if there are not as many as official ones, or one is not positive.
    """
    if factor_sizes is None:
        return tuple(official)
    if len(factor_sizes) != len(official) or min(factor_sizes) < 1:
        raise ValueError(
            f"dataset.factor_sizes = {tuple(factor_sizes)}: expected {len(official)} positive "
            f"sizes; {dataset} has {tuple(official)}, and only an excerpt of it needs others"
        )
    return tuple(factor_sizes)
