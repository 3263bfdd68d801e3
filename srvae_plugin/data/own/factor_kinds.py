"""Kinds of factors: classes or continuous numbers, and the words that classes stand for."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CLASS",
    "CONTINUOUS",
    "FactorKinds",
    "as_kinds",
    "check_kind",
    "encoded",
    "kinds_of_numbers",
    "say_whole",
]


CLASS, CONTINUOUS = "class", "continuous"

_log = logging.getLogger("srvae_plugin")


@dataclass(frozen=True)
class FactorKinds:
    """What the factors of a table are.

    Args:
        kinds: "class" or "continuous" for each factor.
        labels: the words that the classes 0, 1, ... of a factor stand for, by its index.
        unordered: indices of the classes that are known to have no order, since they are words or
            somebody has said "class". Integers of which nothing is said may be numbers too.
    """

    kinds: tuple[str, ...]
    labels: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    unordered: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        for kind in self.kinds:
            check_kind(kind)

    @property
    def continuous(self) -> NDArray[np.bool_]:
        """(factor,) which factors are continuous."""
        return np.array([kind == CONTINUOUS for kind in self.kinds], dtype=bool)


def check_kind(kind: Any, of: str = "factor_kinds") -> str:
    """The kind; ValueError unless it is "class" or "continuous"."""
    if kind not in (CLASS, CONTINUOUS):
        raise ValueError(f"{of}: got {kind!r}; expected 'class' or 'continuous'")
    return str(kind)


def kinds_of_numbers(factors: NDArray[Any], names: Sequence[str]) -> FactorKinds:
    """Kinds of (observation, factor) numbers of which nothing is said.

    Integers are classes, and so are floating point numbers without a fraction: the type that whole
    numbers are stored in changes no score. One line of the log says so. Others are continuous.

    Example:
        >>> kinds_of_numbers(np.array([[1.0, 0.5], [2.0, 1.0]]), ["size", "angle"]).kinds
        ('class', 'continuous')
    """
    if factors.dtype.kind != "f":
        return FactorKinds((CLASS,) * factors.shape[1])
    whole = (factors == np.round(factors)).all(axis=0)
    say_whole([name for name, each in zip(names, whole, strict=True) if each])
    return FactorKinds(tuple(CLASS if each else CONTINUOUS for each in whole))


def say_whole(names: Sequence[str]) -> None:
    """Log that floating point factors of these names are taken as classes."""
    if names:
        _log.info(
            "floating point factors that hold whole numbers only are taken as classes, as integers "
            "are: %s; bind dataset.factor_kinds = {%r: 'continuous'} to take one as a number",
            ", ".join(names), names[0],
        )  # fmt: skip


def as_kinds(
    given: FactorKinds | Sequence[str] | None, factors: NDArray[Any], names: Sequence[str]
) -> FactorKinds:
    """What is given as `FactorKinds`, one for each column of `factors`; None: by the numbers.

    Raises:
        ValueError: for another number of kinds, or one that there is not.
    """
    if given is None:
        return kinds_of_numbers(factors, names)
    if not isinstance(given, FactorKinds):
        said = tuple(given)
        given = FactorKinds(said, unordered=frozenset(np.flatnonzero(np.array(said) == CLASS)))
    if len(given.kinds) != factors.shape[1]:
        raise ValueError(
            f"factor_kinds: got {len(given.kinds)} for {factors.shape[1]} factors; expected one "
            "for each"
        )
    return given


def encoded(factors: NDArray[Any], kinds: FactorKinds) -> NDArray[Any]:
    """Factors with classes numbered 0 .. size - 1 in ascending order, continuous ones as they are.

    int64 if all are classes; floating point otherwise, as a table has one type.

    Example:
        >>> encoded(np.array([[30], [10], [30]]), FactorKinds(("class",))).tolist()
        [[1], [0], [1]]
    """
    columns = [
        column if continuous else np.unique(column, return_inverse=True)[1].reshape(-1)
        for column, continuous in zip(factors.T, kinds.continuous, strict=True)
    ]
    if not kinds.continuous.any():
        return np.stack(columns, axis=1).astype(np.int64)
    return np.stack(columns, axis=1).astype(factors.dtype if factors.dtype.kind == "f" else float)
