"""Tables of codes that somebody else has made, as `srvae-evaluate --codes` scores them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.config import gin_files, gin_reach
from srvae_plugin.data.ground_truth import FactorGrid
from srvae_plugin.data.images_only import ImagesOnly, RowNumbers
from srvae_plugin.data.own.factor_columns import chosen_rows, places_of_values, read_columns
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.data.sampling.held_out import split, to_score
from srvae_plugin.data.storage.locate import expanded
from srvae_plugin.data.storage.manifest import sha256_of
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.codes.columns import Columns
from srvae_plugin.runs.codes.of_vectors import check_axes, group_components
from srvae_plugin.runs.codes.readers import read_arrays, read_factors
from srvae_plugin.runs.representation import TabulatedCodes, code_keys

__all__ = ["TABLE_BINDINGS", "CodesFile", "load_codes", "table_of"]

logger = logging.getLogger("srvae_plugin")

TABLE_BINDINGS = ("factor_kinds", "factor_bins", "held_out")
"""What of `dataset` holds for a table of codes with factors."""


class CodesFile(NamedTuple):
    """A table of codes in files, and how it is read."""

    codes: Path
    factors: Path | None = None
    """A file of factors beside it; None: they are in the same file, or nowhere."""
    columns: Columns = Columns()
    pca_dim: int | None = None
    """Components that are kept of each group of codes of vectors, see `group_components`."""

    @property
    def files(self) -> dict[str, Path]:
        """The files, with paths expanded, by what they hold."""
        found = {"codes": expanded(self.codes)}
        return found | ({"factors": expanded(self.factors)} if self.factors else {})

    @property
    def identity(self) -> str:
        """What tells this table, read so, from others: its files' bytes, and how they are read."""
        said = [sha256_of(path) for path in self.files.values()]
        if self.columns != Columns():
            said.append(repr(tuple(self.columns)))
        if self.pca_dim is not None:
            said.append(f"pca_dim {self.pca_dim}")
        return " ".join(said)


def load_codes(
    source: str | Path | CodesFile,
    files: gin_files.Texts = None,
    bindings: str | Sequence[str] | None = None,
) -> TabulatedCodes:
    """Read a table of codes (nothing is unpickled).

    It holds `codes` (observation, latent) and `factors` (observation, factor), with
    `factor_names` and `factor_kinds` if you like, as `srvae_plugin.data.own.images.npz` reads them;
    :mod:`srvae_plugin.runs.codes.readers` has the formats. One factor may be (observation,).
    `dataset.factor_kinds`, `dataset.factor_bins` and `dataset.held_out` hold for it; what else is
    bound of a data set is refused, or warned of if it is in a file. Without `factors` the rows are
    those of the data set that gin binds, in its own order; if it binds none they have no factors.

    Args:
        source: the file, or a `CodesFile` that says more.
        files: gin files.
        bindings: gin bindings on top of them.

    Raises:
        ValueError: if a file is damaged or holds something else.
        ConfigError: for a binding.
    """
    if not isinstance(source, CodesFile):
        source = CodesFile(Path(source))
    return table_of(_arrays(source), str(source.files["codes"]), source.pca_dim, files, bindings)


def _arrays(source: CodesFile) -> dict[str, NDArray[Any]]:
    if source.factors is None:
        return read_arrays(source.files["codes"], source.columns)
    factors = read_factors(source.files["factors"], Columns(factors=source.columns.factors))
    columns = Columns(source.columns.codes)
    arrays = read_arrays(source.files["codes"], columns, only_codes=True)
    if "factors" in arrays:
        raise ValueError(
            f"{source.codes} has factors of its own: leave --factors {source.factors} out"
        )
    return {"codes": arrays["codes"], **factors}


def table_of(
    arrays: Mapping[str, NDArray[Any]],
    name: str,
    pca_dim: int | None = None,
    files: gin_files.Texts = None,
    bindings: str | Sequence[str] | None = None,
) -> TabulatedCodes:
    """A table of codes of arrays, as `load_codes` makes one of a file's.

    Args:
        arrays: `codes`, and `factors`, `factor_names` and `factor_kinds` if there are.
        name: what messages call the table.
        pca_dim: see `CodesFile`.
        files: gin files.
        bindings: gin bindings on top of them.

    Raises:
        ValueError: if an array is not what it should be.
        ConfigError: for a binding.
    """
    arrays = dict(arrays)
    codes = arrays.pop("codes")
    check_axes(name, codes, pca_dim)
    if "factors" in arrays:
        if arrays["factors"].ndim == 1 and not arrays["factors"].dtype.names:
            arrays["factors"] = arrays["factors"][:, np.newaxis]
        _refuse_transposed(name, codes, arrays["factors"])
    with gin_files.configured(files, bindings):
        bound = {option: gin_files.bound(f"dataset.{option}") for option in TABLE_BINDINGS}
        if "factors" in arrays:
            gin_reach.require_no_dataset(
                TABLE_BINDINGS,
                f"{name} has factors of its own, which the codes are scored by; unbind it, or "
                "leave the array 'factors' out of the file",
            )
            return _codes_with_factors(name, codes, arrays, bound, pca_dim)
        codes = group_components(name, codes, pca_dim)
        if gin_files.bound("dataset.name") in (None, "auto"):
            return _codes_alone(name, codes)
        data = pipeline.bound_dataset()
    if not isinstance(data, FactorGrid | FactorTable):
        raise ValueError(
            f"{name} has no array 'factors', and dataset.name is not a finite data set"
        )
    if to_score(data) is not data:
        raise ValueError(
            f"{name} has no array 'factors', and dataset.held_out takes rows out of the data set, "
            "so that codes and rows do not match: store factors beside the codes, or unbind it"
        )
    return TabulatedCodes(codes, data)


def _refuse_transposed(path: str, codes: NDArray[Any], factors: NDArray[Any]) -> None:
    """Raise ValueError if one of the arrays has an observation in each column."""
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) == len(factors):
        return
    for name, array, other in (("codes", codes, factors), ("factors", factors, codes)):
        if array.shape[1] == len(other) and array.shape[0] < array.shape[1]:
            raise ValueError(
                f"{path}: {name} has shape {array.shape}, the other array {other.shape}: expected "
                f"one row per observation in both; transpose {name}, {name}.T"
            )


def _codes_with_factors(
    path: str,
    codes: NDArray[Any],
    arrays: dict[str, NDArray[Any]],
    bound: dict[str, Any],
    pca_dim: int | None,
) -> TabulatedCodes:
    count = len(arrays["factors"]) if arrays["factors"].ndim else 0
    if count != len(codes) and arrays["factors"].shape[1:] != (len(codes),):
        turn = ": transpose them, store codes.T" if codes.shape[1] == count else ""
        raise ValueError(
            f"{path}: codes: got shape {codes.shape} for factors of shape "
            f"{arrays['factors'].shape}; expected ({count}, latent), one row per observation{turn}"
        )
    try:
        columns = read_columns(arrays, len(codes), bound["factor_kinds"], bound["factor_bins"])
        if bound["held_out"] is not None:
            fit, rows = _split_rows(path, codes, arrays["factors"], bound["held_out"])
            codes = group_components(path, codes, pca_dim, fit)[rows]
            columns = chosen_rows(columns, rows)
        else:
            codes = group_components(path, codes, pca_dim)
        table = FactorTable(columns.factors, columns.names, factor_kinds=columns.kinds)
        return TabulatedCodes(codes, table)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _split_rows(
    path: str, codes: NDArray[Any], factors: NDArray[Any], share: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that a model was trained on, and rows to score."""
    places = places_of_values(factors, len(codes))
    flat = codes.reshape(len(codes), -1)
    train, rows = split(len(codes), share, lambda some: code_keys(flat[some]), places)
    if len(np.unique(places, axis=0)) < len(places):
        logger.warning(
            "%s: rows share all factors, so that dataset.held_out here need not take the rows that "
            "it takes of a file of images: to score the codes of images held out, store those only",
            path,
        )
    return train, rows


def _codes_alone(path: str, codes: NDArray[Any]) -> TabulatedCodes:
    logger.warning(
        "%s has no array 'factors', and dataset.name is not bound: only metrics that need no "
        "factors can be scored",
        path,
    )
    name = f"{path} (without an array 'factors', and dataset.name is not bound)"
    return TabulatedCodes(codes, ImagesOnly(RowNumbers(len(codes)), name, path))
