"""Disentanglement, completeness, informativeness: Eastwood and Williams, "A Framework for the
Quantitative Evaluation of Disentangled Representations" (ICLR 2018), section 2.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed, parallel_config
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData, continuous_factors
from srvae_plugin.data.sampling.seeds import Seed, draw_seeds, random_state_of
from srvae_plugin.files import replacing
from srvae_plugin.metrics.codes import CodesAndFactors, RepresentationFunction, check_sample
from srvae_plugin.metrics.common.arrays import split
from srvae_plugin.metrics.common.checks import (
    check_continuous,
    check_factors,
    check_latents,
    standardize,
    varying_factors,
    warn_collapsed,
)
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.info import Headline, MetricInfo, documented, metric

__all__ = [
    "IMPORTANCE_FILE",
    "Importance",
    "compute_dci",
    "dci",
    "dci_scores",
    "disentanglement",
    "disentanglement_per_row",
    "fit_importance",
    "fit_number",
    "importance_matrix",
    "save_matrix",
]

IMPORTANCE_FILE = "dci_importance_matrix.npy"


class Importance(NamedTuple):
    """How much each latent matters for predicting each factor, and how well that works."""

    matrix: NDArray[np.float64]
    """(latent, factor), >= 0, each column sums to 1, or to 0 if nothing could be learnt."""
    train_accuracy: NDArray[np.float64]
    """(factor,) accuracy, or R^2 of a continuous factor, on the points that were fitted; NaN for a
    constant factor."""
    test_accuracy: NDArray[np.float64]
    """(factor,) the same on the others; NaN for a constant factor."""
    continuous: NDArray[np.bool_] | None = None
    """(factor,) which factors are continuous; None: none of them."""


def fit_importance(
    train: CodesAndFactors, test: CodesAndFactors, factor: int, seed: int, backend: str = "exact"
) -> tuple[NDArray[np.float64], float, float]:
    """Importance (latent,) of the codes for one factor, training and test accuracy.

    Gradient boosted trees with scikit-learn's default settings, as in the original.
    """
    from srvae_plugin.metrics.learners.boosted_trees.backends import find_backend

    model = find_backend(backend)(train.codes, train.factors[:, factor], seed)
    hits = [model.predict(part.codes) == part.factors[:, factor] for part in (train, test)]
    return model.feature_importances, float(hits[0].mean()), float(hits[1].mean())


def fit_number(
    train: CodesAndFactors, test: CodesAndFactors, factor: int, seed: int
) -> tuple[NDArray[np.float64], float, float]:
    """The same for a continuous factor: regression trees, training and test R^2.

    Scikit-learn's GradientBoostingRegressor with its default settings, on the standardised factor.
    R^2 is 1 less the squared error over the variance; it is negative if the trees are worse than
    guessing the mean, and 0 if the points have a single value.
    """
    from sklearn.ensemble import GradientBoostingRegressor

    factors = standardize(train.factors[:, [factor]], test.factors[:, [factor]])
    model = GradientBoostingRegressor(random_state=seed).fit(train.codes, factors[0][:, 0])
    scores = []
    for part, target in zip((train, test), factors, strict=True):
        error = np.mean((model.predict(part.codes) - target[:, 0]) ** 2)
        varies = np.ptp(target) > 0
        scores.append(float(1 - error / target.var()) if varies else 0.0)
    return model.feature_importances_, scores[0], scores[1]


def importance_matrix(
    train: CodesAndFactors,
    test: CodesAndFactors,
    seeds: NDArray[np.integer[Any]],
    n_jobs: int | None = None,
    backend: str = "exact",
    continuous: NDArray[np.bool_] | None = None,
) -> Importance:
    """Importance of each latent for each factor; columns of constant factors are 0.

    Args:
        train: codes (points, latent) and factors (points, factor) to fit on.
        test: codes and factors to test on.
        seeds: (factor,) seed of each factor's trees.
        n_jobs: threads to fit factors in (processes for another backend), as in joblib; the result
            does not depend on it.
        backend: see `compute_dci`.
        continuous: (factor,) which factors are continuous; None: none of them.

    Raises:
        ValueError: fewer than two latents or varying factors, or a wrong shape or value.
    """
    from srvae_plugin.metrics.learners.boosted_trees.backends import (
        find_backend,
        parallel_settings,
    )

    train, test = check_sample(train, "train", False), check_sample(test, "test", False)
    num_factors = train.factors.shape[1]
    given = False if continuous is None else continuous
    is_number = check_continuous("continuous", given, num_factors)
    if not is_number.all():
        for name, (codes, factors) in (("train", train), ("test", test)):
            check_factors(factors[:, ~is_number], len(codes), True, f"{name}.factors")
    if np.shape(seeds) != (num_factors,):
        raise ValueError(f"seeds must have shape ({num_factors},), got {np.shape(seeds)}.")
    check_latents("DCI", train.codes.shape[1])
    varying = varying_factors("DCI", train.factors, at_least=2)
    find_backend(backend)
    with parallel_config(**parallel_settings(backend == "exact")):
        fits = Parallel(n_jobs=1 if n_jobs is None else n_jobs)(
            delayed(fit_number)(train, test, int(k), int(seeds[k]))
            if is_number[k]
            else delayed(fit_importance)(train, test, int(k), int(seeds[k]), backend)
            for k in varying
        )
    result = Importance(
        np.zeros((train.codes.shape[1], num_factors)),
        np.full(num_factors, np.nan),
        np.full(num_factors, np.nan),
        continuous,
    )
    for k, (column, train_accuracy, test_accuracy) in zip(varying, fits, strict=True):
        result.matrix[:, k] = column
        result.train_accuracy[k] = train_accuracy
        result.test_accuracy[k] = test_accuracy
    return result


def dci_scores(importance: Importance) -> Scores:
    """The four scores and `num_factors_scored` of an importance matrix.

    Returns:
        `disentanglement` and `completeness` in [0, 1] (section 2's D and C),
        `informativeness_train` and `informativeness_test`: mean accuracies in [0, 1]. As in the
        original these are accuracies, higher is better; the paper's informativeness is an error.
        With continuous factors, `r2_train` and `r2_test`, the mean R^2 over these, at most 1, and
        `num_continuous_factors_scored`; informativeness is then over the classes, and absent if
        there are none.

    Constant factors are left out; the original fails on them. A matrix of zeros, from a collapsed
    representation, has disentanglement and completeness 0, with a logged warning.
    """
    varying = ~np.isnan(importance.train_accuracy)
    numbers = varying & (False if importance.continuous is None else importance.continuous)
    classes = varying & ~numbers
    matrix = importance.matrix[:, varying]
    if not matrix.any():
        warn_collapsed("DCI", "no latent is of use for any factor")
    scores: Scores = {}
    if classes.any():
        scores["informativeness_train"] = float(np.mean(importance.train_accuracy[classes]))
        scores["informativeness_test"] = float(np.mean(importance.test_accuracy[classes]))
    scores |= {
        "disentanglement": disentanglement(matrix),
        "completeness": disentanglement(matrix.T),
        "num_factors_scored": int(varying.sum()),
    }
    if numbers.any():
        scores["r2_train"] = float(np.mean(importance.train_accuracy[numbers]))
        scores["r2_test"] = float(np.mean(importance.test_accuracy[numbers]))
        scores["num_continuous_factors_scored"] = int(numbers.sum())
    return scores


def disentanglement(matrix: NDArray[np.float64]) -> float:
    """Mean over rows, weighted by their sums, of 1 - entropy(row) in units of its maximum.

    Of an importance matrix (latent, factor) this is disentanglement, of its transpose
    completeness. In [0, 1]; 0 for a matrix of zeros.
    """
    per_row = disentanglement_per_row(matrix)
    if matrix.sum() == 0.0:
        matrix = np.ones_like(matrix)
    return float(np.sum(per_row * (matrix.sum(axis=1) / matrix.sum())))


def disentanglement_per_row(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(row,) 1 - entropy of each row in units of its maximum."""
    from scipy.stats import entropy

    offset = 1e-11  # the original's, keeps the entropy of a row of zeros defined
    return np.asarray(1.0 - entropy(matrix.T + offset, base=matrix.shape[1]))


@documented
def dci(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    test: Any = 1 / 3,
    n_jobs: int | None = None,
    continuous: Any = False,
) -> Scores:
    """Disentanglement, completeness and informativeness of codes (ICLR 2018, section 2).

        R[j, k] = importance of latent j for boosted trees that predict factor k
        D = sum over latents j of rho_j (1 - H(R[j, :])), rho_j = sum of R[j, :] / sum of R
        C = sum over factors k of rho_k (1 - H(R[:, k])), rho_k = sum of R[:, k] / sum of R
        H = entropy of a row or column divided by its sum, in units of its maximum

    Rewards: D, latents that matter for one factor only; C, factors that are predicted from one
    latent only; informativeness, factors that can be predicted at all.

    Punishes: D, latents that hold several factors, and rotation; C, factors that are split over
    latents, and rotation. Noise lowers all three. A duplicated latent does not change D.

    Use it: as the most detailed of the common metrics: the importance matrix shows which latent
    holds what. Fitting trees makes it slower than most.

    Published settings: the defaults are those of disentanglement_lib's study (arXiv 1811.12359),
    whose trees are not seeded: its scores scatter around ours by 0.001 to 0.003.

    Args:
        n_jobs: threads to fit factors in, as in joblib. Scores do not depend on it.
        continuous: which factors are continuous: True for all, False for none, or (factor,)
            booleans; words never are. They are predicted by regression trees, see `fit_number`.

    Returns:
        `disentanglement` (D) and `completeness` (C) in [0, 1]; `informativeness_train` and
        `informativeness_test`, mean accuracies in [0, 1], higher is better (in the paper it is an
        error); `num_factors_scored`. With continuous factors also `r2_train` and `r2_test`, their
        mean R^2, at most 1, and `num_continuous_factors_scored`; informativeness then covers the
        other factors, and is absent if there are none.

    Raises:
        ValueError: fewer than two latents or varying factors, or a wrong shape or value.

    Special cases: Constant factors are left out; disentanglement_lib fails on them. Collapsed codes
    have D and C of 0, with a logged warning.

    Examples:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((3, 4)))
        >>> codes = factors + 0.0
        >>> scores = dci(codes, factors, test=(codes, factors))  # perfect codes
        >>> round(scores["disentanglement"], 6), round(scores["completeness"], 6)
        (1.0, 1.0)
        >>> dci(0 * codes, factors, test=(codes, factors))["disentanglement"]  # collapsed codes
        0.0
    """
    stream = random_state_of(seed, random_state)
    parts = split(codes, factors, test, stream)
    num_factors = len(parts.names)
    numbers = check_continuous("continuous", continuous, num_factors) & ~parts.unordered
    seeds = draw_seeds(stream, num_factors)
    given = numbers if numbers.any() else None
    return dci_scores(importance_matrix(parts.train, parts.test, seeds, n_jobs, continuous=given))


@metric(
    MetricInfo(
        "DCI",
        "Eastwood and Williams, A Framework for the Quantitative Evaluation (ICLR 2018), section 2",
        (
            Headline("disentanglement", "DCI disentanglement", "dci_disentanglement"),
            Headline("completeness", "DCI completeness", "dci_completeness"),
            Headline("informativeness_test", "DCI informativeness (test accuracy)"),
        ),
        place=50,
    )
)
def compute_dci(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    num_test: int = 5_000,
    batch_size: int = 16,
    n_jobs: int | None = -1,
    backend: str = "exact",
) -> Scores:
    """Disentanglement, completeness, informativeness of a representation (ICLR 2018, section 2).

    The defaults are those of the published study (arXiv 1811.12359). A continuous factor is
    predicted by regression trees, see `fit_number`.

    Args:
        random_state: source of all randomness. Points are drawn in the original's order; the
            seeds of the trees, which the original leaves to chance, are drawn after them. Its
            scores therefore scatter around ours, by .001 to .003 at the default settings.
        artifact_dir: folder to save the (latent, factor) importance matrix in, as
            `dci_importance_matrix.npy`; made if needed. The original saves nothing.
        num_train: points to fit the trees on.
        backend: "exact": scikit-learn's boosted trees for the same seed, by a faster learner;
            "sklearn": by its own; "histogram": its histogram trees, which give other scores
            (disentanglement differed by up to 0.08 on the tests' codes) that must not be compared
            with published ones.

    Returns:
        Scores as in `dci_scores`.
    """
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    continuous = continuous_factors(ground_truth_data)
    given = continuous if continuous.any() else None

    def core(train: CodesAndFactors, test: CodesAndFactors) -> Scores:
        seeds = draw_seeds(source.random_state, train.factors.shape[1])
        importance = importance_matrix(train, test, seeds, n_jobs, backend, given)
        if artifact_dir is not None:
            save_matrix(importance.matrix, artifact_dir, IMPORTANCE_FILE)
        return dci_scores(importance)

    return source.score(core, num_train=num_train, num_test=num_test)


def save_matrix(matrix: NDArray[np.float64], folder: str, name: str) -> None:
    """Write an importance matrix whole or not at all; the folder is made if needed."""
    with replacing(Path(folder) / name) as temporary:
        np.save(temporary, matrix)
