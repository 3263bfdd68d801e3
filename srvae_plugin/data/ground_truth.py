"""What a data set with known factors offers, and the base of those that are finite grids.

Names, argument order, array layout and the order of random draws are disentanglement_lib's
(Locatello et al., 2019), so that a data set written for either works in both and one seed gives the
same samples in both.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.drawing import IndexedData
from srvae_plugin.data.sampling.seeds import Seed, stream_of

__all__ = [
    "FactorGrid",
    "GroundTruthData",
    "continuous_factors",
    "draw_factors",
    "names_of",
    "unordered_factors",
]


@runtime_checkable
class GroundTruthData(Protocol):
    """A data set made of factors of variation and the observations they cause.

    Factors are int64 of shape (num, num_factors), factor ``i`` in ``range(factors_num_values[i])``.
    Observations are float32 of shape (num, height, width, channel) in [0, 1].
    """

    @property
    def num_factors(self) -> int:
        """Number of ground-truth factors."""

    @property
    def factors_num_values(self) -> list[int]:
        """Number of values of each ground-truth factor."""

    @property
    def observation_shape(self) -> Sequence[int]:
        """Height, width and channels of one observation."""

    def sample_factors(self, num: int, random_state: np.random.RandomState) -> NDArray[np.int64]:
        """Draws ``num`` rows of factors."""

    def sample_observations_from_factors(
        self, factors: NDArray[np.int64], random_state: np.random.RandomState
    ) -> NDArray[np.float32]:
        """Draws one observation for each row of factors."""

    def sample(
        self, num: int, random_state: np.random.RandomState
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Draws ``num`` rows of factors, then their observations."""

    def sample_observations(
        self, num: int, random_state: np.random.RandomState
    ) -> NDArray[np.float32]:
        """Draws ``num`` observations."""


def draw_factors(sizes: Sequence[int], num: int, random_state: Seed) -> NDArray[np.int64]:
    """Draws int64 of shape (num, len(sizes)), column ``i`` in ``range(sizes[i])``.

    The same numbers from the same stream as one ``randint(size, size=num)`` after the other, in a
    single call.

    Example:
        >>> drawn = draw_factors([3, 9], 4, np.random.RandomState(0))
        >>> stream = np.random.RandomState(0)
        >>> [np.array_equal(column, stream.randint(size, size=4))
        ...  for column, size in zip(drawn.T, (3, 9))]
        [True, True]
    """
    highs = np.array(sizes).reshape(-1, 1)
    columns = stream_of(random_state).randint(highs, size=(len(highs), num))
    return columns.T.astype(np.int64, order="C")


def continuous_factors(data: Any) -> NDArray[np.bool_]:
    """(factor,) which factors of a data set are continuous: none, if it does not say."""
    kinds = getattr(data, "factor_kinds", None)
    if kinds is None:
        return np.zeros(data.num_factors, dtype=bool)
    return np.array([kind == "continuous" for kind in kinds], dtype=bool)


def unordered_factors(data: Any) -> NDArray[np.bool_]:
    """(factor,) which factors of a data set are classes that are known to have no order."""
    unordered = np.zeros(data.num_factors, dtype=bool)
    unordered[list(getattr(data, "unordered_factors", ()))] = True
    return unordered


def names_of(data: Any) -> list[str]:
    """Names of a data set's factors; "factor 0" and so on if it has none.

    Example:
        >>> from types import SimpleNamespace
        >>> names_of(SimpleNamespace(num_factors=2))
        ['factor 0', 'factor 1']
    """
    names = getattr(data, "factor_names", None)
    return list(names) if names else [f"factor {k}" for k in range(data.num_factors)]


class FactorGrid(IndexedData):
    """A finite data set: each combination of all its factors has exactly one observation.

    Some of the factors are the ground truth; the others are drawn at random whenever an observation
    is made. Observation ``i`` is the i-th combination with the last factor varying fastest. A
    representation can therefore be computed once per index and looked up from then on:
    ``observation_indices`` draws what ``sample_observations_from_factors`` would draw.

    A subclass implements ``_load_observations``.

    Args:
        factor_sizes: number of values of every factor.
        factor_names: name of every factor.
        observation_shape: height, width and channels.
        latent_factor_indices: which factors are the ground truth, in the order in which they are
            to appear; all of them by default.

    Raises:
        ValueError: if the arguments do not describe a grid.
    """

    def __init__(
        self,
        factor_sizes: Sequence[int],
        factor_names: Sequence[str],
        observation_shape: Sequence[int],
        latent_factor_indices: Sequence[int] | None = None,
    ) -> None:
        self.factor_sizes = [int(size) for size in factor_sizes]
        everything = range(len(self.factor_sizes))
        if len(factor_names) != len(everything) or min(self.factor_sizes, default=0) < 1:
            raise ValueError(
                f"factor_sizes: got {list(factor_sizes)} for factor_names {list(factor_names)}; "
                "expected one positive size for each name"
            )
        chosen = list(everything if latent_factor_indices is None else latent_factor_indices)
        if not chosen or len(set(chosen)) != len(chosen) or not set(chosen) <= set(everything):
            raise ValueError(
                f"latent_factor_indices: got {chosen}; expected at least one of "
                f"{list(everything)}, none of them twice"
            )
        self.latent_factor_indices = [int(i) for i in chosen]
        self._remaining = [i for i in everything if i not in chosen]
        self._factor_names = list(factor_names)
        self._observation_shape = [int(side) for side in observation_shape]

    @property
    def num_factors(self) -> int:
        """Number of ground-truth factors."""
        return len(self.latent_factor_indices)

    @property
    def factors_num_values(self) -> list[int]:
        """Number of values of each ground-truth factor."""
        return [self.factor_sizes[i] for i in self.latent_factor_indices]

    @property
    def factor_names(self) -> list[str]:
        """Name of each ground-truth factor."""
        return [self._factor_names[i] for i in self.latent_factor_indices]

    @property
    def observation_shape(self) -> list[int]:
        """Height, width and channels of one observation."""
        return list(self._observation_shape)

    @property
    def num_observations(self) -> int:
        """Number of distinct indices: the product of all factor sizes."""
        return math.prod(self.factor_sizes)

    @property
    def draws_factors_alone(self) -> bool:
        """Whether all that is ever drawn is factors, by `draw_factors`, none for an observation."""
        mine = type(self).sample_factors, type(self).observation_indices
        return not self._remaining and mine == (
            FactorGrid.sample_factors,
            FactorGrid.observation_indices,
        )

    def sample_factors(self, num: int, random_state: np.random.RandomState) -> NDArray[np.int64]:
        """Draws the ground-truth factors uniformly, one factor after the other.

        Returns:
            int64 of shape (num, num_factors).
        """
        return draw_factors(self.factors_num_values, num, random_state)

    def observation_indices(
        self, factors: NDArray[np.integer[Any]], random_state: np.random.RandomState
    ) -> NDArray[np.int64]:
        """Draws the index of one observation for each row of ground-truth factors.

        Args:
            factors: integers of shape (num, num_factors).
            random_state: advanced exactly as ``sample_observations_from_factors`` advances it.

        Returns:
            int64 of shape (num,), in ``range(num_observations)``.

        Raises:
            ValueError: if the factors have another shape or type, or a value does not exist.
        """
        factors = self._checked_factors(factors)
        columns: list[NDArray[np.integer[Any]]] = [np.empty(0, np.int64)] * len(self.factor_sizes)
        for column, i in enumerate(self.latent_factor_indices):
            columns[i] = factors[:, column]
        for i in self._remaining:
            columns[i] = random_state.randint(self.factor_sizes[i], size=len(factors))
        try:
            return np.asarray(np.ravel_multi_index(tuple(columns), self.factor_sizes), np.int64)
        except ValueError:
            self._refuse_values(factors)
            raise

    def observations_at(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Returns the observations of given indices.

        Args:
            indices: integers of shape (num,), in ``range(num_observations)``.

        Returns:
            float32 of shape (num, height, width, channel) in [0, 1].

        Raises:
            ValueError: if the indices have another shape or type, or one does not exist.
        """
        return self._load_observations(self._checked_indices(indices))

    def factors_at(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Returns the ground-truth factors of given indices, int64 of shape (num, num_factors).

        Raises:
            ValueError: as in ``observations_at``.
        """
        columns = np.unravel_index(self._checked_indices(indices), self.factor_sizes)
        return np.stack([columns[i] for i in self.latent_factor_indices], axis=1).astype(np.int64)

    @abstractmethod
    def _load_observations(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the observations of indices that have been checked."""

    def _checked_factors(self, factors: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        factors = np.asarray(factors)
        if factors.ndim != 2 or factors.shape[1] != self.num_factors:
            raise ValueError(
                f"factors: got shape {factors.shape}; expected (num, {self.num_factors}), one "
                f"column for each of {self.factor_names}; a single row needs factors[None, :]"
            )
        if factors.dtype.kind not in "iu":
            raise ValueError(
                f"factors: got dtype {factors.dtype}; expected integers; convert with "
                "factors.astype(numpy.int64) if the values are whole numbers"
            )
        return factors

    def _refuse_values(self, factors: NDArray[np.integer[Any]]) -> None:
        wrong = np.argwhere((factors < 0) | (factors >= np.array(self.factors_num_values)))
        for row, column in wrong[:1]:
            raise ValueError(
                f"factors: got {factors[row, column]} in row {row} for factor {column} "
                f"({self.factor_names[column]!r}); expected 0 to "
                f"{self.factors_num_values[column] - 1}; factors are counted from 0"
            )

    def _checked_indices(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        indices = np.asarray(indices)
        if indices.ndim != 1 or indices.dtype.kind not in "iu":
            raise ValueError(
                f"indices: got {indices.dtype} of shape {indices.shape}; expected integers of "
                "shape (num,); use observation_indices to get them from factors"
            )
        outside = indices[(indices < 0) | (indices >= self.num_observations)]
        if len(outside):
            raise ValueError(
                f"indices: got {outside[0]}; expected 0 to {self.num_observations - 1}; "
                "indices are counted from 0 and do not wrap around"
            )
        return indices.astype(np.int64, copy=False)
