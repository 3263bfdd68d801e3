"""MIG-sup, the mutual information gap over factors: Li et al., "Progressive learning and
disentanglement of hierarchical representations" (ICLR 2020, arXiv 2002.10549), section on metrics.
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

__all__ = ["compute_mig_sup", "mig_sup"]


@documented
def mig_sup(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
    active_variance: float = 0.01,
) -> Scores:
    """MIG-sup of codes (points, latent) with factors (points, factor).

        MIG-sup = mean over latents j of N[j, k] - max over k' != k of N[j, k'],
        N[j, k] = I(z_j; v_k) / H(v_k),  k = argmax over factors of N[j, k]

    Codes are binned as in `discretize_codes`.

    Rewards: latents that hold one factor and no other.

    Punishes: two factors in one latent, which MIG does not; rotation and noise. Duplicated factors
    are not punished.

    Use it: beside MIG. MIG asks whether each factor is in one latent; this asks whether each latent
    holds one factor.

    Published settings: the number of points and bins are those of `mig`. The paper estimates the
    mutual information from the model's posterior over every observation; the review of metrics
    (arXiv 2012.09276) bins codes as here, into 10 bins.

    Args:
        active_variance: variance above which a latent counts as active.

    Returns:
        `mig_sup`, the mean over active latents (variance above `active_variance`), as in the
        authors' code; the threshold assumes codes on the scale of a unit normal prior.
        `mig_sup_all_latents`, the mean over all latents, as in the review (arXiv 2012.09276):
        constant latents count as 0, and the scale of the codes does not matter. Both in [0, 1].
        `num_active_latents` and `num_factors_scored`.

    Raises:
        ValueError: fewer than two varying factors, a negative `active_variance`, or a wrong shape
            or value.

    Special cases: Constant factors are left out, with a logged warning. If no latent is active, or
    no active latent has information about a factor, `mig_sup` is 0, with a logged warning;
    `mig_sup_all_latents` still counts inactive latents. A single latent can be scored.

    Examples:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((4, 5)))
        >>> scores = mig_sup(factors, factors)  # perfect codes
        >>> round(scores["mig_sup"], 9), round(scores["mig_sup_all_latents"], 9)
        (1.0, 1.0)
        >>> mig_sup(np.zeros((20, 3)), factors)["mig_sup"]  # collapsed codes
        0.0
    """
    random_state_of(seed, random_state)  # is one, although nothing here is random
    codes, factors = given_points(codes, factors)
    if not active_variance >= 0:
        raise ValueError(f"active_variance must be at least 0, got {active_variance!r}.")
    factors = factors[:, varying_factors("MIG-sup", factors, at_least=2)]
    information = mutual_information(discretize_codes(codes, num_bins, discretizer_fn), factors)
    second, best = np.sort(information / entropy(factors), axis=1).T[-2:]
    active = codes.var(axis=0, dtype=np.float64) > active_variance
    if not information[active].any():
        warn_collapsed("MIG-sup", "no active latent has information on any factor")
    gaps = best - second
    return {
        "mig_sup": float(gaps[active].mean()) if active.any() else 0.0,
        "mig_sup_all_latents": float(gaps.mean()),
        "num_active_latents": int(active.sum()),
        "num_factors_scored": factors.shape[1],
    }


@metric(
    MetricInfo(
        "MIG-sup",
        "Li et al., Progressive Learning and Disentanglement (ICLR 2020), arXiv 2002.10549",
        (Headline("mig_sup", "MIG-sup"),),
        place=120,
    )
)
def compute_mig_sup(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    batch_size: int = 16,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
    active_variance: float = 0.01,
) -> Scores:
    """MIG-sup of a representation (arXiv 2002.10549).

    Points and bins are by default those of MIG here. The paper estimates the mutual information
    from the model's posterior instead, over every observation of the data set; the review
    (arXiv 2012.09276) bins the codes as is done here, into 10 bins.

    Args:
        active_variance: variance above which a latent counts as active.
    """
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    settings: dict[str, Any]
    settings = {"num_bins": num_bins, "discretizer_fn": discretizer_fn}
    settings["active_variance"] = active_variance
    return source.score(lambda sample: mig_sup(*sample, **settings), "MIG-sup", num_train=num_train)
