"""Unified scores: matrices that relate latents to factors, each aggregated in the ways of DCI, MIG,
SAP and modularity. Locatello et al., "A Sober Look at the Unsupervised Learning of Disentangled
Representations and their Evaluation" (JMLR 2020, arXiv 2010.14766).

Matrix functions here take codes as (latent, points) and factors as (factor, points), not the other
way round as everywhere else: this is where users of disentanglement_lib plug in functions of their
own (`unified_scores.matrix_fns = [@my_matrix]`), and those are written for its layout.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gin
import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData, names_of
from srvae_plugin.data.sampling.seeds import Seed, draw_seeds, random_state_of
from srvae_plugin.files import replacing
from srvae_plugin.metrics.codes import CodesAndFactors, RepresentationFunction, check_sample
from srvae_plugin.metrics.common.aggregation import aggregate
from srvae_plugin.metrics.common.arrays import split
from srvae_plugin.metrics.common.checks import check_latents, varying_factors, warn_collapsed
from srvae_plugin.metrics.common.discretizer import discretize_codes
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.info import MetricInfo, documented, metric
from srvae_plugin.metrics.common.mutual_information import entropy
from srvae_plugin.metrics.dci import importance_matrix
from srvae_plugin.metrics.sap_score import prediction_accuracies

__all__ = [
    "MATRICES",
    "MATRICES_FOLDER",
    "Keep",
    "MatrixFn",
    "accuracy_svm_matrix",
    "compute_unified_scores",
    "importance_gbt_matrix",
    "mutual_information_matrix",
    "unified_scores",
    "unified_scores_of",
]

MatrixFn = Callable[..., NDArray[Any]]
"""(mus_train, ys_train, mus_test, ys_test) to a matrix (latent, factor) of numbers >= 0. One that
takes `seeds` as well is given a seed for each factor."""

_DENYLIST = ["mus_train", "ys_train", "mus_test", "ys_test"]


@gin.register("importance_gbt_matrix", module="srvae_plugin", denylist=[*_DENYLIST, "seeds"])
def importance_gbt_matrix(
    mus_train: NDArray[Any],
    ys_train: NDArray[Any],
    mus_test: NDArray[Any],
    ys_test: NDArray[Any],
    seeds: NDArray[np.integer[Any]] | None = None,
    n_jobs: int | None = -1,
) -> NDArray[np.float64]:
    """DCI's importance of each latent for each factor; without `seeds` all trees have seed 0."""
    if seeds is None:
        seeds = np.zeros(len(ys_train), dtype=np.int64)
    train = CodesAndFactors(mus_train.T, ys_train.T)
    test = CodesAndFactors(mus_test.T, ys_test.T)
    return importance_matrix(train, test, seeds, n_jobs).matrix


@gin.register("mutual_information_matrix", module="srvae_plugin", denylist=_DENYLIST)
def mutual_information_matrix(
    mus_train: NDArray[Any], ys_train: NDArray[Any], mus_test: NDArray[Any], ys_test: NDArray[Any]
) -> NDArray[np.float64]:
    """MIG's and modularity's mutual information in nats, of codes binned as gin binds it."""
    from sklearn.metrics import mutual_info_score

    del mus_test, ys_test
    bins = discretize_codes(mus_train.T).T
    # scikit-learn's and not our own, which is faster but differs in the last bit: precisions and
    # merges depend on which entries are equal.
    return np.array([[mutual_info_score(factor, row) for factor in ys_train] for row in bins])


@gin.register("accuracy_svm_matrix", module="srvae_plugin", denylist=_DENYLIST)
def accuracy_svm_matrix(
    mus_train: NDArray[Any], ys_train: NDArray[Any], mus_test: NDArray[Any], ys_test: NDArray[Any]
) -> NDArray[np.float64]:
    """SAP's accuracy of a linear classifier of each factor from each latent."""
    return prediction_accuracies(mus_train.T, ys_train.T, mus_test.T, ys_test.T)


MATRICES_FOLDER = "matrices"
Keep = Callable[[str, NDArray[np.float64], NDArray[np.int64]], None]
MATRICES: tuple[MatrixFn, ...] = (
    importance_gbt_matrix,
    mutual_information_matrix,
    accuracy_svm_matrix,
)


@documented
def unified_scores(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    test: Any = 1 / 3,
    matrix_fns: Sequence[MatrixFn] | None = None,
) -> Scores:
    """All aggregates of all matrices of codes and factors (arXiv 2010.14766).

        score = aggregate of a (latent, factor) matrix, for each matrix and each aggregate

    The matrices are the importance of boosted trees, mutual information, and the accuracy of linear
    classifiers on single latents. Each is aggregated as in DCI, MIG, SAP and modularity, and by the
    area under precision curves.

    Rewards: what the aggregates reward: see `dci`, `mig`, `sap` and `modularity_explicitness`.

    Punishes: what these punish.

    Use it: to find out whether two metrics disagree because of what they measure (the matrix) or
    how they summarise it (the aggregate).

    Published settings: none; disentanglement_lib has the metric without a configuration. The
    defaults are the sizes of the metrics it unifies, from the study in arXiv 1811.12359.

    Args:
        matrix_fns: matrix functions. None: importance, mutual information and accuracy.

    Returns:
        `MATRIX.AGGREGATE` for each matrix function and each key of `aggregation.aggregate`, such as
        `mutual_information_matrix.mig`, in [0, 1] where the matrix is the metric's own;
        `num_factors_scored`.

    Raises:
        ValueError: as in `unified_scores_of`.

    Special cases: Constant factors are left out, with a logged warning; disentanglement_lib fails
    on them or gives NaN. A matrix of zeros, from collapsed codes, scores 0, with a logged warning.

    Examples:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((3, 4)))
        >>> codes, fns = factors + 0.0, [mutual_information_matrix]
        >>> scores = unified_scores(codes, factors, test=(codes, factors), matrix_fns=fns)
        >>> round(scores["mutual_information_matrix.mig"], 6)  # perfect codes
        1.0
        >>> scores = unified_scores(0 * codes, factors, matrix_fns=fns)  # collapsed codes
        >>> scores["mutual_information_matrix.mig"]
        0.0
    """
    stream = random_state_of(seed, random_state)
    parts = split(codes, factors, test, stream)
    seeds = draw_seeds(stream, len(parts.names))
    return unified_scores_of(parts.train, parts.test, seeds, matrix_fns, parts.names)


def unified_scores_of(
    train: CodesAndFactors,
    test: CodesAndFactors,
    seeds: NDArray[np.integer[Any]],
    matrix_fns: Sequence[MatrixFn] | None = None,
    names: NDArray[Any] | None = None,
    keep: Keep | None = None,
) -> Scores:
    """All aggregates of all matrices of two samples of codes and factors.

    Args:
        train: codes and factors that matrices are made from.
        test: codes and factors that those matrices that need it are tested on.
        seeds: (factor,) seed of each factor's trees.
        matrix_fns: matrix functions. None: importance, mutual information and accuracy.
        names: (factor,) what the factors are called in the keys. None: 0, 1, ...
        keep: called with each matrix's name, the matrix (latent, varying factor), and which vary.

    Returns:
        `NAME.KEY` for each matrix function's name and each key of `aggregation.aggregate`;
        `num_factors_scored`.

    Raises:
        ValueError: fewer than two latents or varying factors, two matrix functions of one name, a
            matrix of another shape, with NaN or below 0, or a wrong shape or value.

    Constant factors are left out, with a logged warning; the original fails on them or gives NaN.
    A matrix of zeros, from a collapsed representation, scores 0, with a logged warning.
    """
    train, test = check_sample(train, "train"), check_sample(test, "test")
    check_latents("unified scores", train.codes.shape[1])
    varying = varying_factors("unified scores", train.factors, at_least=2)
    layout = [
        train.codes.T, train.factors[:, varying].T, test.codes.T, test.factors[:, varying].T,
    ]  # fmt: skip
    scores: Scores = {"num_factors_scored": varying.size}
    called = varying if names is None else names[varying]
    if matrix_fns is None:
        matrix_fns = [gin.get_configurable(matrix_fn) for matrix_fn in MATRICES]
    fn_names = [_name_of(matrix_fn) for matrix_fn in matrix_fns]
    if twice := [name for name in fn_names if fn_names.count(name) > 1]:
        raise ValueError(
            f"matrix_fns: two functions are called {twice[0]!r}, as their scores would be: set "
            "the __name__ of one"
        )
    for name, matrix_fn in zip(fn_names, matrix_fns, strict=True):
        takes_seeds = "seeds" in inspect.signature(matrix_fn).parameters
        given = {"seeds": np.asarray(seeds)[varying]} if takes_seeds else {}
        matrix = np.asarray(matrix_fn(*layout, **given), dtype=np.float64)
        if matrix.shape != (train.codes.shape[1], varying.size) or not np.isfinite(matrix).all():
            raise ValueError(
                f"matrix_fns: {name} must return a finite matrix (latent, factor) = "
                f"{(train.codes.shape[1], varying.size)}, got shape {matrix.shape}."
            )
        if matrix.min() < 0:
            raise ValueError(
                f"matrix_fns: {name} must return numbers of at least 0, got {matrix.min():g}."
            )
        if not matrix.any():
            warn_collapsed(name, "no latent is related to any factor")
        if keep is not None:
            keep(name, matrix, varying)
            if name == mutual_information_matrix.__name__:
                keep(f"normalized_{name}", matrix / entropy(train.factors[:, varying]), varying)
        values = aggregate(matrix, train.factors[:, varying], called)
        scores |= {f"{name}.{key}": value for key, value in values.items()}
    return scores


def _name_of(matrix_fn: Any) -> str:
    """A function's name; of a `functools.partial`, that of what it calls."""
    while not hasattr(matrix_fn, "__name__"):
        matrix_fn = getattr(matrix_fn, "func", type(matrix_fn))
    return str(matrix_fn.__name__)


@metric(
    MetricInfo(
        "Unified scores",
        "Locatello et al., A Sober Look at Unsupervised Learning (JMLR 2020), arXiv 2010.14766",
    )
)
def compute_unified_scores(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    num_test: int = 5_000,
    matrix_fns: Sequence[MatrixFn] | None = None,
    batch_size: int = 16,
) -> Scores:
    """Unified scores of a representation (arXiv 2010.14766).

    The original has no defaults; these are the study's settings of the metrics that it unifies.

    Args:
        artifact_dir: folder to save each matrix (latent, varying factor) in, with the factors'
            names, as `matrices/<its function>.npz`; and mutual information over the factors'
            entropies. A run draws them.
        num_train: points to make matrices from.
        num_test: points to test classifiers on.
        matrix_fns: matrix functions. None: importance, mutual information and accuracy.

    Returns:
        Scores as in `unified_scores_of`.
    """
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)

    def core(train: CodesAndFactors, test: CodesAndFactors) -> Scores:
        seeds = draw_seeds(source.random_state, train.factors.shape[1])
        return unified_scores_of(train, test, seeds, matrix_fns, keep=keep)

    def keep(name: str, matrix: NDArray[np.float64], varying: NDArray[np.int64]) -> None:
        if artifact_dir is not None:
            called = np.array(names_of(ground_truth_data))[varying]
            with replacing(Path(artifact_dir) / MATRICES_FOLDER / f"{name}.npz") as temporary:
                np.savez(temporary, matrix=matrix, names=called)

    return source.score(core, "unified scores", num_train=num_train, num_test=num_test)
