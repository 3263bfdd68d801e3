"""What `evaluation.metrics.unified_scores` is made of: matrices (num_codes, num_factors)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_adapters.drop_in.evaluation_utils import Rows
from srvae_adapters.drop_in.metric_functions import only_theirs, without_merges
from srvae_adapters.drop_in.metric_parts import Matrix, points
from srvae_plugin.metrics.common.aggregation import aggregate
from srvae_plugin.metrics.unified_scores import unified_scores_of
from srvae_plugin.plots import score_matrices

__all__ = [
    "AGGREGATION_FN",
    "Scores",
    "aggregation_dci",
    "aggregation_mig",
    "aggregation_modularity",
    "aggregation_sap",
    "unified_scores",
]

Scores = dict[str, Any]


def unified_scores(
    mus_train: Rows,
    ys_train: Rows,
    mus_test: Rows,
    ys_test: Rows,
    matrix_fns: Sequence[Callable[..., Matrix]],
    artifact_dir: str | None = None,
    factor_names: Sequence[str] | None = None,
) -> Scores:
    """All aggregates of all matrices; with `artifact_dir` which merge, too, and pictures there."""

    def keep(name: str, matrix: Matrix, varying: NDArray[np.int64]) -> None:
        if artifact_dir is not None:
            called = varying if factor_names is None else np.array(factor_names)[varying]
            score_matrices.draw(matrix, Path(artifact_dir), name, [str(each) for each in called])

    train, test = points(mus_train, ys_train), points(mus_test, ys_test)
    seeds = np.zeros(len(ys_train), dtype=np.int64)
    scores = only_theirs(unified_scores_of(train, test, seeds, matrix_fns, keep=keep))
    return without_merges(scores) if artifact_dir is None else scores


def _aggregates(kind: str, matrix: Matrix, factors: NDArray[Any] | None = None) -> Scores:
    """The aggregates whose keys begin with `kind`; only MIG's look at the factors."""
    matrix = np.asarray(matrix, dtype=np.float64)
    if factors is None:
        factors = np.repeat(np.arange(2)[:, np.newaxis], matrix.shape[1], axis=1)
    found = aggregate(matrix, factors, np.arange(matrix.shape[1]))
    return {key: value for key, value in found.items() if key.startswith(kind)}


def aggregation_dci(matrix: Matrix, ys: Any) -> Scores:
    """DCI's disentanglement and completeness."""
    del ys
    return _aggregates("dci", matrix)


def aggregation_mig(m: Matrix, ys_train: Rows) -> Scores:
    """The mutual information gap."""
    return _aggregates("mig", m, np.transpose(ys_train))


def aggregation_sap(matrix: Matrix, ys: Any) -> Scores:
    """The SAP score."""
    del ys
    return _aggregates("sap", matrix)


def aggregation_modularity(matrix: Matrix, ys: Any) -> Scores:
    """Modularity."""
    del ys
    return _aggregates("modularity", matrix)


AGGREGATION_FN = [aggregation_dci, aggregation_mig, aggregation_sap, aggregation_modularity]
