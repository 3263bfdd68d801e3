"""Noise in place of data, to try things out: disentanglement_lib's dummy data sets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.drawing import DrawnData
from srvae_plugin.data.sampling.seeds import Seed, stream_of

__all__ = ["DummyData", "IdentityObservationsData"]


class DummyData(DrawnData):
    """Images of uniform noise, 64x64x1, whatever the factors: ten of them, five values each.

    Draws are disentanglement_lib's: all factors at once, then all pixels at once. Nothing is kept;
    beside the observations asked for, 16 MB are needed to draw them.

    Example:
        >>> factors, observations = DummyData().sample(3, np.random.RandomState(0))
        >>> factors.shape, observations.shape
        ((3, 10), (3, 64, 64, 1))
    """

    _SIZES: tuple[int, ...] = (5,) * 10
    _SHAPE: tuple[int, ...] = (64, 64, 1)
    _CHUNK = 512

    @property
    def num_factors(self) -> int:
        """Number of factors."""
        return len(self._SIZES)

    @property
    def factors_num_values(self) -> list[int]:
        """Number of values of each factor."""
        return list(self._SIZES)

    @property
    def factor_names(self) -> list[str]:
        """Name of each factor."""
        return [f"factor {i}" for i in range(self.num_factors)]

    @property
    def observation_shape(self) -> list[int]:
        """Shape of one observation."""
        return list(self._SHAPE)

    def sample_factors(self, num: int, random_state: Seed) -> NDArray[np.int64]:
        """Draws ``num`` rows of factors, int64 of shape (num, num_factors)."""
        return stream_of(random_state).randint(5, size=(num, self.num_factors), dtype=np.int64)

    def sample_observations_from_factors(
        self, factors: NDArray[np.integer[Any]], random_state: Seed
    ) -> NDArray[np.float32]:
        """Draws one image of noise for each row of factors: float32 (num, 64, 64, 1) in [0, 1].

        Raises:
            ValueError: if the factors have another shape or a value that does not exist.
        """
        factors = self._checked(factors)
        observations = np.empty((len(factors), *self._SHAPE), np.float32)
        stream = stream_of(random_state)
        for start in range(0, len(factors), self._CHUNK):
            part = observations[start : start + self._CHUNK]
            part[:] = stream.random_sample(size=part.shape)
        return observations

    def _checked(self, factors: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        factors = np.asarray(factors)
        if factors.ndim != 2 or factors.shape[1] != self.num_factors:
            raise ValueError(
                f"factors: got shape {factors.shape}; expected (num, {self.num_factors})"
            )
        wrong = (factors < 0) | (factors >= np.array(self._SIZES))
        if factors.dtype.kind not in "iu" or wrong.any():
            raise ValueError(
                f"factors: got {factors.dtype} from {factors.min()} to {factors.max()}; expected "
                f"integers below {self._SIZES}"
            )
        return factors


class IdentityObservationsData(DummyData):
    """Rows of ten random integers from 1 to 10 that are factors and observation at once.

    Its observations are no images: it serves to try a metric, with a representation function that
    takes rows of numbers. Draws are disentanglement_lib's. Its `factors_num_values` of 1 for each
    factor are not: here they are 11, since the values, 0 included, go up to 10.

    Example:
        >>> factors, rows = IdentityObservationsData().sample(3, np.random.RandomState(0))
        >>> np.array_equal(factors, rows)
        True
    """

    _SIZES = (11,) * 10
    _SHAPE = (10,)

    def sample_factors(self, num: int, random_state: Seed) -> NDArray[np.int64]:
        """Draws ``num`` rows of integers from 1 to 10, int64 of shape (num, 10)."""
        return stream_of(random_state).randint(1, 11, size=(num, self.num_factors), dtype=np.int64)

    def sample_observations_from_factors(
        self, factors: NDArray[np.integer[Any]], random_state: Seed
    ) -> NDArray[np.float32]:
        """Returns the factors as float32, shape (num, 10); draws nothing."""
        return self._checked(factors).astype(np.float32)
