"""Intervals of statistics over seeds: the runs of each task are drawn anew, with replacement.

Scores are matrices (run, task) as in `srvae_plugin.report.comparison.statistics`, NaN for a run
that failed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from srvae_plugin.report.comparison.statistics import (
    VECTORIZED,
    Scores,
    best_mean,
    failed,
    interquartile_mean,
    mean,
    median,
    scores_matrix,
    tasks_of,
    third,
    wins,
    worst_mean,
)

__all__ = [
    "CONFIDENCE", "RESAMPLES", "Interval", "Summary", "bootstrap_interval",
    "improvement_interval", "summarize",
]  # fmt: skip

RESAMPLES = 2000
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """Ends of a confidence interval; NaN where there is none."""

    low: float
    high: float


class Summary(NamedTuple):
    """What is said about the runs of one model."""

    runs: int
    """Scores, failed ones included."""
    failed: int
    mean: float
    median: float
    interquartile_mean: float
    mean_interval: Interval
    median_interval: Interval
    interquartile_mean_interval: Interval
    k: int
    """Runs in the two below: a third of the runs, as the SR-VAE paper's 10 of 30."""
    best: float
    worst: float


def bootstrap_interval(
    statistic: Callable[[ArrayLike], float],
    scores: ArrayLike,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a statistic: the runs of each task are drawn anew with replacement.

    Args:
        statistic: `mean`, `median` or `interquartile_mean` of `statistics`, or any other function
            of a matrix (run, task), which is then called once a resample.
        scores: (run, task) or (run,).
        confidence: between 0 and 1.
        resamples: how often to draw.
        seed: of the draws; the same seed gives the same interval.

    With one task the draws are those of `scipy.stats.bootstrap(..., method="percentile")` for
    `numpy.random.default_rng(seed)`. With one run in a task there is nothing to draw from: the
    interval is NaN, not a point.
    """
    matrix = scores_matrix(scores)
    _check_settings(confidence, resamples)
    if (np.isfinite(matrix).sum(axis=0) < 2).any():
        return Interval(np.nan, np.nan)
    drawn = _resampled(matrix, resamples, np.random.default_rng(seed))
    vectorized = VECTORIZED.get(statistic)
    values = vectorized(drawn) if vectorized else np.array([statistic(part) for part in drawn])
    return _percentiles(values, confidence)


def summarize(
    scores: ArrayLike,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
    higher_is_better: bool = True,
) -> Summary:
    """All of the above about the runs of one model; `best` is the lowest k if lower is better."""
    matrix = scores_matrix(scores)
    interval = partial(
        bootstrap_interval, scores=matrix, confidence=confidence, resamples=resamples, seed=seed
    )
    k = third(len(matrix))
    ends = best_mean(matrix, k), worst_mean(matrix, k)
    best, worst = ends if higher_is_better else ends[::-1]
    return Summary(
        matrix.size, failed(matrix), mean(matrix), median(matrix), interquartile_mean(matrix),
        interval(mean), interval(median), interval(interquartile_mean), k, best, worst,
    )  # fmt: skip


def improvement_interval(
    first: ArrayLike,
    second: ArrayLike,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Percentile interval of `probability_of_improvement`, the runs of both drawn anew.

    NaN if either has fewer than two runs in a task.
    """
    _check_settings(confidence, resamples)
    generator = np.random.default_rng(seed)
    values = []
    for one, two in tasks_of(first, second):
        if min(len(one), len(two)) < 2:
            return Interval(np.nan, np.nan)
        times = [_times_drawn(len(task), resamples, generator) for task in (one, two)]
        values.append(((times[0] @ wins(one, two)) * times[1]).sum(1) / (len(one) * len(two)))
    return _percentiles(np.mean(values, axis=0), confidence)


def _resampled(matrix: Scores, resamples: int, generator: np.random.Generator) -> Scores:
    """(resample, run, task); each task's runs are drawn apart, those that failed stay NaN."""
    drawn = np.full((resamples, *matrix.shape), np.nan)
    for task, column in enumerate(matrix.T):
        values = column[np.isfinite(column)]
        chosen = generator.integers(0, len(values), (resamples, len(values)))
        drawn[:, : len(values), task] = values[chosen]
    return drawn


def _percentiles(values: Scores, confidence: float) -> Interval:
    """The middle `confidence` of some values."""
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))


def _times_drawn(runs: int, resamples: int, generator: np.random.Generator) -> Scores:
    """(resample, run): how often each run is drawn."""
    chosen = generator.integers(0, runs, (resamples, runs))
    flat = chosen + runs * np.arange(resamples)[:, None]
    times = np.bincount(flat.ravel(), minlength=resamples * runs)
    return times.reshape(resamples, runs).astype(np.float64)


def _check_settings(confidence: float, resamples: int) -> None:
    """Raise ValueError for settings of a bootstrap that are out of range."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95: got {confidence!r}")
    if isinstance(resamples, bool) or not isinstance(resamples, int) or resamples < 1:
        raise ValueError(f"resamples must be a whole number of at least 1: got {resamples!r}")
