"""The numbers of a report: for each data set and score, every model's runs and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from srvae_plugin.config.text import gin_function
from srvae_plugin.report.comparison.bootstrap import Summary
from srvae_plugin.report.comparison.pairs import (
    Bootstrap,
    Comparison,
    Row,
    comparisons,
    reference_of,
    summary_of,
)
from srvae_plugin.report.comparison.settings import Variants
from srvae_plugin.report.keys import (
    Score,
    headlines,
    numbers,
    order,
)
from srvae_plugin.report.models import Model
from srvae_plugin.report.run import Run, Where

__all__ = ["Overall", "Table", "data_sets", "overall", "score_tables", "scores_of", "value_of"]


class Table(NamedTuple):
    """Everything about one score on one data set."""

    score: Score
    kind: str
    """Representation; empty for losses of the training."""
    data_set: str
    rows: list[Row]
    comparisons: list[Comparison]
    reference: str
    """The model that others are compared with, if not all pairs are."""

    @property
    def title(self) -> str:
        """The score's title, and the representation."""
        return self.score.titled(self.kind)


def value_of(run: Run, where: Where, key: str) -> float | None:
    """A number of a run; None if it does not have it."""
    return numbers(run.scores.get(where, {})).get(key)


def scores_of(runs: Sequence[Run], all_keys: bool = False) -> list[tuple[str, Score]]:
    """Representations and scores that any of the runs has, in the report's order."""
    keys: dict[Where, dict[str, None]] = {}
    functions = {
        where: gin_function(bound["evaluation.evaluation_fn"])
        for run in runs
        for where, bound in run.settings.items()
        if "evaluation.evaluation_fn" in bound
    }
    for run in runs:
        for where, values in run.scores.items():
            keys.setdefault(where, {}).update(dict.fromkeys(numbers(values)))
    found = []
    for (kind, metric), names in keys.items():
        chosen = headlines(metric, list(names), functions.get((kind, metric), ""))
        if all_keys:
            there = {score.key for score in chosen}
            rest = [Score(metric, n, f"{metric} {n}") for n in names if n not in there]
            chosen = [*chosen, *rest]
        found += [(kind, score) for score in chosen]
    return sorted(found, key=lambda pair: (pair[0] or "mean", order(pair[1])))


def score_tables(
    models: Sequence[Model],
    bootstrap: Bootstrap,
    compare_with: str | None = None,
    variants: Variants | None = None,
) -> list[Table]:
    """Tables of all headline scores, data set by data set.

    Args:
        models: as `group_by_model` has them.
        bootstrap: how intervals are computed.
        compare_with: label of the model that others are compared with; by default all pairs of up
            to six models are, and of more each with the one of the best mean.
    """
    tables = []
    variants = variants or Variants([run for model in models for run in model.runs], [])
    for data_set in data_sets(models):
        runs = [run for model in models for run in model.of(data_set)]
        for kind, score in scores_of(runs):
            for way in variants.texts((kind, score.metric)):
                rows = _rows(models, data_set, (kind, score), bootstrap, (variants, way))
                if rows:
                    title = f"{score.title} [{way}]" if way else score.title
                    named = score._replace(title=title)
                    reference = compare_with or reference_of(rows, score)
                    pairs = comparisons(rows, score, reference, bootstrap)
                    tables.append(Table(named, kind, data_set, rows, pairs, reference))
    return tables


def data_sets(models: Sequence[Model]) -> list[str]:
    """Names of all data sets, sorted."""
    return sorted({run.data_set for model in models for run in model.runs})


def _rows(
    models: Sequence[Model],
    data_set: str,
    score: tuple[str, Score],
    bootstrap: Bootstrap,
    made: tuple[Variants, str],
) -> list[Row]:
    """One per model, of the runs that were scored in one of the ways or not at all."""
    kind, what = score
    variants, way = made
    rows = []
    for model in models:
        where = (kind, what.metric)
        runs = [
            run
            for run in model.of(data_set)
            if (variants.text_of(run, where) == way if where in run.scores else not run.is_more)
        ]
        found = [value_of(run, (kind, what.metric), what.key) for run in runs]
        # A model that was never scored so has no failed runs in it.
        if any(value is not None for value in found):
            values = np.array([np.nan if value is None else value for value in found])
            summary = summary_of(values, bootstrap, what)
            rows.append(Row(model, runs, values, summary))
    return rows


class Overall(NamedTuple):
    """One model over all data sets: the matrix runs x tasks."""

    model: Model
    summary: Summary


def overall(tables: Sequence[Table], bootstrap: Bootstrap) -> list[tuple[Table, list[Overall]]]:
    """Statistics over data sets for every score that several data sets have.

    Only models that were scored on each of them are there, and only of data sets that have the
    same factors and names of their own, such as dSprites and its variants: one mean over data of
    different factors, or over two files, would be a number of neither.
    """
    found = []
    by_score: dict[tuple[str, Score], list[Table]] = {}
    for table in tables:
        by_score.setdefault((table.kind, table.score), []).append(table)
    for (_, score), same in by_score.items():
        if len(same) < 2 or not _are_alike(same):
            continue
        rows: dict[str, list[Row]] = {}
        for table in same:
            for row in table.rows:
                rows.setdefault(row.model.label, []).append(row)
        whole = [of for of in rows.values() if len(of) == len(same)]
        if whole:
            found.append((same[0], [_overall(of, score, bootstrap) for of in whole]))
    return found


def _are_alike(tables: Sequence[Table]) -> bool:
    """Whether the tables are of data sets of other names and of the same factors."""
    runs = [[run for row in table.rows for run in row.runs] for table in tables]
    names = [{run.data.name for run in of} for of in runs]
    factors = {tuple(run.factor_names) for of in runs for run in of if run.finished}
    return (
        len(set.union(*names)) == len(tables) == sum(map(len, names))
        and len(factors) == 1
        and () not in factors
    )


def _overall(rows: Sequence[Row], score: Score, bootstrap: Bootstrap) -> Overall:
    matrix = np.full((max(len(row.values) for row in rows), len(rows)), np.nan)
    for task, row in enumerate(rows):
        matrix[: len(row.values), task] = row.values
    summary = summary_of(matrix, bootstrap, score)
    # Rows that only fill up a shorter column are no failed runs.
    runs = sum(len(row.values) for row in rows)
    lost = sum(row.summary.failed for row in rows)
    return Overall(rows[0].model, summary._replace(runs=runs, failed=lost))
