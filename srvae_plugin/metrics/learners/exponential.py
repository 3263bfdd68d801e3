"""Compiled: the exponential of many numbers at once, equal to the C library's bit by bit.

It is computed with an error far below a rounding, and the library, which takes most of the time
when called one number at a time, is asked only where its answer, which may be wrong by a few
hundredths of a last bit, is not certain.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["exp_all"]


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
