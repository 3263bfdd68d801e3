"""Unfairness of classifiers: Locatello et al., "On the Fairness of Disentangled Representations"
(arXiv 1905.13662), section 4. Low is good.

A classifier predicts one factor, the target; another one, the sensitive factor, is set to each of
its values. The more the distribution of predictions moves, the less fair the representation is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.metrics.checks import check_count, varying_factors
from srvae_plugin.metrics.codes import (
    CodeDraws,
    CodesAndFactors,
    RepresentationFunction,
    sample_codes_and_factors,
)
from srvae_plugin.metrics.predictors import PredictorFn, Task, draw_seeds, predict

_AGGREGATES: dict[str, Callable[..., Any]] = {"mean": np.mean, "max": np.max}


class Interventions(NamedTuple):
    """Codes of points of which one factor has been set."""

    target: int
    """Factor that is to be predicted."""
    sensitive: int
    """Factor that was set."""
    codes: NDArray[Any]
    """(value of the sensitive factor, points, latent)."""


def inter_group_fairness(counts: NDArray[np.integer[Any]]) -> tuple[float, float]:
    """Mean and largest total variation distance of groups from all of them, both in [0, 1].

    Args:
        counts: (predicted value, group) number of predictions.

    In single precision, as in the original.
    """
    overall = np.sum(counts, axis=1, dtype=np.float32)
    overall /= overall.sum()
    per_group = counts.sum(axis=0)
    distributions = counts.astype(np.float32)
    distributions /= per_group
    distances = np.sum(np.abs(distributions - overall[:, np.newaxis]), axis=0) / 2.0
    return float(np.sum(distances * per_group / per_group.sum())), float(distances.max())


def fairness_scores(
    matrix: NDArray[np.float64], prefix: str, names: NDArray[np.intp]
) -> dict[str, float | int]:
    """Every entry, mean and maximum of an unfairness matrix (target, sensitive factor).

    Args:
        matrix: square; its diagonal is not looked at.
        prefix: what the keys start with.
        names: (factor,) what the factors are called in the keys.

    Returns:
        `PREFIX:predI:sensJ`, `PREFIX:predI:AGG_sens`, `PREFIX:sensJ:AGG_pred`, and over those
        `PREFIX:AGG_sens:AGG_pred` and `PREFIX:AGG_pred:AGG_sens`, with mean and max for AGG. What
        stands last in a key is aggregated first.
    """
    scores: dict[str, float | int] = {}
    size = len(matrix)
    off_diagonal = ~np.eye(size, dtype=bool)
    by_axis = {"pred": matrix, "sens": matrix.T}
    for i, j in np.argwhere(off_diagonal):
        scores[f"{prefix}:pred{names[i]}:sens{names[j]}"] = float(matrix[i, j])
    for kept, other in (("pred", "sens"), ("sens", "pred")):
        rows = by_axis[kept][off_diagonal].reshape(size, size - 1)
        for inner, aggregate in _AGGREGATES.items():
            of_rows = [float(aggregate(row)) for row in rows]
            for name, value in zip(names, of_rows, strict=True):
                scores[f"{prefix}:{kept}{name}:{inner}_{other}"] = value
            for outer, over_rows in _AGGREGATES.items():
                key = f"{prefix}:{outer}_{kept}:{inner}_{other}"
                scores[key] = float(over_rows(of_rows))
    return scores


def fairness(
    train: CodesAndFactors,
    interventions: list[Interventions],
    factors_num_values: list[int],
    seeds: NDArray[np.integer[Any]],
    predictor_fn: PredictorFn | None = None,
    n_jobs: int | None = None,
) -> dict[str, float | int]:
    """Unfairness of classifiers of each factor under interventions on each other factor.

    Args:
        train: codes (points, latent) and factors (points, factor) to fit the classifiers on.
        interventions: codes to predict the target of.
        factors_num_values: number of values of each factor.
        seeds: (factor,) seed of each factor's classifier.
        predictor_fn: makes a classifier. None: gin's `predictor.predictor_fn`, or boosted trees.
        n_jobs: processes to fit classifiers in, as in joblib; scores do not depend on it.

    Returns:
        `fairness_scores` under the prefixes `mean_fairness` and `max_fairness`, the mean and the
        largest distance over the sensitive factor's values; `mean_fairness:mean_pred:mean_sens`
        is the paper's. All in [0, 1], 0 is fair. `num_factors_scored`.

    Raises:
        ValueError: fewer than two factors that vary, or a wrong shape or value.

    Constant factors are left out, with a logged warning; the original fails on them. Collapsed
    codes, of which all predictions are the same, are perfectly fair.
    """
    varying = varying_factors("fairness", train.factors, at_least=2)
    tasks = []
    for i in varying:
        asked = tuple(np.concatenate(part.codes) for part in interventions if part.target == i)
        tasks.append(Task(train.codes, train.factors[:, i], int(seeds[i]), asked))
    predicted = predict(tasks, predictor_fn, n_jobs)
    position = {int(k): n for n, k in enumerate(varying)}
    matrices = np.zeros((2, varying.size, varying.size))
    for i in varying:
        parts = [part for part in interventions if part.target == i]
        for part, labels in zip(parts, predicted[position[int(i)]], strict=True):
            groups = labels.astype(np.int64).reshape(len(part.codes), -1)
            counts = [np.bincount(group, minlength=factors_num_values[i]) for group in groups]
            place = position[part.target], position[part.sensitive]
            matrices[(slice(None), *place)] = inter_group_fairness(np.stack(counts, axis=1))
    scores: dict[str, float | int] = {"num_factors_scored": varying.size}
    for prefix, matrix in zip(("mean_fairness", "max_fairness"), matrices, strict=True):
        scores |= fairness_scores(matrix, prefix, varying)
    return scores


def compute_fairness(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: np.random.RandomState,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    num_test_points_per_class: int = 100,
    batch_size: int = 16,
    predictor_fn: PredictorFn | None = None,
    n_jobs: int | None = -1,
) -> dict[str, float | int]:
    """Unfairness of classifiers on a representation (arXiv 1905.13662, section 4).

    The defaults are those of the published study.

    Args:
        ground_truth_data: data set to sample from.
        representation_function: observations (batch, H, W, C) to codes (batch, latent).
        random_state: source of all randomness. Points are drawn in the original's order; the
            seeds of the classifiers, which the original leaves to chance, are drawn after them.
        artifact_dir: not used, as in the original.
        num_train: points to fit the classifiers on.
        num_test_points_per_class: points whose sensitive factor is set to each of its values.
        batch_size: training points drawn at a time.
        predictor_fn: makes a classifier. None: gin's `predictor.predictor_fn`, or boosted trees.
        n_jobs: processes to fit classifiers in, as in joblib; scores do not depend on it.

    Returns:
        Scores as in `fairness`.

    Raises:
        ValueError: a setting out of range, or codes that are NaN, inf or of a wrong shape.
    """
    del artifact_dir
    check_count("num_test_points_per_class", num_test_points_per_class)
    (train,) = sample_codes_and_factors(
        ground_truth_data,
        representation_function,
        {"num_train": num_train},
        random_state,
        batch_size,
    )
    varying = varying_factors("fairness", train.factors, at_least=2).tolist()
    sizes = list(ground_truth_data.factors_num_values)
    draws = CodeDraws(ground_truth_data, representation_function)
    places = [(i, j) for i in varying for j in varying if i != j]
    for _, sensitive in places:
        factors = ground_truth_data.sample_factors(num_test_points_per_class, random_state)
        for value in range(sizes[sensitive]):
            factors[:, sensitive] = value
            draws.observe(factors, random_state)
    seeds = draw_seeds(random_state, ground_truth_data.num_factors)
    ends = np.cumsum([sizes[sensitive] * num_test_points_per_class for _, sensitive in places])
    interventions = [
        Interventions(*place, part.reshape(sizes[place[1]], num_test_points_per_class, -1))
        for place, part in zip(places, np.split(draws.codes(), ends[:-1]), strict=True)
    ]
    return fairness(train, interventions, sizes, seeds, predictor_fn, n_jobs)
