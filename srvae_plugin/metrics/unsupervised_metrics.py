"""Dependence between latents, without ground truth: the unsupervised scores of Locatello et al.,
"Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations"
(arXiv 1811.12359). Low is good in all of them.
"""

from __future__ import annotations

import logging
import warnings
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.seeds import Seed, random_state_of
from srvae_plugin.metrics.codes import RepresentationFunction
from srvae_plugin.metrics.common.arrays import as_array
from srvae_plugin.metrics.common.checks import check_codes, check_count, check_latents
from srvae_plugin.metrics.common.discretizer import DiscretizerFn, discretize_codes
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.info import Headline, MetricInfo, documented, metric
from srvae_plugin.metrics.common.mutual_information import mutual_information

__all__ = [
    "compute_unsupervised_metrics",
    "gaussian_total_correlation",
    "gaussian_wasserstein_correlation",
    "unsupervised_metrics",
    "wasserstein_by_eigenvalues",
]

logger = logging.getLogger(__name__)

_DEAD_VARIANCE = 1e-12  # as in the SAP score
_DEPENDENT = 1e-12
"""Eigenvalue of the correlations below which latents are dependent but for rounding."""


def gaussian_total_correlation(covariance: NDArray[np.float64]) -> float:
    """Total correlation in nats of a Gaussian with this covariance (latent, latent).

    The divergence from the product of its marginals: 0 if they are independent, inf if one is a
    linear function of the others, NaN if one is constant.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.diag(covariance))
        return float(0.5 * (np.sum(logs) - np.linalg.slogdet(covariance)[1]))


def gaussian_wasserstein_correlation(covariance: NDArray[np.float64]) -> complex:
    """Squared 2-Wasserstein distance of a Gaussian from the product of its marginals.

    By the root of a matrix that is not symmetric, as in the original. Where the covariance is
    close to singular, rounding makes that root, and the distance, complex or wrong;
    `wasserstein_by_eigenvalues` has neither problem.
    """
    from scipy.linalg import LinAlgWarning, sqrtm

    product = covariance * np.diag(covariance)[:, np.newaxis]
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", LinAlgWarning)
        root = sqrtm(product)
    return complex(2 * np.trace(covariance) - 2 * np.trace(root))


def wasserstein_by_eigenvalues(covariance: NDArray[np.float64]) -> float:
    """The same distance from the symmetric matrix of the same eigenvalues: real and >= 0."""
    deviations = np.sqrt(np.diag(covariance))
    symmetric = deviations[:, np.newaxis] * covariance * deviations
    roots = np.sqrt(np.maximum(np.linalg.eigvalsh(symmetric), 0.0))
    return max(0.0, float(2 * np.trace(covariance) - 2 * np.sum(roots)))


@documented
def unsupervised_metrics(
    codes: Any,
    factors: Any = None,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> Scores:
    """Dependence between the latents of codes (points, latent), without factors.

        total correlation = (sum over latents of log var(z_j) - log det cov(z)) / 2
        Wasserstein correlation = squared 2-Wasserstein distance of N(0, cov(z)) and its diagonal
        mutual information = mean over pairs of latents of I(z_i; z_j), with binned codes

    Rewards: latents that are independent of each other. Lower is better.

    Punishes: duplicated and correlated latents. Rotation raises the mutual information, but not the
    Gaussian scores as long as latents stay uncorrelated. Factors are ignored.

    Use it: where there are no factors, and never alone: codes without any information have the best
    possible scores.

    Published settings: the defaults are those of disentanglement_lib's study (arXiv 1811.12359).

    Args:
        factors: not looked at; here so that every metric is called alike.

    Returns:
        As in disentanglement_lib, 0 or more: `gaussian_total_correlation`, in nats, NaN if a latent
        is constant, inf or meaningless if latents are linearly dependent;
        `gaussian_wasserstein_correlation` and `gaussian_wasserstein_correlation_norm`, the same
        divided by the sum of variances, of which only the real part is given if linearly dependent
        latents make them complex, NaN if the matrix root fails or, for the latter, nothing varies;
        `mutual_info_score`, the mean mutual information of pairs of latents in nats.

        Corrected: `gaussian_total_correlation_active`, over latents with a variance above 1e-12 (0
        if fewer than two); `gaussian_wasserstein_correlation_real` and
        `gaussian_wasserstein_correlation_real_norm`, from eigenvalues (0 if nothing varies);
        `active_latents`, the number of latents with a variance above 1e-12.

    Raises:
        ValueError: fewer than two latents, or a wrong shape or value.

    Special cases: Collapsed codes have the best possible scores, as nothing depends on anything:
    report a supervised score with these. Where constant or linearly dependent latents make
    disentanglement_lib's scores NaN, inf or complex, its values are kept under its keys, and the
    corrected keys are added.

    Examples:
        >>> import numpy as np
        >>> codes = np.argwhere(np.ones((4, 5)))  # perfect codes
        >>> round(unsupervised_metrics(codes)["mutual_info_score"], 9)
        0.0
        >>> unsupervised_metrics(np.zeros((20, 3)))["active_latents"]  # collapsed codes
        0
    """
    del factors
    random_state_of(seed, random_state)  # is one, although nothing here is random
    codes = check_codes(as_array(codes), name="codes")
    check_latents("unsupervised metrics", codes.shape[1])
    check_count("the number of points", len(codes), 2)
    covariance = np.cov(codes.T)
    total = float(np.trace(covariance))
    active = np.diag(covariance) > _DEAD_VARIANCE
    among_active = covariance[np.ix_(active, active)]
    distance = gaussian_wasserstein_correlation(covariance).real
    real_distance = wasserstein_by_eigenvalues(covariance)
    bins = discretize_codes(codes, num_bins, discretizer_fn)
    information = mutual_information(bins, bins)
    np.fill_diagonal(information, 0)
    num_latents = codes.shape[1]
    _say_what_has_no_meaning(covariance, active)
    return {
        "gaussian_total_correlation": gaussian_total_correlation(covariance),
        "gaussian_wasserstein_correlation": distance,
        "gaussian_wasserstein_correlation_norm": distance / total if total else float("nan"),
        "mutual_info_score": float(np.sum(information) / (num_latents**2 - num_latents)),
        "gaussian_total_correlation_active": (
            gaussian_total_correlation(among_active) if active.sum() > 1 else 0.0
        ),
        "gaussian_wasserstein_correlation_real": real_distance,
        "gaussian_wasserstein_correlation_real_norm": real_distance / total if total else 0.0,
        "active_latents": int(active.sum()),
    }


def _say_what_has_no_meaning(covariance: NDArray[np.float64], active: NDArray[np.bool_]) -> None:
    """Log that the total correlation of a Gaussian is no number for these latents, and why."""
    if not active.all():
        logger.warning(
            "unsupervised metrics: %d of %d latents are constant: gaussian_total_correlation is "
            "%s; gaussian_total_correlation_active is that of the others",
            (~active).sum(), len(active), gaussian_total_correlation(covariance),
        )  # fmt: skip
    scale = np.sqrt(np.diag(covariance)[active])
    correlations = covariance[np.ix_(active, active)] / np.outer(scale, scale)
    if len(scale) > 1 and np.linalg.eigvalsh(correlations)[0] < _DEPENDENT:
        logger.warning(
            "unsupervised metrics: the %d latents that vary are linearly dependent: the total "
            "correlation of a Gaussian is infinite then, and gaussian_total_correlation (%.3g) and "
            "gaussian_total_correlation_active are rounding or inf; leave a latent out",
            len(scale), gaussian_total_correlation(covariance),
        )  # fmt: skip


@metric(
    MetricInfo(
        "Unsupervised scores",
        "Locatello et al., Challenging Common Assumptions (2018), arXiv 1811.12359",
        (
            Headline(
                "gaussian_total_correlation", "Gaussian total correlation", "", False, (0, inf)
            ),
            Headline("mutual_info_score", "Mutual information of latents", "", False, (0, inf)),
        ),
        place=150,
        needs_factors=False,
    )
)
def compute_unsupervised_metrics(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    batch_size: int = 16,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> Scores:
    """Dependence between the latents of a representation (arXiv 1811.12359).

    The original's function is called `unsupervised_metrics`, as is the metric in gin. The defaults
    are those of the published study.

    Args:
        ground_truth_data: data set to sample from; its factors are not looked at.
    """
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    return source.score(
        lambda sample: unsupervised_metrics(
            sample.codes, num_bins=num_bins, discretizer_fn=discretizer_fn
        ),
        num_train=num_train,
    )
