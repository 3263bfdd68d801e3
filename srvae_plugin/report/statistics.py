"""Statistics of scores over seeds: a matrix of runs x tasks, in the manner of "Deep Reinforcement
Learning at the Edge of the Statistical Precipice" (Agarwal et al., NeurIPS 2021, arXiv 2108.13264).

A task is a data set, a run is a seed. A score that is NaN or infinite is of a run that failed: it
is left out, and `failed` counts it. Nothing is ever computed from fewer tasks than asked for: where
a task has no run left, every statistic over the tasks is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Scores = NDArray[np.float64]
"""(..., run, task), NaN for a run that failed; leading axes are resamples."""
Statistic = Callable[[Scores], Scores]
"""From (..., run, task) to (...)."""

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


def scores_matrix(scores: ArrayLike) -> Scores:
    """Scores as a float matrix (run, task), NaN where not finite; a vector is one task.

    Raises ValueError for anything else than one or two axes of real numbers, and for no runs.
    """
    try:
        matrix = np.array(scores, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"scores must be real numbers, (run, task): {error}") from None
    if matrix.ndim == 1:
        matrix = matrix[:, None]
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(
            f"scores must have shape (run, task) or (run,), with one run at least, got "
            f"{np.shape(scores)}"
        )
    matrix[~np.isfinite(matrix)] = np.nan
    return matrix


def failed(scores: ArrayLike) -> int:
    """Number of scores that are NaN or infinite.

    Example:
        >>> failed([0.5, float("nan"), float("inf")])
        2
    """
    return int(np.isnan(scores_matrix(scores)).sum())


def mean(scores: ArrayLike) -> float:
    """Mean over tasks of the mean over runs.

    Example: the run that failed is left out.
        >>> mean([0.5, 0.75, float("nan")])
        0.625
    """
    return float(_mean(scores_matrix(scores)))


def median(scores: ArrayLike) -> float:
    """Mean over tasks of the median over runs.

    rliable's median is another: the median over tasks of means over runs, which for one task is
    the mean.

    Example:
        >>> median([0.5, 0.25, 1.0])
        0.5
    """
    return float(_median(scores_matrix(scores)))


def interquartile_mean(scores: ArrayLike) -> float:
    """Mean of the middle half of all scores of all tasks: the quarter at either end is cut.

    Of n scores floor(n / 4) are cut at either end, as by `scipy.stats.trim_mean(scores, 0.25)`.

    Example:
        >>> interquartile_mean([0.0, 0.5, 0.75, 9.0])
        0.625
    """
    return float(_interquartile_mean(scores_matrix(scores)))


def best_mean(scores: ArrayLike, k: int) -> float:
    """Mean over tasks of the mean of the k highest scores: what "best k of n" reports.

    It rises with the number of runs tried and says nothing about a single run; show it beside the
    mean of all. NaN if a task has fewer than k runs that did not fail. ValueError unless
    1 <= k <= runs.
    """
    matrix = scores_matrix(scores)
    return float(_extreme(matrix, _check_k(k, matrix), highest=True))


def worst_mean(scores: ArrayLike, k: int) -> float:
    """Mean over tasks of the mean of the k lowest scores; see `best_mean`.

    Example:
        >>> worst_mean([0.5, 0.25, 1.0], k=2), best_mean([0.5, 0.25, 1.0], k=2)
        (0.375, 0.75)
    """
    matrix = scores_matrix(scores)
    return float(_extreme(matrix, _check_k(k, matrix), highest=False))


def third(runs: int) -> int:
    """As large a part of the runs as the SR-VAE paper's 10 of 30, one at least.

    Example:
        >>> third(30), third(5), third(1)
        (10, 2, 1)
    """
    return max(1, round(runs / 3))


def bootstrap_interval(
    statistic: Callable[[ArrayLike], float],
    scores: ArrayLike,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a statistic: the runs of each task are drawn anew with replacement.

    Args:
        statistic: `mean`, `median` or `interquartile_mean` of this module, or any other function
            of a matrix (run, task), which is then called once a resample.
        scores: (run, task) or (run,).
        confidence: between 0 and 1.
        resamples: how often to draw.
        seed: of the draws; the same seed gives the same interval.

    With one task the draws are those of `scipy.stats.bootstrap(..., method="percentile")` for
    `numpy.random.default_rng(seed)`. With one run in a task there is nothing to draw from: the
    interval is NaN, not a point.

    Example:
        >>> bootstrap_interval(mean, [0.5])
        Interval(low=nan, high=nan)
        >>> low, high = bootstrap_interval(mean, [0.25, 0.5, 0.75])
        >>> 0.25 <= low < 0.5 < high <= 0.75
        True
    """
    matrix = scores_matrix(scores)
    check_settings(confidence, resamples)
    if (np.isfinite(matrix).sum(axis=0) < 2).any():
        return Interval(np.nan, np.nan)
    drawn = _resampled(matrix, resamples, np.random.default_rng(seed))
    vectorized = _VECTORIZED.get(statistic)
    values = vectorized(drawn) if vectorized else np.array([statistic(part) for part in drawn])
    return percentiles(values, confidence)


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


def _mean(scores: Scores) -> Scores:
    count = np.isfinite(scores).sum(axis=-2)
    return _over_tasks(np.nansum(scores, axis=-2) / np.maximum(count, 1), count)


def _median(scores: Scores) -> Scores:
    ordered = np.sort(scores, axis=-2)  # NaN last
    count = np.isfinite(scores).sum(axis=-2)
    middle = [_at(ordered, place) for place in (np.maximum(count - 1, 0) // 2, count // 2)]
    return _over_tasks(np.where(count > 0, sum(middle) / 2, np.nan), count)


def _at(ordered: Scores, place: NDArray[np.intp]) -> Scores:
    inside = np.minimum(place, ordered.shape[-2] - 1)
    return np.take_along_axis(ordered, inside[..., None, :], axis=-2)[..., 0, :]


def _interquartile_mean(scores: Scores) -> Scores:
    ordered = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)  # NaN last
    count = np.isfinite(ordered).sum(axis=-1)
    place, cut = np.arange(ordered.shape[-1]), count // 4
    kept = (place >= cut[..., None]) & (place < (count - cut)[..., None])
    total = np.where(kept, ordered, 0.0).sum(axis=-1)
    whole = np.isfinite(scores).any(axis=-2).all(axis=-1)
    return np.where(whole, total / np.maximum(kept.sum(axis=-1), 1), np.nan)


def _extreme(scores: Scores, k: int, highest: bool) -> Scores:
    ordered = np.sort(-scores if highest else scores, axis=-2)[..., :k, :]  # NaN last
    return np.mean(-ordered if highest else ordered, axis=(-2, -1))


def _over_tasks(values: Scores, count: NDArray[np.intp]) -> Scores:
    """Mean over tasks, NaN if one of them has no run."""
    return np.where((count > 0).all(axis=-1), values.mean(axis=-1), np.nan)


_VECTORIZED: dict[Callable[[ArrayLike], float], Statistic] = {
    mean: _mean,
    median: _median,
    interquartile_mean: _interquartile_mean,
}


def _resampled(matrix: Scores, resamples: int, generator: np.random.Generator) -> Scores:
    """(resample, run, task); each task's runs are drawn apart, those that failed stay NaN."""
    drawn = np.full((resamples, *matrix.shape), np.nan)
    for task, column in enumerate(matrix.T):
        values = column[np.isfinite(column)]
        chosen = generator.integers(0, len(values), (resamples, len(values)))
        drawn[:, : len(values), task] = values[chosen]
    return drawn


def percentiles(values: Scores, confidence: float) -> Interval:
    """The middle `confidence` of some values."""
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))


def _check_k(k: int, matrix: Scores) -> int:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= len(matrix):
        raise ValueError(
            f"k must be an integer from 1 to the number of runs {len(matrix)}: got {k!r}"
        )
    return int(k)


def check_settings(confidence: float, resamples: int) -> None:
    """Raise ValueError for settings of a bootstrap that are out of range."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95: got {confidence!r}")
    if isinstance(resamples, bool) or not isinstance(resamples, int) or resamples < 1:
        raise ValueError(f"resamples must be a whole number of at least 1: got {resamples!r}")
