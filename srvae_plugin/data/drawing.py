"""What data sets share: drawing observations, and access by index as a torch `Dataset` has it."""

from __future__ import annotations

import operator
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.sampling.seeds import Seed, stream_of

if TYPE_CHECKING:
    import torch

__all__ = ["DrawnData", "IndexedData"]


class DrawnData(ABC):
    """Observations are drawn by drawing factors first, in disentanglement_lib's order."""

    @abstractmethod
    def sample_factors(self, num: int, random_state: np.random.RandomState) -> NDArray[Any]:
        """Draw ``num`` rows of factors, shape (num, num_factors)."""

    @abstractmethod
    def sample_observations_from_factors(
        self, factors: NDArray[Any], random_state: np.random.RandomState
    ) -> NDArray[np.float32]:
        """Draw one observation for each row of factors: (num, height, width, channel)."""

    def sample(self, num: int, random_state: Seed) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Draw ``num`` rows of factors, then their observations."""
        stream = stream_of(random_state)
        factors = self.sample_factors(num, stream)
        return factors, self.sample_observations_from_factors(factors, stream)

    def sample_observations(self, num: int, random_state: Seed) -> NDArray[np.float32]:
        """Draw ``num`` observations: shape (num, height, width, channel)."""
        return self.sample(num, random_state)[1]

    def __repr__(self) -> str:
        data: Any = self  # some have attributes where others have properties
        shape = " x ".join(map(str, data.observation_shape))
        sizes = zip(data.factor_names, data.factors_num_values, strict=True)
        factors = ", ".join(f"{name} ({size})" for name, size in sizes)
        return f"<{type(self).__name__}: {self._count()}{shape}; factors: {factors or 'none'}>"

    def _count(self) -> str:
        return "observations of "


class IndexedData(DrawnData):
    """A finite data set: observations have numbers, and `data[i]` is one as torch takes it.

    It is a :class:`torch.utils.data.Dataset` as soon as torch is imported and a data set is made:
    that class becomes a base of this one then. Nothing here imports torch to say so, as scoring
    codes and reading reports do without it.

    Example:
        >>> from srvae_plugin.data.own.table import FactorTable
        >>> data = FactorTable(np.array([[0, 1], [1, 1], [2, 0]]), ["shape", "size"])
        >>> data
        <FactorTable: 3 observations of 1 x 1 x 1; factors: shape (3), size (2)>
        >>> image, factors = data[2]
        >>> len(data), tuple(image.shape), factors.tolist()
        (3, (1, 1, 1), [2, 0])
        >>> from torch.utils.data import Dataset
        >>> isinstance(FactorTable(np.array([[0], [1]])), Dataset)
        True
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make torch's `Dataset` a base of this class if torch is there."""
        _be_torchs()
        return super().__new__(cls)

    @abstractmethod
    def observation_indices(
        self, factors: NDArray[Any], random_state: np.random.RandomState
    ) -> NDArray[np.int64]:
        """Draw the index of one observation for each row of factors."""

    @abstractmethod
    def observations_at(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Observations of these indices: float32 (num, height, width, channel) in [0, 1]."""

    @abstractmethod
    def factors_at(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Factors (num, num_factors) of these indices."""

    def sample_indices(self, num: int, random_state: Seed) -> NDArray[np.int64]:
        """Draw the indices of the observations that ``sample_observations`` would draw: (num,)."""
        stream = stream_of(random_state)
        return self.observation_indices(self.sample_factors(num, stream), stream)

    def sample_observations_from_factors(
        self, factors: NDArray[Any], random_state: Seed
    ) -> NDArray[np.float32]:
        """Draw one observation for each row of factors: shape (num, height, width, channel).

        Raises:
            ValueError: as in ``observation_indices``.
        """
        return self.observations_at(self.observation_indices(factors, stream_of(random_state)))

    def __len__(self) -> int:
        data: Any = self
        return int(data.num_observations)

    def __getitem__(self, index: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Image and factors of an index, or of several: a slice, a list or an array.

        Returns:
            Tensors: a float32 image in [0, 1] with the channels first, (channel, height, width),
            and its factors (num_factors,); of several indices with one axis more in front.

        Raises:
            IndexError: there is no such observation.
        """
        if isinstance(index, slice):
            return self._tensors(np.arange(*index.indices(len(self))))
        if np.ndim(index):
            indices = np.asarray(index)
            if indices.dtype == bool:
                indices = np.flatnonzero(indices) if len(indices) == len(self) else indices
            return self._tensors(self._from_the_front(indices))
        image, factors = self._tensors(self._from_the_front(np.array([operator.index(index)])))
        return image[0], factors[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """A batch for torch's `DataLoader`, its images made at once."""
        return list(zip(*self[list(indices)], strict=True))

    def _from_the_front(self, indices: NDArray[Any]) -> NDArray[np.int64]:
        """Count negative indices from the end."""
        if indices.ndim != 1 or indices.dtype.kind not in "iu":
            raise IndexError(
                f"got an index of type {indices.dtype} and shape {indices.shape}; expected a whole "
                "number, a slice, or a list of whole numbers"
            )
        outside = indices[(indices < -len(self)) | (indices >= len(self))]
        if len(outside):
            raise IndexError(f"index {outside[0]} is out of range for {len(self)} observations")
        return np.where(indices < 0, indices + len(self), indices).astype(np.int64)

    def _tensors(self, indices: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        import torch  # slow to import, and scoring codes does without

        _be_torchs()
        images = np.moveaxis(self.observations_at(indices), -1, 1)
        return (
            torch.from_numpy(np.ascontiguousarray(images)),
            torch.from_numpy(np.ascontiguousarray(self.factors_at(indices))),
        )

    def _count(self) -> str:
        return f"{len(self):,} observations of "


def _be_torchs() -> None:
    """Let `isinstance(data, torch.utils.data.Dataset)` hold for every data set with numbers."""
    module = sys.modules.get("torch.utils.data")
    kind = getattr(module, "Dataset", None)  # None while torch itself is being imported
    if kind is not None and kind not in IndexedData.__bases__:
        IndexedData.__bases__ = (*IndexedData.__bases__, kind)
