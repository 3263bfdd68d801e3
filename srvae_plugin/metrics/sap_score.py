"""Separated attribute predictability: Kumar et al., "Variational Inference of Disentangled Latent
Concepts from Unlabeled Observations" (arXiv 1711.00848), section 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import (
    GroundTruthData,
    continuous_factors as continuous_in,
    unordered_factors,
)
from srvae_plugin.data.sampling.seeds import Seed, random_state_of
from srvae_plugin.metrics.codes import RepresentationFunction
from srvae_plugin.metrics.common.arrays import split
from srvae_plugin.metrics.common.checks import (
    check_codes,
    check_continuous,
    check_factors,
    check_latents,
    varying_factors,
    warn_collapsed,
)
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.info import Headline, MetricInfo, documented, metric

__all__ = [
    "compute_sap",
    "prediction_accuracies",
    "sap",
    "sap_score",
    "squared_correlations",
]

_DEAD_VARIANCE = 1e-12


def sap_score(
    codes_train: NDArray[Any],
    factors_train: NDArray[Any],
    codes_test: NDArray[Any],
    factors_test: NDArray[Any],
    continuous_factors: bool | NDArray[np.bool_] = False,
    n_jobs: int | None = None,
) -> Scores:
    """SAP score of codes (points, latent) with factors (points, factor).

    For each factor, how well the best single latent predicts it less how well the second best
    does; the score is the mean over factors (arXiv 1711.00848, section 3). What a latent predicts
    of a class is measured by a classifier's accuracy, of a continuous factor by the squared
    correlation; `continuous_factors` says which are continuous: True for all, False for none, or
    (factor,) booleans.

    Returns:
        `SAP_score` in [0, 1] and `num_factors_scored`.

    Raises:
        ValueError: fewer than two latents, no factor that varies, or a wrong shape or value.

    Constant factors are left out, with a logged warning; the original fails on them. Collapsed
    codes score 0, with a logged warning.
    """
    codes_train = check_codes(codes_train, name="codes_train")
    codes_test = check_codes(codes_test, name="codes_test")
    factors_train = check_factors(factors_train, len(codes_train), False, "factors_train")
    factors_test = check_factors(factors_test, len(codes_test), False, "factors_test")
    continuous = check_continuous("continuous_factors", continuous_factors, factors_train.shape[1])
    if not continuous.all():
        for name, factors in (("factors_train", factors_train), ("factors_test", factors_test)):
            check_factors(factors[:, ~continuous], len(factors), True, name)
    check_latents("SAP", codes_train.shape[1])
    varying = varying_factors("SAP", factors_train)
    if not np.ptp(codes_train, axis=0).any():
        warn_collapsed("SAP", "every latent is constant")
    scores = np.zeros((codes_train.shape[1], varying.size))
    numbers = continuous[varying]
    if numbers.any():
        scores[:, numbers] = squared_correlations(codes_train, factors_train[:, varying[numbers]])
    if not numbers.all():
        classes = varying[~numbers]
        scores[:, ~numbers] = prediction_accuracies(
            codes_train, factors_train[:, classes], codes_test, factors_test[:, classes], n_jobs
        )
    second, best = np.sort(scores, axis=0)[-2:]
    return {"SAP_score": float(np.mean(best - second)), "num_factors_scored": varying.size}


def prediction_accuracies(
    codes_train: NDArray[Any],
    factors_train: NDArray[Any],
    codes_test: NDArray[Any],
    factors_test: NDArray[Any],
    n_jobs: int | None = None,
) -> NDArray[np.float64]:
    """(latent, factor) test accuracy of a linear support vector classifier on one latent.

    `n_jobs` threads fit them, as in joblib; the result does not depend on it.
    """
    from sklearn.svm import LinearSVC

    shape = codes_train.shape[1], factors_train.shape[1]

    def accuracy(latent: int, factor: int) -> float:
        # The primal solver draws no random numbers. It is also what scikit-learn >= 1.3 chooses
        # for one feature; before, the dual one was the default and moved scores by 4e-5. The seed
        # has no effect but that scikit-learn does not draw one from numpy's global state.
        classifier = LinearSVC(C=0.01, class_weight="balanced", dual=False, random_state=0)
        classifier.fit(codes_train[:, latent, np.newaxis], factors_train[:, factor])
        predicted = classifier.predict(codes_test[:, latent, np.newaxis])
        return float(np.mean(predicted == factors_test[:, factor]))

    # The solver lets go of Python's lock.
    share = Parallel(n_jobs=n_jobs, backend="threading")
    found = share(delayed(accuracy)(*cell) for cell in np.ndindex(*shape))
    return np.array(found).reshape(shape)


def squared_correlations(codes: NDArray[Any], factors: NDArray[Any]) -> NDArray[np.float64]:
    """(latent, factor) squared correlation, 0 for latents of variance 1e-12 or less."""
    num_latents = codes.shape[1]
    covariance = np.cov(codes, factors, rowvar=False, ddof=1)
    variances = np.diag(covariance)
    latent_variance = variances[:num_latents, np.newaxis]
    alive = latent_variance > _DEAD_VARIANCE
    product = np.where(alive, latent_variance, 1.0) * variances[num_latents:]
    return np.where(alive, covariance[:num_latents, num_latents:] ** 2 / product, 0.0)


@documented
def sap(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    test: Any = 1 / 3,
    continuous_factors: bool | NDArray[np.bool_] = False,
    n_jobs: int | None = None,
) -> Scores:
    """SAP score of codes (arXiv 1711.00848, section 3), on held-out points.

        SAP = mean over factors k of S[i, k] - S[j, k],
        S[j, k] = how well latent j alone predicts factor k,
        i and j the best and second best latents for factor k

    S is the accuracy of a linear classifier for a class, and the squared correlation for a
    continuous factor.

    Rewards: factors that one latent predicts much better than any other.

    Punishes: strong rotation, duplicated and split factors. A little noise or rotation can even
    raise it, and two factors in one latent cost little.

    Use it: beside MIG, as a score without bins. A linear classifier on one latent cannot separate
    many ordered values, so even perfect codes score well below 1: compare models, not levels.

    Published settings: the defaults are those of disentanglement_lib's study (arXiv 1811.12359).

    Args:
        factors: (points, factor) array, data frame or tensor.
        continuous_factors: which factors are continuous: True for all, False for none, or
            (factor,) booleans; words never are. Of these the squared correlation is measured, of
            the others a classifier's accuracy.

    Returns:
        `SAP_score` in [0, 1] and `num_factors_scored`.

    Raises:
        ValueError: fewer than two latents, no factor that varies, or a wrong shape or value.

    Special cases: Constant factors are left out, with a logged warning; disentanglement_lib fails
    on them. Collapsed codes score 0, with a logged warning. The second best latent is at least as
    good as chance, so for a factor of two values perfect codes score 0.5.

    Examples:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((2, 2)))
        >>> codes = 10.0 * factors
        >>> sap(codes, factors, test=(codes, factors))  # perfect codes: 1, and chance, 1/2
        {'SAP_score': 0.5, 'num_factors_scored': 2}
        >>> sap(codes, factors, test=(codes, factors), continuous_factors=True)
        {'SAP_score': 1.0, 'num_factors_scored': 2}
        >>> sap(0 * codes, factors, test=(0 * codes, factors))  # collapsed codes
        {'SAP_score': 0.0, 'num_factors_scored': 2}
    """
    parts = split(codes, factors, test, random_state_of(seed, random_state))
    train, test = parts.train, parts.test
    continuous = check_continuous("continuous_factors", continuous_factors, len(parts.names))
    continuous = continuous & ~parts.unordered
    return sap_score(train.codes, train.factors, test.codes, test.factors, continuous, n_jobs)


@metric(
    MetricInfo(
        "SAP",
        "Kumar et al., Variational Inference of Disentangled Latent Concepts (2017), "
        "arXiv 1711.00848, section 3",
        (Headline("SAP_score", "SAP", "sap"),),
        place=40,
    )
)
def compute_sap(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    num_test: int = 5_000,
    batch_size: int = 16,
    continuous_factors: bool = False,
    n_jobs: int | None = -1,
) -> Scores:
    """SAP score of a representation (arXiv 1711.00848, section 3).

    The defaults are those of the published study (arXiv 1811.12359).

    Args:
        num_test: points to test the classifiers on; drawn, but not used, with continuous factors.
        continuous_factors: squared correlation instead of a classifier's accuracy for every factor
            but classes that are known to have no order; if False, for those that are continuous in
            the data set.
    """
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    asked = check_continuous(
        "continuous_factors", continuous_factors, ground_truth_data.num_factors
    )
    continuous = asked & ~unordered_factors(ground_truth_data) | continuous_in(ground_truth_data)
    return source.score(
        lambda train, test: sap_score(
            train.codes, train.factors, test.codes, test.factors, continuous, n_jobs
        ),
        num_train=num_train,
        num_test=num_test,
    )
