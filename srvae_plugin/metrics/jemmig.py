"""JEMMIG, the joint entropy minus mutual information gap: Do and Tran, "Theory and Evaluation
Metrics for Learning Disentangled Representations" (ICLR 2020, arXiv 1908.09961), metrics for
interpretability.
"""

from __future__ import annotations

from typing import Any

import gin
import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.seeds import Seed, random_state_of
from srvae_plugin.metrics.codes import RepresentationFunction
from srvae_plugin.metrics.common.arrays import given_points
from srvae_plugin.metrics.common.checks import check_latents, varying_factors, warn_collapsed
from srvae_plugin.metrics.common.discretizer import DiscretizerFn, discretize_codes
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.info import Headline, MetricInfo, documented, metric
from srvae_plugin.metrics.common.mutual_information import entropy, mutual_information

__all__ = ["compute_jemmig", "jemmig"]

_DEFAULT_BINS = 20  # as the discretizer's


@documented
def jemmig(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> Scores:
    """JEMMIG of codes (points, latent) with factors (points, factor), raw and normalised.

        raw = mean over factors k of H(z_i, v_k) - I(z_i; v_k) + I(z_j; v_k)
        normalised = mean over factors k of 1 - raw_k / (H(v_k) + log B)

    Here i is the latent that is most informative about factor k (of equal ones, the one with the
    smallest joint entropy), j the second, and B the number of bins. Codes are binned as in
    `discretize_codes`.

    Rewards: the same as MIG, and a factor's latent that holds nothing else.

    Punishes: what MIG punishes, and a latent that holds more than its factor, which raises the
    joint entropy.

    Use it: in place of MIG, if merged factors should count. Both scores depend on the number of
    bins.

    Published settings: the number of points and bins are those of `mig`. The paper estimates the
    terms from samples of the model's posterior, in bins of a fixed range; the review of metrics
    (arXiv 2012.09276) bins codes as here, into 10 bins.

    Returns:
        `jemmig` in nats, 0 or more, lower is better: 0 if each factor has a latent whose bins match
        its values one to one and no other latent is informative about it. `normalized_jemmig` in
        [0, 1], higher is better, reversed as in the review (arXiv 2012.09276).
        `num_factors_scored`.

    Raises:
        ValueError: fewer than two latents, no factor that varies, or a wrong shape or value.

    Special cases: Constant factors are left out, with a logged warning. By the formula, a factor
    whose best latent is dead would score log B / (H(v_k) + log B), as if it were good. A factor
    that no latent is informative about therefore gets the worst value, H(v_k) + log B, and
    collapsed codes a normalised score of 0, with a logged warning. If a discretizer makes more than
    `num_bins` bins, B is their number.

    Examples:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((4, 5)))
        >>> scores = jemmig(factors, factors)  # perfect codes
        >>> round(scores["jemmig"], 9), round(scores["normalized_jemmig"], 9)
        (0.0, 1.0)
        >>> round(jemmig(np.zeros((20, 3)), factors)["normalized_jemmig"], 9)  # collapsed codes
        0.0
    """
    random_state_of(seed, random_state)  # is one, although nothing here is random
    codes, factors = given_points(codes, factors)
    check_latents("JEMMIG", codes.shape[1])
    factors = factors[:, varying_factors("JEMMIG", factors)]
    bins = discretize_codes(codes, num_bins, discretizer_fn)
    information = mutual_information(bins, factors)
    if not information.any():
        warn_collapsed("JEMMIG", "no latent has information on any factor")
    second, best = np.sort(information, axis=0)[-2:]
    factor_entropy = entropy(factors)
    # H(z, v) = H(z) + H(v) - I(z; v); equal but for rounding are latents that hold the same thing
    joint = entropy(bins)[:, np.newaxis] + factor_entropy - information
    joint = np.where(information >= best - 1e-12, joint, np.inf).min(axis=0)
    bound = factor_entropy + np.log(_number_of_bins(bins, num_bins))
    raw = np.where(best > 0, np.clip(joint - best + second, 0, bound), bound)
    return {
        "jemmig": float(raw.mean()),
        "normalized_jemmig": float(np.mean(1 - raw / bound)),
        "num_factors_scored": factors.shape[1],
    }


@metric(
    MetricInfo(
        "JEMMIG",
        "Do and Tran, Theory and Evaluation Metrics (ICLR 2020), arXiv 1908.09961",
        (Headline("normalized_jemmig", "JEMMIG (normalised)", "jemmig"),),
        place=100,
    )
)
def compute_jemmig(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    batch_size: int = 16,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> Scores:
    """JEMMIG of a representation (arXiv 1908.09961).

    Points and bins are by default those of MIG here. The paper estimates the terms from samples of
    the model's posterior, in bins of a fixed range; the review (arXiv 2012.09276) bins the codes as
    is done here, into 10 bins. Both scores depend on the number of bins.
    """
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    return source.score(
        lambda sample: jemmig(*sample, num_bins=num_bins, discretizer_fn=discretizer_fn),
        "JEMMIG",
        num_train=num_train,
    )


def _number_of_bins(bins: NDArray[Any], num_bins: int | None) -> int:
    """The number of bins that was asked for, or what the discretizer made if that is more."""
    if num_bins is None:
        bound = gin.get_bindings("srvae_plugin.discretizer")
        num_bins = int(bound.get("num_bins", _DEFAULT_BINS))
    return max(num_bins, *(np.unique(column).size for column in bins.T))
