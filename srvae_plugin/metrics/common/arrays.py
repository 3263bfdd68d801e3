"""What the array cores take: arrays, data frames and tensors, and any source of randomness.

A core is `f(codes, factors, *, seed=0, ...)`, such as `srvae_plugin.metrics.mig`. Frames and
tensors are told by what they can do, so that neither pandas nor torch is imported.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.own.factor_columns import encoded_words, numbers_or_words, raw_columns
from srvae_plugin.data.own.given_factors import array_of, as_table, require_one_order
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.metrics.codes import CodesAndFactors
from srvae_plugin.metrics.common.checks import check_codes, check_factors

__all__ = [
    "Factors",
    "Rows",
    "Split",
    "as_array",
    "as_factors",
    "given_points",
    "split",
    "with_names",
]


_NUMBER = re.compile(r"(?:(?<=factor_)|(?<=:pred)|(?<=:sens))\d+(?=[:_]|$)")


def as_array(values: Any) -> Any:
    """Arrays as they are, tensors and data frames as arrays; what is none is left to the checks."""
    if hasattr(values, "detach") and hasattr(values, "cpu"):
        return array_of(values)
    if hasattr(values, "to_numpy"):
        # A frame holds columns; sums over another order of the same numbers differ in a last bit.
        values = np.ascontiguousarray(values.to_numpy())
    elif hasattr(values, "numpy"):
        values = values.numpy()
    return values


class Factors(NamedTuple):
    """Factors as numbers, and what they are called."""

    values: NDArray[Any]
    """(points, factor)"""
    names: NDArray[Any]
    """(factor,) names of a frame's columns, or else 0, 1, ..."""
    unordered: NDArray[np.bool_]
    """(factor,) which ones are words: their numbers have no order."""


def as_factors(*tables: Any) -> list[Factors]:
    """Tables of factors as (points, factor) numbers; words are numbered in their order.

    Args:
        tables: arrays, frames or tensors of the same factors; (points,) stands for one factor.

    Raises:
        ValueError: as in `srvae_plugin.data.own.given_factors.as_table`, or different factors.
    """
    arrays = [as_table(table) for table in tables]
    columns, called = zip(*(raw_columns(array, len(array)) for array in arrays), strict=True)
    if any(len(each) != len(columns[0]) for each in columns):
        raise ValueError(
            "factors to fit and to test on must be the same ones, got "
            f"{' and '.join(str(len(each)) for each in columns)} columns."
        )
    if all(array.dtype.names for array in arrays) and len(set(map(tuple, called))) > 1:
        orders = " and ".join(", ".join(names) for names in called)
        raise ValueError(
            f"factors to fit and to test on must have the same columns in one order, got {orders}."
        )
    ends = np.cumsum([len(array) for array in arrays])[:-1]
    read, unordered = [], []
    for name, parts in zip(called[0], zip(*columns, strict=True), strict=True):
        column = numbers_or_words(np.concatenate(parts))
        unordered.append(column.dtype.kind == "U")
        column = encoded_words(name, column)[0] if unordered[-1] else column
        read.append(np.split(column, ends))
    names = np.array(called[0]) if arrays[0].dtype.names else np.arange(len(called[0]))
    return [
        Factors(np.stack(part, axis=1), names, np.array(unordered))
        for part in zip(*read, strict=True)
    ]


class Split(NamedTuple):
    """Points to fit and to test on."""

    train: CodesAndFactors
    test: CodesAndFactors
    names: NDArray[Any]
    """(factor,) what the factors are called in keys."""
    unordered: NDArray[np.bool_]
    """(factor,) which ones are words: their numbers have no order."""


def given_points(codes: Any, factors: Any, discrete: bool = True) -> CodesAndFactors:
    """All points of what an array core is given, once they are checked.

    Raises:
        ValueError: a wrong shape or value.
    """
    require_one_order(codes, factors)
    codes = check_codes(as_array(codes), name="codes")
    (given,) = as_factors(factors)
    return CodesAndFactors(codes, check_factors(given.values, len(codes), discrete))


def split(codes: Any, factors: Any, test: Any, random_state: np.random.RandomState) -> Split:
    """Points to fit and to test on, of what an array core is given.

    Args:
        codes: (points, latent).
        factors: (points, factor).
        test: a pair of codes and factors, or the share of the points to hold out.
        random_state: what the share is drawn from.

    Raises:
        ValueError: a share that leaves no point on either side, or a wrong shape or value.
    """
    require_one_order(codes, factors)
    codes = check_codes(as_array(codes), name="codes")
    if isinstance(test, tuple | list):
        if len(test) != 2:
            raise ValueError(f"test must be a pair of codes and factors, got {len(test)} parts.")
        require_one_order(*test)
        given, held_out = as_factors(factors, test[1])
        train = CodesAndFactors(codes, check_factors(given.values, len(codes), False))
        test_codes = check_codes(as_array(test[0]), name="test codes")
        if test_codes.shape[1] != codes.shape[1]:
            raise ValueError(
                f"test codes must have {codes.shape[1]} latents like codes, got "
                f"{test_codes.shape[1]}."
            )
        values = check_factors(held_out.values, len(test_codes), False, "test factors")
        return Split(train, CodesAndFactors(test_codes, values), *given[1:])
    if isinstance(test, bool) or not isinstance(test, float | int) or not 0 < test < 1:
        raise ValueError(
            f"test must be a share between 0 and 1, or a pair of codes and factors, got {test!r}."
        )
    (given,) = as_factors(factors)
    values = check_factors(given.values, len(codes), False)
    num_train = len(codes) - round(len(codes) * test)
    if not 0 < num_train < len(codes):
        raise ValueError(
            f"test must leave points to fit and to test on, got {test!r} of {len(codes)} points."
        )
    order = random_state.permutation(len(codes))
    parts = [CodesAndFactors(codes[k], values[k]) for k in np.split(order, [num_train])]
    return Split(parts[0], parts[1], *given[1:])


def with_names(scores: dict[str, float | int], names: NDArray[Any]) -> dict[str, float | int]:
    """Scores whose keys call factors by name where they had their numbers.

    Args:
        scores: with keys such as `10:test_accuracy_factor_2` or `mean_fairness:pred0:sens2`.
        names: (factor,) names.
    """
    return {_NUMBER.sub(lambda m: str(names[int(m[0])]), key): v for key, v in scores.items()}


class Rows(NamedTuple):
    """Codes and factors as a data set of rows, for metrics that hold a factor fixed."""

    data: FactorTable
    function: Callable[[NDArray[Any]], NDArray[Any]]
    """Observations, which are row numbers, to codes."""

    names: NDArray[Any]
    """(factor,) what the factors are called in keys."""

    @classmethod
    def of(cls, codes: Any, factors: Any) -> Rows:
        """The rows of these arrays; fractional factors are continuous."""
        require_one_order(codes, factors)
        codes = check_codes(as_array(codes), name="codes")
        (given,) = as_factors(factors)
        check_factors(given.values, len(codes), discrete=False)
        data = FactorTable(given.values, [str(name) for name in given.names])
        return cls(data, _LookUp(codes, data), given.names)


class _LookUp:
    """A representation function that knows the codes of all rows."""

    def __init__(self, codes: NDArray[Any], data: FactorTable) -> None:
        self.codes, self.data = codes, data

    def codes_at(self, indices: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Codes of these rows."""
        return self.codes[indices]

    def __call__(self, observations: NDArray[Any]) -> NDArray[Any]:
        """Codes of observations, which hold their row numbers."""
        return self.codes[observations.reshape(len(observations)).astype(np.int64)]
