"""A grid of factors some of whose combinations are drawn more often than others, or never."""

from __future__ import annotations

import copy
import hashlib
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.drawing import IndexedData
from srvae_plugin.data.ground_truth import FactorGrid
from srvae_plugin.data.sampling.combinations import Rule, left_out, pair_weights, read_rule
from srvae_plugin.data.sampling.seeds import stream_of
from srvae_plugin.data.storage.byte_table import ByteTable, byte_table_of

__all__ = ["ConstrainedGrid", "constrained"]


class ConstrainedGrid(IndexedData):
    """A grid whose combinations of ground-truth factors are drawn by their weights.

    A model is trained on this, and scored on the whole grid, uniformly drawn: `held_out_data`. Its
    attribute `parts` has this data set and the combinations that are left out here, each drawn by
    itself.

    Args:
        grid: the whole grid.
        weights: of every combination, at least 0, shaped like `factors_num_values`.

    Raises:
        ValueError: no combination is left.

    Attributes:
        held_out_data: what to score on.
    """

    def __init__(self, grid: FactorGrid, weights: NDArray[np.float64]) -> None:
        if not weights.any():
            raise ValueError(
                "dataset.constraints: every combination of the factors is left out: expected some "
                "to train on"
            )
        self.grid, self.weights = grid, weights / weights.max()
        self._cumulative = np.cumsum(self.weights)
        whole: Any = copy.copy(grid)
        whole.parts = (self, self._left_out())
        self.held_out_data = whole

    def _left_out(self) -> ConstrainedGrid | None:
        out = self.weights == 0
        if not out.any():
            return None
        other = copy.copy(self)
        other.weights, other._cumulative = out.astype(float), np.cumsum(out.astype(float))
        return other

    @property
    def num_factors(self) -> int:
        """Number of ground-truth factors."""
        return self.grid.num_factors

    @property
    def factors_num_values(self) -> list[int]:
        """Number of values of each ground-truth factor."""
        return self.grid.factors_num_values

    @property
    def factor_names(self) -> list[str]:
        """Name of each ground-truth factor."""
        return self.grid.factor_names

    @property
    def observation_shape(self) -> list[int]:
        """Height, width and channels of one observation."""
        return self.grid.observation_shape

    @property
    def num_observations(self) -> int:
        """Number of observations of the whole grid."""
        return self.grid.num_observations

    @property
    def source(self) -> Any:
        """Where the grid's observations come from."""
        return getattr(self.grid, "source", None)

    @cached_property
    def content_digest(self) -> str:
        """Of the grid's observations and the weights."""
        from srvae_plugin.data.storage.digest import digest_of

        weights = hashlib.sha256(np.ascontiguousarray(self.weights).tobytes()).hexdigest()
        return hashlib.sha256(f"{digest_of(self.grid)}|{weights}".encode()).hexdigest()

    def sample_factors(self, num: int, random_state: np.random.RandomState) -> NDArray[np.int64]:
        """Draws ``num`` combinations by their weights: int64 of shape (num, num_factors)."""
        drawn = stream_of(random_state).random_sample(num) * self._cumulative[-1]
        # What rounds up to the sum would be beyond the last combination that there is.
        last = int(np.searchsorted(self._cumulative, self._cumulative[-1]))
        cells = np.minimum(np.searchsorted(self._cumulative, drawn, side="right"), last)
        columns = np.unravel_index(cells, self.factors_num_values)
        return np.stack(columns, axis=1).astype(np.int64)

    def weights_of(self, factors: NDArray[np.int64]) -> NDArray[np.float64]:
        """(num,) weights of combinations, the largest of all being 1."""
        return self.weights[tuple(factors.T)]

    def observation_indices(
        self, factors: NDArray[np.integer[Any]], random_state: np.random.RandomState
    ) -> NDArray[np.int64]:
        """As of the whole grid."""
        return self.grid.observation_indices(factors, random_state)

    def observations_at(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """As of the whole grid."""
        return self.grid.observations_at(indices)

    def factors_at(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """As of the whole grid."""
        return self.grid.factors_at(indices)

    def byte_table(self) -> ByteTable | None:
        """The grid's, if it has one."""
        return byte_table_of(self.grid)


def constrained(
    data: Any,
    correlations: Rule | None = None,
    constraints: Rule | None = None,
    seed: int = 0,
) -> ConstrainedGrid:
    """Correlate the factors of a grid, or leave combinations of them out.

    Args:
        data: a grid.
        correlations: {"shape, scale": 0.1}, the smaller the number the closer the two; or
            "file.yaml:entry"; see `combinations.pair_weights`.
        constraints: {"shape": ["==", 1.0], "position x": [">=", 0.5]} leaves out what fits all of
            it; or "file.yaml:entry"; see `combinations.left_out`.
        seed: of what the rules leave to chance.

    Raises:
        ValueError: the data set is no grid, or a rule cannot be used.

    Example:
        >>> from srvae_plugin.data.ground_truth import FactorGrid
        >>> class Grid(FactorGrid):
        ...     def _load_observations(self, indices):
        ...         return np.zeros((len(indices), 1, 1, 1), np.float32)
        >>> data = constrained(Grid([2, 3], ["a", "b"], (1, 1, 1)), constraints={"a": ["==", 1]})
        >>> data.sample_factors(100, np.random.RandomState(0))[:, 0].any()
        np.False_
    """
    if not isinstance(data, FactorGrid):
        raise ValueError(
            f"dataset.correlations, dataset.constraints: {type(data).__name__} is not a grid of "
            "factors, so single combinations cannot be drawn"
        )
    names, sizes = data.factor_names, data.factors_num_values
    weights = np.ones(sizes)
    if correlations is not None:
        weights = pair_weights(read_rule(correlations, "correlations"), names, sizes, seed)
    if constraints is not None:
        out = left_out(read_rule(constraints, "constraints"), names, sizes, seed)
        weights = np.where(out, 0.0, weights)
    return ConstrainedGrid(data, weights)
