"""Factors as a Python program has them: arrays, tensors, data frames, with names if there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.own.factor_columns import FactorColumns, read_columns

__all__ = ["array_of", "given_factors"]


def array_of(values: Any) -> NDArray[Any]:
    """An array or a tensor, on whatever device, as an array; bfloat16 as float32, its values kept.

    torch is not imported: a tensor is known by what it offers.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # which numpy does not have
            values = values.float()
    return np.asarray(values)


def given_factors(
    factors: Any, num_rows: int, factor_names: Sequence[str] | None = None
) -> FactorColumns:
    """Factors with their names and kinds, as those of a file are read.

    Args:
        factors: (row, factor) or (row,) array, tensor or data frame, whose columns may each have a
            type of their own and whose names are kept.
        num_rows: how many rows there are to be.
        factor_names: one for each factor; they go before those of a frame.

    Raises:
        ValueError: as in `read_columns`, or a frame has an empty cell.

    Example:
        >>> import pandas
        >>> frame = pandas.DataFrame({"shape": ["heart", "square"], "scale": [0.5, 0.75]})
        >>> given_factors(frame, 2).names
        ['shape', 'scale']
    """
    if hasattr(factors, "iloc"):
        factors = factors.to_frame() if factors.ndim == 1 else factors
        array = _of_frame(factors)
    else:
        array = array_of(factors)
        array = array[:, np.newaxis] if array.ndim == 1 and not array.dtype.names else array
    arrays = {"factors": array}
    if factor_names is not None:
        arrays["factor_names"] = np.array(list(factor_names))
    return read_columns(arrays, num_rows)


def _of_frame(frame: Any) -> NDArray[Any]:
    """One array with a field for each column."""
    columns = {str(name): _column(str(name), frame.iloc[:, k]) for k, name in enumerate(frame)}
    fields: Any = [(name, values.dtype) for name, values in columns.items()]
    records = np.empty(len(frame), dtype=fields)
    for name, values in columns.items():
        records[name] = values
    return records


def _column(name: str, series: Any) -> NDArray[Any]:
    if missing := int(series.isna().sum()):
        raise ValueError(f"factors[{name!r}] has no value in {missing} rows: fill or drop them")
    values = np.asarray(series)
    return values if values.dtype.kind in "biuf" else values.astype(str)
