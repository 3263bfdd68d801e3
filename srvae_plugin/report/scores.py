"""The numbers of a report: for each data set and score, every model's runs and statistics."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.report import comparisons, statistics
from srvae_plugin.report.keys import (
    TRAINING,
    Score,
    headlines,
    metric_function,
    numbers,
    order,
)
from srvae_plugin.report.models import Model
from srvae_plugin.report.run import Run, Where
from srvae_plugin.report.settings import Variants
from srvae_plugin.report.statistics import Interval, Summary

ALL_PAIRS = 6
"""Up to so many models every one is compared with every other."""


class Bootstrap(NamedTuple):
    """How intervals are computed."""

    confidence: float = statistics.CONFIDENCE
    resamples: int = statistics.RESAMPLES
    seed: int = 0


class Row(NamedTuple):
    """One model's runs in one score."""

    model: Model
    runs: list[Run]
    values: NDArray[np.float64]
    """One a run, NaN for one that failed."""
    summary: Summary


class Comparison(NamedTuple):
    """The first model beside the second."""

    first: Model
    second: Model
    pairs: int
    """Seeds that both have and that failed in neither."""
    difference: float
    """Mean over these seeds of first - second."""
    difference_interval: Interval
    probability: float
    """Chance that a run of the first scores better than one of the second, over all their runs."""
    probability_interval: Interval


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


def value_of(run: Run, where: Where, key: str) -> float | None:
    """A number of a run; None if it does not have it."""
    source = run.training if where[1] == TRAINING else run.scores.get(where, {})
    return numbers(source).get(key)


def scores_of(runs: Sequence[Run], all_keys: bool = False) -> list[tuple[str, Score]]:
    """Representations and scores that any of the runs has, in the report's order."""
    keys: dict[Where, dict[str, None]] = {}
    functions = {
        where: metric_function(bound["evaluation.evaluation_fn"])
        for run in runs
        for where, bound in run.settings.items()
        if "evaluation.evaluation_fn" in bound
    }
    for run in runs:
        for where, values in run.scores.items():
            keys.setdefault(where, {}).update(dict.fromkeys(numbers(values)))
        keys.setdefault(("", TRAINING), {}).update(dict.fromkeys(numbers(run.training)))
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
            to `ALL_PAIRS` models are, and of more each with the one of the best mean.
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
                    reference = compare_with or _reference(rows, score)
                    pairs = _comparisons(rows, score, reference, bootstrap)
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
    """One a model, of the runs that were scored in one of the ways or not at all."""
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
            summary = statistics.summarize(
                values, **bootstrap._asdict(), higher_is_better=what.higher_is_better
            )
            rows.append(Row(model, runs, values, summary))
    return rows


def _reference(rows: Sequence[Row], score: Score) -> str:
    """The model of the best mean if there are too many for all pairs, else none."""
    sound = [row for row in rows if np.isfinite(row.summary.mean)]
    if len(rows) <= ALL_PAIRS or not sound:
        return ""
    best = max if score.higher_is_better else min
    return best(sound, key=lambda row: row.summary.mean).model.label


def _comparisons(
    rows: Sequence[Row], score: Score, reference: str, bootstrap: Bootstrap
) -> list[Comparison]:
    pairs: list[tuple[Row, Row]] = list(itertools.combinations(rows, 2))
    if reference:
        chosen = [row for row in rows if row.model.label == reference]
        pairs = [(row, one) for one in chosen for row in rows if row is not one]
    return [_compare(first, second, score, bootstrap) for first, second in pairs]


def _compare(first: Row, second: Row, score: Score, bootstrap: Bootstrap) -> Comparison:
    one, two = _by_seed(first), _by_seed(second)
    seeds = sorted(one.keys() & two.keys())
    difference = np.array([one[seed] - two[seed] for seed in seeds] or [np.nan])
    sign = 1 if score.higher_is_better else -1
    better = sign * first.values, sign * second.values
    return Comparison(
        first.model,
        second.model,
        int(np.isfinite(difference).sum()),
        statistics.mean(difference),
        statistics.bootstrap_interval(statistics.mean, difference, **bootstrap._asdict()),
        comparisons.probability_of_improvement(*better),
        comparisons.improvement_interval(*better, **bootstrap._asdict()),
    )


def _by_seed(row: Row) -> dict[int, float]:
    """Score of each seed; seeds that were run more than once, which pairs with which?, left out."""
    seeds = [run.seed for run in row.runs]
    return {
        seed: float(value)
        for seed, value in zip(seeds, row.values, strict=True)
        if seed is not None and seeds.count(seed) == 1
    }


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
    summary = statistics.summarize(
        matrix, **bootstrap._asdict(), higher_is_better=score.higher_is_better
    )
    # Rows that only fill up a shorter column are no failed runs.
    runs = sum(len(row.values) for row in rows)
    lost = sum(row.summary.failed for row in rows)
    return Overall(rows[0].model, summary._replace(runs=runs, failed=lost))
