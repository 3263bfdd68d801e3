"""FactorVAE score: Kim and Mnih, "Disentangling by Factorising" (arXiv 1802.05983), section 4.

One factor is held fixed in a batch of observations; the latent whose variance, relative to its
variance over the data, is smallest votes for it. The score is the accuracy of the majority vote.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import gin
import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.metrics.checks import check_count, warn_collapsed
from srvae_plugin.metrics.codes import CodeDraws, RepresentationFunction

_ENCODE_BATCH = 64
_VOTES_AT_ONCE = 1024


class Votes(NamedTuple):
    """What a set of votes is made of: `variances` (votes, latent) and `fixed` (votes,)."""

    variances: NDArray[Any]
    """Variance of each latent within the batch."""
    fixed: NDArray[np.intp]
    """Index of the factor that was held fixed."""


@gin.register("prune_dims", module="srvae_plugin", denylist=["variances"])
def prune_dims(variances: NDArray[Any], threshold: float = 0.05) -> NDArray[np.bool_]:
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
) -> dict[str, float | int]:
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
        that are active. All accuracies are 0, with a logged warning, if none is.
    """
    scores: dict[str, float | int]
    scores = {"train_accuracy": 0.0, "eval_accuracy": 0.0, "num_active_dims": 0}
    scores["active_latents"] = int(active.sum())
    if not active.any():
        warn_collapsed("FactorVAE score", "no latent's deviation reaches prune_dims.threshold")
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


def compute_factor_vae(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: np.random.RandomState,
    artifact_dir: str | None = None,
    batch_size: int = 64,
    num_train: int = 10_000,
    num_eval: int = 5_000,
    num_variance_estimate: int = 10_000,
    prune_threshold: float | None = None,
) -> dict[str, float | int]:
    """FactorVAE score of a representation (arXiv 1802.05983, section 4).

    The defaults are those of the published study (arXiv 1811.12359); the original has none.

    Args:
        ground_truth_data: data set to sample from.
        representation_function: observations (batch, H, W, C) to codes (batch, latent).
        random_state: source of all randomness, used in the original's order.
        artifact_dir: not used, as in the original.
        batch_size: observations behind one vote.
        num_train: votes that make the classifier.
        num_eval: votes that test it.
        num_variance_estimate: observations for the variance over the data.
        prune_threshold: standard deviation below which a latent may not vote. None: what gin binds
            to `prune_dims.threshold`, or .05. The original's own default is 0: on perfect codes
            with two constant latents it gives .31 where .05 gives 1.

    Returns:
        Scores as in `factor_vae_score`; `eval_accuracy` is the one that is published.

    Raises:
        ValueError: a setting out of range, or codes that are NaN, inf or of a wrong shape.

    A factor of size 1 is fixed in every batch; its votes are noise, so that with K factors of
    which one is constant perfect codes score about 1 - 1/K, as in the original.
    """
    del artifact_dir
    check_count("batch_size", batch_size, 2)
    check_count("num_train", num_train)
    check_count("num_eval", num_eval)
    check_count("num_variance_estimate", num_variance_estimate, 2)
    draws = CodeDraws(ground_truth_data, representation_function)
    draws.sample(num_variance_estimate, random_state, encode_batch=_ENCODE_BATCH)
    fixed = draws.sample_groups(
        num_train + num_eval, (1, batch_size), random_state, _share_with_first
    )
    codes = draws.codes()
    global_variances = np.var(codes[:num_variance_estimate], axis=0, ddof=1)
    variances = _batch_variances(codes[num_variance_estimate:], batch_size)
    bound = {} if prune_threshold is None else {"threshold": prune_threshold}
    return factor_vae_score(
        Votes(variances[:num_train], fixed[:num_train]),
        Votes(variances[num_train:], fixed[num_train:]),
        global_variances,
        gin.get_configurable(prune_dims)(global_variances, **bound),
        ground_truth_data.num_factors,
    )


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
