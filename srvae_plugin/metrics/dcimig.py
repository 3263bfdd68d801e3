"""DCIMIG: Sepliarskaia, Kiseleva and de Rijke, "Evaluating Disentangled Representations"
(arXiv 1910.05587; later "How to Not Measure Disentanglement"), as in the review by Zaidi et al.,
"Measuring Disentanglement: A Review of Metrics" (arXiv 2012.09276).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.metrics.checks import (
    check_codes,
    check_factors,
    varying_factors,
    warn_collapsed,
)
from srvae_plugin.metrics.codes import RepresentationFunction, sample_codes_and_factors
from srvae_plugin.metrics.discretizer import DiscretizerFn, discretize_codes
from srvae_plugin.metrics.factor_kinds import only_classes
from srvae_plugin.metrics.mutual_information import entropy, mutual_information


def dcimig(
    codes: NDArray[Any],
    factors: NDArray[Any],
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> dict[str, float | int]:
    """DCIMIG of codes (points, latent) with factors (points, factor).

        R_j = I(z_j; v_k(j)) - max over k != k(j) of I(z_j; v_k),  k(j) = argmax over k
        S_k = max over latents j with k(j) = k of R_j, 0 if there is none
        DCIMIG = sum of S_k / sum of H(v_k)

    Each latent is given to the factor it knows most of and scores by how much less it knows of
    the next; each factor is worth its best latent. A second latent with the same factor is not
    punished, one with two factors is. Factors weigh by their entropy. Codes are binned as in
    `discretize_codes`.

    Returns:
        `dcimig` in [0, 1] and `num_factors_scored`.

    Raises:
        ValueError: fewer than two varying factors, or a wrong shape or value.

    Constant factors are left out, with a logged warning. Collapsed codes score 0, with a logged
    warning. One latent is enough.
    """
    codes = check_codes(codes, name="codes")
    factors = check_factors(factors, len(codes))
    factors = factors[:, varying_factors("DCIMIG", factors, at_least=2)]
    information = mutual_information(discretize_codes(codes, num_bins, discretizer_fn), factors)
    if not information.any():
        warn_collapsed("DCIMIG", "no latent has information on any factor")
    second, best = np.sort(information, axis=1).T[-2:]
    per_factor = np.zeros(factors.shape[1])
    np.maximum.at(per_factor, information.argmax(axis=1), best - second)
    return {
        "dcimig": float(per_factor.sum() / entropy(factors).sum()),
        "num_factors_scored": factors.shape[1],
    }


def compute_dcimig(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: np.random.RandomState,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    batch_size: int = 16,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> dict[str, float | int]:
    """DCIMIG of a representation (arXiv 1910.05587).

    Points and bins are by default those of MIG here; the review (arXiv 2012.09276) uses 10 bins.

    Args:
        ground_truth_data: data set to sample from.
        representation_function: observations (batch, H, W, C) to codes (batch, latent).
        random_state: source of all randomness.
        artifact_dir: not used.
        num_train: points to estimate the mutual information from.
        batch_size: points drawn at a time.
        num_bins: bins for each latent. None: gin's `discretizer.num_bins`, or 20.
        discretizer_fn: function that bins (latent, points) codes. None: gin's
            `discretizer.discretizer_fn`, or the histogram.

    Returns:
        Scores as in `dcimig`.

    Raises:
        ValueError: a setting out of range, or codes that are NaN, inf or of a wrong shape.
    """
    del artifact_dir
    drawn = sample_codes_and_factors(
        ground_truth_data,
        representation_function,
        {"num_train": num_train},
        random_state,
        batch_size,
    )
    (sample,) = only_classes("DCIMIG", ground_truth_data, drawn)
    return dcimig(sample.codes, sample.factors, num_bins, discretizer_fn) | drawn.points
