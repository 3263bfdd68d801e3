"""Tables of codes that somebody else has made, as `srvae-evaluate --codes` reads them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.config import gin_files, gin_reach
from srvae_plugin.data.factor_columns import (
    FACTOR_ARRAYS,
    chosen_rows,
    places_of_values,
    read_columns,
)
from srvae_plugin.data.ground_truth import FactorGrid
from srvae_plugin.data.held_out import split, to_score
from srvae_plugin.data.images_only import ImagesOnly, RowNumbers
from srvae_plugin.data.storage.locate import expanded
from srvae_plugin.data.storage.npz_arrays import array_names, read_array
from srvae_plugin.data.table import FactorTable
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.representation import TabulatedCodes, code_keys

__all__ = ["TABLE_BINDINGS", "load_codes"]

logger = logging.getLogger("srvae_plugin")

TABLE_BINDINGS = ("factor_kinds", "factor_bins", "held_out")
"""What of `dataset` holds for a table of codes with factors."""


def load_codes(
    path: Path, files: gin_files.Texts = None, bindings: str | Sequence[str] | None = None
) -> TabulatedCodes:
    """Read a table of codes from an npz (nothing is unpickled).

    It holds `codes` (observation, latent) and `factors` (observation, factor), with
    `factor_names` and `factor_kinds` if you like, as `srvae_plugin.data.own_data.npz` reads them.
    `dataset.factor_kinds`, `dataset.factor_bins` and `dataset.held_out` hold for it; what else is
    bound of a data set is refused, or warned of if it is in a file. Without `factors` the rows are
    those of the data set that gin binds, in its own order; if it binds none they have no factors.

    Raises ValueError if the file is damaged or holds something else, ConfigError for a binding.
    """
    path = expanded(path)
    try:
        names = array_names(path)
        wanted = [name for name in ("codes", *FACTOR_ARRAYS) if name in names]
        arrays = {name: read_array(path, name) for name in wanted}
    except FileNotFoundError:
        raise ValueError(f"{path} not found") from None
    except OSError as error:
        raise ValueError(f"{path} is damaged or no npz of plain arrays: {error}") from None
    if "codes" not in arrays:
        raise ValueError(f"{path} has no array 'codes' (observation, latent)")
    codes = arrays.pop("codes")
    _refuse_transposed(path, codes, arrays.get("factors"))
    with gin_files.configured(files, bindings):
        bound = {name: gin_files.bound(f"dataset.{name}") for name in TABLE_BINDINGS}
        if "factors" in arrays:
            gin_reach.require_no_dataset(
                TABLE_BINDINGS,
                f"{path} has factors of its own, which the codes are scored by; unbind it, or "
                "leave the array 'factors' out of the file",
            )
            return _codes_with_factors(path, codes, arrays, bound)
        if gin_files.bound("dataset.name") in (None, "auto"):
            return _codes_alone(path, codes)
        data = pipeline.bound_dataset()
    if not isinstance(data, FactorGrid | FactorTable):
        raise ValueError(f"{path} has no array 'factors', and dataset.name is no finite data set")
    if to_score(data) is not data:
        raise ValueError(
            f"{path} has no array 'factors', and dataset.held_out takes rows out of the data set, "
            "so that codes and rows do not match: store factors beside the codes, or unbind it"
        )
    return TabulatedCodes(codes, data)


def _refuse_transposed(path: Path, codes: NDArray[Any], factors: NDArray[Any] | None) -> None:
    """Raise ValueError if one of the arrays has an observation in each column."""
    if factors is None or codes.ndim != 2 or factors.ndim != 2 or len(codes) == len(factors):
        return
    for name, array, other in (("codes", codes, factors), ("factors", factors, codes)):
        if array.shape[1] == len(other) and array.shape[0] < array.shape[1]:
            raise ValueError(
                f"{path}: {name} has shape {array.shape}, the other array {other.shape}: expected "
                f"one row per observation in both; transpose {name}, {name}.T"
            )


def _codes_with_factors(
    path: Path, codes: NDArray[Any], arrays: dict[str, NDArray[Any]], bound: dict[str, Any]
) -> TabulatedCodes:
    if codes.ndim != 2 or not codes.size:
        raise ValueError(f"{path}: codes: got shape {codes.shape}; expected (observation, latent)")
    count = len(arrays["factors"]) if arrays["factors"].ndim else 0
    if count != len(codes) and arrays["factors"].shape[1:] != (len(codes),):
        turn = ": transpose them, store codes.T" if codes.shape[1] == count else ""
        raise ValueError(
            f"{path}: codes: got shape {codes.shape} for factors of shape "
            f"{arrays['factors'].shape}; expected ({count}, latent), one row an observation{turn}"
        )
    try:
        columns = read_columns(arrays, len(codes), bound["factor_kinds"], bound["factor_bins"])
        if bound["held_out"] is not None:
            rows = _rows_to_score(path, codes, arrays["factors"], bound["held_out"])
            codes, columns = codes[rows], chosen_rows(columns, rows)
        table = FactorTable(columns.factors, columns.names, factor_kinds=columns.kinds)
        return TabulatedCodes(codes, table)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _rows_to_score(
    path: Path, codes: NDArray[Any], factors: NDArray[Any], share: float
) -> NDArray[np.int64]:
    places = places_of_values(factors, len(codes))
    _, rows = split(len(codes), share, lambda some: code_keys(codes[some]), places)
    if len(np.unique(places, axis=0)) < len(places):
        logger.warning(
            "%s: rows share all factors, so that dataset.held_out here need not take the rows that "
            "it takes of a file of images: to score the codes of images held out, store those only",
            path,
        )
    return rows


def _codes_alone(path: Path, codes: NDArray[Any]) -> TabulatedCodes:
    if codes.ndim != 2 or not codes.size:
        raise ValueError(f"{path}: codes: got shape {codes.shape}; expected (observation, latent)")
    logger.warning(
        "%s has no array 'factors', and dataset.name is not bound: only metrics that need no "
        "factors can be scored",
        path,
    )
    name = f"{path} (without an array 'factors', and dataset.name is not bound)"
    return TabulatedCodes(codes, ImagesOnly(RowNumbers(len(codes)), name, str(path)))
