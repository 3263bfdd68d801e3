"""Two models' scores beside each other: paired differences, and which scores higher how often.

Scores are matrices (run, task) as in `statistics`, NaN for a run that failed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from srvae_plugin.report.statistics import (
    CONFIDENCE,
    RESAMPLES,
    Interval,
    Scores,
    check_settings,
    percentiles,
    scores_matrix,
)


def paired_differences(first: ArrayLike, second: ArrayLike) -> Scores:
    """`first` - `second`, (run, task); NaN where either run failed.

    Row i of both must be the same seed. Give the result to `mean` and `bootstrap_interval`: pairs
    are then drawn together. ValueError if the shapes differ.
    """
    one, two = scores_matrix(first), scores_matrix(second)
    if one.shape != two.shape:
        raise ValueError(
            f"paired scores must have the same shape, got {one.shape} and {two.shape}: give one "
            "row for each seed that both have"
        )
    return one - two


def probability_of_improvement(first: ArrayLike, second: ArrayLike) -> float:
    """Chance that a run of `first` scores above one of `second`; ties count half.

    Mean over tasks; within a task over all pairs of runs (Mann-Whitney U over their number).
    ValueError if they have different tasks.
    """
    wins = [_wins(one, two) for one, two in _tasks_of(first, second)]
    return float(np.mean([task.mean() if task.size else np.nan for task in wins]))


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
    check_settings(confidence, resamples)
    generator = np.random.default_rng(seed)
    values = []
    for one, two in _tasks_of(first, second):
        if min(len(one), len(two)) < 2:
            return Interval(np.nan, np.nan)
        times = [_times_drawn(len(task), resamples, generator) for task in (one, two)]
        values.append(((times[0] @ _wins(one, two)) * times[1]).sum(1) / (len(one) * len(two)))
    return percentiles(np.mean(values, axis=0), confidence)


def _times_drawn(runs: int, resamples: int, generator: np.random.Generator) -> Scores:
    """(resample, run): how often each run is drawn."""
    chosen = generator.integers(0, runs, (resamples, runs))
    flat = chosen + runs * np.arange(resamples)[:, None]
    times = np.bincount(flat.ravel(), minlength=resamples * runs)
    return times.reshape(resamples, runs).astype(np.float64)


def _tasks_of(first: ArrayLike, second: ArrayLike) -> list[tuple[Scores, Scores]]:
    """The scores of both that did not fail, task by task."""
    one, two = scores_matrix(first), scores_matrix(second)
    if one.shape[1] != two.shape[1]:
        raise ValueError(
            f"both must have scores of the same tasks, got {one.shape[1]} and {two.shape[1]} tasks"
        )
    return [(a[np.isfinite(a)], b[np.isfinite(b)]) for a, b in zip(one.T, two.T, strict=True)]


def _wins(one: Scores, two: Scores) -> Scores:
    """(run of one, run of two): 1 where the first is higher, 1/2 where they are equal."""
    return (one[:, None] > two) + 0.5 * (one[:, None] == two)
