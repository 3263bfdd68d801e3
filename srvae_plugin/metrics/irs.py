"""Interventional robustness score: Suter et al., "Robustly Disentangled Causal Mechanisms"
(arXiv 1811.00007).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.seeds import Seed, random_state_of
from srvae_plugin.metrics.codes import RepresentationFunction
from srvae_plugin.metrics.common.arrays import given_points
from srvae_plugin.metrics.common.checks import warn_collapsed
from srvae_plugin.metrics.common.discretizer import DiscretizerFn, discretize_codes
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.info import Headline, MetricInfo, documented, metric

__all__ = [
    "compute_irs",
    "irs",
    "robustness_matrix",
]


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
    return 1.0 - deviations / np.where(largest == 0, 1, largest)[:, np.newaxis], largest


@documented
def irs(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    diff_quantile: float = 0.99,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> Scores:
    """Interventional robustness score of codes (points, latent) with factors (points, factor).

        R[j, k] = 1 - mean over values of factor k of the deviation of z_j from its mean while
            factor k has that value / largest deviation of z_j
        IRS = mean over varying latents j of max over factors k of R[j, k], weighted by their
            largest deviation

    Factors, not codes, are binned as in `discretize_codes`, continuous ones too. With 20 bins, as
    in disentanglement_lib, neighbouring values of a factor with 32 values are held fixed together.

    Rewards: latents that only one factor changes.

    Punishes: latents that several factors change (rotated, merged), and noise. A factor in several
    latents is hardly punished.

    Use it: for a causal reading of modularity. The score rises as the number of points per factor
    value falls: compare only scores from equal numbers of points.

    Published settings: the defaults are those of disentanglement_lib; the paper takes the true
    maximum, `diff_quantile` = 1.

    Args:
        factors: (points, factor) array, data frame or tensor; fractional values are binned too.
        diff_quantile: which quantile of deviations stands for the largest; 1 in the paper.
        num_bins: bins for each factor. None: gin's `discretizer.num_bins`, or 20.
        discretizer_fn: function that bins (factor, points) factors. None: gin's
            `discretizer.discretizer_fn`, or the histogram.

    Returns:
        `IRS` in [-1, 1], negative only if groups of values lie far apart; `active_latents`, the
        number of latents that vary; `num_active_dims`, kept from disentanglement_lib, which is the
        sum of the codes of those latents and has no meaning.

    Raises:
        ValueError: `diff_quantile` outside [0, 1], or a wrong shape or value.

    Special cases: Constant codes score 0, with a logged warning. disentanglement_lib agrees unless
    their variance is rounded to above 0; it then gives any number, such as -12. A constant factor
    never has the largest R and changes no score. With one point per value the score is 1.

    Examples:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((4, 5)))
        >>> irs(factors, factors)["IRS"]  # perfect codes
        1.0
        >>> irs(np.zeros((20, 3)), factors)["IRS"]  # collapsed codes
        0.0
    """
    random_state_of(seed, random_state)  # is one, although nothing here is random
    codes, factors = given_points(codes, factors, discrete=False)
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


@metric(
    MetricInfo(
        "IRS",
        "Suter et al., Robustly Disentangled Causal Mechanisms (2018), arXiv 1811.00007",
        (Headline("IRS", "IRS", range=(-1, 1)),),
        place=70,
    )
)
def compute_irs(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    diff_quantile: float = 0.99,
    num_train: int = 10_000,
    batch_size: int = 16,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> Scores:
    """Interventional robustness score of a representation (arXiv 1811.00007).

    The defaults are those of the original's configuration of this metric.

    Args:
        diff_quantile: which quantile of deviations stands for the largest; 1 in the paper.
        num_bins: bins for each factor. None: gin's `discretizer.num_bins`, or 20.
        discretizer_fn: function that bins (factor, points) factors. None: gin's
            `discretizer.discretizer_fn`, or the histogram.
    """
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    settings: dict[str, Any]
    settings = {"num_bins": num_bins, "discretizer_fn": discretizer_fn}
    settings["diff_quantile"] = diff_quantile
    return source.score(lambda sample: irs(*sample, **settings), num_train=num_train)
