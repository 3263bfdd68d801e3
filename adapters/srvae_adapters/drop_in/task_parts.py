"""What the tasks of `evaluation.metrics` are made of: downstream, fairness, FactorVAE, beta-VAE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gin
import numpy as np
from numpy.typing import NDArray

from srvae_adapters.drop_in.evaluation_utils import Rows, obtain_representation
from srvae_adapters.drop_in.metric_parts import Matrix, compute_importance_gbt
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.metrics.codes import RepresentationFunction
from srvae_plugin.metrics.fairness import fairness_scores
from srvae_plugin.metrics.reduced_downstream_task import reduced_representation

__all__ = [
    "Accuracies",
    "Predictor",
    "compute_factorwise_dci",
    "compute_predictive_accuracy",
    "compute_reduced_representation",
    "compute_scores_dict",
    "intervene",
]

Predictor = Callable[[], Any]
Accuracies = tuple[list[float], list[float]]


def compute_scores_dict(metric: Matrix, prefix: str) -> dict[str, Any]:
    """Every entry, mean and maximum of an unfairness matrix, by the original's keys."""
    return fairness_scores(np.asarray(metric), prefix, np.arange(len(metric)))


def compute_predictive_accuracy(
    x_train: NDArray[Any],
    y_train: Rows,
    x_test: NDArray[Any],
    y_test: Rows,
    predictor_fn: Predictor,
) -> Accuracies:
    """Training and test accuracy of a fresh classifier for each factor.

    Args:
        x_train, x_test: codes, one row per point.
        y_train, y_test: (num_factors, num_points).
        predictor_fn: makes a classifier.
    """
    on_train, on_test = [], []
    for train, test in zip(y_train, y_test, strict=True):
        model = predictor_fn()
        model.fit(x_train, train)
        on_train.append(float(np.mean(model.predict(x_train) == train)))
        on_test.append(float(np.mean(model.predict(x_test) == test)))
    return on_train, on_test


def compute_factorwise_dci(
    mus_train: Rows, ys_train: Rows, mus_test: Rows, ys_test: Rows
) -> Matrix:
    """DCI's importance of each code for each factor."""
    return compute_importance_gbt(mus_train, ys_train, mus_test, ys_test)[0]


def compute_reduced_representation(
    mus_train: Rows,
    ys_train: Rows,
    mus_test: Rows,
    ys_test: Rows,
    factor_of_interest: int,
    correlation_measure: Callable[..., Matrix] | None = None,
) -> tuple[Rows, Rows]:
    """Codes without the one that knows most of a factor."""
    given = {"correlation_measure": correlation_measure} if correlation_measure else {}
    measure = gin.get_configurable(reduced_representation)(**given)
    matrix = measure(mus_train, ys_train, mus_test, ys_test)
    removed = int(np.argmax(matrix[:, factor_of_interest]))
    return np.delete(mus_train, removed, axis=0), np.delete(mus_test, removed, axis=0)


def intervene(
    y_train: NDArray[Any],
    y_test: NDArray[Any],
    target_y: int,
    num_factors: int,
    ground_truth_data: GroundTruthData,
) -> tuple[NDArray[Any], NDArray[Any], int, int]:
    """Give another factor one value in the training points, in place, and all others in the test.

    Draws from numpy's global state, as the original does.

    Returns:
        Both arrays (points, factors), the factor that was set, and its value in training.
    """
    factor = int(np.random.choice([k for k in range(num_factors) if k != target_y]))
    values = list(range(ground_truth_data.factors_num_values[factor]))
    known = int(np.random.choice(values))
    values.remove(known)
    y_train[:, factor] = known
    y_test[:, factor] = np.random.choice(values, size=len(y_test))
    return y_train, y_test, factor, known


def _compute_loss_intervene(
    factors_train: NDArray[Any],
    factors_test: NDArray[Any],
    predictor_fn: Predictor,
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: np.random.RandomState,
    n_experiment: int = 10,
) -> Accuracies:
    on_train, on_test = [], []
    num_factors = factors_train.shape[1]
    for factor in np.repeat(np.arange(num_factors), n_experiment).tolist():
        shifted = intervene(
            factors_train.copy(), factors_test.copy(), factor, num_factors, ground_truth_data
        )[:2]
        codes = [
            representation_function(
                ground_truth_data.sample_observations_from_factors(factors, random_state)
            )
            for factors in shifted
        ]
        labels = [factors.T[[factor]] for factors in shifted]
        train, test = compute_predictive_accuracy(
            codes[0], labels[0], codes[1], labels[1], predictor_fn
        )
        on_train += train
        on_test += test
    return on_train, on_test


def _compute_variances(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    batch_size: int,
    random_state: np.random.RandomState,
    eval_batch_size: int = 64,
) -> NDArray[Any]:
    observations = ground_truth_data.sample_observations(batch_size, random_state)
    codes = obtain_representation(observations, representation_function, eval_batch_size)
    return np.var(codes, axis=1, ddof=1)


def _variance_sample(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    batch_size: int,
    random_state: np.random.RandomState,
    global_variances: NDArray[Any],
    active_dims: NDArray[np.bool_],
) -> tuple[int, int]:
    """A factor that is held fixed, and the active latent that varies least."""
    factor = random_state.randint(ground_truth_data.num_factors)
    rows = ground_truth_data.sample_factors(batch_size, random_state)
    rows[:, factor] = rows[0, factor]
    codes = representation_function(
        ground_truth_data.sample_observations_from_factors(rows, random_state)
    )
    shares = np.var(codes, axis=0, ddof=1)[active_dims] / global_variances[active_dims]
    return factor, int(np.argmin(shares))


def _variance_batch(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    batch_size: int,
    num_points: int,
    random_state: np.random.RandomState,
    global_variances: NDArray[Any],
    active_dims: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Votes (factor, latent) of the FactorVAE score."""
    votes = np.zeros((ground_truth_data.num_factors, len(global_variances)), dtype=np.int64)
    for _ in range(num_points):
        votes[
            _variance_sample(
                ground_truth_data, representation_function, batch_size, random_state,
                global_variances, active_dims,
            )
        ] += 1  # fmt: skip
    return votes


def _difference_sample(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    batch_size: int,
    random_state: np.random.RandomState,
) -> tuple[int, NDArray[Any]]:
    """A factor that pairs share, and how far their latents are apart."""
    factor = random_state.randint(ground_truth_data.num_factors)
    rows = [ground_truth_data.sample_factors(batch_size, random_state) for _ in range(2)]
    rows[1][:, factor] = rows[0][:, factor]
    images = [ground_truth_data.sample_observations_from_factors(r, random_state) for r in rows]
    one, other = (representation_function(each) for each in images)
    return factor, np.mean(np.abs(one - other), axis=0)


def _difference_batch(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    batch_size: int,
    num_points: int,
    random_state: np.random.RandomState,
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Points and labels of the beta-VAE score."""
    drawn = [
        _difference_sample(ground_truth_data, representation_function, batch_size, random_state)
        for _ in range(num_points)
    ]
    return np.array([point for _, point in drawn]), np.array([factor for factor, _ in drawn])
