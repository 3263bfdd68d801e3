"""Reduced downstream task: how well factors are still predicted when the latents that know most of
one of them have been removed. An extension of the downstream task of Locatello et al. (arXiv
1811.12359) that comes with disentanglement_lib; no paper reports it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gin
import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.seeds import Seed, draw_seeds, random_state_of
from srvae_plugin.metrics.codes import CodesAndFactors, RepresentationFunction
from srvae_plugin.metrics.common.arrays import split, with_names
from srvae_plugin.metrics.common.checks import check_count, varying_factors
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.info import MetricInfo, documented, metric
from srvae_plugin.metrics.dci import fit_importance, importance_matrix
from srvae_plugin.metrics.downstream_task import check_sizes, draw_samples
from srvae_plugin.metrics.learners.predictors import Accuracies, PredictorFn, accuracies

__all__ = [
    "CorrelationMeasure",
    "compute_reduced_downstream_task",
    "factorwise_dci",
    "reduced_downstream_task",
    "reduced_downstream_task_of",
    "reduced_representation",
]

CorrelationMeasure = Callable[
    [NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]], NDArray[Any]
]
"""Codes (latent, points) and factors (factor, points) of a training and a test sample, in the
original's layout, to a (latent, factor) matrix of how informative latents are about factors."""


@gin.register(
    "factorwise_dci",
    module="srvae_plugin",
    denylist=["mus_train", "ys_train", "mus_test", "ys_test"],
)
def factorwise_dci(
    mus_train: NDArray[Any], ys_train: NDArray[Any], mus_test: NDArray[Any], ys_test: NDArray[Any]
) -> NDArray[np.float64]:
    """DCI's importance matrix (latent, factor), of trees with seed 0; a `CorrelationMeasure`.

    As the measure of the reduced downstream task it is not called: of the matrix only one column
    is looked at, and only that one is computed, which changes no score.
    """
    train = CodesAndFactors(mus_train.T, ys_train.T)
    test = CodesAndFactors(mus_test.T, ys_test.T)
    return importance_matrix(train, test, np.zeros(len(ys_train), dtype=np.int64)).matrix


@gin.register("reduced_representation", module="srvae_plugin")
def reduced_representation(
    correlation_measure: CorrelationMeasure | None = None,
) -> CorrelationMeasure:
    """The measure by which latents are chosen to be removed, by default DCI's importance."""
    return factorwise_dci if correlation_measure is None else correlation_measure


def reduced_downstream_task_of(
    samples: Mapping[int, tuple[CodesAndFactors, CodesAndFactors]],
    seeds: NDArray[np.integer[Any]],
    num_factors_to_remove: int = 1,
    correlation_measure: CorrelationMeasure | None = None,
    predictor_fn: PredictorFn | None = None,
    n_jobs: int | None = None,
) -> Scores:
    """Accuracy of predicting factors from codes without the latents that know most of one.

    Args:
        samples: training and test sample for each number of training points.
        seeds: (factor,) seed of each factor's trees and classifiers.
        num_factors_to_remove: latents, despite the name, to remove one after the other.
        correlation_measure: how informative each latent is about each factor. None: gin's
            `reduced_representation.correlation_measure`, or DCI's importance.
        predictor_fn: makes a classifier. None: gin's `predictor.predictor_fn`, or boosted trees.
        n_jobs: processes to fit classifiers in, as in joblib; scores do not depend on it.

    Returns:
        For each size N and factor R whose latents were removed, in [0, 1], with train and test
        in place of PART: `N:reduced_factor_R:mean_PART_accuracy_factor_K` for each factor K,
        `..._reduced_factor` for R itself and `..._non_reduced_factor`, the mean of the others;
        `N:mean_PART_accuracy_reduced_factor` and `N:mean_PART_accuracy_other_factors`, means of
        these over R; `N:num_factors_scored`. Little on R and much on the others is good.

    Raises:
        ValueError: fewer than two factors vary in a training sample, not more latents than are
            to be removed, or a wrong shape or value.

    Constant factors are left out, with a logged warning; the original fails on them.
    """
    check_count("num_factors_to_remove", num_factors_to_remove)
    given = {} if correlation_measure is None else {"correlation_measure": correlation_measure}
    measure = gin.get_configurable(reduced_representation)(**given)
    scores: Scores = {}
    for size, sample in samples.items():
        train, test = sample
        varying = varying_factors("reduced downstream task", train.factors, at_least=2)
        train = CodesAndFactors(train.codes, train.factors[:, varying])
        test = CodesAndFactors(test.codes, test.factors[:, varying])
        reduced = []
        for k, seed in enumerate(seeds[varying]):
            left = _remaining(train, test, k, int(seed), measure, num_factors_to_remove)
            fit = CodesAndFactors(train.codes[:, left], train.factors)
            reduced.append((fit, CodesAndFactors(test.codes[:, left], test.factors)))
        results = accuracies(
            "reduced downstream task", reduced, seeds[varying], predictor_fn, n_jobs
        )
        scores |= {f"{size}:{key}": value for key, value in _summary(results, varying).items()}
    return scores


@documented
def reduced_downstream_task(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    test: Any = 1 / 3,
    num_factors_to_remove: int = 1,
    correlation_measure: CorrelationMeasure | None = None,
    predictor_fn: PredictorFn | None = None,
    n_jobs: int | None = None,
) -> Scores:
    """Accuracy of predicting factors from codes without the latents most informative about one.

        for each factor R: remove the latents most informative about R, fit a classifier of each
        factor K to N points of the rest, and take its accuracy on test points

    Rewards: codes from which R can then no longer be predicted, while the other factors still can.

    Punishes: factors in several latents (R can still be predicted) and latents with several factors
    (the others are lost with R).

    Use it: to test "one factor, one latent" directly, by what a classifier can do. No paper reports
    it.

    Published settings: none; disentanglement_lib has the metric without a configuration. The
    defaults are the sizes of the downstream task's largest sample.

    Args:
        num_factors_to_remove: latents, despite the name, to remove for each factor.
        correlation_measure: how informative each latent is about each factor. None: gin's
            `reduced_representation.correlation_measure`, or DCI's importance.

    Returns:
        For each number N of training points and factor R whose latents were removed, all in [0, 1],
        with train or test for PART: `N:reduced_factor_R:mean_PART_accuracy_factor_K` for each
        factor K, `..._reduced_factor` for R itself and `..._non_reduced_factor`, the mean over the
        others; `N:mean_PART_accuracy_reduced_factor` (lower is better) and
        `N:mean_PART_accuracy_other_factors` (higher is better), means of these over R;
        `N:num_factors_scored`. R and K are the names of the factors' columns, if they have any.

    Raises:
        ValueError: as in `reduced_downstream_task_of`.

    Special cases: Constant factors are left out, with a logged warning; disentanglement_lib fails
    on them. With collapsed codes all accuracies are those of guessing.

    Examples:
        >>> import numpy as np
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> from srvae_plugin.metrics.unified_scores import mutual_information_matrix
        >>> factors = np.argwhere(np.ones((2, 4)))
        >>> codes, settings = factors + 0.0, {"predictor_fn": DecisionTreeClassifier}
        >>> settings["correlation_measure"] = mutual_information_matrix
        >>> scores = reduced_downstream_task(codes, factors, test=(codes, factors), **settings)
        >>> scores["8:mean_test_accuracy_other_factors"]  # perfect codes
        1.0
        >>> round(scores["8:mean_test_accuracy_reduced_factor"], 6)  # guessing, 1/2 and 1/4
        0.375
        >>> codes = 0 * codes  # collapsed codes
        >>> scores = reduced_downstream_task(codes, factors, test=(codes, factors), **settings)
        >>> round(scores["8:mean_test_accuracy_other_factors"], 6)
        0.375
    """
    stream = random_state_of(seed, random_state)
    parts = split(codes, factors, test, stream)
    seeds = draw_seeds(stream, len(parts.names))
    scores = reduced_downstream_task_of(
        {len(parts.train.codes): (parts.train, parts.test)},
        seeds,
        num_factors_to_remove,
        correlation_measure,
        predictor_fn,
        n_jobs,
    )
    return with_names(scores, parts.names)


@metric(
    MetricInfo(
        "Reduced downstream task",
        "an extension of the downstream task that comes with disentanglement_lib",
    )
)
def compute_reduced_downstream_task(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_factors_to_remove: int = 1,
    num_train: Sequence[int] | int = (10_000,),
    num_test: int = 5_000,
    batch_size: int = 16,
    correlation_measure: CorrelationMeasure | None = None,
    predictor_fn: PredictorFn | None = None,
    n_jobs: int | None = -1,
) -> Scores:
    """Accuracy of predicting factors from a representation without a factor's best latents.

    The original has no defaults and its studies no configuration; these are the sizes of the
    downstream task's largest sample.

    Args:
        num_factors_to_remove: latents, despite the name, to remove for each factor.
        num_train: numbers of points to fit on, drawn anew for each.
        correlation_measure: how informative each latent is about each factor. None: gin's
            `reduced_representation.correlation_measure`, or DCI's importance.

    Returns:
        Scores as in `reduced_downstream_task_of`; of a table, the points used and the numbers left
        out as in `compute_downstream_task`.
    """
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    samples = draw_samples(source, check_sizes(num_train), num_test)
    seeds = draw_seeds(source.random_state, ground_truth_data.num_factors)
    scores = reduced_downstream_task_of(
        samples, seeds, num_factors_to_remove, correlation_measure, predictor_fn, n_jobs
    )
    return scores | samples.points


def _remaining(
    train: CodesAndFactors,
    test: CodesAndFactors,
    factor: int,
    seed: int,
    measure: CorrelationMeasure,
    num_removed: int,
) -> list[int]:
    """Indices of the latents that are left when those that know most of `factor` are removed."""
    left = list(range(train.codes.shape[1]))
    if len(left) <= num_removed:
        raise ValueError(
            f"num_factors_to_remove must be below the number of latents, {len(left)}, got "
            f"{num_removed}: nothing would be left to predict from."
        )
    for _ in range(num_removed):
        fit = CodesAndFactors(train.codes[:, left], train.factors)
        held_out = CodesAndFactors(test.codes[:, left], test.factors)
        if inspect.unwrap(measure) is factorwise_dci:
            importance, _, _ = fit_importance(fit, held_out, factor, seed)
        else:
            layout = (fit.codes.T, fit.factors.T, held_out.codes.T, held_out.factors.T)
            importance = np.asarray(measure(*layout))[:, factor]
        del left[int(np.argmax(importance))]
    return left


def _summary(results: list[Accuracies], names: NDArray[np.intp]) -> Scores:
    """Scores of one sample; `results` and the factors in them are those called `names`."""
    scores: Scores = {"num_factors_scored": names.size}
    for part in ("train", "test"):
        # row: whose latents were removed; column: what was predicted
        matrix = np.array([getattr(result, part) for result in results])
        others = [float(np.mean(np.delete(row, r))) for r, row in enumerate(matrix)]
        for r, name in enumerate(names):
            prefix = f"reduced_factor_{name}:mean_{part}_accuracy"
            scores[f"{prefix}_reduced_factor"] = float(matrix[r, r])
            scores[f"{prefix}_non_reduced_factor"] = others[r]
            for k, column in enumerate(names):
                scores[f"{prefix}_factor_{column}"] = float(matrix[r, k])
        scores[f"mean_{part}_accuracy_reduced_factor"] = float(np.mean(np.diag(matrix)))
        scores[f"mean_{part}_accuracy_other_factors"] = float(np.mean(others))
    return scores
