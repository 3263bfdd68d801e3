"""What the metrics of `evaluation.metrics` are made of, on matrices (num_codes, num_points)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_adapters.drop_in.evaluation_utils import Rows
from srvae_adapters.drop_in.metric_functions import only_theirs
from srvae_plugin import metrics
from srvae_plugin.metrics.codes import CodesAndFactors
from srvae_plugin.metrics.dci import (
    dci_scores,
    disentanglement,
    disentanglement_per_row,
    importance_matrix,
)
from srvae_plugin.metrics.irs import robustness_matrix
from srvae_plugin.metrics.modularity_explicitness import explicitness, modularity_per_latent
from srvae_plugin.metrics.sap_score import prediction_accuracies, sap_score, squared_correlations
from srvae_plugin.metrics.unsupervised_metrics import gaussian_wasserstein_correlation as _complex

__all__ = [
    "Matrix",
    "completeness",
    "completeness_per_factor",
    "compute_avg_diff_top_two",
    "compute_importance_gbt",
    "compute_score_matrix",
    "disentanglement_per_code",
    "explicitness_per_factor",
    "gaussian_wasserstein_correlation",
    "kl_gaussians_numerically_unstable",
    "modularity",
    "points",
    "sap_compute_diff_top_two",
    "scalable_disentanglement_score",
]

Matrix = NDArray[Any]
"""(num_codes, num_factors)."""


def points(mus: Rows, ys: Rows) -> CodesAndFactors:
    """The same as ours, one row per point."""
    return CodesAndFactors(np.transpose(mus), np.transpose(ys))


def compute_importance_gbt(
    x_train: Rows, y_train: Rows, x_test: Rows, y_test: Rows
) -> tuple[Matrix, float, float]:
    """Importance of each code for each factor, and mean accuracies on both sets of points.

    The trees have seed 0; the original leaves them to numpy's global state.
    """
    found = importance_matrix(
        points(x_train, y_train), points(x_test, y_test), np.zeros(len(y_train), dtype=np.int64)
    )
    accuracies = (found.train_accuracy, found.test_accuracy)
    return found.matrix, *(float(np.nanmean(values)) for values in accuracies)  # type: ignore[return-value]


def _compute_dci(mus_train: Rows, ys_train: Rows, mus_test: Rows, ys_test: Rows) -> dict[str, Any]:
    seeds = np.zeros(len(ys_train), dtype=np.int64)
    train, test = points(mus_train, ys_train), points(mus_test, ys_test)
    return only_theirs(dci_scores(importance_matrix(train, test, seeds)))


def disentanglement_per_code(importance_matrix: Matrix) -> NDArray[np.float64]:
    """1 less the entropy of each row, in units of its maximum."""
    return disentanglement_per_row(importance_matrix)


def completeness_per_factor(importance_matrix: Matrix) -> NDArray[np.float64]:
    """The same of each column."""
    return disentanglement_per_code(importance_matrix.T)


def completeness(importance_matrix: Matrix) -> float:
    """The mean of `completeness_per_factor`, weighted by the factors' importance."""
    return disentanglement(np.transpose(importance_matrix))


def _compute_mig(mus_train: Rows, ys_train: Rows) -> dict[str, Any]:
    return only_theirs(metrics.mig(*points(mus_train, ys_train)))


def compute_score_matrix(
    mus: Rows, ys: Rows, mus_test: Rows, ys_test: Rows, continuous_factors: bool
) -> Matrix:
    """How well each code alone predicts each factor."""
    train, test = points(mus, ys), points(mus_test, ys_test)
    if continuous_factors:
        return squared_correlations(*train)
    return prediction_accuracies(*train, *test)


def _compute_sap(
    mus: Rows, ys: Rows, mus_test: Rows, ys_test: Rows, continuous_factors: bool
) -> dict[str, Any]:
    train, test = points(mus, ys), points(mus_test, ys_test)
    return only_theirs(sap_score(*train, *test, continuous_factors))


def compute_avg_diff_top_two(matrix: Matrix) -> float:
    """Mean over factors of the best code's score less the second best's."""
    return float(np.mean(sap_compute_diff_top_two(matrix)))


def sap_compute_diff_top_two(matrix: Matrix) -> NDArray[np.float64]:
    """For each factor, the best code's score less the second best's."""
    second, best = np.sort(matrix, axis=0)[-2:]
    return best - second


def explicitness_per_factor(
    mus_train: Rows, y_train: NDArray[Any], mus_test: Rows, y_test: NDArray[Any]
) -> tuple[float, float]:
    """Area under the ROC curve of a logistic regression, on the training and the test points."""
    train, test = (
        CodesAndFactors(np.transpose(mus), np.reshape(y, (-1, 1)))
        for mus, y in ((mus_train, y_train), (mus_test, y_test))
    )
    on_train, on_test = explicitness(train, test)
    return float(on_train[0]), float(on_test[0])


def modularity(mutual_information: Matrix) -> float:
    """Mean modularity of the codes."""
    return float(np.mean(modularity_per_latent(mutual_information)))


def _drop_constant_dims(ys: Any) -> Rows:
    ys = np.asarray(ys)
    if ys.ndim != 2:
        raise ValueError(f"expected a matrix, got shape {ys.shape}")
    return ys[ys.var(axis=1) > 0]


def scalable_disentanglement_score(
    gen_factors: NDArray[Any], latents: NDArray[Any], diff_quantile: float = 0.99
) -> dict[str, Any]:
    """IRS and what it is made of, of factors and codes with one row per point.

    Args:
        gen_factors: (points, factors) discrete values.
        latents: (points, codes), none of them constant.
        diff_quantile: which quantile of deviations stands for the largest.
    """
    matrix, largest = robustness_matrix(latents, gen_factors, diff_quantile)
    scores = matrix.max(axis=1)
    weights = largest if largest.sum() > 0 else None
    return {
        "disentanglement_scores": scores,
        "avg_score": float(np.average(scores, weights=weights)),
        "parents": matrix.argmax(axis=1),
        "IRS_matrix": matrix,
        "max_deviations": largest,
    }


def gaussian_wasserstein_correlation(cov: NDArray[Any]) -> complex | float:
    """Squared 2-Wasserstein distance of a Gaussian from the product of its marginals."""
    found = _complex(cov)
    return found.real if found.imag == 0 else found


def kl_gaussians_numerically_unstable(
    mean_0: NDArray[Any], cov_0: NDArray[Any], mean_1: NDArray[Any], cov_1: NDArray[Any], k: int
) -> float:
    """Divergence of one Gaussian of `k` dimensions from another, by determinants."""
    inverse, shift = np.linalg.inv(cov_1), mean_1 - mean_0
    ratio = np.linalg.det(cov_1) / np.linalg.det(cov_0)
    return float(0.5 * (np.trace(inverse @ cov_0) + shift @ inverse @ shift - k + np.log(ratio)))
