"""A data set on one page: one row per factor, the factor varied and everything else held fixed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gin
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from srvae_plugin.config import gin_files
from srvae_plugin.config.plugins import load_dataset
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.data.storage.leftovers import put_right_beside
from srvae_plugin.data.storage.lock import only_writer_beside
from srvae_plugin.files import replacing
from srvae_plugin.plots.tiles import (
    GAP,
    TEXT,
    Page,
    enlarge,
    intensities,
    offsets,
    signed_number,
)

__all__ = ["COLUMNS", "Row", "contact_sheet", "write_sheet"]


COLUMNS = 10
_ROWS_OF_IMAGES_ONLY = 6
_RANGE_SAMPLES = 1000


class Row(NamedTuple):
    """A row of the sheet: what it is called, and its images in [0, 1]."""

    label: str
    images: NDArray[np.float32]


def contact_sheet(
    data: GroundTruthData, name: str = "", columns: int = COLUMNS, seed: int = 0
) -> Figure:
    """Draws a data set: a row for each factor, then a row of random observations.

    In a factor's row it takes up to `columns` of its values, evenly spread from the first to the
    last. The other factors keep the values of one random draw, and what a data set draws beside
    its factors (a colour, an instance) is drawn from the same random numbers for every image but
    those of the last row. A table that is no grid need not have such images: the nearest it has are
    shown. Of a data set without factors there are random images only.

    Args:
        data: the data set; images of one channel or three.
        name: what to call it on the page.
        columns: most images in a row.
        seed: chooses what is held fixed and what is random.

    Raises:
        ValueError: if images have another number of channels.
    """
    if data.num_factors == 0:
        rows = [
            Row("", data.sample_observations(columns, np.random.RandomState([seed, i])))
            for i in range(_ROWS_OF_IMAGES_ONLY)
        ]
        return _page(rows, f"{name}: random images (it has no factors)").figure()
    names = getattr(data, "factor_names", [f"factor {i}" for i in range(data.num_factors)])
    if isinstance(data, FactorTable) and not (data.is_grid and data.factors.dtype.kind != "f"):
        rows = [_table_row(data, k, names[k], columns, seed) for k in range(data.num_factors)]
        title = f"{name}: one factor a row, all else as near to fixed as the table has it"
    else:
        rows = [_factor_row(data, k, names[k], columns, seed) for k in range(data.num_factors)]
        title = f"{name}: one factor a row, all else fixed"
    rows.append(Row("random", data.sample_observations(columns, np.random.RandomState([seed, 1]))))
    return _page(rows, title).figure()


def write_sheet(
    name: str,
    output: Path,
    path: str | None = None,
    bindings: Sequence[str] = (),
    seed: int = 0,
    overwrite: bool = False,
) -> None:
    """Load a data set by name and write its contact sheet as a PNG.

    Args:
        name: gin name of the data set.
        output: the PNG.
        path: the data set's own file or folder.
        bindings: further gin bindings, such as `dataset.factor_sizes = (...)`.
        seed: as in :func:`contact_sheet`.
        overwrite: replace `output` if it exists.

    Raises:
        ValueError: if `output` exists, or the data set is unknown, damaged or cannot be drawn.
        OSError: if a file is missing or `output` cannot be written.
    """
    with only_writer_beside(output):
        put_right_beside(output)
        if output.exists() and not overwrite:
            raise ValueError(
                f"{output} exists: --overwrite replaces it, --output names another file"
            )
        figure = _loaded_sheet(name, path, bindings, seed)
        with replacing(output) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})


def _loaded_sheet(name: str, path: str | None, bindings: Sequence[str], seed: int) -> Figure:
    own = [f"dataset.name = {name!r}"] + ([] if path is None else [f"dataset.path = {path!r}"])
    with gin_files.configured((), [*own, *bindings]):
        data = gin.get_configurable(load_dataset)()
    return contact_sheet(data, name, seed=seed)


def _factor_row(data: GroundTruthData, factor: int, name: str, columns: int, seed: int) -> Row:
    fixed = data.sample_factors(1, np.random.RandomState([seed, 0]))
    values, extent = _values(data, fixed.dtype, factor, columns)
    images = []
    for value in values:
        factors = fixed.copy()
        factors[0, factor] = value
        same = np.random.RandomState([seed, 0])
        images.append(data.sample_observations_from_factors(factors, same)[0])
    return Row(f"{name} ({extent})", np.stack(images))


def _values(
    data: GroundTruthData, dtype: np.dtype[Any], factor: int, columns: int
) -> tuple[NDArray[Any], str]:
    """Values for a factor to take, and its size, or its range if it is continuous."""
    if dtype.kind == "f":
        drawn = data.sample_factors(_RANGE_SAMPLES, np.random.RandomState(0))[:, factor]
        low, high = float(drawn.min()), float(drawn.max())
        return np.linspace(low, high, columns), _extent(low, high)
    size = data.factors_num_values[factor]
    values = np.linspace(0, size - 1, min(size, columns)).round().astype(np.int64)
    return values, str(size)


def _table_row(data: FactorTable, factor: int, name: str, columns: int, seed: int) -> Row:
    """The rows of a table that come nearest: in the factor first, then in the others."""
    low, high = data.factors.min(axis=0), data.factors.max(axis=0)
    unit = (data.factors - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    values = np.unique(unit[:, factor])
    wanted = np.repeat(unit[np.random.RandomState([seed, 0]).randint(len(unit))][None], columns, 0)
    wanted[:, factor] = np.linspace(0, 1, columns)
    if len(values) <= columns:
        wanted = wanted[: len(values)]
        wanted[:, factor] = values
    weights = np.where(np.arange(data.num_factors) == factor, data.num_factors, 1)
    rows = np.array([np.argmin(np.abs(unit - each) @ weights) for each in wanted])
    extent = str(len(values))
    if data.factors.dtype.kind == "f":
        extent = _extent(float(low[factor]), float(high[factor]))
    return Row(f"{name} ({extent})", data.observations_at(rows))


def _extent(low: float, high: float) -> str:
    """A range, to a hundredth of its width."""
    digits = 2 - math.floor(math.log10(high - low)) if high > low else 2
    return f"{signed_number(round(low, digits))} to {signed_number(round(high, digits))}"


def _page(rows: list[Row], title: str) -> Page:
    tiles = [enlarge(intensities(row.images)) for row in rows]
    height, width = tiles[0].shape[1:3]
    # A character of this font is about half as wide as it is high.
    left = round(0.56 * TEXT * max(len(row.label) for row in rows)) + 16
    xs = offsets(max(map(len, tiles)), width, left)
    ys = offsets(len(rows), height, TEXT + 20)
    right = max(xs[-1] + width, round(0.56 * TEXT * len(title))) + GAP
    page = Page(right, ys[-1] + height + GAP)
    page.text(GAP, TEXT, title, ha="left", va="baseline")
    for row, images, y in zip(rows, tiles, ys, strict=True):
        page.text(left - 12, y + height / 2, row.label, ha="right")
        for image, x in zip(images, xs, strict=False):
            page.place(image, x, y)
    return page
