"""Mutual information gap: Chen et al., "Isolating Sources of Disentanglement in Variational
Autoencoders" (arXiv 1802.04942), section 4.1, equation 6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.metrics.checks import (
    check_codes,
    check_factors,
    check_latents,
    varying_factors,
    warn_collapsed,
)
from srvae_plugin.metrics.codes import RepresentationFunction, sample_codes_and_factors
from srvae_plugin.metrics.discretizer import DiscretizerFn, discretize_codes
from srvae_plugin.metrics.factor_kinds import only_classes
from srvae_plugin.metrics.mutual_information import entropy, mutual_information


def mig(
    codes: NDArray[Any],
    factors: NDArray[Any],
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> dict[str, float | int]:
    """Mutual information gap of codes (points, latent) with factors (points, factor).

    For each factor, the mutual information of the best latent less that of the second best, over
    the factor's entropy; the score is the mean over factors (arXiv 1802.04942, equation 6). Codes
    are binned as in `discretize_codes`.

    Returns:
        `discrete_mig` in [0, 1] and `num_factors_scored`.

    Raises:
        ValueError: fewer than two latents, no factor that varies, or a wrong shape or value.

    Constant factors are left out, with a logged warning; the original's score is NaN then.
    Collapsed codes score 0, with a logged warning.
    """
    codes = check_codes(codes, name="codes")
    factors = check_factors(factors, len(codes))
    check_latents("MIG", codes.shape[1])
    factors = factors[:, varying_factors("MIG", factors)]
    information = mutual_information(discretize_codes(codes, num_bins, discretizer_fn), factors)
    if not information.any():
        warn_collapsed("MIG", "no latent has information on any factor")
    second, best = np.sort(information, axis=0)[-2:]
    return {
        "discrete_mig": float(np.mean((best - second) / entropy(factors))),
        "num_factors_scored": factors.shape[1],
    }


def compute_mig(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: np.random.RandomState,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    batch_size: int = 16,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> dict[str, float | int]:
    """Mutual information gap of a representation (arXiv 1802.04942, equation 6).

    The defaults are those of the published study (arXiv 1811.12359).

    Args:
        ground_truth_data: data set to sample from.
        representation_function: observations (batch, H, W, C) to codes (batch, latent).
        random_state: source of all randomness, used in the original's order.
        artifact_dir: not used, as in the original.
        num_train: points to estimate the mutual information from.
        batch_size: points drawn at a time.
        num_bins: bins for each latent. None: gin's `discretizer.num_bins`, or 20.
        discretizer_fn: function that bins (latent, points) codes. None: gin's
            `discretizer.discretizer_fn`, or the histogram.

    Returns:
        Scores as in `mig`.

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
    (sample,) = only_classes("MIG", ground_truth_data, drawn)
    return mig(sample.codes, sample.factors, num_bins, discretizer_fn) | drawn.points
