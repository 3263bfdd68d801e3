"""How the rows of a table are drawn: by the rows, in an order that their content decides."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import draw_factors

__all__ = [
    "FEWEST_POINTS",
    "FEWEST_ROWS",
    "Content",
    "Holders",
    "Part",
    "TableRows",
    "is_full_grid",
    "sorted_by_content",
]


_log = logging.getLogger("srvae_plugin")

Content = Callable[[NDArray[np.int64]], NDArray[Any]]
"""Row numbers to one sortable key for each, equal where the observations are equal."""

FEWEST_ROWS = 10
"""Different rows that a value needs to be held fixed, or a tenth of the table's if that is less.

A batch is drawn from these rows with replacement. Of two rows the other factors are often nearly
equal too, so that what is fixed cannot be told; of ten the spread is off by a quarter or so.
"""

FEWEST_POINTS = 5
"""Points below which a sample that is smaller than asked for is refused: no score is told by it."""
_ROUGH_POINTS = 50
"""Points below which a score is called rough: a share of 50 is off by up to .07."""


class TableRows:
    """The rows of a table, sorted by factors and then by content.

    What is drawn depends on the rows and the random numbers alone: not on the order of the rows in
    the file, on the type of the factors, or on how many copies of the whole table there are: if
    every row occurs a multiple of k times, one of k copies is there.

    Only a full grid, on which each combination of values occurs equally often, is ever drawn from
    factor by factor, with the random numbers of a data set that is a grid by construction.

    Args:
        factors: (row, factor) numbers.
        held_out: how many rows, the last ones, serve only to test on.
        content: keys of observations, asked for those rows only that share all factors with
            another one; without it no two rows are known to be copies, and rows of the same
            factors stay in the file's order.
    """

    def __init__(
        self, factors: NDArray[Any], held_out: int = 0, content: Content | None = None
    ) -> None:
        columns = [np.unique(column, return_inverse=True) for column in factors.T]
        self.sizes = [len(values) for values, _ in columns]
        self.classes = np.stack([numbers.reshape(-1) for _, numbers in columns], axis=1)
        """(row, factor) number of each value among the sorted values of its factor."""
        end = len(factors)
        self.drawn = _part(self.classes, 0, end - held_out, content)
        """Rows to draw from."""
        self.tests = _part(self.classes, end - held_out, end, content) if held_out else None
        """Rows held out to test on; None: others of those to draw from serve."""
        self.is_grid = is_full_grid(self.classes[self.drawn.rows], self.sizes)
        self._starts = np.append(0, np.cumsum(np.unique(self.drawn.cells, return_counts=True)[1]))
        self._holders: dict[int, Holders] = {}
        num_different = int(self.drawn.groups[-1]) + 1
        self.fewest_rows = min(FEWEST_ROWS, max(2, num_different // 10))
        """Different rows that a value needs to be held fixed; 2 to 9 in tables of up to 99."""

    def draw(self, num: int, random_state: np.random.RandomState) -> NDArray[np.int64]:
        """Draw rows, with replacement."""
        if self.is_grid:
            return self.rows_of(draw_factors(self.sizes, num, random_state), random_state)
        return self.drawn.rows[random_state.randint(len(self.drawn.rows), size=num)]

    def rows_of(
        self, classes: NDArray[np.int64], random_state: np.random.RandomState
    ) -> NDArray[np.int64]:
        """Draw a row for each combination of classes (num, factor), of a full grid."""
        cells = np.ravel_multi_index(tuple(np.asarray(classes).T), tuple(self.sizes))
        starts, rows = self._starts, self.drawn.rows
        if len(rows) == len(starts) - 1:
            return rows[cells]
        return np.array([random_state.choice(rows[starts[c] : starts[c + 1]]) for c in cells])

    def is_sampled_as_grid(self, num_points: int) -> bool:
        """Whether `split` leaves so many points to be drawn from the grid, with replacement."""
        return self.tests is None and self.is_grid and len(self.drawn.rows) > 10 * num_points

    def split(
        self, num_points: dict[str, int], random_state: np.random.RandomState
    ) -> list[NDArray[np.int64]] | None:
        """Draw distinct rows for samples of these sizes so that no two samples share a row.

        Nor do they share a copy of a row, unless a table has so few distinct rows (fewer than ten
        for each value of a factor, and half of the rows) that a sample would lack values for it.
        If there are too few rows the samples shrink in proportion, with a log line, but not below
        `FEWEST_POINTS`: that is a ValueError. Of a table with
        rows held out, the samples whose names begin with "num_test" are of these rows, and all
        others of the rest.

        None for a full grid of over ten times as many rows: drawing with replacement, as the
        original does, then hardly repeats a row.
        """
        counts = list(num_points.values())
        if self.tests is None:
            if self.is_sampled_as_grid(sum(counts)):
                return None
            return self._disjoint(self.drawn, counts, random_state)
        is_test = np.array([name.startswith("num_test") for name in num_points])
        split: dict[int, NDArray[np.int64]] = {}
        for part, places in (
            (self.drawn, np.flatnonzero(~is_test)),
            (self.tests, np.flatnonzero(is_test)),
        ):
            drawn = self._disjoint(part, [counts[i] for i in places], random_state)
            split.update(zip(places.tolist(), drawn, strict=True))
        return [split[i] for i in range(len(counts))]

    def holders(self, factor: int) -> Holders:
        """The rows to draw from by their value of a factor, without values that few rows have.

        Copies of a row count as one here.
        """
        if factor not in self._holders:
            rows = self.drawn.rows
            values = self.classes[rows, factor]
            counts = np.bincount(values, minlength=self.sizes[factor])
            first = np.append(True, np.diff(self.drawn.groups) != 0)
            different = np.bincount(values[first], minlength=self.sizes[factor])
            counts[different < self.fewest_rows] = 0
            usable = np.flatnonzero(counts[values])
            order = usable[np.argsort(values[usable], kind="stable")]
            self._holders[factor] = Holders(rows[order], counts, np.cumsum(counts) - counts)
        return self._holders[factor]

    def _disjoint(
        self, part: Part, counts: list[int], random_state: np.random.RandomState
    ) -> list[NDArray[np.int64]]:
        num_rows, num_groups = len(part.rows), int(part.groups[-1]) + 1
        if num_rows < len(counts):
            raise ValueError(
                f"factors: got {num_rows} rows to draw {len(counts)} samples of {counts} points "
                "from; expected at least one for each sample: add observations"
            )
        total = sum(counts)
        used = counts
        if total > num_rows:
            used = [max(1, count * num_rows // total) for count in counts]
        few = num_groups < min(num_rows / 2, 10 * max(self.sizes)) or num_groups < len(counts)
        if num_groups == num_rows or len(counts) < 2 or few:
            if len(counts) > 1 and num_groups < num_rows:
                _log.warning(
                    "the table has %d different rows among %d: too few to keep the copies of a row "
                    "in one sample, so that what is tested on may have been trained on",
                    num_groups, num_rows, extra={"once": f"copies of {num_rows} rows"},
                )  # fmt: skip
            order = random_state.permutation(num_rows)
            samples = np.split(part.rows[order], np.cumsum(used))[:-1]
        else:
            samples = _groups_together(part, used, random_state)
        _check_sizes(num_rows, samples, counts)
        return samples


class Part(NamedTuple):
    """Rows of a table, sorted."""

    rows: NDArray[np.int64]
    """(num,) row numbers."""
    groups: NDArray[np.int64]
    """(num,) ascending from 0, the same for copies of one row."""
    cells: NDArray[np.int64]
    """(num,) ascending, the same for rows of the same factors."""


class Holders(NamedTuple):
    """Rows sorted by their value of one factor, without those of values that too few have."""

    rows: NDArray[np.int64]
    counts: NDArray[np.int64]
    """(value,) rows that have it, 0 if there are too few."""
    starts: NDArray[np.int64]
    """(value,) where they begin in `rows`."""

    def any_value(
        self, shape: tuple[int, ...], random_state: np.random.RandomState
    ) -> NDArray[np.int64]:
        """Random rows, with replacement."""
        return self.rows[random_state.randint(len(self.rows), size=shape)]

    def with_values(
        self, values: NDArray[np.int64], random_state: np.random.RandomState
    ) -> NDArray[np.int64]:
        """For each value a random row that has it, with replacement."""
        counts = self.counts[values]
        places = (random_state.random_sample(size=counts.shape) * counts).astype(np.int64)
        return self.rows[self.starts[values] + places]


def is_full_grid(classes: NDArray[np.int64], sizes: list[int]) -> bool:
    """Whether each combination of classes occurs, and all of them equally often."""
    num_cells = int(np.prod(sizes, dtype=object))
    if len(classes) % num_cells:
        return False
    counts = np.bincount(np.ravel_multi_index(tuple(classes.T), tuple(sizes)), minlength=num_cells)
    return bool((counts == counts[0]).all())


def sorted_by_content(classes: NDArray[np.int64], content: Content | None) -> Part:
    """All rows in an order that their classes (row, factor) and their content decide.

    `content` is asked for the rows only that share all classes with another one.
    """
    cells = np.unique(classes, axis=0, return_inverse=True)[1].reshape(-1)
    keys = np.arange(len(classes))
    if content is not None:
        shared = np.flatnonzero(np.bincount(cells)[cells] > 1)
        keys = np.zeros_like(keys)
        if len(shared):
            keys[shared] = np.unique(content(shared), return_inverse=True)[1].reshape(-1)
    order = np.lexsort((keys, cells))
    cells, keys = cells[order], keys[order]
    new = (np.diff(cells) != 0) | (np.diff(keys) != 0)
    return Part(order, np.append(0, np.cumsum(new)), cells)


def _part(classes: NDArray[np.int64], first: int, end: int, content: Content | None) -> Part:
    """The rows first .. end - 1, sorted, of k copies of all of them one."""
    shifted = None if content is None else (lambda rows: content(first + rows))
    order, groups, cells = sorted_by_content(classes[first:end], shifted)
    sizes = np.bincount(groups)
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    once = place < np.repeat(sizes // np.gcd.reduce(sizes), sizes)
    return Part(first + order[once], groups[once], cells[once])


def _check_sizes(num_rows: int, samples: list[NDArray[np.int64]], counts: list[int]) -> None:
    """Say that samples are smaller than asked for; ValueError if they are too small for a score."""
    sizes = [len(rows) for rows in samples]
    if all(size >= count for size, count in zip(sizes, counts, strict=True)):
        return
    using = " + ".join(map(str, sizes))
    said = f"the table has {num_rows} rows, {sum(counts)} points were asked for"
    if any(size < min(count, FEWEST_POINTS) for size, count in zip(sizes, counts, strict=True)):
        raise ValueError(
            f"factors: {said}, which leaves {using}: expected at least {FEWEST_POINTS} in each "
            "sample; add observations, or leave the metric out"
        )
    rough = "; scores of so few points are rough" if min(sizes) < _ROUGH_POINTS else ""
    once = f"table of {num_rows} rows{rough}"
    _log.warning("%s: using %s%s", said, using, rough, extra={"once": once})


def _groups_together(
    part: Part, counts: list[int], random_state: np.random.RandomState
) -> list[NDArray[np.int64]]:
    """Samples of these sizes or less, copies of a row in one of them, at least a group in each."""
    sizes = np.bincount(part.groups)
    order = random_state.permutation(len(sizes))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    rows = part.rows[np.argsort(place[part.groups], kind="stable")]
    ends = np.cumsum(sizes[order])
    samples, group, start = [], 0, 0
    for left, count in zip(range(len(counts) - 1, -1, -1), counts, strict=True):
        last = int(np.searchsorted(ends, start + count))  # the group in which the sample is full
        last = max(group, min(last, len(ends) - 1 - left))
        samples.append(rows[start : min(start + count, int(ends[last]))])
        group, start = last + 1, int(ends[last])
    return samples
