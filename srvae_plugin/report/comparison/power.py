"""How many seeds a difference takes: the power of t-tests, two-sided, paired or not.

Plans for scores that are about normal over seeds. Two models with the same seeds are compared by
the differences seed by seed (paired), whose spread is what counts; otherwise by the spread within a
model. The report's own intervals are bootstraps of the same means: of few seeds they are somewhat
narrower.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

__all__ = [
    "ALPHA", "POWER", "Spread", "power_of", "seeds_needed", "spread_interval",
    "visible_difference",
]  # fmt: skip

POWER = 0.8
ALPHA = 0.05
_MOST = 10**9
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)


class Spread(NamedTuple):
    """A standard deviation over seeds, and what it is of."""

    deviation: float
    """Of the differences seed by seed if paired, else of the scores within a model."""
    seeds: int
    """Seeds it was estimated from; of one model each."""
    paired: bool
    groups: int = 1
    """Models whose spread was pooled: there are `groups * (seeds - 1)` degrees of freedom."""


def power_of(difference: float, spread: Spread, seeds: int, alpha: float = ALPHA) -> float:
    """Chance that a two-sided t-test of `seeds` seeds of each model sees a difference.

    Args:
        difference: true difference of the means; its sign does not matter.
        spread: over seeds.
        seeds: of each model, at least 2.
        alpha: chance that it sees one where there is none.

    Raises:
        ValueError: if an argument is out of range.
    """
    _check(difference, spread, alpha)
    if seeds < 2:
        raise ValueError(f"seeds must be at least 2, a t-test of one is none: got {seeds}")
    return float(_power(abs(difference), spread, seeds, alpha))


def seeds_needed(
    difference: float, spread: Spread, power: float = POWER, alpha: float = ALPHA
) -> int:
    """Seeds of each model that see a difference with the given power.

    Args:
        difference: true difference of the means, not 0.
        spread: over seeds.
        power: chance to see it.
        alpha: chance to see one where there is none.

    Raises:
        ValueError: if an argument is out of range, or more than a billion seeds are needed.
    """
    _check(difference, spread, alpha)
    if not alpha < power < 1:
        raise ValueError(f"power must lie between alpha = {alpha:g} and 1: got {power!r}")
    if difference == 0:
        raise ValueError("difference must not be 0: no number of seeds sees what is not there")
    low, high = 1, 2
    while _power(abs(difference), spread, high, alpha) < power:
        low, high = high, 2 * high
        if high > _MOST:
            raise ValueError(
                f"a difference of {difference:g} takes more than {_MOST:,} seeds of each model"
            )
    while high - low > 1:
        middle = (low + high) // 2
        enough = _power(abs(difference), spread, middle, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def visible_difference(
    spread: Spread, seeds: int, power: float = POWER, alpha: float = ALPHA
) -> float:
    """Smallest difference that so many seeds of each model see with the given power; NaN of one."""
    _check(0.0, spread, alpha)
    if seeds < 2:
        return math.nan
    if spread.deviation == 0:
        return 0.0
    unit = spread._replace(deviation=1.0)
    high = 1.0
    while _power(high, unit, seeds, alpha) < power:
        high *= 2
    found = optimize.brentq(lambda d: _power(d, unit, seeds, alpha) - power, 0.0, high)
    return float(found) * spread.deviation


def spread_interval(spread: Spread, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the true standard deviation, of normal scores: of few seeds it is wide."""
    freedom = spread.groups * (spread.seeds - 1)
    if freedom < 1:
        return math.nan, math.nan
    tail = (1 - confidence) / 2
    low, high = stats.chi2.ppf([1 - tail, tail], freedom)
    scale = spread.deviation * math.sqrt(freedom)
    return float(scale / math.sqrt(low)), float(scale / math.sqrt(high))


def _power(difference: float, spread: Spread, seeds: int, alpha: float) -> float:
    """Cohen, Statistical Power Analysis, 1988, chapter 2.

    The tails of the noncentral t distribution, integrated over the estimated spread: scipy's own
    are NaN or worse for few seeds and large differences.
    """
    if spread.deviation == 0:
        return 1.0 if difference else alpha
    freedom = seeds - 1 if spread.paired else 2 * seeds - 2
    shift = difference / spread.deviation * math.sqrt(seeds if spread.paired else seeds / 2)
    critical = float(stats.t.isf(alpha / 2, freedom))
    estimate = stats.chi(freedom, scale=1 / math.sqrt(freedom))
    low, high = estimate.ppf(1e-15), estimate.isf(1e-15)
    at = low + (high - low) * (_NODES + 1) / 2
    seen = stats.norm.cdf(shift - critical * at) + stats.norm.cdf(-shift - critical * at)
    return float(np.sum(_WEIGHTS * estimate.pdf(at) * seen) * (high - low) / 2)


def _check(difference: float, spread: Spread, alpha: float) -> None:
    if not math.isfinite(difference):
        raise ValueError(f"difference must be a finite number: got {difference!r}")
    if not (math.isfinite(spread.deviation) and spread.deviation >= 0):
        raise ValueError(f"the spread must be a finite number >= 0: got {spread.deviation!r}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1: got {alpha!r}")
