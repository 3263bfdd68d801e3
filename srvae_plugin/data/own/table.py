"""Observations that somebody else has encoded: a table of factors, one row per observation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.drawing import IndexedData
from srvae_plugin.data.ground_truth import draw_factors
from srvae_plugin.data.own.factor_kinds import FactorKinds, as_kinds, encoded
from srvae_plugin.data.own.table_rows import Content, TableRows
from srvae_plugin.data.sampling.seeds import Seed, stream_of

__all__ = ["FactorTable"]


class FactorTable(IndexedData):
    """Ground-truth data whose observations are known by their row number only.

    It serves to score codes that are given as a table. Classes are renumbered to 0 .. size - 1 in
    ascending order; continuous factors keep their values.

    Random factors are those of random rows, so that what goes together in the table goes together
    in what is drawn. Only on a full grid, on which each combination of values occurs equally often,
    are they drawn factor by factor: the same distribution, with the random numbers of a data set
    that is a grid by construction. Samples to train and to test on share no row, see
    :class:`srvae_plugin.data.own.table_rows.TableRows`. Metrics that hold a factor fixed draw, with
    replacement, among the rows that share its value, the other factors as these rows have them.

    Args:
        factors: (observation, factor) numbers.
        factor_names: one for each factor; "factor 0" and so on by default.
        held_out: how many rows, the last ones, serve only to test on.
        factor_kinds: "class" or "continuous" for each factor. By default whole numbers are classes,
            whatever their type, and others continuous.

    Raises:
        ValueError: if the table has another shape or type, or is empty.

    Example:
        >>> table = FactorTable(np.array([[10, 0.5], [30, 0.25], [10, 0.5]]), ["size", "angle"])
        >>> table.factor_kinds, table.factors_num_values, table.is_grid
        (['class', 'continuous'], [2, 2], False)
        >>> table.factors_at(np.array([1]))
        array([[1.  , 0.25]])
    """

    def __init__(
        self,
        factors: NDArray[Any],
        factor_names: list[str] | None = None,
        held_out: int = 0,
        factor_kinds: FactorKinds | Sequence[str] | None = None,
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
        kinds = as_kinds(factor_kinds, factors, self.factor_names)
        self.factor_kinds = list(kinds.kinds)
        self.factor_labels = dict(kinds.labels)
        self.unordered_factors = kinds.unordered
        self.held_out_data: FactorTable | None = None
        """Rows to score on, none of which are here, if a share of a file is held out."""
        self.factors = encoded(factors, kinds)
        self.factors_num_values = [len(np.unique(column)) for column in self.factors.T]
        self._num_drawn = len(factors) - held_out
        drawn = self.factors[: self._num_drawn]
        distinct, cells = np.unique(drawn, axis=0, return_inverse=True)
        cells = cells.reshape(-1)
        per_cell = np.bincount(cells)
        every_cell = len(distinct) == np.prod(self.factors_num_values, dtype=object)
        self.is_grid = bool(every_cell and (per_cell == per_cell[0]).all())
        self._cell_of = {row.tobytes(): cell for cell, row in enumerate(distinct)}
        order = np.argsort(cells, kind="stable")
        self._rows_of_cell = np.split(order, np.cumsum(per_cell)[:-1])
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

    @cached_property
    def table_rows(self) -> TableRows:
        """The rows as metrics draw them."""
        return self.rows_by_content(self._content())

    def rows_by_content(self, content: Content | None) -> TableRows:
        """The rows as metrics draw them, where `content` tells observations apart."""
        return TableRows(self.factors, self.num_observations - self._num_drawn, content)

    def _content(self) -> Content | None:
        """What tells observations apart, if anything does: row numbers alone do not."""
        return None

    def sample_factors(self, num: int, random_state: Seed) -> NDArray[Any]:
        """Draw (num, factor) factors: of random rows, or each uniformly on a full grid."""
        if not self.is_grid:
            return self.factors[stream_of(random_state).randint(self._num_drawn, size=num)]
        classes = draw_factors(self.factors_num_values, num, random_state)
        columns = [
            np.unique(column)[chosen]
            for column, chosen in zip(self.factors.T, classes.T, strict=True)
        ]
        return np.stack(columns, axis=1)

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
                f"no observation has the factors {wanted[cells.index(-1)].tolist()}: the table is "
                "not a full grid, and this needs every combination of values; leave it "
                "out, or draw from the rows it has (sample)"
            )
        if not self._repeats:
            return self._first[cells]
        return np.array([random_state.choice(self._rows_of_cell[cell]) for cell in cells])

    def observations_at(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Observations of these rows: the row numbers as (num, 1, 1, 1) float32."""
        return indices.astype(np.float32)[:, None, None, None]

    def factors_at(self, indices: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Factors (num, factor) of these rows."""
        return self.factors[indices]
