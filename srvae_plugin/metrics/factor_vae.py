"""FactorVAE score: Kim and Mnih, "Disentangling by Factorising" (arXiv 1802.05983), section 4.

One factor is held fixed in a batch of observations; the latent whose variance, relative to its
variance over the data, is smallest votes for it. The score is the accuracy of the majority vote.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import gin
import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData, names_of
from srvae_plugin.data.sampling.seeds import Seed, random_state_of
from srvae_plugin.metrics.codes import (
    CodeDraws,
    RepresentationFunction,
    draw_samples,
    points_used,
)
from srvae_plugin.metrics.common.arrays import Rows
from srvae_plugin.metrics.common.checks import check_count, warn_collapsed
from srvae_plugin.metrics.common.drawing import Scores
from srvae_plugin.metrics.common.info import Headline, MetricInfo, documented, metric

__all__ = [
    "Votes",
    "compute_factor_vae",
    "factor_vae",
    "factor_vae_score",
    "prune_dims",
]

logger = logging.getLogger(__name__)

_THRESHOLD = 0.05
_SMALL = 1e-6
"""Deviation below which a latent is rounding: float32 codes near 1 are 1e-7 apart."""
_ENCODE_BATCH = 64
_VOTES_AT_ONCE = 1024

_AS_IN_A_VAE = 0.5
"""Deviation that a VAE's codes reach: a latent in use has about 1."""


class Votes(NamedTuple):
    """What a set of votes is made of: `variances` (votes, latent) and `fixed` (votes,)."""

    variances: NDArray[Any]
    """Variance of each latent within the batch."""
    fixed: NDArray[np.intp]
    """Index of the factor that was held fixed."""


@gin.register("prune_dims", module="srvae_plugin", denylist=["variances"])
def prune_dims(variances: NDArray[Any], threshold: float = _THRESHOLD) -> NDArray[np.bool_]:
    """Mask (latent,) of the latents whose standard deviation over the data is >= `threshold`.

    The original's default is 0, which keeps dead latents in the vote; the threshold of its
    published configurations, .05, is the default here.
    """
    return np.sqrt(variances) >= threshold


def factor_vae_score(
    train: Votes,
    evaluation: Votes,
    global_variances: NDArray[Any],
    active: NDArray[np.bool_],
    num_factors: int,
) -> Scores:
    """FactorVAE score of votes already drawn.

    Args:
        train: votes that the majority classifier is made of.
        evaluation: votes that it is tested on.
        global_variances: (latent,) variance of each latent over the data.
        active: (latent,) mask of the latents that may vote.
        num_factors: number of ground-truth factors.

    Returns:
        `train_accuracy` and `eval_accuracy` in [0, 1]; `num_active_dims`, which is the number of
        all latents as in the original (0 if none is active); `active_latents`, the number of those
        that are active. All accuracies are 0 if none is; with a logged warning if nothing varies.
    """
    scores: Scores
    scores = {"train_accuracy": 0.0, "eval_accuracy": 0.0, "num_active_dims": 0}
    scores["active_latents"] = int(active.sum())
    if not active.any():
        if not (np.sqrt(global_variances) > _SMALL).any():
            warn_collapsed("FactorVAE score", "every latent is constant")
        return scores
    train_votes = _count_votes(train, global_variances, active, num_factors)
    eval_votes = _count_votes(evaluation, global_variances, active, num_factors)
    classifier = train_votes.argmax(axis=0)
    latents = np.arange(len(active))
    scores["train_accuracy"] = float(train_votes[classifier, latents].sum() / train_votes.sum())
    scores["eval_accuracy"] = float(eval_votes[classifier, latents].sum() / eval_votes.sum())
    scores["num_active_dims"] = len(active)
    return scores


def _count_votes(
    votes: Votes, global_variances: NDArray[Any], active: NDArray[np.bool_], num_factors: int
) -> NDArray[np.int64]:
    """(factor, latent) number of votes, the active latents in the first columns."""
    # With a threshold of 0 a dead latent gives 0 / 0, and argmin takes the NaN: the original's
    # number, kept.
    with np.errstate(invalid="ignore", divide="ignore"):
        winner = np.argmin(votes.variances[:, active] / global_variances[active], axis=1)
    counts = np.zeros((num_factors, len(active)), dtype=np.int64)
    np.add.at(counts, (votes.fixed, winner), 1)
    return counts


@documented
def factor_vae(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    batch_size: int = 64,
    num_train: int = 10_000,
    num_eval: int = 5_000,
    num_variance_estimate: int = 10_000,
    prune_threshold: float | None = None,
) -> Scores:
    """FactorVAE score of codes (arXiv 1802.05983, section 4), from batches drawn among the points.

        vote of a batch with factor k fixed = argmin over active latents j of
            variance of z_j in the batch / variance of z_j in the data
        score = share of test votes whose factor is the one that got most of the training votes for
            the same latent

    Rewards: codes in which holding a factor fixed leaves one latent with the least variance.

    Punishes: two factors in one latent, and factors that no latent holds. Noisy, duplicated and
    moderately rotated codes score close to 1, as the right latent still varies least.

    Use it: because most papers report it. Its level says little: compare models under equal
    settings.

    Published settings: the defaults are those of disentanglement_lib's study (arXiv 1811.12359).

    Args:
        batch_size: points behind one vote.
        num_train: number of votes to fit the classifier.
        num_eval: number of votes to test it.
        num_variance_estimate: points for the variance over the data.
        prune_threshold: standard deviation below which a latent may not vote. None: what gin binds
            to `prune_dims.threshold`, or .05.

    Returns:
        `train_accuracy` and `eval_accuracy` in [0, 1]; the latter is the published one.
        `num_active_dims` is the number of all latents, as in disentanglement_lib; `active_latents`
        is the number of those that may vote. Further keys as in `compute_factor_vae` for a table
        with these rows.

    Special cases: If no latent is active (standard deviation of at least `prune_threshold`), all
    accuracies are 0, with a logged warning if nothing varies. A constant factor is fixed in every
    batch and costs perfect codes about 1 / (number of factors), as in disentanglement_lib; this is
    logged, and the scores without it are given as well. Values that too few rows share are left
    out; see `compute_factor_vae`.

    Examples:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((4, 5)))
        >>> few = {"num_train": 100, "num_eval": 50}
        >>> factor_vae(factors, factors, **few)["eval_accuracy"]  # perfect codes
        1.0
        >>> factor_vae(np.zeros((20, 3)), factors, **few)["eval_accuracy"]  # collapsed codes
        0.0
    """
    rows = Rows.of(codes, factors)
    settings: dict[str, Any]
    settings = {"batch_size": batch_size, "num_train": num_train, "num_eval": num_eval}
    settings |= {"prune_threshold": prune_threshold}
    settings |= {"num_variance_estimate": num_variance_estimate}
    stream = random_state_of(seed, random_state)
    return compute_factor_vae(rows.data, rows.function, stream, **settings)


@metric(
    MetricInfo(
        "FactorVAE score",
        "Kim and Mnih, Disentangling by Factorising (2018), arXiv 1802.05983, section 4",
        (Headline("eval_accuracy", "FactorVAE score", "factor_vae"),),
        place=10,
    )
)
def compute_factor_vae(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    batch_size: int = 64,
    num_train: int = 10_000,
    num_eval: int = 5_000,
    num_variance_estimate: int = 10_000,
    prune_threshold: float | None = None,
) -> Scores:
    """FactorVAE score of a representation (arXiv 1802.05983, section 4).

    The defaults are those of the published study (arXiv 1811.12359); the original has none.

    Args:
        batch_size: observations behind one vote.
        num_train: number of votes to fit the classifier.
        num_eval: number of votes to test it.
        num_variance_estimate: observations for the variance over the data.
        prune_threshold: standard deviation below which a latent may not vote. None: what gin binds
            to `prune_dims.threshold`, or 0.05. disentanglement_lib's own default is 0: perfect
            codes with two constant latents then score 0.31, and with 0.05 they score 1.

    Returns:
        Scores as in `factor_vae_score`; `eval_accuracy` is the one that is published. What the
        vote was made of: `prune_threshold`, and `largest_deviation` and `median_deviation`, over
        latents, of the standard deviation over the data. Only if a factor is constant, the scores
        without its votes: `train_accuracy_varying_factors` and `eval_accuracy_varying_factors`.
        `num_factors_scored` if a factor is constant or left out. Only of a table whose rows are
        drawn: the numbers of points or votes used and asked for, `num_train` and `num_train_asked`
        and so on.

    Raises:
        ValueError: a setting out of range, fewer than two factors that vary and can be fixed, or
            codes that are NaN, inf or of a wrong shape.

    A constant factor is fixed in every batch; its votes are noise, so that with K factors of which
    one is constant perfect codes score about 1 - 1/K, as in the original: this is logged, and the
    scores without it stand beside.

    For a table that is not a full grid, the variance over the data is that of distinct rows, and a
    batch is drawn, with replacement, from the rows that share a random row's value of the fixed
    factor. Values with fewer than ten distinct rows (or a tenth of the rows, in a table of fewer
    than 100) are left out, which is logged.
    """
    check_count("batch_size", batch_size, 2)
    check_count("num_train", num_train)
    check_count("num_eval", num_eval)
    check_count("num_variance_estimate", num_variance_estimate, 2)
    draws = CodeDraws(ground_truth_data, representation_function)
    varying = draws.told_apart("FactorVAE score")
    stream = random_state_of(random_state)
    _say_constant_factors(names_of(ground_truth_data), draws.fixable, varying)
    estimate = num_variance_estimate
    points: dict[str, int] = {}
    if draws.draws_rows:
        asked = {"num_variance_estimate": estimate}
        ((factors, _),) = draw_samples(draws, asked, stream, _ENCODE_BATCH)
        estimate = len(factors)
        points = points_used("num_variance_estimate", estimate, num_variance_estimate)
        for name, count in (("num_train", num_train), ("num_eval", num_eval)):
            points |= points_used(name, count, count)
    else:
        draws.sample(estimate, stream, encode_batch=_ENCODE_BATCH)
    fixed = draws.sample_groups(num_train + num_eval, (1, batch_size), stream, _share_with_first)
    codes = draws.codes()
    global_variances = np.var(codes[:estimate], axis=0, ddof=1)
    variances = _batch_variances(codes[estimate:], batch_size)
    bound = {} if prune_threshold is None else {"threshold": prune_threshold}
    active = gin.get_configurable(prune_dims)(global_variances, **bound)
    spread = _say_who_votes(global_variances, active, prune_threshold)
    train = Votes(variances[:num_train], fixed[:num_train])
    evaluation = Votes(variances[num_train:], fixed[num_train:])
    num_factors = ground_truth_data.num_factors
    scores = factor_vae_score(train, evaluation, global_variances, active, num_factors)
    if len(varying) < num_factors:
        scores["num_factors_scored"] = len(varying)
    if len(varying) < len(draws.fixable):
        kept = _only(train, varying), _only(evaluation, varying)
        mended = factor_vae_score(kept[0], kept[1], global_variances, active, num_factors)
        for key in ("train_accuracy", "eval_accuracy"):
            scores[f"{key}_varying_factors"] = mended[key]
    return scores | spread | points


def _say_constant_factors(
    names: list[str], fixed: NDArray[np.int64], varying: NDArray[np.int64]
) -> None:
    constant = sorted(set(fixed.tolist()) - set(varying.tolist()))
    if constant:
        logger.warning(
            "FactorVAE score: %s: a single value, but among the factors that are fixed, as in the "
            "original: its votes are noise. eval_accuracy_varying_factors is the score over the "
            "other %d.",
            ", ".join(repr(names[k]) for k in constant), len(varying),
        )  # fmt: skip


def _say_who_votes(
    variances: NDArray[Any], active: NDArray[np.bool_], prune_threshold: float | None
) -> dict[str, float]:
    """Logs how many latents vote, if not all do, and returns the threshold and the spread."""
    if prune_threshold is None:
        bound = gin.get_bindings("srvae_plugin.prune_dims")
        prune_threshold = float(bound.get("threshold", _THRESHOLD))
    deviations = np.sqrt(variances.astype(np.float64))
    largest, median = float(deviations.max()), float(np.median(deviations))
    if not active.all() and largest > _SMALL:
        logger.warning(
            "FactorVAE score: %d of %d latents are active and vote: those whose standard deviation "
            "over the data is prune_dims.threshold = %g or more; the largest is %.3g, the median "
            "%.3g%s",
            active.sum(), len(active), prune_threshold, largest, median,
            _advice(deviations, active),
        )  # fmt: skip
    return {
        "prune_threshold": float(prune_threshold),
        "largest_deviation": largest,
        "median_deviation": median,
    }


def _advice(deviations: NDArray[np.float64], active: NDArray[np.bool_]) -> str:
    """What to bind if the threshold, made for latents of deviation 1, does not fit the codes."""
    largest = deviations.max()
    # On a scale on which the largest deviation is 1, as in a VAE, they would have voted.
    would_vote = (deviations >= _THRESHOLD * largest).sum()
    if largest >= _AS_IN_A_VAE or would_vote <= active.sum():
        return ""
    return (
        ". A VAE has then collapsed, or is hardly trained; other codes are on another scale: bind "
        f"prune_dims.threshold = {_THRESHOLD * largest:.2g} for the {would_vote} latents of at "
        "least a twentieth of the largest deviation to vote, or 0 for all"
    )


def _only(votes: Votes, factors: NDArray[np.intp]) -> Votes:
    kept = np.isin(votes.fixed, factors)
    return Votes(votes.variances[kept], votes.fixed[kept])


def _share_with_first(fixed: NDArray[np.int64], factors: NDArray[Any]) -> None:
    """The whole batch has its first observation's value of the fixed factor."""
    groups = np.arange(len(fixed))
    factors[groups, 0, :, fixed] = factors[groups, 0, 0, fixed][:, np.newaxis]


def _batch_variances(codes: NDArray[Any], batch_size: int) -> NDArray[Any]:
    """(votes, latent) variances of consecutive batches, in the codes' dtype like the original."""
    batches = codes.reshape(-1, batch_size, codes.shape[1])
    # In slices, since np.var makes copies as large as its argument.
    starts = range(0, len(batches), _VOTES_AT_ONCE)
    return np.concatenate([np.var(batches[k : k + _VOTES_AT_ONCE], axis=1, ddof=1) for k in starts])
