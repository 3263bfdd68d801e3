"""Interventional robustness score: Suter et al., "Robustly Disentangled Causal Mechanisms"
(arXiv 1811.00007).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.metrics.checks import check_codes, check_factors, warn_collapsed
from srvae_plugin.metrics.codes import RepresentationFunction, sample_codes_and_factors
from srvae_plugin.metrics.discretizer import DiscretizerFn, discretize_codes


def robustness_matrix(
    codes: NDArray[Any], values: NDArray[Any], diff_quantile: float = 0.99
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """How robust each latent is to all factors but one, and the largest deviation of each latent.

    Args:
        codes: (points, latent), none of them constant.
        values: (points, factor) discrete values.
        diff_quantile: which quantile of deviations stands for the largest.

    Returns:
        (latent, factor) matrix: 1 less the deviation of the latent from its mean while the factor
        is held fixed, averaged over the factor's values, in units of its largest deviation; and
        (latent,) largest deviations. 1: only that factor moves the latent.
    """
    largest = np.max(np.abs(codes - codes.mean(axis=0)), axis=0)
    deviations = np.zeros((codes.shape[1], values.shape[1]))
    for factor, column in enumerate(values.T):
        present = np.unique(column)
        for value in present:
            group = codes[column == value, :]
            differences = np.abs(group - group.mean(axis=0))
            deviations[:, factor] += np.percentile(differences, q=diff_quantile * 100, axis=0)
        deviations[:, factor] /= len(present)
    # In half precision a latent that varies can have a largest deviation of 0; its weight is 0.
    return 1.0 - deviations / np.where(largest == 0, 1, largest)[:, np.newaxis], largest


def irs(
    codes: NDArray[Any],
    factors: NDArray[Any],
    diff_quantile: float = 0.99,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> dict[str, float | int]:
    """Interventional robustness score of codes (points, latent) with factors (points, factor).

    For each latent, its robustness while the best factor is held fixed (`robustness_matrix`); the
    score is the mean over latents that vary, weighted by their largest deviation. Factors, not
    codes, are binned as in `discretize_codes`, as in the original: with 20 bins, neighbouring
    values of a factor with 32 are held fixed together. Continuous factors are binned likewise.

    Returns:
        `IRS`, at most 1 and 0 or more but for groups of values that lie far apart;
        `num_active_dims`, the original's number, which is the sum of all codes of latents that
        vary and says nothing; `active_latents`, how many vary.

    Raises:
        ValueError: `diff_quantile` outside [0, 1], or a wrong shape or value.

    Codes that all are constant score 0, with a logged warning; so they do in the original, unless
    their variance is rounded to more than 0: then it gives any number, such as -12. A constant
    factor moves nothing when held fixed: it is never the best, and changes no score. More noise,
    or fewer points for each value, raise the score: with one point for each value it is 1.
    """
    codes = check_codes(codes, name="codes")
    factors = check_factors(factors, len(codes), discrete=False)
    if not 0 <= diff_quantile <= 1:
        raise ValueError(f"diff_quantile must lie in [0, 1], got {diff_quantile!r}.")
    values = discretize_codes(factors, num_bins, discretizer_fn)
    # (latent, points), transposed back below: the original's order in memory, which decides the
    # order of summation and with it the last digits of float32 codes.
    active = codes.T[codes.var(axis=0) > 0]
    active_latents = int(np.count_nonzero(np.ptp(codes, axis=0)))
    score = 0.0
    if active_latents:
        matrix, largest = robustness_matrix(active.T, values, diff_quantile)
        score = float(np.average(matrix.max(axis=1), weights=largest)) if largest.any() else 0.0
    else:
        warn_collapsed("IRS", "every latent is constant")
    return {
        "IRS": score,
        "num_active_dims": float(np.sum(active)),
        "active_latents": active_latents,
    }


def compute_irs(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: np.random.RandomState,
    artifact_dir: str | None = None,
    diff_quantile: float = 0.99,
    num_train: int = 10_000,
    batch_size: int = 16,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> dict[str, float | int]:
    """Interventional robustness score of a representation (arXiv 1811.00007).

    The defaults are those of the original's configuration of this metric.

    Args:
        ground_truth_data: data set to sample from.
        representation_function: observations (batch, H, W, C) to codes (batch, latent).
        random_state: source of all randomness, used in the original's order.
        artifact_dir: not used, as in the original.
        diff_quantile: which quantile of deviations stands for the largest; 1 in the paper.
        num_train: points to compute the score from.
        batch_size: points drawn at a time.
        num_bins: bins for each factor. None: gin's `discretizer.num_bins`, or 20.
        discretizer_fn: function that bins (factor, points) factors. None: gin's
            `discretizer.discretizer_fn`, or the histogram.

    Returns:
        Scores as in `irs`.

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
    (sample,) = drawn
    return irs(sample.codes, sample.factors, diff_quantile, num_bins, discretizer_fn) | drawn.points
