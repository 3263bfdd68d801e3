"""What a report opens with: models x metrics on each data set, and what the numbers decide."""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from srvae_plugin.report.comparison.pairs import FEWEST, Bootstrap, Comparison, Row, compare
from srvae_plugin.report.comparison.protocol import Beside, Difference
from srvae_plugin.report.comparison.published import CONFIDENCE
from srvae_plugin.report.comparison.verdicts import sentences
from srvae_plugin.report.models import Model
from srvae_plugin.report.parts.svg import Axis, axis
from srvae_plugin.report.scores import Table
from srvae_plugin.report.words import counted

__all__ = ["STRIP", "Cell", "Column", "Overview", "overviews"]

STRIP = 132.0
"""Width of the seeds' drawing in a cell."""


class Column(NamedTuple):
    """One score, and its best model beside every other."""

    table: Table
    scale: Axis
    """Of the seeds' drawings; the same in every cell of the column."""
    best: Row | None
    """The row of the best mean."""
    against: list[Comparison]
    """The best beside each other model."""
    bold: bool
    """Whether the best is better than every other beyond chance."""


class Cell(NamedTuple):
    """One model's score."""

    row: Row
    sound: int
    """Seeds that did not fail."""
    bold: bool
    published: Beside | None
    """The published number whose protocol is nearest."""
    letters: list[str]
    """Footnotes: how its protocol differs."""
    more: int
    """Further published numbers."""


class Overview(NamedTuple):
    """All models and scores on one data set."""

    data_set: str
    columns: list[Column]
    lines: list[tuple[Model, list[Cell | None]]]
    notes: dict[str, Difference]
    """Footnotes by letter."""
    sentences: list[str]
    missing: str
    """Models without any score, and why; empty if there is none."""

    @property
    def rows(self) -> list[Row]:
        """All models' rows in all scores."""
        return [row for column in self.columns for row in column.table.rows]

    def legend(self, percent: str) -> str:
        """What the table shows, and no more than that.

        Args:
            percent: that its intervals hold.
        """
        if max(row.sound for row in self.rows) < 2:
            return "one seed of each model" if len(self.lines) > 1 else "one seed"
        has_intervals = any(np.isfinite(row.summary.mean_interval.low) for row in self.rows)
        said = "mean over seeds"
        said += f", {percent} interval for {FEWEST} or more seeds" if has_intervals else ""
        said += "; a dot is a seed, a vertical line is the mean"
        said += ", a pale bar is the interval" if has_intervals else ""
        if has_intervals and len(self.lines) > 1:
            said += ". Bold: the best, where its paired interval against every other excludes 0"
        if has_intervals and len(self.lines) > 2:
            said += "; it was chosen by these same scores, so its lead is overestimated"
        return said


def overviews(
    every: Sequence[Model], tables: Sequence[Table], beside: Sequence[Beside], bootstrap: Bootstrap
) -> list[Overview]:
    """One table of all models and scores for each data set."""
    found = []
    for name, same in itertools.groupby(tables, key=lambda table: table.data_set):
        columns = [_column(table, bootstrap) for table in same]
        models = {row.model.number: row.model for column in columns for row in column.table.rows}
        footnotes = _Footnotes()
        lines = [
            (model, [_cell(model, column, beside, footnotes) for column in columns])
            for _, model in sorted(models.items())
        ]
        said = sentences([(c.table, c.best, c.against) for c in columns])
        missing = ", ".join(_missing(name, (one for one in every if one.number not in models)))
        found.append(Overview(name, columns, lines, footnotes.by_letter, said, missing))
    return found


def _missing(data_set: str, models: Iterable[Model]) -> Iterator[str]:
    for model in models:
        if runs := model.of(data_set):
            why = "without scores" if any(run.finished for run in runs) else "all failed"
            yield f"{model.label} ({counted(len(runs), 'run')}, {why})"


def _column(table: Table, bootstrap: Bootstrap) -> Column:
    values = [float(v) for row in table.rows for v in row.values[np.isfinite(row.values)]]
    scale = axis(values, 4.0, STRIP - 4.0)
    sound = [row for row in table.rows if np.isfinite(row.summary.mean)]
    if not sound:
        return Column(table, scale, None, [], False)
    higher = table.score.higher_is_better
    best = (max if higher else min)(sound, key=lambda row: row.summary.mean)
    against = [compare(best, row, table.score, bootstrap) for row in sound if row is not best]
    bold = bool(against) and all(one.decided(higher) for one in against)
    return Column(table, scale, best, against, bold)


class _Footnotes:
    """One letter for each difference of protocol."""

    def __init__(self) -> None:
        self.by_letter: dict[str, Difference] = {}
        self._letters: dict[Difference, str] = {}

    def letter(self, difference: Difference) -> str:
        if difference not in self._letters:
            letter = _letters(len(self._letters))
            self._letters[difference] = letter
            self.by_letter[letter] = difference
        return self._letters[difference]


def _letters(number: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    more, last = divmod(number, 26)
    return (_letters(more - 1) if more else "") + string.ascii_lowercase[last]


def _cell(
    model: Model, column: Column, beside: Sequence[Beside], footnotes: _Footnotes
) -> Cell | None:
    row = next((row for row in column.table.rows if row.model is model), None)
    if row is None:
        return None
    known = [one for one in beside if one.row is row and one.published.mean is not None]
    trust = list(CONFIDENCE)
    nearest = min(
        known,
        key=lambda one: (len(one.differences), trust.index(one.published.confidence)),
        default=None,
    )
    letters = [footnotes.letter(d) for d in nearest.differences] if nearest else []
    letters.sort(key=lambda letter: (len(letter), letter))
    bold = column.bold and row is column.best
    return Cell(row, row.sound, bold, nearest, letters, max(len(known) - 1, 0))
