"""Files that tables of codes come in, one function a format: npz, npy, text, parquet, HDF5, torch.

Each returns the arrays that an npz of codes would hold: `codes`, and `factors`, `factor_names` and
`factor_kinds` where the file has them. Nothing is unpickled.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.config.optional import require
from srvae_plugin.data.own.factor_columns import FACTOR_ARRAYS
from srvae_plugin.data.own.text_tables import as_written, read_text_columns
from srvae_plugin.data.storage.hdf5_arrays import array_in, require_readable, require_small
from srvae_plugin.data.storage.npy_header import read_npy
from srvae_plugin.data.storage.npz_arrays import array_names, read_array
from srvae_plugin.data.storage.zip_members import require_small_members
from srvae_plugin.runs.codes.columns import (
    Arrays,
    Columns,
    are_latents,
    arrays_of_columns,
    factor_columns,
    frame_columns,
    named_columns,
    records,
)
from srvae_plugin.runs.exported import check_export

__all__ = ["SUFFIXES", "read_arrays", "read_factors"]

logger = logging.getLogger("srvae_plugin")

_ARRAYS = ("codes", *FACTOR_ARRAYS)
_ALWAYS_READ, _MOST_UNPACKED = 1 << 28, 100
"""Bytes that are read in any case, and how many times the file's own: as of members of a zip."""


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
        if only_codes and columns.codes is None and not are_latents(list(table)):
            names = factor_columns(table, path.name)
            columns = Columns(tuple(names))
        arrays = arrays_of_columns(table, path.name, columns)
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
        names = (
            named_columns(columns.factors, table, path.name, "factor") if columns.factors else None
        )
        if names is None:
            names = factor_columns(table, path.name)
        return {"factors": records(table, names)}
    _refuse_columns(path, columns)
    arrays = _read(reader, path)
    if "factors" not in arrays and reader in (_npy, _torch) and list(arrays) == ["codes"]:
        arrays = {"factors": arrays["codes"]}
    if "factors" not in arrays:
        raise ValueError(f"{path} has no array 'factors' (observation, factor)")
    return {name: arrays[name] for name in FACTOR_ARRAYS if name in arrays}


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
    return frame_columns(pandas.read_parquet(path, engine="pyarrow"))


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
