"""Downstream task: how well a classifier predicts each factor from all codes, by the number of
points it learns from. Locatello et al., "Challenging Common Assumptions in the Unsupervised
Learning of Disentangled Representations" (arXiv 1811.12359).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.metrics.checks import check_count
from srvae_plugin.metrics.codes import (
    CodesAndFactors,
    RepresentationFunction,
    sample_codes_and_factors,
)
from srvae_plugin.metrics.factor_kinds import only_classes
from srvae_plugin.metrics.predictors import Accuracies, PredictorFn, accuracies, draw_seeds

Samples = dict[int, tuple[CodesAndFactors, CodesAndFactors]]
"""Number of training points to a training and a test sample."""


def downstream_task(
    samples: Mapping[int, tuple[CodesAndFactors, CodesAndFactors]],
    seeds: NDArray[np.integer[Any]],
    predictor_fn: PredictorFn | None = None,
    n_jobs: int | None = None,
) -> dict[str, float | int]:
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
    scores: dict[str, float | int] = {}
    for size, result in zip(samples, results, strict=True):
        scores |= {f"{size}:{key}": value for key, value in _summary(result).items()}
    return scores


def compute_downstream_task(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: np.random.RandomState,
    artifact_dir: str | None = None,
    num_train: Sequence[int] | int = (10, 100, 1_000, 10_000),
    num_test: int = 5_000,
    batch_size: int = 16,
    predictor_fn: PredictorFn | None = None,
    n_jobs: int | None = -1,
) -> dict[str, float | int]:
    """Accuracy of predicting each factor from a representation (arXiv 1811.12359).

    The defaults are those of the published study, which uses both `logistic_regression_cv` and
    `gradient_boosting_classifier`.

    Args:
        ground_truth_data: data set to sample from.
        representation_function: observations (batch, H, W, C) to codes (batch, latent).
        random_state: source of all randomness. Points are drawn in the original's order; the
            seeds of the classifiers, which the original leaves to chance, are drawn after them.
        artifact_dir: not used, as in the original.
        num_train: numbers of points to fit the classifiers on, drawn anew for each.
        num_test: points to test them on, drawn anew for each.
        batch_size: points drawn at a time.
        predictor_fn: makes a classifier. None: gin's `predictor.predictor_fn`, or boosted trees.
        n_jobs: processes to fit classifiers in, as in joblib; scores do not depend on it.

    Returns:
        Scores as in `downstream_task`.

    Raises:
        ValueError: a setting out of range, or codes that are NaN, inf or of a wrong shape.
    """
    del artifact_dir
    samples = draw_samples(
        ground_truth_data,
        representation_function,
        random_state,
        check_sizes(num_train),
        num_test,
        batch_size,
    )
    seeds = draw_seeds(random_state, ground_truth_data.num_factors)
    return downstream_task(samples, seeds, predictor_fn, n_jobs)


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


def draw_samples(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: np.random.RandomState,
    sizes: Sequence[int],
    num_test: int,
    batch_size: int,
) -> Samples:
    """A training and a test sample for each number of training points, in the original's order."""
    check_count("num_test", num_test)
    num_points: dict[str, int] = {}
    for size in sizes:
        num_points |= {f"num_train {size}": size, f"num_test {size}": num_test}
    drawn = sample_codes_and_factors(
        ground_truth_data, representation_function, num_points, random_state, batch_size
    )
    drawn = only_classes("downstream task", ground_truth_data, drawn)
    return dict(zip(sizes, zip(drawn[::2], drawn[1::2], strict=True), strict=True))


def _summary(result: Accuracies) -> dict[str, float | int]:
    train, test = result.train[result.scored], result.test[result.scored]
    scores: dict[str, float | int] = {
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
