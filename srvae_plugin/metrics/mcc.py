"""Mean correlation coefficient: Hyvarinen and Morioka, "Unsupervised Feature Extraction by
Time-Contrastive Learning and Nonlinear ICA" (NeurIPS 2016, arXiv 1605.06336), section 6; as
Khemakhem et al. report it (arXiv 1907.04809 and 2002.11537).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.own.given_factors import require_one_order
from srvae_plugin.data.sampling.seeds import Seed, random_state_of
from srvae_plugin.metrics.codes import CodesAndFactors, RepresentationFunction
from srvae_plugin.metrics.common.arrays import as_array, as_factors
from srvae_plugin.metrics.common.checks import (
    check_codes,
    check_factors,
    logger,
    varying_factors,
    warn_collapsed,
)
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.factor_kinds import only_numbers, without_words
from srvae_plugin.metrics.common.info import Headline, MetricInfo, documented, metric

__all__ = ["compute_mcc", "mcc", "strengths"]


@documented
def mcc(codes: Any, factors: Any, *, seed: Seed = 0, random_state: Seed | None = None) -> Scores:
    """Mean correlation coefficient of codes (points, latent) with factors (points, factor).

        MCC = max over assignments a of factors to different latents of
              mean over factors k of |correlation(z_a(k), v_k)|

    The assignment is found by the Hungarian method. `mcc_pearson` uses linear correlations and
    `mcc_spearman` rank correlations (ties get their mean rank), each with its own assignment.
    Factors are treated as numbers; unordered classes have no correlation.

    Rewards: one latent per factor that rises and falls with it; for Pearson, linearly.

    Punishes: rotation, noise, and factors without their own latent. Additional latents, duplicated
    or not, do not matter.

    Use it: to compare with papers on identifiability and causal representations, for continuous or
    ordered factors. Values are high: a latent that explains half of a factor's variance has 0.7.

    Published settings: the formula is that of iVAE's authors (arXiv 1907.04809); the number of
    points is that of the other metrics here.

    Args:
        factors: (points, factor) array, data frame or tensor of numbers, whole or not; columns of
            words are left out, with a logged warning.

    Returns:
        `mcc_pearson` and `mcc_spearman` in [0, 1]; for each factor K that varies,
        `pearson_factor_K` and `spearman_factor_K`, the correlation with its latent;
        `num_factors_scored`.

    Raises:
        ValueError: no factor that varies, or a wrong shape or value.

    Special cases: With fewer latents than factors, factors without a latent count as 0, with a
    logged warning (the authors' code averages over pairs, so one latent could score 1). Constant
    factors are left out, with a logged warning; a constant latent correlates with nothing.
    Collapsed codes score 0, with a logged warning.

    Examples:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((4, 5)))
        >>> round(mcc(-3.0 * factors[:, ::-1], factors)["mcc_pearson"], 9)  # perfect codes
        1.0
        >>> mcc(np.zeros((20, 3)), factors)["mcc_pearson"]  # collapsed codes
        0.0
    """
    random_state_of(seed, random_state)  # is one, although nothing here is random
    require_one_order(codes, factors)
    codes = check_codes(as_array(codes), name="codes")
    (given,) = as_factors(factors)
    sample = CodesAndFactors(codes, check_factors(given.values, len(codes), discrete=False))
    (sample,) = without_words("MCC", given.names, given.unordered, [sample])
    return _scores(sample, given.names)


def _scores(sample: CodesAndFactors, names: NDArray[Any]) -> Scores:
    from scipy.optimize import linear_sum_assignment

    codes, factors = sample
    varying = varying_factors("MCC", factors)
    if not np.ptp(codes, axis=0).any():
        warn_collapsed("MCC", "every latent is constant")
    elif codes.shape[1] < varying.size:
        logger.warning(
            "MCC: %d latents for %d factors: a factor without a latent of its own counts as 0.",
            codes.shape[1], varying.size,
        )  # fmt: skip
    scores: Scores = {}
    for kind in ("pearson", "spearman"):
        matrix = strengths(codes, factors[:, varying], ranks=kind == "spearman")
        latents, chosen = linear_sum_assignment(matrix, maximize=True)
        of_factor = np.zeros(varying.size)
        of_factor[chosen] = matrix[latents, chosen]
        scores[f"mcc_{kind}"] = float(of_factor.mean())
        scores |= {
            f"{kind}_factor_{name}": float(value)
            for name, value in zip(names[varying], of_factor, strict=True)
        }
    return scores | {"num_factors_scored": int(varying.size)}


def strengths(
    codes: NDArray[Any], factors: NDArray[Any], ranks: bool = False
) -> NDArray[np.float64]:
    """(latent, factor) absolute correlations, of ranks or of values; 0 for constant columns."""
    from scipy.stats import rankdata

    sides = []
    for table in (codes, factors):
        values = rankdata(table, axis=0) if ranks else table.astype(np.float64)
        centred = np.where(np.ptp(table, axis=0) > 0, values - values.mean(axis=0), 0.0)
        length = np.linalg.norm(centred, axis=0)
        sides.append(centred / np.where(length > 0, length, 1.0))
    return np.minimum(np.abs(sides[0].T @ sides[1]), 1.0)  # 1 + 2e-16, say


@metric(
    MetricInfo(
        "MCC",
        "Hyvarinen and Morioka, Time-Contrastive Learning (2016), arXiv 1605.06336, section 6",
        (
            Headline("mcc_pearson", "MCC (Pearson)"),
            Headline("mcc_spearman", "MCC (Spearman)"),
        ),
        place=124,
    )
)
def compute_mcc(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    batch_size: int = 16,
) -> Scores:
    """Mean correlation coefficient of a representation (arXiv 1605.06336, 1907.04809).

    For continuous or integer factors; classes that are known to have no order are left out, with a
    logged warning.

    Args:
        num_train: points to correlate.
    """
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    drawn = source.draw(num_train=num_train)
    (sample,) = only_numbers("MCC", ground_truth_data, drawn)
    return mcc(*sample) | drawn.points
