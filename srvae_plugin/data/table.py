"""Observations that somebody else has encoded: a table of factors, one row an observation."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger("srvae_plugin")


class FactorTable:
    """Ground-truth data whose observations are known by their row number only.

    It serves to score codes that are given as a table. Factors of an integer type are renumbered
    to 0 .. size - 1 in ascending order; floating point ones keep their values.

    If every combination of values occurs, random factors are drawn as from a grid, factor by
    factor; if not, random rows are drawn, and a metric that asks for a combination that does not
    occur (FactorVAE's and beta-VAE's scores hold one factor fixed and draw the others) is told so.
    Samples to train and to test on share no row, see `split_rows`.

    Args:
        factors: (observation, factor) numbers.
        factor_names: one for each factor; "factor 0" and so on by default.

    Raises:
        ValueError: if the table has another shape or type, or is empty.
    """

    def __init__(self, factors: NDArray[Any], factor_names: list[str] | None = None) -> None:
        if factors.ndim != 2 or factors.size == 0 or factors.dtype.kind not in "iufb":
            raise ValueError(
                f"factors: got {factors.dtype} of shape {factors.shape}; expected numbers of shape "
                "(observation, factor)"
            )
        if not np.isfinite(factors).all():
            raise ValueError("factors: got NaN or inf; expected finite numbers")
        self.factor_names = factor_names or [f"factor {i}" for i in range(factors.shape[1])]
        columns = [_renumbered(column) for column in factors.T]
        self.factors = np.stack(columns, axis=1)
        self.factors_num_values = [len(np.unique(column)) for column in columns]
        distinct, cells = np.unique(self.factors, axis=0, return_inverse=True)
        self.is_grid = len(distinct) == np.prod(self.factors_num_values, dtype=object)
        self._cell_of = {row.tobytes(): cell for cell, row in enumerate(distinct)}
        order = np.argsort(cells, kind="stable")
        self._rows_of_cell = np.split(order, np.cumsum(np.bincount(cells))[:-1])
        self._first = np.array([rows[0] for rows in self._rows_of_cell])
        self._repeats = len(self._first) < len(order)

    @property
    def num_factors(self) -> int:
        """Number of factors."""
        return self.factors.shape[1]

    @property
    def num_observations(self) -> int:
        """Number of rows."""
        return len(self.factors)

    @property
    def observation_shape(self) -> list[int]:
        """An observation is its row number: (1, 1, 1)."""
        return [1, 1, 1]

    def sample_factors(self, num: int, random_state: np.random.RandomState) -> NDArray[Any]:
        """Draw (num, factor) factors: each uniformly on a grid, random rows otherwise."""
        if not self.is_grid or self.factors.dtype.kind == "f":
            return self.factors[random_state.randint(self.num_observations, size=num)]
        columns = [random_state.randint(size, size=num) for size in self.factors_num_values]
        return np.stack(columns, axis=1)

    def split_rows(
        self, counts: list[int], random_state: np.random.RandomState
    ) -> list[NDArray[np.int64]] | None:
        """Draw row numbers for samples of these sizes so that no two samples share a row.

        None for a grid with over ten times as many rows: drawing with replacement, as the original
        does, then hardly repeats a row. If there are too few rows the samples shrink in
        proportion, with a log line.
        """
        total = sum(counts)
        if self.is_grid and self.num_observations > 10 * total:
            return None
        if total > self.num_observations:
            counts = [max(1, count * self.num_observations // total) for count in counts]
            _log.warning(
                "the table has %d rows, %d points were asked for: using %s",
                self.num_observations, total, " + ".join(map(str, counts)),
            )  # fmt: skip
        order = random_state.permutation(self.num_observations)
        return np.split(order, np.cumsum(counts))[:-1]

    def observation_indices(
        self, factors: NDArray[Any], random_state: np.random.RandomState
    ) -> NDArray[np.int64]:
        """Draw a row number for each row of factors, among those that have these factors.

        Raises:
            ValueError: if no observation has them.
        """
        wanted = np.ascontiguousarray(factors, dtype=self.factors.dtype)
        cells = [self._cell_of.get(row.tobytes(), -1) for row in wanted]
        if -1 in cells:
            raise ValueError(
                f"no observation has the factors {wanted[cells.index(-1)].tolist()}: this metric "
                "holds factors fixed and needs every combination of values, which the table does "
                "not have; leave the metric out"
            )
        if not self._repeats:
            return self._first[cells]
        return np.array([random_state.choice(self._rows_of_cell[cell]) for cell in cells])

    def sample_observations_from_factors(
        self, factors: NDArray[Any], random_state: np.random.RandomState
    ) -> NDArray[np.float32]:
        """Row numbers as (num, 1, 1, 1) float32."""
        indices = self.observation_indices(factors, random_state)
        return indices.astype(np.float32)[:, None, None, None]

    def sample(
        self, num: int, random_state: np.random.RandomState
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Draw factors, then row numbers."""
        factors = self.sample_factors(num, random_state)
        return factors, self.sample_observations_from_factors(factors, random_state)

    def sample_observations(
        self, num: int, random_state: np.random.RandomState
    ) -> NDArray[np.float32]:
        """Draw row numbers."""
        return self.sample(num, random_state)[1]


def _renumbered(column: NDArray[Any]) -> NDArray[Any]:
    if column.dtype.kind == "f":
        return column
    return np.unique(column, return_inverse=True)[1].astype(np.int64)
