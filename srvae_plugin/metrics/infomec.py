"""InfoMEC, modularity, explicitness and compactness from information: Hsu et al.,
"Disentanglement via Latent Quantization" (NeurIPS 2023, arXiv 2305.18378), section on metrics.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.seeds import Seed, seed_of
from srvae_plugin.metrics.codes import RepresentationFunction
from srvae_plugin.metrics.common.arrays import given_points
from srvae_plugin.metrics.common.checks import check_count, logger, varying_factors, warn_collapsed
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.info import Headline, MetricInfo, documented, metric
from srvae_plugin.metrics.common.mutual_information import entropy, mutual_information

__all__ = [
    "compute_infomec",
    "concentration",
    "infomec",
    "linear_information",
    "normalized_information",
]


def normalized_information(
    codes: NDArray[Any],
    factors: NDArray[Any],
    seed: int,
    discrete_latents: bool = False,
    num_neighbors: int = 10,
) -> NDArray[np.float64]:
    """I(z_j; s_i) / H(s_i): a (latent, factor) matrix, at least 0; at most 1 up to estimation.

    Discrete latents: the plug-in estimate, from counts. Continuous ones: the nearest-neighbour
    estimate for a continuous and a discrete variable (Ross 2014), scikit-learn's
    `mutual_info_classif`, of each latent on its own, standardised, as in the reference code.
    `seed` is that of the noise (a relative 1e-10) which scikit-learn adds to break ties.

    Raises:
        ValueError: a factor whose values all occur once: no neighbour of the same value.
    """
    if discrete_latents:
        return mutual_information(codes, factors) / entropy(factors)
    from sklearn.feature_selection import mutual_info_classif
    from sklearn.preprocessing import StandardScaler

    standard = StandardScaler().fit_transform(codes.astype(np.float64))
    columns = []
    for k, factor in enumerate(factors.T):
        labels, counts = np.unique(factor, return_inverse=True, return_counts=True)[1:]
        if counts.max() < 2:
            raise ValueError(
                f"factors must repeat their values for InfoMEC, got {len(factor)} different values "
                f"of varying factor {k}. Draw more points."
            )
        information = mutual_info_classif(
            standard, labels, discrete_features=False, n_neighbors=num_neighbors, random_state=seed
        )
        # scikit-learn's estimate of a constant is not 0.
        columns.append(np.where(np.ptp(codes, axis=0) > 0, information, 0.0))
    return np.stack(columns, axis=1) / entropy(factors)


def concentration(information: NDArray[np.float64]) -> float:
    """Mean over rows of max / sum, scaled so that equal entries give 0 and a single one 1.

    Of the (latent, factor) matrix this is modularity, of its transpose compactness. A row of zeros,
    0 / 0 and NaN in the reference code, counts as equal entries: 0. One column, of which max / sum
    is always 1, tells nothing: 0. The same if there is no row.
    """
    size = information.shape[1]
    if size < 2 or len(information) == 0:
        return 0.0
    total = information.sum(axis=1)
    share = np.full(len(information), 1 / size)
    np.divide(information.max(axis=1), total, out=share, where=total > 0)
    return float((share.mean() - 1 / size) / (1 - 1 / size))


def linear_information(
    codes: NDArray[Any], factors: NDArray[Any], discrete_latents: bool = False
) -> NDArray[np.float64]:
    """(factor,) information that a linear model can use, in [0, 1].

        1 - H_lin(s_i | z) / H_lin(s_i),

    the cross-entropies, on the points they were fitted to, of an unpenalised logistic regression
    with balanced classes on all latents, and on none. The latter guesses all K values alike: log K,
    which is what the reference code's fit on zeros finds. Latents are standardised, or one-hot if
    discrete. 100 iterations of L-BFGS, converged or not: codes that separate the values have no
    finite optimum. Below 0, which takes unequal classes and useless codes, counts as 0.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    if discrete_latents:
        inputs = OneHotEncoder(sparse_output=False).fit_transform(codes)
    else:
        inputs = StandardScaler().fit_transform(codes.astype(np.float64))
    scores = []
    for factor in factors.T:
        model = LogisticRegression(C=np.inf, class_weight="balanced", max_iter=100)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(inputs, factor)
        conditional = log_loss(factor, model.predict_proba(inputs), labels=model.classes_)
        scores.append(max(0.0, 1.0 - conditional / np.log(len(model.classes_))))
    return np.array(scores)


@documented
def infomec(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    discrete_latents: bool = False,
    num_neighbors: int = 10,
    active_range: float = 0.05,
) -> Scores:
    """InfoM, InfoE and InfoC of codes (points, latent) with factors (points, factor).

    With N the `normalized_information` of the n_z active latents about the n_s factors:

        InfoM = (mean over latents of max over factors of N / sum over factors of N - 1 / n_s)
                / (1 - 1 / n_s)
        InfoC = the same with latents and factors exchanged
        InfoE = mean over factors of `linear_information`, from all latents, active or not

    A latent is active if its range is above `active_range` times the largest range of any latent; a
    discrete latent is active if it takes at least two values. The scale of the latents affects
    nothing but this choice.

    Rewards: InfoM, latents that are informative about one factor; InfoC, factors that are encoded
    in one latent; InfoE, factors that a linear model can predict.

    Punishes: InfoM, merged and rotated latents; InfoC, duplicated, split and rotated factors;
    InfoE, non-linear codes and noise.

    Use it: as a set that separates modularity, compactness and explicitness without bins or a tuned
    learner.

    Published settings: 10 neighbours and an `active_range` of 1/20 are those of the authors' code;
    the number of points is that of the other metrics here.

    Args:
        discrete_latents: whether each latent takes few values, as in a quantised model.
        num_neighbors: neighbours of the estimator; 10 in the reference code.
        active_range: share of the largest range below which a latent is inactive; 1/20 in the
            reference code.

    Returns:
        `infom`, `infoe`, `infoc` in [0, 1]; `num_active_latents`; `num_uninformative_latents`,
        active ones without information about any factor; `num_factors_scored`.

    Raises:
        ValueError: fewer than two varying factors, too few points, discrete latents of more
            than 20 values and half as many as points, or a wrong shape or value.

    Special cases: In the authors' code an active latent without information, or a factor that no
    active latent is informative about, makes the scores NaN. Here it counts as 0 in its mean, as if
    its information were spread evenly, with a logged warning. With a single active latent InfoC is
    undefined and set to 0. Collapsed codes score 0 in all three, with a logged warning; constant
    factors are left out, with a logged warning.

    Examples:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((4, 5)))
        >>> scores = infomec(factors, factors, discrete_latents=True)  # perfect codes
        >>> [round(scores[key], 1) for key in ("infom", "infoe", "infoc")]
        [1.0, 1.0, 1.0]
        >>> scores = infomec(np.zeros((20, 3)), factors)  # collapsed codes
        >>> [scores[key] for key in ("infom", "infoe", "infoc")]
        [0.0, 0.0, 0.0]
    """
    number = seed_of(seed, random_state)
    codes, factors = given_points(codes, factors)
    check_count("num_neighbors", num_neighbors)
    if not 0 <= active_range < 1:
        raise ValueError(f"active_range must be in [0, 1), got {active_range!r}.")
    factors = factors[:, varying_factors("InfoMEC", factors, at_least=2)]
    ranges = np.ptp(codes.astype(np.float64), axis=0)
    active = ranges > (0.0 if discrete_latents else active_range * ranges.max())
    most = max(len(np.unique(column)) for column in codes.T) if discrete_latents else 0
    if most > max(20, len(codes) / 2):  # of few points a latent may have as many values
        raise ValueError(
            f"discrete_latents = True: a latent has {most} different values among {len(codes)} "
            "points; expected few, as in a quantised model: leave it False for continuous codes."
        )
    if not active.any():
        warn_collapsed("InfoMEC", "every latent is constant")
        return _scores(0.0, 0.0, 0.0, 0, 0, factors.shape[1])
    information = normalized_information(
        codes[:, active], factors, number, discrete_latents, num_neighbors
    )
    uninformative = int(np.sum(information.sum(axis=1) == 0))
    if uninformative:
        logger.warning(
            "InfoMEC: %d of %d active latents have no information on any factor; each counts as 0.",
            uninformative,
            len(information),
        )
    return _scores(
        concentration(information),
        float(linear_information(codes, factors, discrete_latents).mean()),
        concentration(information.T),
        len(information),
        uninformative,
        factors.shape[1],
    )


@metric(
    MetricInfo(
        "InfoMEC",
        "Hsu et al., Disentanglement via Latent Quantization (NeurIPS 2023), arXiv 2305.18378",
        (
            Headline("infom", "InfoM (modularity)"),
            Headline("infoe", "InfoE (explicitness)"),
            Headline("infoc", "InfoC (compactness)"),
        ),
        place=90,
    )
)
def compute_infomec(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    batch_size: int = 16,
    discrete_latents: bool = False,
    num_neighbors: int = 10,
    active_range: float = 0.05,
) -> Scores:
    """InfoM, InfoE and InfoC of a representation (arXiv 2305.18378).

    Args:
        random_state: source of all randomness: the points, then the seed of the estimator.
        discrete_latents: whether each latent takes few values, as in a quantised model.
        num_neighbors: neighbours of the estimator; 10 in the reference code.
        active_range: share of the largest range below which a latent is inactive; 1/20 in the
            reference code.
    """
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    return source.score(
        lambda sample: infomec(
            *sample,
            seed=int(source.random_state.randint(2**31 - 1)),
            discrete_latents=discrete_latents,
            num_neighbors=num_neighbors,
            active_range=active_range,
        ),
        "InfoMEC",
        num_train=num_train,
    )


def _scores(
    modularity: float,
    explicitness: float,
    compactness: float,
    active: int,
    uninformative: int,
    factors: int,
) -> dict[str, float | int]:
    return {
        "infom": modularity,
        "infoe": explicitness,
        "infoc": compactness,
        "num_active_latents": active,
        "num_uninformative_latents": uninformative,
        "num_factors_scored": factors,
    }
