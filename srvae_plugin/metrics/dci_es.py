"""DCI-ES, explicitness and size: Eastwood et al., "DCI-ES: An Extended Disentanglement Framework
with Connections to Identifiability" (ICLR 2023, arXiv 2210.00364), the sections that extend DCI.

Disentanglement and completeness are those of `compute_dci` or `compute_dci_regression`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed, parallel_config
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData, unordered_factors
from srvae_plugin.data.sampling.seeds import Seed, draw_seeds, random_state_of
from srvae_plugin.metrics.codes import CodesAndFactors, RepresentationFunction, check_sample
from srvae_plugin.metrics.common.arrays import split
from srvae_plugin.metrics.common.checks import (
    check_count,
    logger,
    standardize,
    varying_factors,
    warn_collapsed,
)
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.info import Headline, MetricInfo, documented, metric
from srvae_plugin.metrics.learners.probes import (
    FOREST,
    NUM_TREES,
    PROBES,
    Forest,
    Probe,
    Task,
    random_forest,
)

__all__ = [
    "MIN_GAIN",
    "LossCapacity",
    "Probing",
    "compute_dci_es",
    "dci_es",
    "dci_es_scores",
    "explicitness",
    "loss_capacity",
]

MIN_GAIN = 0.05
"""A factor counts as read if some probe's loss is so far below that of guessing, 1, by default."""


class Probing(NamedTuple):
    """What factors are read with."""

    probe: str = "random_forest"
    """`random_forest`, `mlp` or `rff`, see `srvae_plugin.metrics.learners.probes`."""
    sizes: Sequence[int] | None = None
    """Depths, widths or (even) numbers of features, ascending, two or more; None: the family's
    defaults."""
    categorical_factors: Sequence[int] = ()
    """Factors whose values have no order, by index. The others, whole or fractional, are predicted
    as numbers."""
    forest: Forest = FOREST
    """Settings of the random forests; other families have none."""

    def checked_sizes(self, num_factors: int) -> tuple[int, ...]:
        """The sizes to use, once all settings are found to be in range."""
        if self.probe not in PROBES:
            raise ValueError(f"probe must be one of {sorted(PROBES)}, got {self.probe!r}.")
        chosen = tuple(PROBES[self.probe][1] if self.sizes is None else self.sizes)
        smallest = {"random_forest": 1, "mlp": 0, "rff": 2}[self.probe]
        for size in chosen:
            check_count("probe_sizes", size, smallest)
        if len(chosen) < 2 or list(chosen) != sorted(set(chosen)):
            raise ValueError(f"probe_sizes must be two or more, ascending, got {self.sizes!r}.")
        if self.probe == "rff" and any(size % 2 for size in chosen):
            raise ValueError(
                f"probe_sizes must be even for rff, a cosine and a sine each, got {self.sizes!r}."
            )
        if not set(self.categorical_factors) <= set(range(num_factors)):
            raise ValueError(
                f"categorical_factors must be indices of {num_factors} factors, got "
                f"{self.categorical_factors!r}."
            )
        self.forest.check()
        return chosen


class LossCapacity(NamedTuple):
    """Loss-capacity curves, one for each factor."""

    capacity: NDArray[np.float64]
    """(factor, size) capacity of each probe, ascending; NaN for a constant factor."""
    loss: NDArray[np.float64]
    """(factor, size) test loss relative to guessing; NaN for a constant factor."""


def loss_capacity(
    train: CodesAndFactors,
    test: CodesAndFactors,
    seeds: NDArray[np.integer[Any]],
    probing: Probing | None = None,
    n_jobs: int | None = None,
) -> LossCapacity:
    """Loss of probes of growing capacity, for each factor.

    Args:
        train: codes (points, latent) and factors (points, factor) to fit on.
        test: codes and factors to test on.
        seeds: (factor,) seed of each factor's probes.
        probing: what factors are read with; None: random forests with their defaults.
        n_jobs: processes to fit factors in, as in joblib; the result does not depend on it.

    Raises:
        ValueError: no varying factor, one that is constant in `test` alone, or a wrong setting,
            shape or value.
    """
    probing = Probing() if probing is None else probing
    train = check_sample(train, "train", discrete=False)
    test = check_sample(test, "test", discrete=False)
    num_factors = train.factors.shape[1]
    sizes = probing.checked_sizes(num_factors)
    if np.shape(seeds) != (num_factors,):
        raise ValueError(f"seeds must have shape ({num_factors},), got {np.shape(seeds)}.")
    varying = varying_factors("DCI-ES", train.factors)
    tasks = [_task(train, test, int(k), k in probing.categorical_factors) for k in varying]
    fit: Probe = PROBES[probing.probe][0]
    if probing.probe == "random_forest":
        fit = functools.partial(random_forest, settings=probing.forest)
    with parallel_config(backend="loky", inner_max_num_threads=1):
        fits = Parallel(n_jobs=1 if n_jobs is None else n_jobs)(
            delayed(fit)(task, sizes, int(seeds[k])) for k, task in zip(varying, tasks, strict=True)
        )
    shape = (num_factors, len(sizes))
    result = LossCapacity(np.full(shape, np.nan), np.full(shape, np.nan))
    for k, (capacity, loss) in zip(varying, fits, strict=True):
        result.capacity[k], result.loss[k] = capacity, loss
    return result


def explicitness(
    capacity: NDArray[np.float64],
    loss: NDArray[np.float64],
    lowest_loss: float | None = None,
    min_gain: float = MIN_GAIN,
) -> float:
    """Explicitness of one factor from its loss-capacity curve.

        E = 1 - AULCC / Z,  AULCC = integral of (loss - its lowest) over capacity,
        Z = (largest capacity - smallest) (1 - lowest loss) / 2

    with losses relative to guessing and, at each capacity, the lowest up to there; the integral is
    by trapezoids. 1: the smallest probe does as well as any; 0: the loss falls in a straight line;
    -1: nothing is read before the largest probe. `lowest_loss`: that of Z; None: the curve's own,
    0: the one the authors' tables use.

    A factor that no probe reads, none being `min_gain` better than guessing, has a curve of noise
    alone, and by the formula anything from -1 to 1: it scores 0. With a `min_gain` of 0 the formula
    stands as it is, and a flat curve scores 1 (0 if `lowest_loss` is None: it is 0 / 0).
    """
    from scipy.integrate import trapezoid

    # Guessing is open to every probe.
    best = np.minimum.accumulate(np.minimum(loss, 1.0))
    lowest = best[-1] if lowest_loss is None else min(lowest_loss, best[-1])
    if best[-1] > 1.0 - min_gain or lowest == 1.0:
        return 0.0
    area = trapezoid(best - best[-1], capacity)
    return float(1.0 - area / (0.5 * (capacity[-1] - capacity[0]) * (1.0 - lowest)))


def dci_es_scores(
    curves: LossCapacity,
    num_latents: int,
    lowest_loss: float | None = None,
    min_gain: float = MIN_GAIN,
) -> Scores:
    """Explicitness and size from the curves of `loss_capacity`.

    Returns:
        `explicitness` in [-1, 1]: mean over factors of `explicitness`. `explicitness_authors`: the
        same by the formula alone, with a lowest loss of 0, as in the authors' tables: a factor that
        no probe reads has a flat curve and counts as 1, read perfectly by the smallest one; it is
        for comparison with published numbers. `size`: S = factors /
        latents, above 0, above 1 with fewer latents than factors. `informativeness`: mean over
        factors of 1 - lowest loss (R^2, or for categories the share of errors avoided), in [0, 1];
        explicitness only means something beside it. `num_factors_unread`: factors that no probe
        reads, which count as explicitness 0. `num_factors_scored`.

    Constant factors are left out. Collapsed codes have explicitness 0 (by the authors' 1), with a
    logged warning.
    """
    varying = np.flatnonzero(~np.isnan(curves.loss).any(axis=1))
    lowest = np.minimum(curves.loss[varying].min(axis=1), 1.0)
    unread = int(np.sum(lowest > 1.0 - min_gain))
    if unread == varying.size:
        warn_collapsed("DCI-ES", "no probe does better than guessing")
    elif unread:
        logger.warning("DCI-ES: no probe can predict %d of %d factors.", unread, varying.size)
    curve = [(curves.capacity[k], curves.loss[k]) for k in varying]
    scores = [explicitness(*each, lowest_loss, min_gain) for each in curve]
    authors = [explicitness(*each, lowest_loss=0.0, min_gain=0.0) for each in curve]
    return {
        "explicitness": float(np.mean(scores)),
        "explicitness_authors": float(np.mean(authors)),
        "size": float(varying.size / num_latents),
        "informativeness": float(np.mean(1.0 - lowest)),
        "num_factors_unread": unread,
        "num_factors_scored": int(varying.size),
    }


@documented
def dci_es(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    test: Any = 1 / 3,
    probing: Probing | None = None,
    lowest_loss: float | None = None,
    min_gain: float = MIN_GAIN,
) -> Scores:
    """Explicitness and size of codes (arXiv 2210.00364).

        E = mean over factors of 1 - AULCC / Z,
        AULCC = integral over the probes' capacity of (loss - lowest loss),
        Z = (largest capacity - smallest) (1 - lowest loss) / 2
        S = factors / latents

    Losses are those of probes of growing size, relative to guessing.

    Rewards: factors that a small probe predicts as well as a large one.

    Punishes: factors that only a large probe can predict, because they are encoded non-linearly or
    merged with others. Random forests, the default probes, also punish rotation, since they split
    on one latent at a time. Noise is not punished (`informativeness` shows it), and neither are
    duplicated latents.

    Use it: beside DCI's D and C, to say how easy a representation is to use. It depends on the
    family and the sizes of the probes: compare only scores from the same probes, and report
    `informativeness` with it.

    Published settings: the number of trees, their depths and the features per split are the
    authors'. `explicitness_authors` is their formula, with a lowest loss of 0 in Z.

    Args:
        factors: (points, factor) array, data frame or tensor; columns of words are categories, and
            others are predicted as numbers, whole or fractional, unless `probing` says otherwise.
        probing: what factors are read with; None: random forests with their defaults.
        lowest_loss: the lowest loss in Z. None: the curve's own; 0: as in the authors' tables.
        min_gain: a factor counts as predicted if some probe's loss is this much below that of
            guessing.

    Returns:
        `explicitness` in [-1, 1]; `explicitness_authors`, by the authors' formula, to compare with
        published numbers; `size` (S), above 0; `informativeness` in [0, 1]; `num_factors_unread`
        and `num_factors_scored`. See `dci_es_scores`.

    Special cases: Constant factors are left out. A factor that no probe can predict has a flat
    curve: it counts as 0, and as 1 in `explicitness_authors`. Collapsed codes have an explicitness
    of 0 (1 by the authors' formula), with a logged warning.

    Examples:
        >>> import numpy as np
        >>> from srvae_plugin.metrics.learners.probes import Forest
        >>> factors = np.argwhere(np.ones((3, 4)))
        >>> codes, few = factors + 0.0, Probing(sizes=(2, 3), forest=Forest(5, 1.0))
        >>> scores = dci_es(codes, factors, test=(codes, factors), probing=few)  # perfect codes
        >>> scores["explicitness"] > 0.5, scores["informativeness"] > 0.9, scores["size"]
        (True, True, 1.0)
        >>> dci_es(0 * codes, factors, probing=few)["explicitness"]  # collapsed codes
        0.0
    """
    stream = random_state_of(seed, random_state)
    parts = split(codes, factors, test, stream)
    _check_losses(lowest_loss, min_gain)
    seeds = draw_seeds(stream, len(parts.names))
    probing = Probing() if probing is None else probing
    categories = (*probing.categorical_factors, *np.flatnonzero(parts.unordered).tolist())
    probing = probing._replace(categorical_factors=categories)
    curves = loss_capacity(parts.train, parts.test, seeds, probing)
    return dci_es_scores(curves, parts.train.codes.shape[1], lowest_loss, min_gain)


def _check_losses(lowest_loss: float | None, min_gain: float) -> None:
    if lowest_loss is not None and not 0 <= lowest_loss < 1:
        raise ValueError(f"lowest_loss must be in [0, 1) or None, got {lowest_loss!r}.")
    if not 0 <= min_gain < 1:
        raise ValueError(f"min_gain must be in [0, 1), got {min_gain!r}.")


@metric(
    MetricInfo(
        "DCI-ES",
        "Eastwood et al., DCI-ES (ICLR 2023), arXiv 2210.00364",
        (Headline("explicitness", "DCI-ES explicitness", range=(-1, 1)),),
        place=140,
    )
)
def compute_dci_es(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    num_test: int = 5_000,
    batch_size: int = 16,
    probe: str = "random_forest",
    probe_sizes: Sequence[int] | None = None,
    categorical_factors: Sequence[int] | None = None,
    lowest_loss: float | None = None,
    n_jobs: int | None = None,
    num_trees: int = NUM_TREES,
    max_features: str | int | float | None = None,
    min_gain: float = MIN_GAIN,
) -> Scores:
    """Explicitness and size of a representation (arXiv 2210.00364).

    Explicitness depends on the family of probes and on their sizes: compare like with like. On
    dSprites' five factors the defaults take 8 s of one core with forests, 15 s with random Fourier
    features, 25 s with networks.

    Args:
        random_state: source of all randomness: the points, then the seeds of the probes.
        num_train: points to fit the probes on.
        probe: family of probes: `random_forest`, `mlp` or `rff`.
        probe_sizes: sizes of the probes, ascending; None: the family's defaults.
        categorical_factors: indices of factors whose values have no order, such as 0, dSprites'
            shape. None: those that the data set declares (words, or "class" in its factor_kinds).
        lowest_loss: the lowest loss in Z. None: the curve's own; 0: as in the authors' tables.
        num_trees: trees of a random forest; 100 is the authors'.
        max_features: features considered for a split, as in scikit-learn; None: the authors'
            choice, "sqrt" for categories and all for numbers.
        min_gain: a factor counts as predicted if some probe's loss is this much below that of
            guessing.

    Returns:
        Scores as in `dci_es_scores`.
    """
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    if categorical_factors is None:
        categorical_factors = np.flatnonzero(unordered_factors(ground_truth_data)).tolist()
    forest = Forest(num_trees, max_features)
    probing = Probing(probe, probe_sizes, categorical_factors, forest)
    probing.checked_sizes(ground_truth_data.num_factors)
    _check_losses(lowest_loss, min_gain)

    def core(train: CodesAndFactors, test: CodesAndFactors) -> Scores:
        seeds = draw_seeds(source.random_state, train.factors.shape[1])
        curves = loss_capacity(train, test, seeds, probing, n_jobs)
        return dci_es_scores(curves, train.codes.shape[1], lowest_loss, min_gain)

    return source.score(core, num_train=num_train, num_test=num_test)


def _task(train: CodesAndFactors, test: CodesAndFactors, factor: int, categorical: bool) -> Task:
    column = slice(factor, factor + 1)
    fit, held_out = train.factors[:, column], test.factors[:, column]
    if np.ptp(held_out) == 0:
        raise ValueError(
            f"factors must vary among the test points, got a single value of factor {factor} in "
            f"{len(held_out)} points. Draw more points."
        )
    if categorical:
        labels = np.unique(np.concatenate([fit, held_out]), return_inverse=True)[1].reshape(-1)
        fit, held_out = labels[: len(fit)], labels[len(fit) :]
    else:
        fit, held_out = (part[:, 0] for part in standardize(fit, held_out))
    codes = standardize(train.codes, test.codes)
    return Task(codes[0], fit, codes[1], held_out, categorical)
