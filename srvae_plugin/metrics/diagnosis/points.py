"""What a diagnosis is given: codes, and factors as numbers and as classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.common.arrays import as_array, as_factors
from srvae_plugin.metrics.common.checks import check_codes, check_count, check_factors
from srvae_plugin.metrics.diagnosis.thresholds import FEWEST_POINTS, GROUPS

__all__ = ["Factor", "Points", "grouped", "points_of"]


_ORDERED = 5


class Factor(NamedTuple):
    """One factor of all points."""

    name: str
    values: NDArray[np.float64]
    """As they were given."""
    scored: NDArray[np.int64]
    """Whole numbers, as metrics take them: continuous values in `GROUPS` groups."""
    classes: NDArray[np.int64]
    """0, 1, ...: at most `GROUPS` of an ordered factor."""
    ordered: bool
    """Whether probes take the values for numbers: whole numbers of five values or more, and
    fractions, unless they are said to have no order. Of fewer the order seldom means anything (the
    shapes of dSprites), and a linear classifier is fair to those with and without one."""


class Points(NamedTuple):
    """Codes and factors of the same points."""

    codes: NDArray[np.float64]
    """(points, latent)"""
    factors: list[Factor]
    """Those that vary."""
    constant: list[str]
    """Names of those that do not."""
    binned: list[str]
    """Names of those that are continuous."""
    are_numbers: bool
    """Whether no factor is known to have no order."""

    @property
    def scored(self) -> NDArray[np.int64]:
        """(points, factor) whole numbers, as metrics take them."""
        return np.stack([factor.scored for factor in self.factors], axis=1)


def points_of(
    codes: Any,
    factors: Any,
    names: Sequence[str] | None,
    unordered: Sequence[str],
    chosen: tuple[int, np.random.RandomState],
) -> Points:
    """Check what is given; at most `chosen[0]` points, drawn at random.

    Raises:
        ValueError: wrong shapes or values, too few points, no factor that varies, or a name in
            `unordered` that no factor has.
    """
    array = check_codes(as_array(codes), name="codes")
    (given,) = as_factors(factors)
    values = check_factors(given.values, len(array), discrete=False)
    called = [str(n) for n in (given.names if names is None else names)]
    if names is None and given.names.dtype.kind in "iu":
        called = [f"factor {name}" for name in called]
    if len(called) != values.shape[1]:
        raise ValueError(f"factor names: got {len(called)} for {values.shape[1]} factors")
    if len(set(called)) < len(called):
        raise ValueError(f"factor names: got {called}; expected different names")
    if unknown := sorted(set(unordered) - set(called)):
        raise ValueError(f"unordered: no factor is called {unknown[0]!r}; there are {called}")
    if len(array) < FEWEST_POINTS:
        raise ValueError(
            f"codes: got {len(array)} points; a diagnosis needs at least {FEWEST_POINTS}"
        )
    most, random_state = chosen
    check_count("num_points", most, FEWEST_POINTS)
    if len(array) > most:
        rows = np.sort(random_state.permutation(len(array))[:most])
        array, values = array[rows], values[rows]
    words = {name for name, is_word in zip(called, given.unordered, strict=True) if is_word}
    without_order = set(unordered) | words
    varying = np.ptp(values, axis=0) > 0
    found = [
        _factor(name, column, name not in without_order and len(np.unique(column)) >= _ORDERED)
        for name, column, varies in zip(called, values.T, varying, strict=True)
        if varies
    ]
    if not found:
        raise ValueError("factors: none varies among the points")
    binned = [f.name for f in found if (f.values != np.round(f.values)).any()]
    constant = [name for name, varies in zip(called, varying, strict=True) if not varies]
    return Points(array.astype(np.float64), found, constant, binned, not without_order)


def _factor(name: str, column: NDArray[Any], ordered: bool) -> Factor:
    values = column.astype(np.float64)
    whole = bool((values == np.round(values)).all())
    labels = np.unique(values, return_inverse=True)[1].reshape(-1)
    classes = grouped(values) if ordered or not whole else labels
    scored = values.astype(np.int64) if whole else classes
    return Factor(name, values, scored, classes, ordered)


def grouped(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Values in at most `GROUPS` groups of neighbours, about equally many points in each."""
    known, labels, counts = np.unique(values, return_inverse=True, return_counts=True)
    labels = labels.reshape(-1)
    if len(known) <= GROUPS:
        return labels
    middle = (np.cumsum(counts) - counts / 2) / len(values)
    group = np.minimum((middle * GROUPS).astype(np.int64), GROUPS - 1)
    return np.unique(group[labels], return_inverse=True)[1].reshape(-1)
