"""Scores of given observations and labels instead of a data set to sample from, under the
original's gin names `mig_validation`, `sap_score_validation`, `dci_validation` and
`unified_score_validation`.

For model selection with few labels: Locatello et al., "Disentangling Factors of Variation Using Few
Labels" (arXiv 1905.01258). Defaults are those of the original's own configurations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gin
import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.sampling.seeds import Seed, draw_seeds, random_state_of
from srvae_plugin.metrics.codes import CodesAndFactors, RepresentationFunction
from srvae_plugin.metrics.common.checks import check_codes, check_count, check_factors
from srvae_plugin.metrics.common.discretizer import DiscretizerFn
from srvae_plugin.metrics.common.drawing import Scores
from srvae_plugin.metrics.common.info import documented
from srvae_plugin.metrics.dci import dci_scores, importance_matrix
from srvae_plugin.metrics.mig import mig
from srvae_plugin.metrics.sap_score import sap_score
from srvae_plugin.metrics.unified_scores import MatrixFn, unified_scores_of

__all__ = [
    "compute_dci_on_fixed_data",
    "compute_mig_on_fixed_data",
    "compute_sap_on_fixed_data",
    "compute_unified_score_on_fixed_data",
]

_DENYLIST = ["observations", "labels", "representation_function"]


@gin.register("mig_validation", module="srvae_plugin", denylist=_DENYLIST)
@documented
def compute_mig_on_fixed_data(
    observations: NDArray[Any],
    labels: NDArray[Any],
    representation_function: RepresentationFunction,
    batch_size: int = 100,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> Scores:
    """Mutual information gap of given points; scores and errors as in `mig.mig`.

    Args:
        batch_size: observations encoded at a time.
    """
    sample = _encode(observations, labels, representation_function, batch_size)
    return mig(*sample, num_bins=num_bins, discretizer_fn=discretizer_fn)


@gin.register("sap_score_validation", module="srvae_plugin", denylist=_DENYLIST)
@documented
def compute_sap_on_fixed_data(
    observations: NDArray[Any],
    labels: NDArray[Any],
    representation_function: RepresentationFunction,
    train_percentage: float = 0.9,
    continuous_factors: bool = False,
    batch_size: int = 100,
) -> Scores:
    """SAP score of given points; scores and errors as in `sap_score.sap_score`.

    Args:
        continuous_factors: squared correlation instead of a classifier's accuracy.
        batch_size: observations encoded at a time.
    """
    sample = _encode(observations, labels, representation_function, batch_size, continuous_factors)
    train, test = _split(sample, train_percentage)
    return sap_score(train.codes, train.factors, test.codes, test.factors, continuous_factors)


@gin.register("dci_validation", module="srvae_plugin", denylist=_DENYLIST)
@documented
def compute_dci_on_fixed_data(
    observations: NDArray[Any],
    labels: NDArray[Any],
    representation_function: RepresentationFunction,
    train_percentage: float = 0.9,
    batch_size: int = 100,
    random_seed: Seed = 0,
    n_jobs: int | None = -1,
) -> Scores:
    """DCI of given points; scores and errors as in `dci.dci_scores`.

    Args:
        batch_size: observations encoded at a time.
    """
    sample = _encode(observations, labels, representation_function, batch_size)
    train, test = _split(sample, train_percentage)
    seeds = _seeds(random_seed, sample)
    return dci_scores(importance_matrix(train, test, seeds, n_jobs))


@gin.register("unified_score_validation", module="srvae_plugin", denylist=_DENYLIST)
@documented
def compute_unified_score_on_fixed_data(
    observations: NDArray[Any],
    labels: NDArray[Any],
    representation_function: RepresentationFunction,
    train_percentage: float = 0.9,
    matrix_fns: Sequence[MatrixFn] | None = None,
    batch_size: int = 100,
    random_seed: Seed = 0,
) -> Scores:
    """Unified scores of given points; scores and errors as in `unified_scores.unified_scores_of`.

    Args:
        matrix_fns: matrix functions. None: importance, mutual information and accuracy.
        batch_size: observations encoded at a time.
    """
    sample = _encode(observations, labels, representation_function, batch_size)
    train, test = _split(sample, train_percentage)
    return unified_scores_of(train, test, _seeds(random_seed, sample), matrix_fns)


def _encode(
    observations: NDArray[Any],
    labels: NDArray[Any],
    representation_function: RepresentationFunction,
    batch_size: int,
    continuous: bool = False,
) -> CodesAndFactors:
    check_count("batch_size", batch_size)
    num_points = len(observations)
    if np.ndim(labels) != 2 or np.shape(labels)[1] != num_points or not num_points:
        raise ValueError(
            f"labels must have shape (factor, {num_points}), one column per observation, got "
            f"{np.shape(labels)}. Transpose them if they are (points, factor)."
        )
    starts = range(0, num_points, batch_size)
    batches = [observations[start : start + batch_size] for start in starts]
    codes = [check_codes(representation_function(batch), len(batch)) for batch in batches]
    factors = check_factors(np.transpose(labels), num_points, not continuous, "labels")
    return CodesAndFactors(np.concatenate(codes), factors)


def _split(sample: CodesAndFactors, train_percentage: float) -> list[CodesAndFactors]:
    num_points = len(sample.codes)
    if not 0 < train_percentage < 1:
        raise ValueError(f"train_percentage must lie between 0 and 1, got {train_percentage!r}.")
    num_train = int(np.ceil(num_points * train_percentage))
    if num_train == num_points:
        raise ValueError(
            f"train_percentage must leave a point for the test, got {train_percentage!r} of "
            f"{num_points} points. Give more points, or lower it."
        )
    return [
        CodesAndFactors(sample.codes[part], sample.factors[part])
        for part in (slice(num_train), slice(num_train, None))
    ]


def _seeds(random_seed: Seed, sample: CodesAndFactors) -> NDArray[np.int64]:
    return draw_seeds(random_state_of(random_seed), sample.factors.shape[1])
