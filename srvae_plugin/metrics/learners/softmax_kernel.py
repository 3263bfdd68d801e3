"""Compiled: the softmax loss of many points and its gradient, equal to scikit-learn's bit by bit.

An optimizer that is stopped after a hundred steps, as logistic regression is here, carries a last
bit of its loss into the second digit of the weights. So the exponential must be the C library's.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from srvae_plugin.metrics.learners.exponential import exp_all

__all__ = ["losses_and_gradients"]


_ROWS = 16
"""Points handled at a time; what they need stays in the processor's nearest cache."""


@njit(cache=True, nogil=True, error_model="numpy")
def losses_and_gradients(
    products: NDArray[np.float64],
    intercepts: NDArray[np.float64],
    labels: NDArray[np.int64],
    losses: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> None:  # pragma: no cover - compiled
    """-log softmax(products + intercepts)[label] of each point, and the gradient of their mean.

    Every sum runs over classes or points in ascending order, as in scikit-learn's
    HalfMultinomialLoss and numpy.

    Args:
        products: (point, class), finite; overwritten by the mean's gradient with respect to them.
        intercepts: (class,).
        labels: (point,) 0 .. class - 1.
        losses: (point,), overwritten.
        sums: (class,), overwritten by the sums of the gradient over points.
    """
    num_points, num_classes = products.shape
    logits = np.zeros((_ROWS, num_classes))
    shifted, power = np.zeros_like(logits), np.empty_like(logits)
    steps, unsure = np.empty(logits.size), np.empty(logits.size)
    bits = steps.view(np.int64)
    largest, total = np.empty(_ROWS), np.empty(_ROWS)
    sums[:] = 0.0
    for start in range(0, num_points, _ROWS):
        rows = min(_ROWS, num_points - start)
        _subtract_largest(products[start : start + rows], intercepts, logits, largest, shifted)
        exp_all(shifted.reshape(-1), power.reshape(-1), steps, bits, unsure)
        total[:] = 0.0
        # Points innermost: their sums do not wait for each other.
        for k in range(num_classes):
            for i in range(_ROWS):
                total[i] += power[i, k]
        for i in range(rows):
            label, gradient = labels[start + i], products[start + i]
            losses[start + i] = math.log(total[i]) + largest[i] - logits[i, label]
            for k in range(num_classes):
                gradient[k] = power[i, k] / total[i] / num_points
            gradient[label] = (power[i, label] / total[i] - 1.0) / num_points
            for k in range(num_classes):
                sums[k] += gradient[k]


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _subtract_largest(
    products: NDArray[np.float64],
    intercepts: NDArray[np.float64],
    logits: NDArray[np.float64],
    largest: NDArray[np.float64],
    shifted: NDArray[np.float64],
) -> None:  # pragma: no cover - compiled
    """Logits of each point, the largest of them, and the logits minus it."""
    num_points, num_classes = products.shape
    for i in range(num_points):
        most = products[i, 0] + intercepts[0]
        for k in range(num_classes):
            logits[i, k] = products[i, k] + intercepts[k]
            most = max(most, logits[i, k])
        largest[i] = most
        for k in range(num_classes):
            shifted[i, k] = logits[i, k] - most
