"""Mutual information gap: Chen et al., "Isolating Sources of Disentanglement in Variational
Autoencoders" (arXiv 1802.04942), section 4.1, equation 6.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.seeds import Seed, random_state_of
from srvae_plugin.metrics.codes import RepresentationFunction
from srvae_plugin.metrics.common.arrays import given_points
from srvae_plugin.metrics.common.checks import check_latents, varying_factors, warn_collapsed
from srvae_plugin.metrics.common.discretizer import DiscretizerFn, discretize_codes
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.info import Headline, MetricInfo, documented, metric
from srvae_plugin.metrics.common.mutual_information import entropy, mutual_information

__all__ = ["compute_mig", "mig"]


@documented
def mig(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> Scores:
    """Mutual information gap of codes (points, latent) with factors (points, factor).

        MIG = mean over factors k of (I(z_i; v_k) - I(z_j; v_k)) / H(v_k),
        i and j the most and second most informative latents about factor k

    Codes are binned as in `discretize_codes`.

    Rewards: factors whose information is all in one latent.

    Punishes: rotation, duplicated and split factors (0 if every factor is duplicated), and noise,
    which removes information. Two factors in one latent cost only what the bins cannot separate:
    see `mig_sup` and `jemmig`.

    Use it: to ask whether each factor has its own latent. Compare only scores with equal numbers of
    bins and points.

    Published settings: the defaults are those of disentanglement_lib's study (arXiv 1811.12359).

    Returns:
        `discrete_mig` in [0, 1] and `num_factors_scored`.

    Raises:
        ValueError: fewer than two latents, no factor that varies, or a wrong shape or value.

    Special cases: Constant factors are left out, with a logged warning; disentanglement_lib returns
    NaN. Collapsed codes score 0, with a logged warning.

    Examples:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((4, 5)))
        >>> mig(factors, factors)  # perfect codes
        {'discrete_mig': 1.0, 'num_factors_scored': 2}
        >>> mig(np.zeros((20, 3)), factors)  # collapsed codes
        {'discrete_mig': 0.0, 'num_factors_scored': 2}
    """
    random_state_of(seed, random_state)  # is one, although nothing here is random
    codes, factors = given_points(codes, factors)
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


@metric(
    MetricInfo(
        "MIG",
        "Chen et al., Isolating Sources of Disentanglement (2018), arXiv 1802.04942, equation 6",
        (Headline("discrete_mig", "MIG", "mig"),),
        place=30,
    )
)
def compute_mig(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    batch_size: int = 16,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> Scores:
    """Mutual information gap of a representation (arXiv 1802.04942, equation 6).

    The defaults are those of the published study (arXiv 1811.12359).
    """
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    return source.score(
        lambda sample: mig(*sample, num_bins=num_bins, discretizer_fn=discretizer_fn),
        "MIG",
        num_train=num_train,
    )
