"""Statistics of scores over seeds: a matrix of runs x tasks, in the manner of "Deep Reinforcement
Learning at the Edge of the Statistical Precipice" (Agarwal et al., NeurIPS 2021, arXiv 2108.13264).

A task is a data set, a run is a seed. A score that is NaN or infinite is of a run that failed: it
is left out, and `failed` counts it. Nothing is ever computed from fewer tasks than asked for: where
a task has no run left, every statistic over the tasks is NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "VECTORIZED",
    "Scores",
    "Statistic",
    "best_mean",
    "failed",
    "interquartile_mean",
    "mean",
    "median",
    "probability_of_improvement",
    "scores_matrix",
    "tasks_of",
    "third",
    "wins",
    "worst_mean",
]

Scores = NDArray[np.float64]
"""(..., run, task), NaN for a run that failed; leading axes are resamples."""
Statistic = Callable[[Scores], Scores]
"""From (..., run, task) to (...)."""


def scores_matrix(scores: ArrayLike) -> Scores:
    """Scores as a float matrix (run, task), NaN where not finite; a vector is one task.

    Raises:
        ValueError: for anything else than one or two axes of real numbers, and for no runs.
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
    mean of all. NaN if a task has fewer than k runs that did not fail.

    Raises:
        ValueError: unless 1 <= k <= runs.
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


def probability_of_improvement(first: ArrayLike, second: ArrayLike) -> float:
    """Chance that a run of `first` scores above one of `second`; ties count half.

    Mean over tasks; within a task over all pairs of runs (Mann-Whitney U over their number).

    Raises:
        ValueError: if they have different tasks.
    """
    won = [wins(one, two) for one, two in tasks_of(first, second)]
    return float(np.mean([task.mean() if task.size else np.nan for task in won]))


def third(runs: int) -> int:
    """As large a part of the runs as the SR-VAE paper's 10 of 30, one at least.

    Example:
        >>> third(30), third(5), third(1)
        (10, 2, 1)
    """
    return max(1, round(runs / 3))


def tasks_of(first: ArrayLike, second: ArrayLike) -> list[tuple[Scores, Scores]]:
    """The scores of both that did not fail, task by task."""
    one, two = scores_matrix(first), scores_matrix(second)
    if one.shape[1] != two.shape[1]:
        raise ValueError(
            f"both must have scores of the same tasks, got {one.shape[1]} and {two.shape[1]} tasks"
        )
    return [(a[np.isfinite(a)], b[np.isfinite(b)]) for a, b in zip(one.T, two.T, strict=True)]


def wins(one: Scores, two: Scores) -> Scores:
    """(run of one, run of two): 1 where the first is higher, 1/2 where they are equal."""
    return (one[:, None] > two) + 0.5 * (one[:, None] == two)


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


VECTORIZED: dict[Callable[[ArrayLike], float], Statistic] = {
    mean: _mean,
    median: _median,
    interquartile_mean: _interquartile_mean,
}
"""The same of many resamples at once."""


def _check_k(k: int, matrix: Scores) -> int:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= len(matrix):
        raise ValueError(
            f"k must be an integer from 1 to the number of runs {len(matrix)}: got {k!r}"
        )
    return int(k)
