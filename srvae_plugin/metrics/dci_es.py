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
from scipy.integrate import trapezoid

from srvae_plugin.data.ground_truth import GroundTruthData, unordered_factors
from srvae_plugin.metrics.checks import (
    check_count,
    logger,
    standardize,
    varying_factors,
    warn_collapsed,
)
from srvae_plugin.metrics.codes import (
    CodesAndFactors,
    RepresentationFunction,
    check_sample,
    sample_codes_and_factors,
)
from srvae_plugin.metrics.learners.probes import (
    FOREST,
    NUM_TREES,
    PROBES,
    Forest,
    Probe,
    Task,
    random_forest,
)

MIN_GAIN = 0.05
"""A factor counts as read if some probe's loss is so far below that of guessing, 1, by default."""


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
    probe: str = "random_forest",
    probe_sizes: Sequence[int] | None = None,
    categorical_factors: Sequence[int] = (),
    n_jobs: int | None = None,
    forest: Forest = FOREST,
) -> LossCapacity:
    """Loss of probes of growing capacity, for each factor.

    Args:
        train: codes (points, latent) and factors (points, factor) to fit on.
        test: codes and factors to test on.
        seeds: (factor,) seed of each factor's probes.
        probe: `random_forest`, `mlp` or `rff`, see `srvae_plugin.metrics.learners.probes`.
        probe_sizes: depths, widths or (even) numbers of features, ascending, two or more; None: the
            family's defaults.
        categorical_factors: factors whose values have no order, by index. The others, whole or
            fractional, are predicted as numbers.
        n_jobs: processes to fit factors in, as in joblib; the result does not depend on it.
        forest: settings of the random forests; other families have none.

    Raises:
        ValueError: no varying factor, one that is constant in `test` alone, or a wrong setting,
            shape or value.
    """
    train = check_sample(train, "train", discrete=False)
    test = check_sample(test, "test", discrete=False)
    num_factors = train.factors.shape[1]
    probe_sizes = _check_settings(probe, probe_sizes, categorical_factors, num_factors)
    if np.shape(seeds) != (num_factors,):
        raise ValueError(f"seeds must have shape ({num_factors},), got {np.shape(seeds)}.")
    varying = varying_factors("DCI-ES", train.factors)
    tasks = [_task(train, test, int(k), k in categorical_factors) for k in varying]
    fit: Probe = PROBES[probe][0]
    if probe == "random_forest":
        forest.check()
        fit = functools.partial(random_forest, settings=forest)
    with parallel_config(backend="loky", inner_max_num_threads=1):
        fits = Parallel(n_jobs=1 if n_jobs is None else n_jobs)(
            delayed(fit)(task, probe_sizes, int(seeds[k]))
            for k, task in zip(varying, tasks, strict=True)
        )
    shape = (num_factors, len(probe_sizes))
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
    # Guessing is open to every probe.
    best = np.minimum.accumulate(np.minimum(loss, 1.0))
    lowest = best[-1] if lowest_loss is None else min(lowest_loss, best[-1])
    if best[-1] > 1.0 - min_gain or lowest == 1.0:
        return 0.0
    area = trapezoid(best - best[-1], capacity)
    return float(1.0 - area / (0.5 * (capacity[-1] - capacity[0]) * (1.0 - lowest)))


def dci_es(
    curves: LossCapacity,
    num_latents: int,
    lowest_loss: float | None = None,
    min_gain: float = MIN_GAIN,
) -> dict[str, float | int]:
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
        logger.warning("DCI-ES: no probe reads %d of %d factors.", unread, varying.size)
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


def compute_dci_es(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: np.random.RandomState,
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
) -> dict[str, float | int]:
    """Explicitness and size of a representation (arXiv 2210.00364).

    Explicitness depends on the family of probes and on their sizes: compare like with like. On
    dSprites' five factors the defaults take 8 s of one core with forests, 15 s with random Fourier
    features, 25 s with networks.

    Args:
        ground_truth_data: data set to sample from.
        representation_function: observations (batch, H, W, C) to codes (batch, latent).
        random_state: source of all randomness: the points, then the seeds of the probes.
        artifact_dir: not used.
        num_train: points to fit the probes on.
        num_test: points to test them on.
        batch_size: points drawn at a time.
        probe: family of probes: `random_forest`, `mlp` or `rff`.
        probe_sizes: sizes of the probes, ascending; None: the family's defaults.
        categorical_factors: factors whose values have no order, by index, as dSprites' shape, 0.
            None: those of which the data set says so (words, or "class" in its factor_kinds).
        lowest_loss: as in `explicitness`.
        n_jobs: processes to fit factors in, as in joblib; scores do not depend on it.
        num_trees: trees of a random forest; 100 is the authors'.
        max_features: features that a forest's split chooses among, as in scikit-learn; None: the
            authors', "sqrt" to tell categories apart and all to predict numbers.
        min_gain: a factor counts as read if some probe's loss is this much below that of guessing.

    Returns:
        Scores as in `dci_es`.

    Raises:
        ValueError: a setting out of range, or codes that are NaN, inf or of a wrong shape.
    """
    del artifact_dir
    if categorical_factors is None:
        categorical_factors = np.flatnonzero(unordered_factors(ground_truth_data)).tolist()
    _check_settings(probe, probe_sizes, categorical_factors, ground_truth_data.num_factors)
    if lowest_loss is not None and not 0 <= lowest_loss < 1:
        raise ValueError(f"lowest_loss must be in [0, 1) or None, got {lowest_loss!r}.")
    if not 0 <= min_gain < 1:
        raise ValueError(f"min_gain must be in [0, 1), got {min_gain!r}.")
    forest = Forest(num_trees, max_features)
    forest.check()
    drawn = sample_codes_and_factors(
        ground_truth_data,
        representation_function,
        {"num_train": num_train, "num_test": num_test},
        random_state,
        batch_size,
    )
    train, test = drawn
    seeds = np.asarray(random_state.randint(2**31 - 1, size=train.factors.shape[1]))
    curves = loss_capacity(
        train, test, seeds, probe, probe_sizes, categorical_factors, n_jobs, forest
    )
    return dci_es(curves, train.codes.shape[1], lowest_loss, min_gain) | drawn.points


def _check_settings(
    probe: str, probe_sizes: Sequence[int] | None, categorical: Sequence[int], num_factors: int
) -> tuple[int, ...]:
    """The sizes to use, once all settings are found to be in range."""
    if probe not in PROBES:
        raise ValueError(f"probe must be one of {sorted(PROBES)}, got {probe!r}.")
    chosen = tuple(PROBES[probe][1] if probe_sizes is None else probe_sizes)
    smallest = {"random_forest": 1, "mlp": 0, "rff": 2}[probe]
    for size in chosen:
        check_count("probe_sizes", size, smallest)
    if len(chosen) < 2 or list(chosen) != sorted(set(chosen)):
        raise ValueError(f"probe_sizes must be two or more, ascending, got {probe_sizes!r}.")
    if probe == "rff" and any(size % 2 for size in chosen):
        raise ValueError(
            f"probe_sizes must be even for rff, a cosine and a sine each, got {probe_sizes!r}."
        )
    if not set(categorical) <= set(range(num_factors)):
        raise ValueError(
            f"categorical_factors must be indices of {num_factors} factors, got {categorical!r}."
        )
    return chosen


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
