"""Observations that somebody else has encoded: a table of factors, one row an observation."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import draw_factors

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
        held_out: how many rows, the last ones, serve only to test on.

    Raises:
        ValueError: if the table has another shape or type, or is empty.
    """

    def __init__(
        self,
        factors: NDArray[Any],
        factor_names: list[str] | None = None,
        held_out: int = 0,
    ) -> None:
        if factors.ndim != 2 or factors.size == 0 or factors.dtype.kind not in "iufb":
            raise ValueError(
                f"factors: got {factors.dtype} of shape {factors.shape}; expected numbers of shape "
                "(observation, factor)"
            )
        if not np.isfinite(factors).all():
            raise ValueError("factors: got NaN or inf; expected finite numbers")
        if not 0 <= held_out < len(factors):
            raise ValueError(
                f"held_out: got {held_out}; expected 0 to {len(factors) - 1}, less than all rows"
            )
        self.factor_names = factor_names or [f"factor {i}" for i in range(factors.shape[1])]
        columns = [_renumbered(column) for column in factors.T]
        self.factors = np.stack(columns, axis=1)
        self.factors_num_values = [len(np.unique(column)) for column in columns]
        self._num_drawn = len(factors) - held_out
        distinct, cells = np.unique(self.factors[: self._num_drawn], axis=0, return_inverse=True)
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
        """Number of rows, held out ones included."""
        return len(self.factors)

    @property
    def observation_shape(self) -> list[int]:
        """An observation is its row number: (1, 1, 1)."""
        return [1, 1, 1]

    def sample_factors(self, num: int, random_state: np.random.RandomState) -> NDArray[Any]:
        """Draw (num, factor) factors: each uniformly on a grid, random rows otherwise."""
        if not self.is_grid or self.factors.dtype.kind == "f":
            return self.factors[random_state.randint(self._num_drawn, size=num)]
        return draw_factors(self.factors_num_values, num, random_state)

    def split_rows(
        self, num_points: dict[str, int], random_state: np.random.RandomState
    ) -> list[NDArray[np.int64]] | None:
        """Draw row numbers for samples of these sizes so that no two samples share a row.

        None for a grid with over ten times as many rows: drawing with replacement, as the original
        does, then hardly repeats a row. If there are too few rows the samples shrink in
        proportion, with a log line. Of a table with rows held out, the samples whose names begin
        with "num_test" are of these rows, and all others of the rest.
        """
        counts = list(num_points.values())
        if self._num_drawn == self.num_observations:
            if self.is_grid and self.num_observations > 10 * sum(counts):
                return None
            return _disjoint(self.num_observations, counts, random_state)
        tests = np.array([name.startswith("num_test") for name in num_points])
        rows: dict[int, NDArray[np.int64]] = {}
        for part, first, end in (
            (np.flatnonzero(~tests), 0, self._num_drawn),
            (np.flatnonzero(tests), self._num_drawn, self.num_observations),
        ):
            drawn = _disjoint(end - first, [counts[i] for i in part], random_state)
            rows.update(zip(part.tolist(), (first + each for each in drawn), strict=True))
        return [rows[i] for i in range(len(counts))]

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

    def sample_indices(self, num: int, random_state: np.random.RandomState) -> NDArray[np.int64]:
        """Draw the row numbers of what `sample_observations` would draw."""
        return self.observation_indices(self.sample_factors(num, random_state), random_state)

    def observations_at(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Observations of these rows: the row numbers as (num, 1, 1, 1) float32."""
        return indices.astype(np.float32)[:, None, None, None]

    def factors_at(self, indices: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Factors (num, factor) of these rows."""
        return self.factors[indices]

    def sample_observations_from_factors(
        self, factors: NDArray[Any], random_state: np.random.RandomState
    ) -> NDArray[np.float32]:
        """Draw one observation for each row of factors.

        Raises:
            ValueError: if no observation has them.
        """
        return self.observations_at(self.observation_indices(factors, random_state))

    def sample(
        self, num: int, random_state: np.random.RandomState
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Draw factors, then observations."""
        factors = self.sample_factors(num, random_state)
        return factors, self.sample_observations_from_factors(factors, random_state)

    def sample_observations(
        self, num: int, random_state: np.random.RandomState
    ) -> NDArray[np.float32]:
        """Draw observations."""
        return self.sample(num, random_state)[1]


def _disjoint(
    num_rows: int, counts: list[int], random_state: np.random.RandomState
) -> list[NDArray[np.int64]]:
    """Random rows below `num_rows`, in samples of these sizes or in proportion to them."""
    if num_rows < len(counts):
        raise ValueError(
            f"factors: got {num_rows} rows to draw {len(counts)} samples of {counts} points from; "
            "expected at least one for each sample: add observations"
        )
    total = sum(counts)
    if total > num_rows:
        counts = [max(1, count * num_rows // total) for count in counts]
        _log.warning(
            "the table has %d rows, %d points were asked for: using %s",
            num_rows, total, " + ".join(map(str, counts)),
        )  # fmt: skip
    return np.split(random_state.permutation(num_rows), np.cumsum(counts))[:-1]


def _renumbered(column: NDArray[Any]) -> NDArray[Any]:
    if column.dtype.kind == "f":
        return column
    return np.unique(column, return_inverse=True)[1].astype(np.int64)
