"""Files that tables of codes come in, one function a format: npz, npy, text, parquet, HDF5, torch.

Each returns the arrays that an npz of codes would hold: `codes`, and `factors`, `factor_names` and
`factor_kinds` where the file has them. Nothing is unpickled.

A table with named columns (csv, tsv, parquet, a DataFrame) has its codes in the columns `latent_0`,
`latent_1` and so on, as `srvae-export --to parquet` writes them, and a factor in each other column;
a column `observation`, or one without a name, is the number of the row and no factor. `Columns`
says otherwise.
"""

from __future__ import annotations

import fnmatch
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.config.optional import require
from srvae_plugin.data.own.factor_columns import FACTOR_ARRAYS
from srvae_plugin.data.own.text_tables import as_written, read_text_columns
from srvae_plugin.data.storage.hdf5_arrays import array_in, require_readable, require_small
from srvae_plugin.data.storage.npy_header import read_npy
from srvae_plugin.data.storage.npz_arrays import array_names, read_array
from srvae_plugin.data.storage.zip_members import require_small_members
from srvae_plugin.runs.exported import check_export

__all__ = ["SUFFIXES", "Arrays", "Columns", "arrays_of_frame", "read_arrays", "read_factors"]

logger = logging.getLogger("srvae_plugin")

Arrays = dict[str, NDArray[Any]]
_ARRAYS = ("codes", *FACTOR_ARRAYS)
_CODE = re.compile(r"latent_\d+")
_ROW_NUMBER = re.compile(r"observation|Unnamed: 0|__index_level_0__|")
_ALWAYS_READ, _MOST_UNPACKED = 1 << 28, 100
"""Bytes that are read in any case, and how many times the file's own: as of members of a zip."""
_TYPE = "--code-columns 'z*' --factor-columns 'shape,scale', say"


class Columns(NamedTuple):
    """Which columns of a table hold what: names, or patterns such as `z*`; None: by the rule."""

    codes: tuple[str, ...] | None = None
    factors: tuple[str, ...] | None = None


def read_arrays(path: Path, columns: Columns | None = None, *, only_codes: bool = False) -> Arrays:
    """The arrays of a file of codes.

    Args:
        path: the file; what it is is known by its suffix, see `SUFFIXES`.
        columns: which columns of a table hold what.
        only_codes: the factors are in another file: in a table without columns `latent_0` and so
            on every column is a code.

    Raises:
        ValueError: the file is missing, damaged or of another format, or holds no codes; a column
            that is not there; a package that the format needs is not installed.
    """
    columns = columns or Columns()
    reader = _reader(path)
    if reader in _TABLES:
        table = _read(reader, path)
        if only_codes and columns.codes is None and not any(map(_CODE.fullmatch, table)):
            names = [name for name in table if not _is_row_number(name, path.name)]
            columns = Columns(tuple(names))
        arrays = _of_columns(table, path.name, columns)
        if reader in _TEXTS and arrays["codes"].dtype == np.float64:
            arrays["codes"] = as_written(arrays["codes"])
            if arrays["codes"].dtype == np.float32:
                logger.info("%s: the codes are text of float32 numbers, and read so", path.name)
        return arrays
    _refuse_columns(path, columns)
    arrays = _read(reader, path)
    if "codes" not in arrays:
        raise ValueError(f"{path} has no array 'codes' (observation, latent)")
    return arrays


def read_factors(path: Path, columns: Columns | None = None) -> Arrays:
    """The factors of a file that lies beside a file of codes, as in `read_arrays`.

    Of a table every column is a factor unless `columns` names some; of an npy or a single tensor
    the array is the factors.

    Raises:
        ValueError: as in `read_arrays`.
    """
    columns = columns or Columns()
    reader = _reader(path)
    if reader in _TABLES:
        table = _read(reader, path)
        names = _named(columns.factors, table, path.name, "factor") if columns.factors else None
        if names is None:
            names = [name for name in table if not _is_row_number(name, path.name)]
        return {"factors": _records(table, names)}
    _refuse_columns(path, columns)
    arrays = _read(reader, path)
    if "factors" not in arrays and reader in (_npy, _torch) and list(arrays) == ["codes"]:
        arrays = {"factors": arrays["codes"]}
    if "factors" not in arrays:
        raise ValueError(f"{path} has no array 'factors' (observation, factor)")
    return {name: arrays[name] for name in FACTOR_ARRAYS if name in arrays}


def arrays_of_frame(frame: Any, columns: Columns | None = None, name: str = "the table") -> Arrays:
    """The arrays of a pandas DataFrame, by the rule for tables or as `columns` says.

    Raises:
        ValueError: a column that is not there, or one with missing values.
    """
    return _of_columns(_frame_columns(frame), name, columns or Columns())


def _reader(path: Path) -> Callable[[Path], Arrays]:
    if not path.is_file():
        raise ValueError(f"{path} not found")
    reader = SUFFIXES.get(path.suffix.lower())
    if reader is None:
        raise ValueError(
            f"{path}: a table of codes ends in {', '.join(SUFFIXES)}; rename or convert it"
        )
    check_export(path)
    return reader


def _read(reader: Callable[[Path], Arrays], path: Path) -> Arrays:
    try:
        return reader(path)
    except MemoryError:
        raise ValueError(f"{path}: its arrays do not fit in memory") from None
    except Exception as error:  # damaged bytes lead libraries to anything
        if isinstance(error, ValueError) and str(path) in str(error) and "\n" not in str(error):
            raise
        raise ValueError(f"{path} is damaged or cannot be read: {_line(error)}") from None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _npz(path: Path) -> Arrays:
    names = array_names(path)
    return {name: read_array(path, name) for name in _ARRAYS if name in names}


def _npy(path: Path) -> Arrays:
    return {"codes": read_npy(path)}


def _csv(path: Path) -> Arrays:
    return read_text_columns(path, ",")


def _tsv(path: Path) -> Arrays:
    return read_text_columns(path, "\t")


def _parquet(path: Path) -> Arrays:
    pandas, _ = require("parquet", "pandas", "pyarrow")
    from pyarrow.parquet import read_metadata  # type: ignore[import-untyped]

    found = read_metadata(path)
    size, stored = 8 * found.num_rows * found.num_columns, path.stat().st_size
    if size > max(_ALWAYS_READ, _MOST_UNPACKED * stored):
        raise ValueError(
            f"{found.num_rows:,} rows in {stored:,} bytes would take {size / 1e9:.1f} GB of memory"
        )
    return _frame_columns(pandas.read_parquet(path, engine="pyarrow"))


def _hdf5(path: Path) -> Arrays:
    import h5py  # slow to import, and few need it

    arrays = {}
    require_readable(path, *_ARRAYS)
    with h5py.File(path, "r") as file:
        for name in _ARRAYS:
            if name in file:
                stored = array_in(file, name)
                require_small(stored, name)
                text = h5py.check_string_dtype(stored.dtype) is not None
                arrays[name] = np.array(stored.asstr()[()], dtype=str) if text else stored[()]
    return arrays


def _torch(path: Path) -> Arrays:
    import torch

    try:
        require_small_members(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of the zip, of the pickle, or that it is neither
        raise ValueError(
            f"{path} is damaged or holds more than plain tensors, and nothing else is unpickled: "
            f"torch.save({{'codes': codes, 'factors': factors}}, {str(path)!r}) writes one "
            f"({_line(error)[:80]})"
        ) from None
    parts = {"codes": found} if isinstance(found, torch.Tensor) else found
    if not isinstance(parts, dict):
        raise ValueError(
            f"{path} holds a {type(found).__name__}: expected a tensor of codes, or a dict of "
            "tensors 'codes' and 'factors'"
        )
    return {name: _plain(path, name, parts[name]) for name in _ARRAYS if name in parts}


def _plain(path: Path, name: str, value: Any) -> NDArray[Any]:
    import torch

    if isinstance(value, torch.Tensor):
        value = value.detach()
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise ValueError(
                f"{path}: {name!r} repeats its values: save a copy, {name}.contiguous()"
            )
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
        return np.array(value, dtype=str)
    raise ValueError(f"{path}: {name!r} is a {type(value).__name__}: expected a tensor")


SUFFIXES: dict[str, Callable[[Path], Arrays]] = {
    ".npz": _npz,
    ".npy": _npy,
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".pt": _torch,
    ".pth": _torch,
}
"""How a file of codes is read, by the end of its name."""
_TEXTS = (_csv, _tsv)
_TABLES = (*_TEXTS, _parquet)


def _refuse_columns(path: Path, columns: Columns) -> None:
    if columns.codes or columns.factors:
        raise ValueError(
            f"{path} has no named columns: --code-columns and --factor-columns go with csv, tsv "
            "and parquet"
        )


def _frame_columns(frame: Any) -> Arrays:
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


def _of_columns(table: Arrays, name: str, columns: Columns) -> Arrays:
    """Codes and factors of a table with named columns."""
    codes = _code_columns(table, name, columns)
    rest = [column for column in table if column not in codes]
    if columns.factors:
        factors = _named(columns.factors, table, name, "factor")
        if both := [column for column in factors if column in codes]:
            raise ValueError(f"{name}: column {both[0]!r} is named as a code and as a factor")
        if unused := [column for column in rest if column not in factors]:
            logger.info("%s: columns that are neither codes nor factors: %s", name, _list(unused))
    else:
        factors = [column for column in rest if not _is_row_number(column, name)]
    text = [column for column in codes if table[column].dtype.kind not in "biuf"]
    if text:
        raise ValueError(
            f"{name}: column {text[0]!r} of the codes holds words such as "
            f"{str(table[text[0]][0])!r}: expected numbers"
        )
    arrays = {"codes": np.stack([table[column] for column in codes], axis=1)}
    if factors:
        arrays["factors"] = _records(table, factors)
        logger.info("%s: %d columns of codes; factors: %s", name, len(codes), _list(factors))
    return arrays


def _code_columns(table: Arrays, name: str, columns: Columns) -> list[str]:
    if columns.codes:
        return _named(columns.codes, table, name, "code")
    numbers = {int(c.removeprefix("latent_")): c for c in table if _CODE.fullmatch(c)}
    if not numbers:
        raise ValueError(
            f"{name}: no column is called latent_0, so that codes and factors cannot be told "
            f"apart: type {_TYPE}; it has {_list(list(table))}"
        )
    if sorted(numbers) != list(range(len(numbers))):
        gap = next(k for k in range(len(numbers)) if k not in numbers)
        raise ValueError(f"{name}: latent_{gap} is missing beside {_list(list(numbers.values()))}")
    return [numbers[k] for k in sorted(numbers)]


def _named(patterns: Sequence[str], table: Arrays, name: str, what: str) -> list[str]:
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


def _is_row_number(column: str, name: str) -> bool:
    if not _ROW_NUMBER.fullmatch(column):
        return False
    logger.info("%s: column %r numbers the rows and is no factor", name, column)
    return True


def _records(table: Arrays, names: Sequence[str]) -> NDArray[Any]:
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
