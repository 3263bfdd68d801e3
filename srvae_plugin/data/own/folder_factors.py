"""Factors of a folder of image files: a table of text, csv or tsv, with a line for each file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.own.text_tables import read_text_columns

__all__ = ["FILE_COLUMNS", "FolderFactors", "read_folder_factors"]


FILE_COLUMNS = ("file", "filename", "image", "path")
"""Names that the column of files may have."""
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_log = logging.getLogger("srvae_plugin")


class FolderFactors(NamedTuple):
    """What a table says of the files of a folder."""

    names: list[str]
    """Paths below the folder, in their order, of the files that the table has."""
    factors: NDArray[np.void]
    """One record for each, as `read_columns` takes them."""


def read_folder_factors(table: Path, names: Sequence[str]) -> FolderFactors:
    """Factors of the files of a folder.

    Args:
        table: csv or tsv, its first line the names of the columns. One of them, called "file",
            "filename", "image" or "path", holds the paths of files below the folder; each of the
            others is a factor.
        names: paths of the image files below the folder, sorted.

    Raises:
        FileNotFoundError: there is no such table.
        ValueError: it has no column of files or none of factors, or a file twice, or one that is
            not there.
    """
    if table.suffix.lower() not in _DELIMITERS:
        raise ValueError(f"dataset.factors = '{table}': expected a table that ends in .csv or .tsv")
    if not table.is_file():
        raise FileNotFoundError(f"dataset.factors = '{table}': there is no such file")
    columns = read_text_columns(table, _DELIMITERS[table.suffix.lower()])
    found = [name for name in columns if name.lower() in FILE_COLUMNS]
    if len(found) != 1 or len(columns) == 1:
        raise ValueError(
            f"{table}: its columns are {', '.join(columns)}; expected one called "
            f"{', '.join(FILE_COLUMNS)} with paths below the folder, and a factor in each other"
        )
    files = [Path(str(file)).as_posix() for file in columns.pop(found[0])]
    rows = {file: row for row, file in enumerate(files)}
    if len(rows) < len(files):
        twice = next(file for row, file in enumerate(files) if rows[file] != row)
        raise ValueError(f"{table} has two lines of {twice}: expected one line for each file")
    if missing := rows.keys() - set(names):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(
            f"{table} has {min(missing)}{more}, which the folder has not: expected paths of image "
            "files below the folder"
        )
    kept = [name for name in names if name in rows]
    if len(kept) < len(names):
        _log.warning(
            "%s: %d of %d image files of the folder have no line and are left out",
            table, len(names) - len(kept), len(names),
        )  # fmt: skip
    order = [rows[name] for name in kept]
    return FolderFactors(kept, _records({name: of[order] for name, of in columns.items()}))


def _records(columns: dict[str, NDArray[np.generic]]) -> NDArray[np.void]:
    length = len(next(iter(columns.values())))
    records = np.empty(length, [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        records[name] = column
    return records
