"""Codes of random observations, on the original's stream of random numbers.

disentanglement_lib draws factors, draws observations and encodes them batch by batch. A metric
here says which draws it wants, in the same order, and asks for all the codes at the end. What
happens in between depends on what it was given:

* a representation function with `codes_at(indices)` and `data`, made for this very data set, over
  data with `observation_indices`: no image is made. Each draw yields the indices of the
  observations it would have made, from the same random numbers, and one call encodes them all;
* anything else, a user's own data set or function: observations are made and encoded at once, in
  the original's batches.

Both give the same scores for the same codes.

Of a table that is no full grid (:class:`srvae_plugin.data.own.table.FactorTable`) rows are
drawn, never combinations of values.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData, draw_factors, names_of
from srvae_plugin.data.own.table_rows import FEWEST_ROWS, TableRows
from srvae_plugin.metrics.common.checks import check_codes, check_count, check_factors

__all__ = [
    "CodeDraws",
    "CodesAndFactors",
    "DrawnSamples",
    "RepresentationFunction",
    "ShareFactor",
    "check_sample",
    "draw_samples",
    "points_used",
    "sample_codes_and_factors",
    "shared_factors",
    "table_rows",
]

RepresentationFunction = Callable[[NDArray[np.float32]], Any]
"""(batch, height, width, channel) observations to (batch, latent) codes."""


ShareFactor = Callable[[NDArray[np.int64], NDArray[Any]], None]
"""(group,) factors to share, and (group, sample, batch, factor) factors to change in place."""

logger = logging.getLogger(__name__)

_GROUPS_AT_ONCE = 1000


class CodesAndFactors(NamedTuple):
    """A sample of points: their codes (points, latent) and factors (points, factor)."""

    codes: NDArray[Any]
    factors: NDArray[Any]


class DrawnSamples(list[CodesAndFactors]):
    """Samples, and how many points they have."""

    points: dict[str, int]
    """Of a table whose rows were drawn, for each setting such as `num_train` the number of points
    used under its own name, and the number asked for under `num_train_asked`; otherwise empty."""


class CodeDraws:
    """Draws of observations from one data set, and their codes in the order of the draws."""

    def __init__(
        self,
        ground_truth_data: GroundTruthData,
        representation_function: RepresentationFunction,
    ) -> None:
        self._data = ground_truth_data
        self._function = representation_function
        self._codes_at = _cached_codes(ground_truth_data, representation_function)
        self.rows = table_rows(ground_truth_data, representation_function)
        """How the rows of a table are drawn; None for other data."""
        # Indices of observations if codes are cached, codes if they are not.
        self._drawn: list[NDArray[Any]] = []

    def sample(
        self, num: int, random_state: np.random.RandomState, encode_batch: int | None = None
    ) -> NDArray[Any]:
        """Draw `num` random observations; their factors (num, factor).

        Observations are encoded `encode_batch` at a time, all at once if None.
        """
        if self.rows is not None:
            return self.observe_rows(self.rows.draw(num, random_state), encode_batch or num)
        if self._codes_at is None:
            factors, observations = self._data.sample(num, random_state)
            self._encode(observations, encode_batch or num)
        else:
            factors = self._data.sample_factors(num, random_state)
            self.observe(factors, random_state)
        return factors

    @property
    def draws_rows(self) -> bool:
        """Whether rows are drawn instead of combinations of values: of a table, no full grid."""
        return self.rows is not None and not self.rows.is_grid

    @cached_property
    def fixable(self) -> NDArray[np.int64]:
        """The factors that `sample_groups` holds fixed; of a table see `shared_factors`."""
        if self.rows is None or self.rows.is_grid:
            return np.arange(self._data.num_factors)
        return shared_factors(self.rows, names_of(self._data))

    def told_apart(self, metric: str) -> NDArray[np.int64]:
        """The factors that can be held fixed and that vary otherwise.

        Raises:
            ValueError: if there are fewer than two.
        """
        if self.rows is None:
            # disentanglement_lib does not ask for the sizes here, and not all data sets have them.
            sizes = getattr(self._data, "factors_num_values", [2] * self._data.num_factors)
            varies = np.array(sizes) > 1
        else:
            varies = np.ptp(self.rows.classes[self.rows.drawn.rows], axis=0) > 0
        found = self.fixable[varies[self.fixable]]
        if len(found) < 2:
            unshared = len(varies) - len(self.fixable)
            which = " whose values enough rows share" if unshared else ""
            advice = "Use a data set with more varying factors"
            if unshared:
                advice = "Bind dataset.factor_bins = 10, say, to make classes of the others"
            raise ValueError(
                f"factors must have at least 2 that vary for the {metric}, got {len(found)} of "
                f"{len(varies)}{which}: the score is how well the fixed factor is recognised. "
                f"{advice}, or leave the metric out."
            )
        return found

    def sample_factors(self, num: int, random_state: np.random.RandomState) -> NDArray[Any]:
        """Draw (num, factor) factors for `observe`; on a grid, classes counted from 0."""
        if self.rows is not None and self.rows.is_grid:
            return draw_factors(self.rows.sizes, num, random_state)
        return self._data.sample_factors(num, random_state)

    def sample_groups(
        self,
        num_groups: int,
        shape: tuple[int, int],
        random_state: np.random.RandomState,
        share_factor: ShareFactor,
    ) -> NDArray[np.int64]:
        """Draw groups of `shape` (samples, batch) observations that have one factor in common.

        For each group, this draws which factor it is, then the factors of each sample;
        `share_factor` changes them; then observations are drawn. Returns the factor of each group,
        (num_groups,).

        Where rows are drawn, those that have to take another value of the shared factor become
        random rows with that value. A value that fewer than `TableRows.fewest_rows` rows have is
        left out; so is a factor without a value that more have.

        Raises:
            ValueError: if no factor is left.
        """
        if self.draws_rows:
            return self._sample_row_groups(num_groups, shape, random_state, share_factor)
        alone = self._codes_at is not None and getattr(self._data, "draws_factors_alone", False)
        draw = self._draw_groups if alone else self._draw_group_by_group
        at_once = _GROUPS_AT_ONCE if alone else 1
        fixed = []
        for start in range(0, num_groups, at_once):
            which, factors = draw(min(at_once, num_groups - start), shape, random_state)
            share_factor(which, factors)
            for sample in factors.reshape(-1, len(which) * shape[1], factors.shape[-1]):
                self.observe(sample, random_state)
            fixed.append(which)
        return np.concatenate(fixed)

    def _sample_row_groups(
        self,
        num_groups: int,
        shape: tuple[int, int],
        random_state: np.random.RandomState,
        share_factor: ShareFactor,
    ) -> NDArray[np.int64]:
        assert self.rows is not None
        usable = self.fixable
        which = usable[random_state.randint(len(usable), size=num_groups)]
        rows = np.empty((num_groups, *shape), dtype=np.int64)
        for factor in usable:
            groups, holders = which == factor, self.rows.holders(int(factor))
            drawn = holders.any_value((int(groups.sum()), *shape), random_state)
            had = self.rows.classes[drawn]
            wanted = had.copy()
            share_factor(which[groups], wanted)
            change = had[..., factor] != wanted[..., factor]
            drawn[change] = holders.with_values(wanted[..., factor][change], random_state)
            rows[groups] = drawn
        self.observe_rows(rows.reshape(-1), shape[1])
        return which

    def _draw_group_by_group(
        self, count: int, shape: tuple[int, int], random_state: np.random.RandomState
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        which, factors = [], []
        for _ in range(count):
            which.append(random_state.randint(self._data.num_factors))
            factors.append([self.sample_factors(shape[1], random_state) for _ in range(shape[0])])
        return np.array(which), np.array(factors)

    def _draw_groups(
        self, count: int, shape: tuple[int, int], random_state: np.random.RandomState
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The same numbers from the same stream in one call."""
        sizes = self._data.factors_num_values
        highs = np.array([len(sizes), *np.repeat(sizes, shape[1]).tolist() * shape[0]])
        drawn = random_state.randint(highs, size=(count, len(highs)))
        by_factor = drawn[:, 1:].reshape(count, shape[0], len(sizes), shape[1])
        return drawn[:, 0], by_factor.transpose(0, 1, 3, 2).copy()

    def observe(self, factors: NDArray[Any], random_state: np.random.RandomState) -> None:
        """Draw one observation for each row of `factors` (num, factor)."""
        if self.rows is not None and self.rows.is_grid:
            self.observe_rows(self.rows.rows_of(factors, random_state), len(factors))
        elif self._codes_at is None:
            observations = self._data.sample_observations_from_factors(factors, random_state)
            self._encode(observations, len(factors))
        else:
            indices = self._data.observation_indices(factors, random_state)  # type: ignore[attr-defined]
            self._drawn.append(indices)

    def observe_rows(self, rows: NDArray[np.int64], encode_batch: int) -> NDArray[Any]:
        """Take the observations with these indices, of data that has them; their factors."""
        data: Any = self._data
        if self._codes_at is None:
            for start in range(0, len(rows), encode_batch):
                part = rows[start : start + encode_batch]
                self._encode(data.observations_at(part), len(part))
        else:
            self._drawn.append(rows)
        return data.factors_at(rows)

    def codes(self) -> NDArray[Any]:
        """Codes of everything drawn so far, (points, latent), in the function's own dtype.

        Raises:
            ValueError: the representation function returned NaN, inf or a wrong shape.
        """
        drawn = np.concatenate(self._drawn)
        if self._codes_at is None:
            return drawn
        return check_codes(self._codes_at(drawn), len(drawn))

    def _encode(self, observations: NDArray[Any], batch_size: int) -> None:
        for start in range(0, len(observations), batch_size):
            batch = observations[start : start + batch_size]
            codes = check_codes(self._function(batch), len(batch))
            if self._drawn and codes.shape[1] != self._drawn[0].shape[1]:
                raise ValueError(
                    "the representation function's result must have the same number of latents "
                    f"in every batch, got {codes.shape[1]} after {self._drawn[0].shape[1]}."
                )
            self._drawn.append(codes)


def sample_codes_and_factors(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    num_points: dict[str, int],
    random_state: np.random.RandomState,
    batch_size: int,
) -> DrawnSamples:
    """One sample for each entry of `num_points`, drawn `batch_size` points at a time.

    `num_points` maps the name of the caller's setting to its value, in the order of drawing:
    `{"num_train": 10000, "num_test": 5000}`. The batch size changes the stream of random numbers,
    and with it the score's last digits: leave it as the original has it to compare.

    Of a table the rows are drawn, each once and in one sample at most; if there are too few, the
    samples are smaller, which the result's `points` tell.

    Raises:
        ValueError: a number of points or the batch size below 1, or codes that are refused.
    """
    for name, num in (*num_points.items(), ("batch_size", batch_size)):
        check_count(name, num)
    draws = CodeDraws(ground_truth_data, representation_function)
    samples = draw_samples(draws, num_points, random_state, batch_size)
    ends = np.cumsum([len(factors) for factors, _ in samples])[:-1]
    parts = np.split(draws.codes(), ends)
    drawn = DrawnSamples(
        CodesAndFactors(codes, factors) for codes, (factors, _) in zip(parts, samples, strict=True)
    )
    drawn.points = {}
    for (name, asked), (factors, by_row) in zip(num_points.items(), samples, strict=True):
        if by_row:
            drawn.points |= points_used(name, len(factors), asked)
    return drawn


def draw_samples(
    draws: CodeDraws,
    num_points: dict[str, int],
    random_state: np.random.RandomState,
    batch_size: int,
) -> list[tuple[NDArray[Any], bool]]:
    """Draw a sample for each entry of `num_points`: its factors, and whether rows were drawn."""
    split = None
    if draws.rows is not None:
        split = draws.rows.split({k: int(num) for k, num in num_points.items()}, random_state)
    if split is not None:
        return [(draws.observe_rows(rows, batch_size), True) for rows in split]
    samples = []
    for num in num_points.values():
        batches = [min(batch_size, num - start) for start in range(0, num, batch_size)]
        factors = np.concatenate([draws.sample(n, random_state) for n in batches])
        samples.append((factors, False))
    return samples


def points_used(name: str, used: int, asked: int) -> dict[str, int]:
    """What results say about a number of points: used, and asked for."""
    return {name: int(used), f"{name}_asked": int(asked)}


def shared_factors(rows: TableRows, names: Sequence[str]) -> NDArray[np.int64]:
    """The factors of a table that can be held fixed; what is left out is logged.

    Raises:
        ValueError: if there is none.
    """
    usable = []
    for factor, size in enumerate(rows.sizes):
        left_out = size - np.count_nonzero(rows.holders(factor).counts)
        if left_out < size:
            usable.append(factor)
        if left_out:
            logger.warning(
                "%s: %s of its %d values are left out because fewer than %d different rows have "
                "them: too few to hold the factor fixed",
                names[factor], "all" if left_out == size else left_out, size, rows.fewest_rows,
            )  # fmt: skip
    kept = [counts[counts > 0].min() for counts in (rows.holders(k).counts for k in usable)]
    if kept and min(kept) < FEWEST_ROWS:
        logger.warning(
            "the table is small: values that as few as %d rows have are held fixed, so that the "
            "score is rough", min(kept),
        )  # fmt: skip
    if not usable:
        raise ValueError(
            f"factors: no value occurs in {rows.fewest_rows} or more different rows, so no factor "
            "can be held fixed; classes are expected: bind dataset.factor_bins = 10, say, or leave "
            "the metric out"
        )
    return np.array(usable)


def table_rows(data: GroundTruthData, function: RepresentationFunction) -> TableRows | None:
    """How the rows of a table are drawn, by its codes if these are given; None for other data."""
    if getattr(function, "data", None) is data:
        by_codes: TableRows | None = getattr(function, "table_rows", None)
        if by_codes is not None:
            return by_codes
    return getattr(data, "table_rows", None)


def _cached_codes(
    data: GroundTruthData, function: RepresentationFunction
) -> Callable[[NDArray[np.int64]], Any] | None:
    """The function's `codes_at`, if its indices are those of `data`."""
    codes_at = getattr(function, "codes_at", None)
    same_data = getattr(function, "data", None) is data
    return codes_at if same_data and hasattr(data, "observation_indices") else None


def check_sample(sample: CodesAndFactors, name: str, discrete: bool = True) -> CodesAndFactors:
    """The sample's codes and factors after `check_codes` and `check_factors`."""
    codes = check_codes(sample.codes, name=f"{name}.codes")
    factors = check_factors(sample.factors, len(codes), discrete, name=f"{name}.factors")
    return CodesAndFactors(codes, factors)
