"""What is compared: the runs of one model in one score, and one model beside another by seeds."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from srvae_plugin.report.comparison.bootstrap import (
    CONFIDENCE,
    RESAMPLES,
    Interval,
    Summary,
    bootstrap_interval,
    improvement_interval,
    summarize,
)
from srvae_plugin.report.comparison.statistics import (
    mean,
    probability_of_improvement,
    scores_matrix,
)
from srvae_plugin.report.keys import Score
from srvae_plugin.report.models import Model
from srvae_plugin.report.run import Run

__all__ = [
    "ALL_PAIRS",
    "FEWEST",
    "Bootstrap",
    "Comparison",
    "Row",
    "compare",
    "comparisons",
    "paired_by_seed",
    "reference_of",
    "summary_of",
]

FEWEST = 5
"""Of fewer seeds no interval is shown: its ends would be about the lowest and the highest seed."""
ALL_PAIRS = 6
"""Up to so many models every one is compared with every other."""
_NONE = Interval(np.nan, np.nan)


class Bootstrap(NamedTuple):
    """How intervals are computed."""

    confidence: float = CONFIDENCE
    resamples: int = RESAMPLES
    seed: int = 0


class Row(NamedTuple):
    """One model's runs in one score."""

    model: Model
    runs: list[Run]
    values: NDArray[np.float64]
    """One per run, NaN for one that failed."""
    summary: Summary

    @property
    def sound(self) -> int:
        """Runs that did not fail."""
        return int(np.isfinite(self.values).sum())


class Comparison(NamedTuple):
    """The first model beside the second."""

    first: Model
    second: Model
    pairs: int
    """Seeds that both have and that failed in neither."""
    difference: float
    """Mean over these seeds of first - second."""
    difference_interval: Interval
    spread: float
    """Standard deviation of the differences over these seeds; NaN of fewer than two."""
    probability: float
    """Chance that a run of the first scores better than one of the second, over all their runs.

    NaN where either has a single run: it could only be 0 or 1.
    """
    probability_interval: Interval
    """None of a probability of 0 or 1: every resample has the same."""

    def decided(self, higher_is_better: bool) -> bool:
        """Whether the first is better beyond chance: the interval lies on its side of 0."""
        low, high = self.difference_interval
        return low > 0 if higher_is_better else high < 0


def reference_of(rows: Sequence[Row], score: Score) -> str:
    """Label of the model of the best mean if there are too many for all pairs, else none."""
    sound = [row for row in rows if np.isfinite(row.summary.mean)]
    if len(rows) <= ALL_PAIRS or not sound:
        return ""
    best = max if score.higher_is_better else min
    return best(sound, key=lambda row: row.summary.mean).model.label


def comparisons(
    rows: Sequence[Row], score: Score, reference: str, bootstrap: Bootstrap
) -> list[Comparison]:
    """Every model beside every other, or the reference beside all of them."""
    pairs: list[tuple[Row, Row]] = list(itertools.combinations(rows, 2))
    if reference:
        chosen = [row for row in rows if row.model.label == reference]
        pairs = [(row, one) for one in chosen for row in rows if row is not one]
    return [compare(first, second, score, bootstrap) for first, second in pairs]


def compare(first: Row, second: Row, score: Score, bootstrap: Bootstrap) -> Comparison:
    """The first model beside the second, over the seeds that both have."""
    difference = paired_by_seed(first, second)
    pairs = len(difference)
    sign = 1 if score.higher_is_better else -1
    better = sign * first.values, sign * second.values
    fewest = min(first.sound, second.sound)
    probability = probability_of_improvement(*better) if fewest > 1 else np.nan
    options = bootstrap._asdict()
    return Comparison(
        first.model,
        second.model,
        pairs,
        mean(difference) if pairs else np.nan,
        bootstrap_interval(mean, difference, **options) if pairs >= FEWEST else _NONE,
        float(np.std(difference, ddof=1)) if pairs > 1 else np.nan,
        probability,
        improvement_interval(*better, **options)
        if fewest >= FEWEST and 0 < probability < 1
        else _NONE,
    )


def paired_by_seed(first: Row, second: Row) -> NDArray[np.float64]:
    """Differences first - second of the seeds that both have and that failed in neither.

    Seeds that were run more than once (which pairs with which?) are left out.
    """
    one, two = _by_seed(first), _by_seed(second)
    both = np.array([one[seed] - two[seed] for seed in sorted(one.keys() & two.keys())])
    return both[np.isfinite(both)]


def _by_seed(row: Row) -> dict[int, float]:
    counts = Counter(run.seed for run in row.runs)
    return {
        run.seed: float(value)
        for run, value in zip(row.runs, row.values, strict=True)
        if run.seed is not None and counts[run.seed] == 1
    }


def summary_of(values: ArrayLike, bootstrap: Bootstrap, score: Score) -> Summary:
    """Statistics of a model's runs; without intervals where there are too few seeds for one."""
    found = summarize(values, **bootstrap._asdict(), higher_is_better=score.higher_is_better)
    matrix = scores_matrix(values)
    if np.isfinite(matrix).sum(axis=0).min() >= FEWEST:
        return found
    return found._replace(
        mean_interval=_NONE, median_interval=_NONE, interquartile_mean_interval=_NONE
    )
