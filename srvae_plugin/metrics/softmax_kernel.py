"""Compiled: the softmax loss of many points and its gradient, equal to scikit-learn's bit by bit.

An optimizer that is stopped after a hundred steps, as logistic regression is here, carries a last
bit of its loss into the second digit of the weights. So the exponential must be the C library's,
which takes most of the time when called one number at a time. Here it is computed for many numbers
at once with an error far below a rounding, and the library is asked only where its answer, which
may be wrong by a few hundredths of a last bit, is not certain.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
from numba import njit
from numpy.typing import NDArray

_STEPS = 128
"""Parts of an octave in the table of powers of two."""


def _powers_of_two() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """2^(i / 128) as a double and what is left of it."""
    with localcontext() as context:
        context.prec = 40
        exact = [Decimal(2) ** (Decimal(i) / _STEPS) for i in range(_STEPS)]
        high = [float(value) for value in exact]
        low = [float(value - Decimal(part)) for value, part in zip(exact, high, strict=True)]
    return np.array(high), np.array(low)


_HIGH, _LOW = _powers_of_two()
_PER_STEP = _STEPS / math.log(2)
# ln(2) / 128 in two parts: the first has trailing zeros, so that its multiples are exact.
_STEP_HIGH = float.fromhex("0x1.62e42fefap-8")
_STEP_LOW = float.fromhex("0x1.cf79abc9e3b39p-47")
# Added to a number it leaves the nearest integer in the low bits of the sum.
_ROUND = 6755399441055744.0
# Below, the exponential is no longer a normal number; further below, it is 0.
_SMALLEST, _ZERO_BELOW = -700.0, -746.0
# Half a last bit is a tie between two doubles; a good library decides nearer to it than this.
_CERTAIN = 0.485
_ROWS = 16
"""Points handled at a time; what they need stays in the processor's nearest cache."""

_ELEMENTWISE = {"contract", "nnan"}


@njit(cache=True, nogil=True, fastmath=_ELEMENTWISE, error_model="numpy")
def exp_all(
    x: NDArray[np.float64],
    result: NDArray[np.float64],
    steps: NDArray[np.float64],
    bits: NDArray[np.int64],
    unsure: NDArray[np.float64],
) -> None:  # pragma: no cover - compiled
    """exp(x) into `result`, the C library's numbers; x at most 0.

    Args:
        x, result: (num,).
        steps, bits: (num,) working space, the same memory as float64 and as int64.
        unsure: (num,) working space.
    """
    num = x.size
    for i in range(num):
        steps[i] = x[i] * _PER_STEP + _ROUND
    for i in range(num):
        k = steps[i] - _ROUND
        r = (x[i] - k * _STEP_HIGH) - k * _STEP_LOW
        p = r + r * r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0))))
        entry = bits[i] & (_STEPS - 1)
        high = _HIGH[entry]
        rest = _LOW[entry] + high * p
        nearest = high + rest
        lost = abs(rest - (nearest - high))
        last_bit = 2.0**-52 if nearest >= 1.0 else 2.0**-53
        result[i] = nearest
        unsure[i] = lost - _CERTAIN * last_bit if x[i] > _SMALLEST else 1.0
    for i in range(num):
        bits[i] = ((bits[i] >> 7) << 52) + 0x3FF0000000000000
    for i in range(num):
        result[i] *= steps[i]
    for i in range(num):
        if unsure[i] > 0.0:
            result[i] = math.exp(x[i]) if x[i] > _ZERO_BELOW else 0.0


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
