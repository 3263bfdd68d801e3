"""Factors as a Python program has them: arrays, tensors, data frames, with names if there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.own.factor_columns import Bins, FactorColumns, Kinds, read_columns

__all__ = ["array_of", "as_table", "given_factors", "require_one_order"]


def array_of(values: Any) -> NDArray[Any]:
    """An array or a tensor, on whatever device, as an array; bfloat16 as float32, its values kept.

    torch is not imported: a tensor is known by what it offers.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # which numpy does not have
            values = values.float()
    return np.asarray(values)


def as_table(factors: Any) -> NDArray[Any]:
    """Factors as `read_columns` takes them: numbers or text, or a field for each column of a frame.

    Args:
        factors: (row, factor) or (row,) array, tensor or data frame. Objects become the text that
            they print as.

    Raises:
        ValueError: an empty cell, or a frame without columns or with two of one name.
    """
    if hasattr(factors, "iloc"):
        return _of_frame(factors.to_frame() if factors.ndim == 1 else factors)
    array = array_of(factors)
    array = array.reshape(-1, 1) if array.ndim < 2 and not array.dtype.names else array
    return _text("factors", array) if array.dtype.kind == "O" else array


def given_factors(
    factors: Any,
    num_rows: int,
    factor_names: Sequence[str] | None = None,
    kinds: Kinds = None,
    bins: Bins = None,
) -> FactorColumns:
    """Factors with their names and kinds, as those of a file are read.

    Args:
        factors: (row, factor) or (row,) array, tensor or data frame, whose columns may each have a
            type of their own and whose names are kept.
        num_rows: how many rows there are to be.
        factor_names: one for each factor; they take precedence over those of a frame.
        kinds, bins: see `read_columns`.

    Raises:
        ValueError: as in `as_table` and `read_columns`.

    Example:
        >>> import pandas
        >>> frame = pandas.DataFrame({"shape": ["heart", "square"], "scale": [0.5, 0.75]})
        >>> given_factors(frame, 2).names
        ['shape', 'scale']
    """
    arrays = {"factors": as_table(factors)}
    if factor_names is not None:
        arrays["factor_names"] = np.array(list(factor_names))
    return read_columns(arrays, num_rows, kinds, bins)


def require_one_order(codes: Any, factors: Any) -> None:
    """Refuse data frames of which the indexes say that their rows do not belong together.

    Args:
        codes, factors: what is given; of anything but frames nothing is known. A frame that numbers
            its rows may stand beside one with other labels.

    Raises:
        ValueError: the same labels in another order, or other labels.
    """
    if not (hasattr(codes, "iloc") and hasattr(factors, "iloc")) or len(codes) != len(factors):
        return
    one, other = codes.index, factors.index
    if one.equals(other):
        return
    if Counter(one) == Counter(other):
        raise ValueError(
            "codes and factors: their indexes have the same labels in another order; put the rows "
            "in one order: factors.loc[codes.index], or reset_index(drop=True) on both if they "
            "belong together as they stand"
        )
    numbered = list(range(len(codes)))
    if numbered not in (one.tolist(), other.tolist()):
        raise ValueError(
            "codes and factors: their indexes have different labels; reset_index(drop=True) on "
            "both if their rows belong together as they stand"
        )


def _of_frame(frame: Any) -> NDArray[Any]:
    """One array with a field for each column."""
    names = [str(name) for name in frame.columns]
    if not names:
        raise ValueError("factors: got a data frame without columns; expected one for each factor")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"factors: two columns are called {twice[0]!r}: rename one")
    columns = [_column(name, frame.iloc[:, k]) for k, name in enumerate(names)]
    fields: Any = [(name, column.dtype) for name, column in zip(names, columns, strict=True)]
    records = np.empty(len(frame), dtype=fields)
    for field, column in zip(records.dtype.names or (), columns, strict=True):
        records[field] = column
    return records


def _column(name: str, series: Any) -> NDArray[Any]:
    if missing := int(series.isna().sum()):
        raise ValueError(f"factors[{name!r}] has no value in {missing} rows: fill or drop them")
    values = np.asarray(series)
    return values if values.dtype.kind in "biuf" else _text(f"factors[{name!r}]", values)


def _text(what: str, values: NDArray[Any]) -> NDArray[Any]:
    """Objects as text; those that stand for a missing value are refused."""
    missing = sum(
        not isinstance(value, str) and str(value).lower() in ("none", "nan", "nat", "<na>")
        for value in values.flat
    )
    if missing:
        raise ValueError(f"{what}: {missing} cells have no value: fill or drop their rows")
    return values.astype(str)
