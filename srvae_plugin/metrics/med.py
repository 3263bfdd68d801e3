"""MED and top-k MED, mutual-information based entropy disentanglement: Cao et al., "An Empirical
Study on Disentanglement of Negative-free Contrastive Learning" (NeurIPS 2022, arXiv 2206.04756).
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.seeds import Seed, random_state_of
from srvae_plugin.metrics.codes import CodesAndFactors, RepresentationFunction, check_sample
from srvae_plugin.metrics.common.arrays import split
from srvae_plugin.metrics.common.checks import (
    check_count,
    check_latents,
    standardize,
    varying_factors,
    warn_collapsed,
)
from srvae_plugin.metrics.common.discretizer import DiscretizerFn, discretize_codes
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.info import Headline, MetricInfo, documented, metric
from srvae_plugin.metrics.common.mutual_information import mutual_information
from srvae_plugin.metrics.dci import disentanglement

__all__ = [
    "compute_med",
    "med",
    "med_importance",
    "top_latents",
]


def med_importance(
    codes: NDArray[Any],
    factors: NDArray[Any],
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> NDArray[np.float64]:
    """(latent, factor) importance R[j, i] = I(z_j; v_i) / sum over latents of I(z_j; v_i).

    Columns sum to 1, or to 0 for a factor of which no latent knows anything (NaN in the authors'
    code). Codes are binned as in `discretize_codes`.
    """
    information = mutual_information(discretize_codes(codes, num_bins, discretizer_fn), factors)
    total = information.sum(axis=0)
    return np.divide(information, total, out=np.zeros_like(information), where=total > 0)


def top_latents(importance: NDArray[np.float64], topk: int) -> NDArray[np.intp]:
    """Latents that top-k MED keeps, in ascending order.

    Each latent belongs to the factor it is most important for; for each factor the `topk` latents
    of the largest disentanglement, 1 - entropy of its row over factors, are kept. A factor may have
    fewer, or none. Equal ones: the first. Latents that are important for nothing belong to no
    factor (in the authors' code to the first) and are never kept.
    """
    score = np.array([disentanglement(row[np.newaxis]) for row in importance])
    owner = importance.argmax(axis=1)
    useful = importance.any(axis=1)
    kept: list[int] = []
    for factor in range(importance.shape[1]):
        own = np.flatnonzero((owner == factor) & useful)
        kept.extend(own[np.argsort(-score[own], kind="stable")][:topk].tolist())
    return np.array(sorted(kept), dtype=np.intp)


@documented
def med(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    test: Any = 1 / 3,
    topk: int = -1,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> Scores:
    """MED of codes (points, latent): the DCI formulas applied to `med_importance`.

        R[j, i] = I(z_j; v_i) / sum over latents of I(z_j; v_i)
        MED = sum over latents j of rho_j (1 - H(R[j, :])), rho_j = sum of R[j, :] / sum of R
        H = entropy of a row divided by its sum, in units of its maximum

    Rewards: like DCI's disentanglement, latents that are informative about one factor only,
    weighted by their information.

    Punishes: merged and rotated latents, and noise, which evens out the information. `completeness`
    punishes split and duplicated factors.

    Use it: for representations with hundreds of latents (`topk`), and where DCI's trees are too
    slow.

    Published settings: the number of points and bins are those of `mig`.

    Args:
        topk: latents to keep for each factor in top-k MED; -1: no top-k MED.

    Returns:
        `disentanglement` (the paper's MED) and `completeness` in [0, 1]; `informativeness_train`
        and `informativeness_test`, mean accuracies in [0, 1] of a logistic regression on the
        standardised codes; `num_factors_scored`; with `topk` = 5 also `top5_disentanglement` and
        `top5_completeness`. Keys as in the authors' code.

    Raises:
        ValueError: fewer than two latents or varying factors, or a wrong shape or value.

    Special cases: Dead latents do not change MED. They do count in `completeness`, as in DCI's: the
    base of its logarithm is the number of latents, so it rises with each dead one unless every
    factor is in a single latent.

    Constant factors are left out, with a logged warning; collapsed codes have disentanglement and
    completeness of 0, with a logged warning. Completeness is 0 if top-k keeps a single latent.

    Examples:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((3, 4)))
        >>> codes = factors + 0.0
        >>> scores = med(codes, factors, test=(codes, factors))  # perfect codes
        >>> round(scores["disentanglement"], 6), round(scores["completeness"], 6)
        (1.0, 1.0)
        >>> med(0 * codes, factors)["disentanglement"]  # collapsed codes
        0.0
    """
    parts = split(codes, factors, test, random_state_of(seed, random_state))
    return _scores(parts.train, parts.test, topk, num_bins, discretizer_fn)


def _scores(
    train: CodesAndFactors,
    test: CodesAndFactors,
    topk: int,
    num_bins: int | None,
    discretizer_fn: DiscretizerFn | None,
) -> Scores:
    train, test = check_sample(train, "train"), check_sample(test, "test")
    check_latents("MED", train.codes.shape[1])
    if topk != -1:
        check_count("topk", topk)
    varying = varying_factors("MED", train.factors, at_least=2)
    importance = med_importance(train.codes, train.factors[:, varying], num_bins, discretizer_fn)
    if not importance.any():
        warn_collapsed("MED", "no latent has information on any factor")
    accuracy = _linear_accuracy(train, test, varying)
    scores: Scores = {
        "informativeness_train": float(accuracy[0].mean()),
        "informativeness_test": float(accuracy[1].mean()),
        "disentanglement": disentanglement(importance),
        "completeness": disentanglement(importance.T),
        "num_factors_scored": int(varying.size),
    }
    if topk != -1:
        best = importance[top_latents(importance, topk)]
        scores[f"top{topk}_disentanglement"] = disentanglement(best) if len(best) else 0.0
        scores[f"top{topk}_completeness"] = disentanglement(best.T) if len(best) > 1 else 0.0
    return scores


@metric(
    MetricInfo(
        "MED",
        "Cao et al., Disentanglement of Negative-free Contrastive Learning (NeurIPS 2022), "
        "arXiv 2206.04756",
        (Headline("disentanglement", "MED disentanglement"),),
        place=130,
    )
)
def compute_med(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    num_test: int = 5_000,
    batch_size: int = 16,
    topk: int = -1,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> Scores:
    """MED and top-k MED of a representation (arXiv 2206.04756).

    Args:
        num_train: points to estimate the mutual information from and to fit the classifiers on.
        topk: latents to keep for each factor in top-k MED, meant for representations with hundreds
            of latents; -1: no top-k MED.
    """
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    return source.score(
        lambda train, test: _scores(train, test, topk, num_bins, discretizer_fn),
        "MED",
        num_train=num_train,
        num_test=num_test,
    )


def _linear_accuracy(
    train: CodesAndFactors, test: CodesAndFactors, factors: NDArray[np.intp]
) -> NDArray[np.float64]:
    """(train and test, factor) accuracy of scikit-learn's default logistic regression."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    inputs = standardize(train.codes, test.codes)
    accuracy = np.zeros((2, factors.size))
    for column, k in enumerate(factors):
        with warnings.catch_warnings():
            # The authors take what 100 iterations give.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression().fit(inputs[0], train.factors[:, k])
        for row, part in enumerate((train, test)):
            accuracy[row, column] = np.mean(model.predict(inputs[row]) == part.factors[:, k])
    return accuracy
