"""Tables of text, csv and tsv: columns of numbers or words under a line of names."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_written", "read_text_columns"]

_AT_ONCE = 20_000
"""Rows that are held as Python strings at a time."""


def read_text_columns(path: Path, delimiter: str) -> dict[str, NDArray[Any]]:
    """Columns by the names in the first line.

    A column in which every word is a whole number is int64, a number float64 (exactly what Python's
    `float` reads, so that what `repr` wrote comes back bit for bit), True or False bool; any
    other is text.

    Args:
        path: the file, in UTF-8.
        delimiter: between the cells of a line.

    Raises:
        ValueError: no names, a line of another length, or a cell without a value; it names the
            line.
    """
    words: set[int] = set()
    while True:
        try:
            columns, found = _columns(path, delimiter, words)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not text in UTF-8: {error.reason}") from None
        except csv.Error as error:
            raise ValueError(f"{path} is damaged: {error}") from None
        if found <= words:
            return {name: _flags(column) for name, column in columns.items()}
        words |= found  # numbers above words in one column: read again, as it is written


def as_written(numbers: NDArray[np.float64]) -> NDArray[Any]:
    """Numbers of a text as float32 if that is what was written, else as they are.

    It was if every number is the text of a float32 (its shortest, "0.1", with nine digits, or with
    all of them), and one at least needs more than the seven digits that people round to: text of
    float64 numbers has others among them.

    Example:
        >>> written = [str(x) for x in np.linspace(0, 1, 7, dtype=np.float32)]
        >>> written[1], as_written(np.array([float(word) for word in written])).dtype
        ('0.16666667', dtype('float32'))
        >>> as_written(np.array([0.1, 0.2, 0.25])).dtype, as_written(np.array([1 / 3])).dtype
        (dtype('float64'), dtype('float64'))
    """
    some = numbers.reshape(-1)[:1000]  # almost always enough to say no
    if all(_of_float32(part).all() for part in (some, numbers)) and _is_long(numbers):
        return numbers.astype(np.float32)
    return numbers


def _of_float32(numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
    with np.errstate(over="ignore"):
        nearest = numbers.astype(np.float32)
    short, nine = nearest.astype(str), np.char.mod("%.9g", nearest)
    found = [text.astype(np.float64) == numbers for text in (short, nine)]
    return (nearest == numbers) | found[0] | found[1]


def _is_long(numbers: NDArray[np.float64]) -> bool:
    """Whether a number has more than seven digits."""
    return bool((np.char.mod("%.7g", numbers).astype(np.float64) != numbers).any())


def _columns(
    path: Path, delimiter: str, words: set[int]
) -> tuple[dict[str, NDArray[Any]], set[int]]:
    """Columns by name, and which of them hold words; those that are known to are left as text."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file, delimiter=delimiter, strict=True)
        names = _names(path, next(lines, []), delimiter)
        parts = [
            [_parsed(column, k in words) for k, column in enumerate(zip(*rows, strict=True))]
            for rows in _chunks(path, lines, names)
        ]
    if not parts:
        raise ValueError(f"{path} has no row below its names")
    found = {k for part in parts for k, column in enumerate(part) if column.dtype.kind == "U"}
    columns = {name: np.concatenate([part[k] for part in parts]) for k, name in enumerate(names)}
    return columns, found


def _names(path: Path, cells: list[str], delimiter: str) -> list[str]:
    if len(cells) == 1:
        other = next((d for d in ";\t," if d != delimiter and d in cells[0]), None)
        if other is not None:
            raise ValueError(
                f"{path}: the cells of its first line are divided by {other!r}: expected "
                f"{delimiter!r}; write it again, or rename it if that is a tab"
            )
    names = [cell.strip() for cell in cells]
    if not names or all(_is_number(name) for name in names):
        raise ValueError(f"{path}: expected the names of the columns in the first line")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{path}: two columns are called {twice[0]!r}: rename one")
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _chunks(path: Path, lines: Any, names: Sequence[str]) -> Iterator[list[list[str]]]:
    """Rows of as many cells as there are names, each with a value; blank lines are no rows."""
    while rows := list(islice(((lines.line_num, line) for line in lines if line), _AT_ONCE)):
        for number, row in rows:
            if len(row) != len(names):
                raise ValueError(
                    f"{path}, line {number}: {len(row)} cells; expected {len(names)}, as in the "
                    "first line"
                )
            if "" in row:
                raise ValueError(
                    f"{path}, line {number}: no value in column {names[row.index('')]!r}: fill or "
                    "drop the row"
                )
        yield [row for _, row in rows]


def _parsed(cells: Sequence[str], is_text: bool) -> NDArray[Any]:
    """Cells of a column as whole numbers, or numbers, or text."""
    cells = [cell.strip() for cell in cells]
    if not is_text and not any("_" in cell for cell in cells):  # which Python takes in numbers
        for convert, dtype in ((int, np.int64), (float, np.float64)):
            try:
                return np.array([convert(cell) for cell in cells], dtype)
            except (ValueError, OverflowError):
                continue
    return np.array(cells)


def _flags(column: NDArray[Any]) -> NDArray[Any]:
    """Text of which every word is True or False as booleans."""
    if column.dtype.kind == "U" and set(np.unique(column)) <= {"True", "False"}:
        return np.asarray(column == "True")
    return column
