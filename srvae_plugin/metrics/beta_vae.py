"""BetaVAE score: Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained
Variational Framework" (ICLR 2017), section 3.

Pairs of observations share the value of one factor; a linear classifier has to tell which one from
how far apart the codes of such pairs are on average.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.seeds import Seed, random_state_of
from srvae_plugin.metrics.codes import CodeDraws, RepresentationFunction, points_used
from srvae_plugin.metrics.common.arrays import Rows
from srvae_plugin.metrics.common.checks import check_codes, check_count
from srvae_plugin.metrics.common.drawing import Scores
from srvae_plugin.metrics.common.info import Headline, MetricInfo, documented, metric

__all__ = [
    "Differences",
    "beta_vae",
    "beta_vae_score",
    "compute_beta_vae_sklearn",
]

logger = logging.getLogger(__name__)

_PAIRS_AT_ONCE = 1024


class Differences(NamedTuple):
    """What the classifier sees: `features` (points, latent) and `fixed` (points,)."""

    features: NDArray[Any]
    """Mean absolute difference of the codes of pairs that share one factor."""
    fixed: NDArray[np.intp]
    """Index of the factor that they share."""


def beta_vae_score(train: Differences, evaluation: Differences) -> Scores:
    """BetaVAE score of differences already drawn.

    Returns:
        `train_accuracy` and `eval_accuracy` in [0, 1]; guessing gives one over the number of
        factors. A perfect score does not mean axis-aligned codes: the classifier sees all latents.

    Raises:
        ValueError: fewer than two factors were held fixed, or a wrong shape or value.

    Collapsed codes score what guessing scores, as in the original, with a logged warning.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    train = _checked(train, "train")
    evaluation = _checked(evaluation, "evaluation")
    if len(np.unique(train.fixed)) < 2:
        raise ValueError(
            "num_train must be large enough for at least 2 different factors to be held fixed, "
            f"got {len(train.fixed)} points that all share factor {train.fixed[0]}. Draw more."
        )
    if not train.features.any():
        logger.warning(
            "BetaVAE score: the representation has collapsed (all pairs have the same code): the "
            "score is that of guessing."
        )
    model = LogisticRegression()
    with warnings.catch_warnings():
        # 100 steps are the original's; where they end is part of its score.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # In float64, as the original stores them.
        model.fit(train.features.astype(np.float64), train.fixed)
    return {
        "train_accuracy": _accuracy(model, train),
        "eval_accuracy": _accuracy(model, evaluation),
    }


@documented
def beta_vae(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    batch_size: int = 64,
    num_train: int = 10_000,
    num_eval: int = 5_000,
) -> Scores:
    """BetaVAE score of codes (ICLR 2017, section 3), from pairs drawn among the points.

        d = mean of |z - z'| over L pairs that share the value of factor k, one number per latent
        score = accuracy of a linear classifier that predicts k from d

    Rewards: codes in which some direction stays constant while a factor is held fixed.

    Punishes: factors that cannot be recognised from the codes at all. The classifier sees all
    latents at once, so rotated (unless all latents are mixed evenly), noisy and duplicated codes
    also score close to 1.

    Use it: to compare with older papers, and never alone: it saturates at 1.

    Published settings: the defaults are those of disentanglement_lib's study (arXiv 1811.12359).

    Args:
        batch_size: pairs behind one point of the classifier.
        num_train: points to fit the classifier on.
        num_eval: points to test it on.

    Returns:
        `train_accuracy` and `eval_accuracy` in [0, 1]; the latter is the published one. A score of
        1 does not mean that the codes are aligned with the axes; guessing scores 1 / (number of
        factors). Further keys as in `compute_beta_vae_sklearn` for a table with these rows.

    Special cases: Collapsed codes score no better than guessing, as in disentanglement_lib, with a
    logged warning. A constant factor counts like any other, also as there. Values that too few rows
    share are left out; see `compute_beta_vae_sklearn`.

    Examples:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((4, 5)))
        >>> few = {"num_train": 100, "num_eval": 50}
        >>> beta_vae(factors, factors, **few)["eval_accuracy"]  # perfect codes
        1.0
        >>> scores = beta_vae(np.zeros((20, 3)), factors, **few)  # collapsed codes: guessing
        >>> 0.3 < scores["eval_accuracy"] < 0.7
        True
    """
    rows = Rows.of(codes, factors)
    settings = {"batch_size": batch_size, "num_train": num_train, "num_eval": num_eval}
    stream = random_state_of(seed, random_state)
    return compute_beta_vae_sklearn(rows.data, rows.function, stream, None, **settings)


@metric(
    MetricInfo(
        "BetaVAE score",
        "Higgins et al., beta-VAE (ICLR 2017), section 3",
        (Headline("eval_accuracy", "BetaVAE score", "beta_vae"),),
        place=20,
    )
)
def compute_beta_vae_sklearn(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    batch_size: int = 64,
    num_train: int = 10_000,
    num_eval: int = 5_000,
) -> Scores:
    """BetaVAE score of a representation (ICLR 2017, section 3).

    The defaults are those of the published study (arXiv 1811.12359); the original has none.

    Args:
        batch_size: pairs behind one point of the classifier.
        num_train: points to fit the classifier on.
        num_eval: points to test it on.

    Returns:
        Scores as in `beta_vae_score`; `eval_accuracy` is the one that is published. Of a table
        whose rows are drawn, `num_train`, `num_train_asked`, `num_eval` and `num_eval_asked` too,
        and `num_factors_scored` if a factor is left out.

    Raises:
        ValueError: a setting out of range, fewer than two factors that vary and can be fixed, or
            codes that are NaN, inf or of a wrong shape.

    A factor of size 1 is shared by all pairs and can be told by its pairs being no closer than
    any: it counts like another factor, as in the original.

    For a table that is not a full grid, the left observation of a pair is a random row and the
    right one a random row with the same value of the factor, drawn with replacement. Values with
    fewer than ten distinct rows (or a tenth of the rows, in a table of fewer than 100) are left
    out, which is logged.
    """
    check_count("batch_size", batch_size)
    check_count("num_train", num_train)
    check_count("num_eval", num_eval)
    draws = CodeDraws(ground_truth_data, representation_function)
    draws.told_apart("BetaVAE score")
    stream = random_state_of(random_state)
    # The original fits between the two draws; its solver takes nothing from the stream.
    fixed = draws.sample_groups(num_train + num_eval, (2, batch_size), stream, _share_in_pairs)
    features = _mean_differences(draws.codes(), batch_size)
    scores = beta_vae_score(
        Differences(features[:num_train], fixed[:num_train]),
        Differences(features[num_train:], fixed[num_train:]),
    )
    if len(draws.fixable) < ground_truth_data.num_factors:
        scores["num_factors_scored"] = len(draws.fixable)
    if draws.draws_rows:
        scores |= points_used("num_train", num_train, num_train)
        scores |= points_used("num_eval", num_eval, num_eval)
    return scores


def _share_in_pairs(fixed: NDArray[np.int64], factors: NDArray[Any]) -> None:
    """Each right observation has its left one's value of the fixed factor."""
    groups = np.arange(len(fixed))
    factors[groups, 1, :, fixed] = factors[groups, 0, :, fixed]


def _mean_differences(codes: NDArray[Any], batch_size: int) -> NDArray[Any]:
    """(points, latent) mean |left - right| of consecutive batches, in the codes' dtype."""
    pairs = codes.reshape(-1, 2, batch_size, codes.shape[1])
    # In slices, since the differences are a copy half as large as the codes.
    starts = range(0, len(pairs), _PAIRS_AT_ONCE)
    return np.concatenate([_mean_difference(pairs[k : k + _PAIRS_AT_ONCE]) for k in starts])


def _mean_difference(pairs: NDArray[Any]) -> NDArray[Any]:
    return np.mean(np.abs(pairs[:, 0] - pairs[:, 1]), axis=1)


def _accuracy(model: Any, points: Differences) -> float:
    return float(np.mean(model.predict(points.features.astype(np.float64)) == points.fixed))


def _checked(points: Differences, name: str) -> Differences:
    fixed = np.asarray(points.fixed)
    return Differences(check_codes(points.features, len(fixed), f"{name}.features"), fixed)
