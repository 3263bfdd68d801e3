"""Data sets of images whose factors of variation nobody knows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.drawing import IndexedData
from srvae_plugin.data.sampling.seeds import Seed, stream_of
from srvae_plugin.data.storage.byte_table import ByteTable
from srvae_plugin.data.storage.mapped_images import StoredImages

__all__ = ["ImagesOnly", "RowNumbers"]


class ImagesOnly(IndexedData):
    """Images without factors: to train on, to reconstruct and to traverse, never to score.

    It has disentanglement_lib's interface with no factors: rows of factors have length 0, and the
    observation of such a row is any image, drawn uniformly with replacement.

    Args:
        images: the images, for example
            :class:`srvae_plugin.data.storage.mapped_images.MappedImages`.
        name: what error messages call the data set.
        source: the file or folder that the images come from.
    """

    def __init__(self, images: StoredImages, name: str, source: str = "") -> None:
        self._images = images
        self.name = name
        self.source = source
        self.held_out_data: ImagesOnly | None = None
        """Images to score on, if some are held out: not among these."""

    @property
    def num_factors(self) -> int:
        """Number of ground-truth factors: 0."""
        return 0

    @property
    def factors_num_values(self) -> list[int]:
        """Number of values of each factor: an empty list."""
        return []

    @property
    def factor_names(self) -> list[str]:
        """Name of each factor: an empty list."""
        return []

    @property
    def observation_shape(self) -> list[int]:
        """Height, width and channels of one observation."""
        return list(self._images.image_shape)

    @property
    def num_observations(self) -> int:
        """Number of images."""
        return len(self._images)

    def sample_factors(self, num: int, random_state: np.random.RandomState) -> NDArray[np.int64]:
        """Returns ``num`` empty rows, shape (num, 0); draws nothing."""
        return np.empty((num, 0), dtype=np.int64)

    def observation_indices(
        self, factors: NDArray[np.int64], random_state: np.random.RandomState
    ) -> NDArray[np.int64]:
        """Draws the index of one image for each (empty) row.

        Raises:
            ValueError: if the rows are not empty.
        """
        factors = np.asarray(factors)
        if factors.ndim != 2 or factors.shape[1]:
            raise ValueError(
                f"factors: got shape {factors.shape}; {self.name} has no factors: expected (num, 0)"
            )
        return self.sample_indices(len(factors), random_state)

    def sample_indices(self, num: int, random_state: Seed) -> NDArray[np.int64]:
        """Draws the indices of ``num`` images, uniformly with replacement."""
        return np.asarray(stream_of(random_state).randint(len(self._images), size=num), np.int64)

    def observations_at(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Images of these indices: float32 (num, height, width, channel) in [0, 1]."""
        return self._images.at(indices)

    def factors_at(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Empty rows, (num, 0)."""
        return np.empty((len(indices), 0), dtype=np.int64)

    def byte_table(self) -> ByteTable | None:
        """All images as they are stored; None if they are made when asked for."""
        stored = getattr(self._images, "byte_table", None)
        return None if stored is None else stored()


class RowNumbers:
    """Numbers of rows in place of images, for codes of which nothing else is known."""

    def __init__(self, num: int) -> None:
        self._num = num

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(1, 1, 1)."""
        return 1, 1, 1

    def __len__(self) -> int:
        return self._num

    def at(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """The row numbers as (num, 1, 1, 1) float32."""
        return indices.astype(np.float32)[:, None, None, None]
