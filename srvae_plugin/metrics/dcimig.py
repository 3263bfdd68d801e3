"""DCIMIG: Sepliarskaia, Kiseleva and de Rijke, "Evaluating Disentangled Representations"
(arXiv 1910.05587; later "How to Not Measure Disentanglement"), as in the review by Zaidi et al.,
"Measuring Disentanglement: A Review of Metrics" (arXiv 2012.09276).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.seeds import Seed, random_state_of
from srvae_plugin.metrics.codes import RepresentationFunction
from srvae_plugin.metrics.common.arrays import given_points
from srvae_plugin.metrics.common.checks import varying_factors, warn_collapsed
from srvae_plugin.metrics.common.discretizer import DiscretizerFn, discretize_codes
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.info import Headline, MetricInfo, documented, metric
from srvae_plugin.metrics.common.mutual_information import entropy, mutual_information

__all__ = ["compute_dcimig", "dcimig"]


@documented
def dcimig(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> Scores:
    """DCIMIG of codes (points, latent) with factors (points, factor).

        R_j = I(z_j; v_k(j)) - max over k != k(j) of I(z_j; v_k),
        k(j) = argmax over k of I(z_j; v_k)
        S_k = max of R_j over latents j with k(j) = k, 0 if there is none
        DCIMIG = sum of S_k / sum of H(v_k)

    Each latent is assigned to the factor it is most informative about, and scores its information
    gap to the next factor; each factor scores as its best latent. Factors are weighted by their
    entropy. Codes are binned as in `discretize_codes`.

    Rewards: factors with a latent that is informative about nothing else.

    Punishes: latents with two factors, rotation and noise. A second latent with the same factor is
    not punished.

    Use it: to ask for modular latents without asking for only one per factor.

    Published settings: the number of points and bins are those of `mig`; the review of metrics
    (arXiv 2012.09276) uses 10 bins.

    Returns:
        `dcimig` in [0, 1] and `num_factors_scored`.

    Raises:
        ValueError: fewer than two varying factors, or a wrong shape or value.

    Special cases: Constant factors are left out, with a logged warning. Collapsed codes score 0,
    with a logged warning. A single latent can be scored.

    Examples:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((4, 5)))
        >>> round(dcimig(factors, factors)["dcimig"], 9)  # perfect codes
        1.0
        >>> dcimig(np.zeros((20, 3)), factors)  # collapsed codes
        {'dcimig': 0.0, 'num_factors_scored': 2}
    """
    random_state_of(seed, random_state)  # is one, although nothing here is random
    codes, factors = given_points(codes, factors)
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


@metric(
    MetricInfo(
        "DCIMIG",
        "Sepliarskaia et al., Evaluating Disentangled Representations (2019), arXiv 1910.05587",
        (Headline("dcimig", "DCIMIG"),),
        place=110,
    )
)
def compute_dcimig(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    batch_size: int = 16,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> Scores:
    """DCIMIG of a representation (arXiv 1910.05587).

    Points and bins are by default those of MIG here; the review (arXiv 2012.09276) uses 10 bins.
    """
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    return source.score(
        lambda sample: dcimig(*sample, num_bins=num_bins, discretizer_fn=discretizer_fn),
        "DCIMIG",
        num_train=num_train,
    )
