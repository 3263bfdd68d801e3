"""Modularity and explicitness: Ridgeway and Mozer, "Learning Deep Disentangled Embeddings with the
F-Statistic Loss" (arXiv 1802.05312), section 3.
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
from srvae_plugin.metrics.common.checks import varying_factors, warn_collapsed
from srvae_plugin.metrics.common.discretizer import DiscretizerFn, discretize_codes
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.info import Headline, MetricInfo, documented, metric
from srvae_plugin.metrics.common.mutual_information import mutual_information

__all__ = [
    "compute_modularity_explicitness",
    "explicitness",
    "modularity_explicitness",
    "modularity_per_latent",
]


def modularity_per_latent(information: NDArray[np.float64]) -> NDArray[np.float64]:
    """Modularity (latent,) of an information matrix (latent, factor), in [0, 1].

    One less the squared information that a latent has on all factors but its best, over what it
    would be if it had as much on each of them. 1: the latent knows of one factor only; 0: of all
    factors alike, or of none. Not defined for a single factor.
    """
    squared = np.square(information)
    best = squared.max(axis=1)
    others = squared.sum(axis=1) - best
    # A latent without information divides 0 by 1 here, and is then set to 0.
    scores = 1.0 - others / (np.where(best == 0.0, 1.0, best) * (squared.shape[1] - 1.0))
    return np.where(best == 0.0, 0.0, scores)


def explicitness(
    train: CodesAndFactors, test: CodesAndFactors, one_vs_rest: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Explicitness (factor,) on the training and on the test points.

    The area under the ROC curve of a logistic regression that predicts the factor from all codes,
    averaged over the factor's values; .5 is chance. Codes are used as they are: normalise before.
    """
    factors = range(train.factors.shape[1])
    # With as many threads as the linear algebra library takes for itself, although they are slower
    # than one, waiting for each other: their sums round in another way, and where a solver that is
    # stopped early ends depends on it (explicitness moved by 2e-5).
    columns = [_areas(train, test, factor, one_vs_rest) for factor in factors]
    on_train, on_test = np.array(columns).T
    return on_train, on_test


@documented
def modularity_explicitness(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    test: Any = 1 / 3,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
    one_vs_rest: bool = False,
) -> Scores:
    """Modularity and explicitness of codes (points, latent) with factors (points, factor).

        modularity = mean over latents j of
            1 - sum over k != k(j) of I(z_j; v_k)^2 / ((n_v - 1) I(z_j; v_k(j))^2),
        k(j) the factor that latent j is most informative about, n_v the number of factors
        explicitness = mean over factors and their values of the area under the ROC curve of a
            logistic regression on all latents

    Codes are binned as in `discretize_codes`.

    Rewards: modularity, latents that are informative about one factor only; explicitness, factors
    that a linear model can predict from all latents together.

    Punishes: modularity, latents that hold several factors, and rotation; explicitness, factors
    that are lost or encoded non-linearly. Neither punishes a factor in several latents.

    Use it: both together. Modularity alone is high for latents with almost no information, as long
    as it is about one factor.

    Published settings: the defaults are those of disentanglement_lib's study (arXiv 1811.12359), on
    today's scikit-learn. `one_vs_rest` = True gives explicitness as it was published, with
    scikit-learn 0.20, which is lower: 0.941 where the default gives 0.987.

    Args:
        one_vs_rest: a logistic regression for each value of a factor instead of one for all, see
            `compute_modularity_explicitness`.

    Returns:
        `modularity_score` in [0, 1], the mean of `modularity_per_latent` over all latents, of which
        those without information count as 0; `explicitness_score_train` and
        `explicitness_score_test` in [0, 1], means of `explicitness` over factors;
        `num_factors_scored`.

    Raises:
        ValueError: fewer than two factors that vary, or a wrong shape or value.

    Special cases: Constant factors are left out, with a logged warning; disentanglement_lib fails
    on them. Constant latents, on which it also fails, are set to 0 for explicitness. Collapsed
    codes have a modularity of 0 and an explicitness of 0.5, with a logged warning.

    Examples:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((3, 4)))
        >>> codes = factors + 0.0
        >>> scores = modularity_explicitness(codes, factors, test=(codes, factors))  # perfect codes
        >>> round(scores["modularity_score"], 9), round(scores["explicitness_score_test"], 2)
        (1.0, 1.0)
        >>> scores = modularity_explicitness(0 * codes, factors)  # collapsed codes
        >>> scores["modularity_score"], scores["explicitness_score_test"]
        (0.0, 0.5)
    """
    parts = split(codes, factors, test, random_state_of(seed, random_state))
    return _scores(parts.train, parts.test, num_bins, discretizer_fn, one_vs_rest)


def _scores(
    train: CodesAndFactors,
    test: CodesAndFactors,
    num_bins: int | None,
    discretizer_fn: DiscretizerFn | None,
    one_vs_rest: bool,
) -> Scores:
    train, test = check_sample(train, "train"), check_sample(test, "test")
    varying = varying_factors("modularity and explicitness", train.factors, at_least=2)
    train = CodesAndFactors(train.codes, train.factors[:, varying])
    test = CodesAndFactors(test.codes, test.factors[:, varying])
    bins = discretize_codes(train.codes, num_bins, discretizer_fn)
    information = mutual_information(bins, train.factors)
    if not information.any():
        warn_collapsed("modularity", "no latent has information on any factor")
    mean, deviation = train.codes.mean(axis=0), train.codes.std(axis=0)
    deviation[deviation == 0] = 1
    on_train, on_test = explicitness(
        CodesAndFactors((train.codes - mean) / deviation, train.factors),
        CodesAndFactors((test.codes - mean) / deviation, test.factors),
        one_vs_rest,
    )
    return {
        "modularity_score": float(np.mean(modularity_per_latent(information))),
        "explicitness_score_train": float(np.mean(on_train)),
        "explicitness_score_test": float(np.mean(on_test)),
        "num_factors_scored": varying.size,
    }


@metric(
    MetricInfo(
        "Modularity and explicitness",
        "Ridgeway and Mozer, Learning Deep Disentangled Embeddings (2018), arXiv 1802.05312, "
        "section 3",
        (
            Headline("modularity_score", "Modularity", "modularity"),
            Headline("explicitness_score_test", "Explicitness", "explicitness"),
        ),
        place=60,
    )
)
def compute_modularity_explicitness(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    num_test: int = 5_000,
    batch_size: int = 16,
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
    one_vs_rest: bool = False,
) -> Scores:
    """Modularity and explicitness of a representation (arXiv 1802.05312, section 3).

    The defaults are those of the published study (arXiv 1811.12359).

    Args:
        num_train: points for the mutual information and to fit the classifiers on.
        one_vs_rest: how logistic regression treats more than two values. False: one multinomial
            model, as disentanglement_lib's code does on today's scikit-learn. True: one liblinear
            model per value, as it did on scikit-learn 0.20. Published explicitness was computed
            that way and is lower: 0.941 where the default gives 0.987.
    """
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    return source.score(
        lambda train, test: _scores(train, test, num_bins, discretizer_fn, one_vs_rest),
        "modularity and explicitness",
        num_train=num_train,
        num_test=num_test,
    )


def _areas(
    train: CodesAndFactors, test: CodesAndFactors, factor: int, one_vs_rest: bool
) -> tuple[float, float]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    model = LogisticRegression()
    if one_vs_rest:
        model = OneVsRestClassifier(LogisticRegression(solver="liblinear", random_state=0))
    with warnings.catch_warnings():
        # 100 steps are the original's; where they end is part of its score.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train.codes, train.factors[:, factor])
    return (
        _mean_area(model.classes_, model.predict_proba(train.codes), train.factors[:, factor]),
        _mean_area(model.classes_, model.predict_proba(test.codes), test.factors[:, factor]),
    )


def _mean_area(values: NDArray[Any], probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    """Mean area under the ROC curve over those `values` that some labels have and others lack.

    scikit-learn's `roc_auc_score` where the labels have exactly these values. Where they do not,
    with few test points, the original fails or pairs the wrong columns; here values are paired by
    what they are. With a single value among the labels it is .5.
    """
    from scipy.stats import rankdata

    is_value = labels[:, np.newaxis] == values
    positive = is_value.sum(axis=0)
    defined = (positive > 0) & (positive < len(labels))
    if not defined.any():
        return 0.5
    positive = positive[defined]
    # The Mann-Whitney statistic: ties share their rank, which is the trapezoid of the curve.
    ranks = rankdata(probabilities[:, defined], axis=0)
    rank_sum = np.where(is_value[:, defined], ranks, 0.0).sum(axis=0)
    wins = rank_sum - positive * (positive + 1) / 2
    return float(np.mean(wins / (positive * (len(labels) - positive))))
