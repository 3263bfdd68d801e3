"""Factors as files hold them: numbers, words, or named fields, each of a kind of its own.

An npz says what its factors are by

* ``factors``: (row, factor) numbers or strings, or a structured array (row,) whose fields are the
  factors;
* ``factor_names``: (factor,) strings, and ``factor_kinds``: (factor,) "class" or "continuous".

Of a factor of which nothing is said, one rule holds in each of these: words and whole numbers are
classes, whatever type they are stored in, and other numbers are continuous.
"""

from __future__ import annotations

import dataclasses
import difflib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.own.factor_kinds import (
    CLASS,
    CONTINUOUS,
    FactorKinds,
    check_kind,
    say_whole,
)

__all__ = [
    "FACTOR_ARRAYS",
    "Bins",
    "FactorColumns",
    "Kinds",
    "chosen_rows",
    "encoded_words",
    "equal_bins",
    "numbers_or_words",
    "places_of_values",
    "raw_columns",
    "read_columns",
]


FACTOR_ARRAYS = ("factors", "factor_names", "factor_kinds")
"""Arrays of an npz that `read_columns` takes."""

Kinds = dict[str, str] | dict[int, str] | list[str] | tuple[str, ...] | str | None
"""Kind of some factors by name or index, of each factor, or of all."""
Bins = int | dict[str, int] | dict[int, int] | list[int | None] | tuple[int | None, ...] | None
"""Bins of each floating point factor, of some factors by name or index, or of each factor."""

_SHOWN = 20
_MISSING = ("", "na", "n/a", "nan", "null", "none", "-", "?", ".")
_FEWEST_NAMED = 20
"""Rows of a table in which a word for each row is no factor; in fewer it may be one."""
_T = TypeVar("_T")
_log = logging.getLogger("srvae_plugin")


class FactorColumns(NamedTuple):
    """The factors of a table, ready for :class:`srvae_plugin.data.own.table.FactorTable`."""

    factors: NDArray[Any]
    """(row, factor) numbers; words are their places in sorted order."""
    names: list[str]
    kinds: FactorKinds


def read_columns(
    arrays: Mapping[str, NDArray[Any]], num_rows: int, kinds: Kinds = None, bins: Bins = None
) -> FactorColumns:
    """Factors, their names and kinds from the arrays of a file and what is bound.

    What is bound takes precedence over what the file says, and that over what the numbers look
    like. A column of text in which every word is a number is read as numbers. A column with `bins`
    becomes classes: one class per value if it has at most that many, else that many bins of equal
    width.

    Args:
        arrays: `factors`, and `factor_names` and `factor_kinds` if the file has them.
        num_rows: how many rows there are to be.
        kinds: `dataset.factor_kinds`.
        bins: `dataset.factor_bins`; a number holds for the floating point factors that nobody has
            called classes.

    Raises:
        ValueError: if something is wrong; the message names the array or the binding.
    """
    raw, names = raw_columns(arrays["factors"], num_rows)
    columns = [numbers_or_words(column) for column in raw]
    if "factor_names" in arrays:
        names = _words("factor_names", arrays["factor_names"], len(columns))
    said: list[str | None] = [None] * len(columns)
    if "factor_kinds" in arrays:
        found = _words("factor_kinds", arrays["factor_kinds"], len(columns))
        said = [check_kind(kind) for kind in found]
    if isinstance(kinds, str):
        kinds = [kinds] * len(columns)
    for k, kind in _by_index("factor_kinds", kinds, names).items():
        said[k] = check_kind(kind, "dataset.factor_kinds")
    wanted = _wanted_bins(bins, columns, names, said)
    labels: dict[int, tuple[str, ...]] = {}
    for k, column in enumerate(columns):
        if arrays["factors"].dtype.kind in "US" and column.dtype.kind != "U":
            _log.info("%s: text in which every word is a number: read as numbers", names[k])
        if column.dtype.kind == "U":
            _require_repeated(names, k, column)
            columns[k], labels[k] = encoded_words(names[k], column)
            if said[k] == CONTINUOUS:
                raise ValueError(
                    f"factor_kinds: got 'continuous' for {names[k]!r}, which holds words such as "
                    f"{labels[k][0]!r}; expected numbers, or 'class'"
                )
        elif not np.isfinite(column).all():
            raise ValueError("factors: got NaN or inf; expected finite numbers")
    unordered = {k for k, kind in enumerate(said) if kind == CLASS} | set(labels)
    for k, count in wanted.items():
        columns[k] = equal_bins(columns[k], count)
        said[k] = CLASS
    final = _by_values(columns, names, said)
    return FactorColumns(
        np.stack(columns, axis=1),
        names,
        FactorKinds(tuple(final), labels, frozenset(unordered)),
    )


def places_of_values(factors: NDArray[Any], num_rows: int) -> NDArray[np.int64]:
    """(row, factor) place of each value among the sorted ones of its column, as the file has them.

    Kinds and bins that are bound change nothing in it.

    Raises:
        ValueError: as in `read_columns`.
    """
    columns = [numbers_or_words(column) for column in raw_columns(factors, num_rows)[0]]
    places = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in columns]
    return np.stack(places, axis=1).astype(np.int64)


def equal_bins(column: NDArray[Any], num_bins: int) -> NDArray[np.int64]:
    """Classes (row,): one per value if there are at most `num_bins`, else bins of equal width."""
    values, numbers = np.unique(column, return_inverse=True)
    if len(values) <= num_bins:
        return np.asarray(numbers.reshape(-1), dtype=np.int64)
    edges = np.linspace(values[0], values[-1], num_bins + 1)
    return np.asarray(np.digitize(column, edges[1:-1]), dtype=np.int64)


def chosen_rows(columns: FactorColumns, rows: NDArray[np.int64]) -> FactorColumns:
    """Some rows; a word that none of them has is no class of theirs."""
    factors, kinds = columns.factors[rows], columns.kinds
    labels = {
        k: tuple(words[int(code)] for code in np.unique(factors[:, k]))
        for k, words in kinds.labels.items()
    }
    return columns._replace(factors=factors, kinds=dataclasses.replace(kinds, labels=labels))


def raw_columns(factors: NDArray[Any], num_rows: int) -> tuple[list[NDArray[Any]], list[str]]:
    """Columns as they are stored, and the names that come with them or numbers for names."""
    if factors.dtype.names:
        if factors.shape != (num_rows,):
            raise ValueError(
                f"factors: got a structured array of shape {factors.shape}; expected ({num_rows},),"
                " one record a row"
            )
        columns, names = [factors[n] for n in factors.dtype.names], list(factors.dtype.names)
        for name, column in zip(names, columns, strict=True):
            if column.shape != (num_rows,):
                raise ValueError(f"factors[{name!r}]: expected one value per row, got an array")
        return columns, names
    if factors.ndim == 2 and len(factors) != num_rows and factors.shape[1] == num_rows:
        raise ValueError(
            f"factors: got shape {factors.shape}, one column per row of {num_rows}; expected "
            f"({num_rows}, factor): transpose them, store factors.T"
        )
    if factors.ndim != 2 or len(factors) != num_rows or not factors.size:
        one = ": store factors[:, None] for a single factor" if factors.ndim == 1 else ""
        raise ValueError(
            f"factors: got {factors.dtype} of shape {factors.shape} for {num_rows} rows; expected "
            f"(observation, factor), {num_rows} rows{one}"
        )
    names = [f"factor {k}" for k in range(factors.shape[1])]
    return list(factors.T), names


def numbers_or_words(column: NDArray[Any]) -> NDArray[Any]:
    """Numbers as they are, text as str, or as numbers if that is what all of it is."""
    if column.dtype.kind == "S":
        try:
            column = np.char.decode(column, "utf-8")
        except UnicodeDecodeError:
            raise ValueError("factors: expected bytes in UTF-8, or strings") from None
    if column.dtype.kind == "b":
        return column.astype(np.int64)
    if column.dtype.kind == "U":
        return _as_numbers(column)
    if column.dtype.kind not in "iuf":
        raise ValueError(f"factors: got {column.dtype}; expected numbers or strings")
    return column


def _as_numbers(column: NDArray[Any]) -> NDArray[Any]:
    if (np.char.find(column, "_") >= 0).any():  # which Python takes in numbers
        return column
    for kind in (np.int64, np.float64):
        try:
            return np.asarray(column.astype(kind))
        except (ValueError, OverflowError):
            continue
    _refuse_missing(column)
    return column


def _refuse_missing(column: NDArray[Any]) -> None:
    """Refuse words that stand for a missing value in a column of numbers."""
    missing = np.isin(np.char.lower(np.char.strip(column)), _MISSING)
    if not missing.any() or missing.all():
        return
    try:
        column[~missing].astype(np.float64)
    except ValueError:
        return
    row = int(np.argmax(missing))
    raise ValueError(
        f"factors: {str(column[row])!r} of row {row} stands for a missing value in a column of "
        "numbers: fill or drop such rows"
    )


def encoded_words(name: str, column: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Places of the words in sorted order, and the words; the log has the mapping."""
    words, places = np.unique(column, return_inverse=True)
    shown = ", ".join(f"{word!r} = {k}" for k, word in enumerate(words[:_SHOWN].tolist()))
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    _log.info("%s: words are encoded in sorted order: %s%s", name, shown, more)
    return places.reshape(-1).astype(np.int64), tuple(str(word) for word in words)


def _require_repeated(names: Sequence[str], k: int, column: NDArray[Any]) -> None:
    """Refuse words that name the rows of a table, such as its files, beside its factors."""
    if len(names) > 1 and len(column) >= _FEWEST_NAMED and len(set(column.tolist())) == len(column):
        raise ValueError(
            f"{names[k]}: every row has a word of its own, such as {str(column[0])!r}: these name "
            "the rows and are no factor; leave the column out"
        )


def _words(array: str, values: NDArray[Any], count: int) -> list[str]:
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    if values.shape != (count,) or values.dtype.kind != "U":
        raise ValueError(
            f"{array}: got {values.dtype} of shape {values.shape}; expected one string for each "
            f"of {(count,)} factors"
        )
    words = [str(value) for value in values]
    if array == "factor_names" and len(set(words)) < count:
        raise ValueError(f"factor_names: got {words}; expected different names")
    return words


def _by_index(
    binding: str, given: Mapping[Any, _T] | Sequence[_T] | None, names: Sequence[str]
) -> dict[int, _T]:
    """What is bound for each factor, by its index."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        if len(given) != len(names):
            raise ValueError(
                f"dataset.{binding} = {given!r}: expected one for each of {len(names)} factors, "
                f"{list(names)}"
            )
        return dict(enumerate(given))
    found = {}
    for key, value in given.items():
        if key not in names and not (isinstance(key, int) and 0 <= key < len(names)):
            near = difflib.get_close_matches(str(key), names, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"dataset.{binding}: there is no factor {key!r}{meant}; expected names of "
                f"{list(names)}, or their places"
            )
        found[key if isinstance(key, int) else list(names).index(key)] = value
    return found


def _wanted_bins(
    bins: Bins, columns: list[NDArray[Any]], names: list[str], said: list[str | None]
) -> dict[int, int]:
    if bins is None:
        return {}
    if isinstance(bins, int):
        floats = [column.dtype.kind == "f" for column in columns]
        continuous = {k for k, kind in enumerate(said) if kind == CONTINUOUS}
        chosen = {k for k, is_float in enumerate(floats) if is_float and said[k] != CLASS}
        counts: dict[int, int | None] = dict.fromkeys(sorted(chosen | continuous), bins)
        if bins < 2:
            raise ValueError(f"dataset.factor_bins = {bins}: expected at least 2, or None")
    else:
        counts = _by_index("factor_bins", bins, names)
    wanted = {k: count for k, count in counts.items() if count is not None}
    for k, count in wanted.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 2:
            raise ValueError(
                f"dataset.factor_bins: got {count!r} for {names[k]!r}; expected at least 2"
            )
        if columns[k].dtype.kind == "U":
            raise ValueError(
                f"dataset.factor_bins: {names[k]!r} holds words, which have no bins; leave it out"
            )
    return wanted


def _by_values(columns: list[NDArray[Any]], names: list[str], said: list[str | None]) -> list[str]:
    """The kind of every factor; of those of which nothing is said, by their numbers."""
    final, whole = [], []
    for name, column, kind in zip(names, columns, said, strict=True):
        if kind is None and column.dtype.kind == "f" and (column == np.round(column)).all():
            whole.append(name)
        fractions = column.dtype.kind == "f" and name not in whole
        final.append(kind or (CONTINUOUS if fractions else CLASS))
    say_whole(whole)
    return final
