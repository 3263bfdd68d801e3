"""Unsupervised disentanglement ranking: Duan et al., "Unsupervised Model Selection for Variational
Disentangled Representation Learning" (arXiv 1905.12614).

Several models, trained alike from different seeds, are compared with each other: the better their
latents match one to one, the higher all of them score. No ground truth is used.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import gin
import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.seeds import Seed, random_state_of
from srvae_plugin.metrics.common.checks import check_codes, check_count

__all__ = [
    "GaussianFunction",
    "compute_udr_sklearn",
    "lasso_strengths",
    "relative_strength",
    "spearman_strengths",
    "udr",
]

logger = logging.getLogger(__name__)

GaussianFunction = Callable[[NDArray[np.float32]], tuple[Any, Any]]
"""Observations (batch, H, W, C) to codes (batch, latent) and (latent,) divergences from the prior:
the mean over the batch of (mean^2 + exp(logvar) - logvar - 1) / 2."""

_INFORMATIVE = 0.01
_LASSO_ALPHA = 0.1


def relative_strength(correlations: NDArray[np.float64]) -> float:
    """How close a matrix of strengths (latent, latent) is to one to one, in [0, 1] if they are.

    For each column its largest entry squared over its sum, 0 for a column of zeros or with a NaN;
    the mean over columns, the same over rows, and the mean of both. The paper takes
    the mean over rows and columns together, which differs if their numbers do.
    """
    sides = []
    for axis in (0, 1):
        with np.errstate(invalid="ignore"):
            strengths = correlations.max(axis=axis) ** 2 / correlations.sum(axis=axis)
        sides.append(float(np.mean(np.nan_to_num(strengths))))
    return (sides[0] + sides[1]) / 2


def lasso_strengths(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Absolute weights (left latent, right latent) of predicting `right` from `left` by lasso."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import Lasso

    model = Lasso(alpha=_LASSO_ALPHA)
    with warnings.catch_warnings():
        # How many steps it takes is the original's choice.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(left, right)
    return np.abs(model.coef_.reshape(right.shape[1], left.shape[1])).T


def spearman_strengths(
    left: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Absolute rank correlations (left latent, right latent), NaN for constant latents."""
    from scipy.stats import rankdata

    left, right = rankdata(left, axis=0), rankdata(right, axis=0)
    left, right = left - left.mean(axis=0), right - right.mean(axis=0)
    lengths = np.linalg.norm(left, axis=0)[:, np.newaxis] * np.linalg.norm(right, axis=0)
    with np.errstate(invalid="ignore"):
        return np.abs(left.T @ right / lengths)


def udr(
    codes: Sequence[NDArray[Any]],
    divergences: Sequence[NDArray[Any]],
    correlation_matrix: Literal["lasso", "spearman"] = "lasso",
    filter_low_kl: bool = True,
    include_raw_correlations: bool = True,
    kl_filter_threshold: float = 0.01,
) -> dict[str, Any]:
    """UDR of several models from their codes of the same points.

    Args:
        codes: for each model (points, latent), the same numbers for all.
        divergences: for each model (latent,) mean divergence from the prior, in nats.
        correlation_matrix: "lasso" (the paper's UDR_L) or "spearman" (UDR_S).
        filter_low_kl: leave out latents without information about the observation.
        include_raw_correlations: return the matrices too.
        kl_filter_threshold: divergence that a latent must exceed to be kept.

    Returns:
        `model_scores`: for each model the median over the others, in [0, 1] but for lasso weights
        above 1; `pairwise_disentanglement_scores` (model, model, 1), `relative_strength` of each
        pair, 0 on the diagonal; `raw_correlations` (model, model, latent, latent), before latents
        are left out. All as nested lists, as in the original.

    Raises:
        ValueError: fewer than two models, a setting or shape that is wrong, or NaN or inf.

    Codes of latents with a divergence of .01 or less are 0 whatever the threshold, and with
    "spearman" and no filter such a latent makes scores 0: both as in the original. A model of
    which no latent is left has score 0 with the others, with a logged warning; the original fails.
    """
    if correlation_matrix not in ("lasso", "spearman"):
        raise ValueError(
            f"correlation_matrix must be 'lasso' or 'spearman', got {correlation_matrix!r}."
        )
    tables, kept = _normalised(codes, divergences, kl_filter_threshold)
    strengths_of = lasso_strengths if correlation_matrix == "lasso" else spearman_strengths
    num_models, num_latents = len(tables), tables[0].shape[1]
    raw = np.zeros((num_models, num_models, num_latents, num_latents))
    scores = np.zeros((num_models, num_models, 1))
    for i, j in np.argwhere(~np.eye(num_models, dtype=bool)):
        raw[i, j] = strengths_of(tables[i], tables[j])
        matrix = raw[i, j][np.ix_(kept[i], kept[j])] if filter_low_kl else raw[i, j]
        if matrix.size:
            scores[i, j] = relative_strength(matrix)
    if filter_low_kl and not all(mask.any() for mask in kept):
        empty = [k for k, mask in enumerate(kept) if not mask.any()]
        logger.warning("UDR: models %s have collapsed: their scores are 0.", empty)
    results: dict[str, Any] = {"raw_correlations": raw.tolist()} if include_raw_correlations else {}
    results["pairwise_disentanglement_scores"] = scores.tolist()
    results["model_scores"] = [
        float(np.median(np.delete(scores[:, k], k))) for k in range(num_models)
    ]
    return results


@gin.register(
    "udr_sklearn",
    module="srvae_plugin",
    denylist=["ground_truth_data", "representation_functions", "random_state"],
)
def compute_udr_sklearn(
    ground_truth_data: GroundTruthData,
    representation_functions: Sequence[GaussianFunction],
    random_state: Seed,
    batch_size: int = 10,
    num_data_points: int = 1_000,
    correlation_matrix: Literal["lasso", "spearman"] = "lasso",
    filter_low_kl: bool = True,
    include_raw_correlations: bool = True,
    kl_filter_threshold: float = 0.01,
) -> dict[str, Any]:
    """Unsupervised disentanglement ranking of several models (arXiv 1905.12614).

    The defaults are those of the original's own configurations.

    Args:
        ground_truth_data: data set to sample observations from; its factors are ignored.
        representation_functions: one for each model: observations (batch, H, W, C) to codes
            (batch, latent) and their mean divergences from the prior (latent,).
        random_state: source of all randomness, used in the original's order.
        batch_size: observations drawn and encoded at a time.
        num_data_points: observations in all, a multiple of the batch size.
        correlation_matrix: see `udr`.
        filter_low_kl: see `udr`.
        include_raw_correlations: see `udr`.
        kl_filter_threshold: see `udr`.

    Returns:
        Scores as in `udr`.

    Raises:
        ValueError: as in `udr`, or a number of points that is not a multiple of the batch size.
    """
    check_count("batch_size", batch_size)
    check_count("num_data_points", num_data_points)
    if num_data_points % batch_size:
        raise ValueError(
            f"num_data_points must be a multiple of batch_size = {batch_size}, got "
            f"{num_data_points}."
        )
    stream = random_state_of(random_state)
    parts: list[list[tuple[Any, Any]]] = [[] for _ in representation_functions]
    for _ in range(num_data_points // batch_size):
        observations = ground_truth_data.sample_observations(batch_size, stream)
        for part, function in zip(parts, representation_functions, strict=True):
            codes, divergences = function(observations)
            part.append((check_codes(codes, batch_size), np.asarray(divergences, np.float64)))
    return udr(
        [np.concatenate([codes for codes, _ in part]) for part in parts],
        [np.asarray(np.mean([values for _, values in part], axis=0)) for part in parts],
        correlation_matrix,
        filter_low_kl,
        include_raw_correlations,
        kl_filter_threshold,
    )


def _normalised(
    codes: Sequence[NDArray[Any]], divergences: Sequence[NDArray[Any]], threshold: float
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.bool_]]]:
    """Codes of mean 0 and deviation 1, 0 where a latent tells nothing, and which to keep."""
    from sklearn.preprocessing import StandardScaler

    if len(codes) < 2 or len(divergences) != len(codes):
        raise ValueError(
            "UDR must have the codes and divergences of at least 2 models, got "
            f"{len(codes)} and {len(divergences)}: it compares models with each other."
        )
    tables, kept = [], []
    for k, (table, values) in enumerate(zip(codes, divergences, strict=True)):
        table = check_codes(table, len(codes[0]), f"codes of model {k}")
        values = np.asarray(values, dtype=np.float64)
        shapes = (table.shape[1], values.shape)
        expected = np.shape(codes[0])[1]
        if shapes != (expected, (expected,)) or not np.isfinite(values).all():
            raise ValueError(
                f"model {k} must have {expected} latents, like model 0, and a finite divergence "
                f"for each, got {table.shape[1]} latents and divergences of shape {values.shape}."
            )
        scaled = StandardScaler().fit_transform(table.astype(np.float64))
        tables.append(scaled * (values > _INFORMATIVE))
        kept.append(values > threshold)
    return tables, kept
