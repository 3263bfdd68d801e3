"""Mutual information and entropy of discrete variables, from their counts, in nats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "entropy",
    "mutual_information",
]


def mutual_information(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.float64]:
    """Mutual information of each column of `left` with each column of `right`, in nats.

    Args:
        left: (points, a) discrete values, for instance binned codes.
        right: (points, b) discrete values, for instance factors.

    Returns:
        (a, b) matrix, each >= 0: the plug-in estimate, without correction for its bias, equal to
        scikit-learn's `mutual_info_score` up to rounding.
    """
    rows = [_labels(column) for column in left.T]
    columns = [_labels(column) for column in right.T]
    return np.array([[_pair(row, column) for column in columns] for row in rows])


def entropy(values: NDArray[Any]) -> NDArray[np.float64]:
    """Entropy of each column of `values` (points, a) in nats: (a,), 0 for a constant column."""
    labels = [_labels(column) for column in values.T]
    return np.array([_pair(column, column) for column in labels])


def _labels(column: NDArray[Any]) -> NDArray[np.intp]:
    return np.unique(column, return_inverse=True)[1].reshape(-1)


def _pair(left: NDArray[np.intp], right: NDArray[np.intp]) -> float:
    shape = (int(left.max()) + 1, int(right.max()) + 1)
    if 1 in shape:
        return 0.0
    joint = np.bincount(left * shape[1] + right, minlength=shape[0] * shape[1]).reshape(shape)
    i, j = np.nonzero(joint)
    count = joint[i, j]
    # count * points / (row * column), exact in integers up to 3e9 points
    ratio = (count * len(left)) / (joint.sum(axis=1)[i] * joint.sum(axis=0)[j])
    return max(0.0, float(np.sum(count / len(left) * np.log(ratio))))
