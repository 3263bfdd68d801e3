"""Tables with named columns, in which some hold codes and others factors.

The codes are in the columns `latent_0`, `latent_1` and so on, as `srvae-export --to parquet` writes
them, and a factor is in each other column; a column `observation`, or one without a name, is the
number of the row and no factor, and so is `id` or `index` if no number in it is there twice.
`Columns` says otherwise.
"""

from __future__ import annotations

import fnmatch
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Arrays",
    "Columns",
    "are_latents",
    "arrays_of_columns",
    "arrays_of_frame",
    "factor_columns",
    "frame_columns",
    "named_columns",
    "records",
]

logger = logging.getLogger("srvae_plugin")

Arrays = dict[str, NDArray[Any]]
_CODE = re.compile(r"latent_\d+")
_ROW_NUMBER = re.compile(r"observation|Unnamed: 0|__index_level_0__|")
_MAY_NUMBER = re.compile(r"id|index", re.IGNORECASE)
_NUMBERED = re.compile(r".*\d")


class Columns(NamedTuple):
    """Which columns of a table hold what: names, or patterns such as `z*`; None: by the rule."""

    codes: tuple[str, ...] | None = None
    factors: tuple[str, ...] | None = None


def are_latents(columns: Sequence[str]) -> bool:
    """Whether some columns are called `latent_0` and so on."""
    return any(map(_CODE.fullmatch, columns))


def factor_columns(columns: Mapping[str, NDArray[Any]], name: str) -> list[str]:
    """Names of all columns but those that number the rows."""
    return [
        column for column, values in columns.items() if not _is_row_number(column, values, name)
    ]


def arrays_of_frame(frame: Any, columns: Columns | None = None, name: str = "the table") -> Arrays:
    """The arrays of a pandas DataFrame, by the rule for tables or as `columns` says.

    Raises:
        ValueError: a column that is not there, or one with missing values.
    """
    return arrays_of_columns(frame_columns(frame), name, columns or Columns())


def frame_columns(frame: Any) -> Arrays:
    """Columns of a DataFrame as plain arrays of numbers or text."""
    names = [str(name) for name in frame.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two columns are called {twice[0]!r}: rename one")
    return {name: _column(name, frame.iloc[:, k]) for k, name in enumerate(names)}


def _column(name: str, series: Any) -> NDArray[Any]:
    if (missing := int(series.isna().sum())) > 0:
        raise ValueError(f"column {name!r} has no value in {missing} rows: fill or drop them")
    values = np.asarray(series.to_numpy())
    if values.dtype.kind == "O":
        kinds = {type(value) for value in values}
        if all(issubclass(kind, str) for kind in kinds):
            return values.astype(str)
        values = np.array(values.tolist())
    if values.dtype.kind not in "biufU":
        raise ValueError(f"column {name!r} holds {series.dtype}: expected numbers or words")
    return values


def arrays_of_columns(table: Arrays, name: str, columns: Columns) -> Arrays:
    """Codes and factors of a table with named columns."""
    codes = _code_columns(table, name, columns)
    rest = [column for column in table if column not in codes]
    if columns.factors:
        factors = named_columns(columns.factors, table, name, "factor")
        if both := [column for column in factors if column in codes]:
            raise ValueError(f"{name}: column {both[0]!r} is named as a code and as a factor")
        if unused := [column for column in rest if column not in factors]:
            logger.info("%s: columns that are neither codes nor factors: %s", name, _list(unused))
    else:
        factors = factor_columns({column: table[column] for column in rest}, name)
    text = [column for column in codes if table[column].dtype.kind not in "biuf"]
    if text:
        raise ValueError(
            f"{name}: column {text[0]!r} of the codes holds words such as "
            f"{str(table[text[0]][0])!r}: expected numbers"
        )
    arrays = {"codes": np.stack([table[column] for column in codes], axis=1)}
    if factors:
        arrays["factors"] = records(table, factors)
        logger.info("%s: %d columns of codes; factors: %s", name, len(codes), _list(factors))
    return arrays


def _code_columns(table: Arrays, name: str, columns: Columns) -> list[str]:
    if columns.codes:
        return named_columns(columns.codes, table, name, "code")
    numbers = {int(c.removeprefix("latent_")): c for c in table if _CODE.fullmatch(c)}
    if not numbers:
        raise ValueError(
            f"{name}: no column is called latent_0, so that codes and factors cannot be told "
            f"apart: type {_what_to_type(table)}; it has {_list(list(table))}"
        )
    if sorted(numbers) != list(range(len(numbers))):
        gap = next(k for k in range(len(numbers)) if k not in numbers)
        raise ValueError(f"{name}: latent_{gap} is missing beside {_list(list(numbers.values()))}")
    return [numbers[k] for k in sorted(numbers)]


def _what_to_type(table: Arrays) -> str:
    """Options for a table without latent_0: its own columns, if some are numbered alike."""
    numbers = [c for c in table if table[c].dtype.kind in "iuf" and _NUMBERED.fullmatch(c)]
    starts = [c.rstrip("0123456789") for c in numbers]
    if not starts:
        return "--code-columns 'z*' --factor-columns 'shape,scale', say"
    most = max(starts, key=starts.count)
    codes = [column for column, start in zip(numbers, starts, strict=True) if start == most]
    pattern = f"{most}*" if fnmatch.filter(table, f"{most}*") == codes else ",".join(codes)
    factors = [c for c in table if c not in codes and not _ROW_NUMBER.fullmatch(c)]
    return f"--code-columns '{pattern}' --factor-columns '{','.join(factors)}', say"


def named_columns(patterns: Sequence[str], table: Arrays, name: str, what: str) -> list[str]:
    """Columns by name or pattern, in the order of the patterns and then the table's."""
    found: dict[str, None] = {}
    for pattern in patterns:
        same = [pattern] if pattern in table else fnmatch.filter(table, pattern)
        if not same:
            raise ValueError(
                f"{name}: --{what}-columns {pattern!r}: there is no such column; it has "
                f"{_list(list(table))}"
            )
        found.update(dict.fromkeys(same))
    return list(found)


def _is_row_number(column: str, values: NDArray[Any], name: str) -> bool:
    numbers = _MAY_NUMBER.fullmatch(column) and len(set(values.tolist())) == len(values)
    if not (numbers or _ROW_NUMBER.fullmatch(column)):
        return False
    logger.info("%s: column %r numbers the rows and is not a factor", name, column)
    return True


def records(table: Arrays, names: Sequence[str]) -> NDArray[Any]:
    """Columns as one array with named fields, which `read_columns` takes."""
    if not names:
        raise ValueError("the table has no column of factors")
    fields: Any = [(name, table[name].dtype) for name in names]
    records = np.empty(len(table[names[0]]), dtype=fields)
    for name in names:
        records[name] = table[name]
    return records


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:12])
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"
