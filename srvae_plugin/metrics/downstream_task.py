"""Downstream task: how well a classifier predicts each factor from all codes, by the number of
points it learns from. Locatello et al., "Challenging Common Assumptions in the Unsupervised
Learning of Disentangled Representations" (arXiv 1811.12359).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.own.table_rows import FEWEST_POINTS, TableRows
from srvae_plugin.data.sampling.seeds import Seed, draw_seeds, random_state_of
from srvae_plugin.metrics.codes import (
    CodesAndFactors,
    RepresentationFunction,
    points_used,
    table_rows,
)
from srvae_plugin.metrics.common.arrays import split, with_names
from srvae_plugin.metrics.common.checks import check_count
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.factor_kinds import only_classes
from srvae_plugin.metrics.common.info import MetricInfo, documented, metric
from srvae_plugin.metrics.learners.predictors import Accuracies, PredictorFn, accuracies

__all__ = [
    "Samples",
    "check_sizes",
    "compute_downstream_task",
    "downstream_task",
    "downstream_task_of",
    "draw_samples",
    "fitting",
    "sizes_that_fit",
]

logger = logging.getLogger(__name__)

_LEAST_TESTED = 0.1
"""Share of a table's rows to test on, if fewer than were asked for."""


class Samples(dict[int, tuple[CodesAndFactors, CodesAndFactors]]):
    """Number of training points to a training and a test sample."""

    points: dict[str, int]
    """As `DrawnSamples.points`, `N:num_train` and so on for each number N of training points."""


def downstream_task_of(
    samples: Mapping[int, tuple[CodesAndFactors, CodesAndFactors]],
    seeds: NDArray[np.integer[Any]],
    predictor_fn: PredictorFn | None = None,
    n_jobs: int | None = None,
) -> Scores:
    """Accuracy of predicting factors (points, factor) from codes (points, latent).

    Args:
        samples: training and test sample for each number of training points.
        seeds: (factor,) seed of each factor's classifiers.
        predictor_fn: makes a classifier. None: gin's `predictor.predictor_fn`, or boosted trees.
        n_jobs: processes to fit classifiers in, as in joblib; scores do not depend on it.

    Returns:
        For each size N, in [0, 1]: `N:mean_train_accuracy`, `N:mean_test_accuracy`,
        `N:min_train_accuracy` and `N:min_test_accuracy` over factors,
        `N:train_accuracy_factor_K` and `N:test_accuracy_factor_K`; `N:num_factors_scored`.

    Raises:
        ValueError: no factor varies in a training sample, or a wrong shape or value.

    Factors that are constant in a training sample are left out of its scores, with a logged
    warning; the original fails on them. Collapsed codes score what guessing the most frequent
    value scores, as in the original.
    """
    results = accuracies("downstream task", list(samples.values()), seeds, predictor_fn, n_jobs)
    scores: Scores = {}
    for size, result in zip(samples, results, strict=True):
        scores |= {f"{size}:{key}": value for key, value in _summary(result).items()}
    return scores


@documented
def downstream_task(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    num_train: Sequence[int] | int | None = None,
    test: Any = 1 / 3,
    predictor_fn: PredictorFn | None = None,
    n_jobs: int | None = None,
) -> Scores:
    """Accuracy of predicting each factor from codes (arXiv 1811.12359).

        accuracy of factor k = share of test points whose value of k is predicted from all latents,
            by a classifier fitted to N points

    Rewards: codes from which a classifier learns the factors from few points.

    Punishes: factors that are lost in noise, and little else: rotated, duplicated and merged codes
    are just as easy to predict from.

    Use it: to ask whether a representation is useful, not whether it is disentangled. Comparing the
    accuracy after 100 points with that after 10,000 shows how much data it saves.

    Published settings: the defaults are those of disentanglement_lib's study (arXiv 1811.12359),
    which uses logistic regression and boosted trees.

    Args:
        num_train: numbers of points to fit the classifiers on, the first ones of those that are
            not held out. None: all of these.

    Returns:
        For each number N of training points, all in [0, 1], higher is better:
        `N:mean_train_accuracy`, `N:mean_test_accuracy`, `N:min_train_accuracy` and
        `N:min_test_accuracy` over factors, `N:train_accuracy_factor_K` and
        `N:test_accuracy_factor_K`; `N:num_factors_scored`. K is the name of the factor's column, if
        it has one.

    Raises:
        ValueError: no factor varies in a training sample, more points asked for than there are, or
            a wrong shape or value.

    Special cases: Factors that are constant in a training sample are left out of its scores, with a
    logged warning; disentanglement_lib fails on them. Collapsed codes score as if the most frequent
    value were always predicted, as in disentanglement_lib.

    Examples:
        >>> import numpy as np
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> factors = np.argwhere(np.ones((3, 4)))
        >>> codes, settings = factors + 0.0, {"predictor_fn": DecisionTreeClassifier}
        >>> settings["test"] = (codes, factors)
        >>> downstream_task(codes, factors, **settings)["12:mean_test_accuracy"]  # perfect codes
        1.0
        >>> settings["test"] = (0 * codes, factors)  # collapsed codes: guessing, 1/3 and 1/4
        >>> round(downstream_task(0 * codes, factors, **settings)["12:mean_test_accuracy"], 6)
        0.291667
    """
    stream = random_state_of(seed, random_state)
    parts = split(codes, factors, test, stream)
    there = len(parts.train.codes)
    sizes = check_sizes(there if num_train is None else num_train)
    if max(sizes) > there:
        raise ValueError(f"num_train must be at most {there}, the points to fit on, got {sizes}.")
    samples = {
        size: (CodesAndFactors(*(part[:size] for part in parts.train)), parts.test)
        for size in sizes
    }
    seeds = draw_seeds(stream, len(parts.names))
    return with_names(downstream_task_of(samples, seeds, predictor_fn, n_jobs), parts.names)


@metric(
    MetricInfo(
        "Downstream task",
        "Locatello et al., Challenging Common Assumptions (2018), arXiv 1811.12359",
    )
)
def compute_downstream_task(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: Sequence[int] | int = (10, 100, 1_000, 10_000),
    num_test: int = 5_000,
    batch_size: int = 16,
    predictor_fn: PredictorFn | None = None,
    n_jobs: int | None = -1,
) -> Scores:
    """Accuracy of predicting each factor from a representation (arXiv 1811.12359).

    The defaults are those of the published study, which uses both `logistic_regression_cv` and
    `gradient_boosting_classifier`.

    Args:
        num_train: numbers of points to fit the classifiers on, drawn anew for each.

    Returns:
        Scores as in `downstream_task_of`; of a table, beside them `N:num_train`, `N:num_test` and
        `N:num_train_asked`, `N:num_test_asked`. A number N that a table has not enough rows for is
        left out, with a line in the log.
    """
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    samples = draw_samples(source, check_sizes(num_train), num_test)
    seeds = draw_seeds(source.random_state, ground_truth_data.num_factors)
    return downstream_task_of(samples, seeds, predictor_fn, n_jobs) | samples.points


def check_sizes(num_train: Sequence[int] | int) -> list[int]:
    """The numbers of training points as a list; one number stands for a list of it.

    Raises:
        ValueError: a number below 1, none, or the same one twice.
    """
    sizes = list(num_train) if isinstance(num_train, (Sequence, np.ndarray)) else [num_train]
    for size in sizes:
        check_count("num_train", size)
    if not sizes or len(set(sizes)) < len(sizes):
        raise ValueError(
            f"num_train must name at least one number of points and none twice, got {num_train!r}: "
            "scores are reported under it."
        )
    return sizes


def draw_samples(source: Source, sizes: Sequence[int], num_test: int) -> Samples:
    """A training and a test sample for each number of training points, in the original's order.

    Of a table, distinct rows for each number, anew as in the original. A number that the table has
    not enough rows for is left out.
    """
    check_count("num_test", num_test)
    rows = table_rows(source.data, source.function)
    asked: list[dict[str, int]] = [
        {f"num_train {size}": size, f"num_test {size}": num_test} for size in sizes
    ]
    by_row = rows is not None and not rows.is_sampled_as_grid(
        sum(sum(each.values()) for each in asked)
    )
    if rows is None or not by_row:
        # One after the other from one stream, as the original draws.
        asked = [{name: num for each in asked for name, num in each.items()}]
    else:
        sizes = sizes_that_fit(rows, sizes, num_test)
        asked = [fitting(rows, size, num_test) for size in sizes]
    drawn = [source.draw(**each) for each in asked]
    parts = only_classes("downstream task", source.data, [part for each in drawn for part in each])
    samples = Samples(zip(sizes, zip(parts[::2], parts[1::2], strict=True), strict=True))
    samples.points = {}
    if by_row:
        for size, (train, test) in samples.items():
            used = points_used("num_train", len(train.codes), size)
            used |= points_used("num_test", len(test.codes), num_test)
            samples.points |= {f"{size}:{key}": value for key, value in used.items()}
    return samples


def sizes_that_fit(rows: TableRows, sizes: Sequence[int], num_test: int) -> list[int]:
    """The numbers of training points that a table has rows for; the others are logged.

    Beside them there have to be `num_test` rows to test on, or a tenth of the table's and five.

    Raises:
        ValueError: if there is none.
    """
    num_rows = len(rows.drawn.rows)
    if rows.tests is not None and len(rows.tests.rows) < min(num_test, FEWEST_POINTS):
        raise ValueError(
            f"factors: {len(rows.tests.rows)} rows are held out to test on; expected at least "
            f"{FEWEST_POINTS}: hold out more"
        )
    tested = max(FEWEST_POINTS, math.ceil(_LEAST_TESTED * num_rows))
    least = min(num_test, tested) if rows.tests is None else 0
    kept = [size for size in sizes if size <= num_rows - least]
    left_out = [size for size in sizes if size not in kept]
    if left_out:
        line = (
            f"num_train = {left_out}: the table has {num_rows} rows, of which at least {least} are "
            "to test on"
        )
        if not kept:
            raise ValueError(f"{line}: bind num_train = [{num_rows - least}] or less")
        logger.warning("%s: left out", line)
    return kept


def fitting(rows: TableRows, size: int, num_test: int) -> dict[str, int]:
    """A training sample of that size, and a test sample as large as there are rows for."""
    if rows.tests is not None:
        left = len(rows.tests.rows)
    else:
        left = len(rows.drawn.rows) - size
    return {f"num_train {size}": size, f"num_test {size}": min(num_test, left)}


def _summary(result: Accuracies) -> Scores:
    train, test = result.train[result.scored], result.test[result.scored]
    scores: Scores = {
        "mean_train_accuracy": float(np.mean(train)),
        "mean_test_accuracy": float(np.mean(test)),
        "min_train_accuracy": float(np.min(train)),
        "min_test_accuracy": float(np.min(test)),
        "num_factors_scored": result.scored.size,
    }
    for k in result.scored:
        scores[f"train_accuracy_factor_{k}"] = float(result.train[k])
        scores[f"test_accuracy_factor_{k}"] = float(result.test[k])
    return scores
