"""Mean correlation coefficient: Hyvarinen and Morioka, "Unsupervised Feature Extraction by
Time-Contrastive Learning and Nonlinear ICA" (NeurIPS 2016, arXiv 1605.06336), section 6; as
Khemakhem et al. report it (arXiv 1907.04809 and 2002.11537).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.metrics.checks import (
    check_codes,
    check_factors,
    logger,
    varying_factors,
    warn_collapsed,
)
from srvae_plugin.metrics.codes import RepresentationFunction, sample_codes_and_factors
from srvae_plugin.metrics.factor_kinds import only_numbers

__all__ = ["compute_mcc", "mcc", "strengths"]


def mcc(codes: NDArray[Any], factors: NDArray[Any], *, seed: int = 0) -> dict[str, float | int]:
    """Mean correlation coefficient of codes (points, latent) with factors (points, factor).

        MCC = max over assignments a of factors to different latents of
              mean over factors k of |correlation(z_a(k), v_k)|

    The assignment is found by the Hungarian method. `mcc_pearson` takes linear correlations and
    `mcc_spearman` those of ranks (of equal values the mean rank), each with an assignment of its
    own. Factors are numbers: classes without order have no correlation.

    Args:
        codes: (points, latent) real numbers.
        factors: (points, factor) numbers, whole or not.
        seed: of no effect: there is no randomness. It is here since every core takes it.

    Returns:
        `mcc_pearson` and `mcc_spearman` in [0, 1]; of each factor K that varies
        `pearson_factor_K` and `spearman_factor_K`, the correlation with its latent;
        `num_factors_scored`.

    Raises:
        ValueError: no factor that varies, or a wrong shape or value.

    With fewer latents than factors some factors have no latent: they count as 0, with a logged
    warning (the authors' code takes the mean over pairs, so that one latent could score 1).
    Constant factors are left out, with a logged warning; a constant latent correlates with nothing.
    Collapsed codes score 0, with a logged warning.

    >>> import numpy as np
    >>> factors = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> mcc(-3.0 * factors[:, ::-1], factors)["mcc_pearson"]
    1.0
    >>> mcc(np.ones((4, 2)), factors)["mcc_pearson"]
    0.0
    """
    del seed
    codes = check_codes(codes, name="codes")
    factors = check_factors(factors, len(codes), discrete=False)
    varying = varying_factors("MCC", factors)
    if not np.ptp(codes, axis=0).any():
        warn_collapsed("MCC", "every latent is constant")
    elif codes.shape[1] < varying.size:
        logger.warning(
            "MCC: %d latents for %d factors: a factor without a latent of its own counts as 0.",
            codes.shape[1], varying.size,
        )  # fmt: skip
    scores: dict[str, float | int] = {}
    for kind in ("pearson", "spearman"):
        matrix = strengths(codes, factors[:, varying], ranks=kind == "spearman")
        latents, chosen = linear_sum_assignment(matrix, maximize=True)
        of_factor = np.zeros(varying.size)
        of_factor[chosen] = matrix[latents, chosen]
        scores[f"mcc_{kind}"] = float(of_factor.mean())
        scores |= {
            f"{kind}_factor_{k}": float(value) for k, value in zip(varying, of_factor, strict=True)
        }
    return scores | {"num_factors_scored": int(varying.size)}


def strengths(
    codes: NDArray[Any], factors: NDArray[Any], ranks: bool = False
) -> NDArray[np.float64]:
    """(latent, factor) absolute correlations, of ranks or of values; 0 for constant columns."""
    sides = []
    for table in (codes, factors):
        values = rankdata(table, axis=0) if ranks else table.astype(np.float64)
        centred = np.where(np.ptp(table, axis=0) > 0, values - values.mean(axis=0), 0.0)
        length = np.linalg.norm(centred, axis=0)
        sides.append(centred / np.where(length > 0, length, 1.0))
    return np.minimum(np.abs(sides[0].T @ sides[1]), 1.0)  # 1 + 2e-16, say


def compute_mcc(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: np.random.RandomState,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    batch_size: int = 16,
) -> dict[str, float | int]:
    """Mean correlation coefficient of a representation (arXiv 1605.06336, 1907.04809).

    For continuous or integer factors; classes that are known to have no order are left out, with a
    logged warning.

    Args:
        ground_truth_data: data set to sample from.
        representation_function: observations (batch, H, W, C) to codes (batch, latent).
        random_state: source of all randomness.
        artifact_dir: not used.
        num_train: points to correlate.
        batch_size: points drawn at a time.

    Returns:
        Scores as in `mcc`.

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
    (sample,) = only_numbers("MCC", ground_truth_data, drawn)
    return mcc(sample.codes, sample.factors) | drawn.points
