"""Plain files: an npz for numpy users, a parquet for pandas users."""

from __future__ import annotations

import io
import logging
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import gin
import numpy as np
from numpy.typing import NDArray

from srvae_plugin.config import gin_files, plugins
from srvae_plugin.config.optional import require
from srvae_plugin.data.ground_truth import FactorGrid, GroundTruthData, names_of
from srvae_plugin.data.images_only import ImagesOnly
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.files import write_bytes
from srvae_plugin.interchange.exporters import Exported, Trained
from srvae_plugin.metrics.dci import IMPORTANCE_FILE
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.directory import RunDirectory
from srvae_plugin.runs.representation import CachedRepresentation, RepresentationFunction

__all__ = ["Rows", "dci_importance", "encode_rows", "export_npz", "export_parquet"]


logger = logging.getLogger("srvae_plugin")

_SAMPLED = 10_000


class Rows(NamedTuple):
    """Observations of a data set, encoded.

    indices: (row,) index of each observation in its finite data set, ascending; None if it has
        none.
    factors: (row, factor) as the data set numbers them.
    codes: (row, latent).
    """

    indices: NDArray[np.int64] | None
    factors: NDArray[Any]
    codes: NDArray[np.float32]


def encode_rows(
    data: GroundTruthData, function: RepresentationFunction, num_observations: int | None, seed: int
) -> Rows:
    """Encode a data set, in index order, or a random part of it.

    Args:
        data: a finite data set; of any other, random observations are drawn.
        function: observations to codes.
        num_observations: how many; None is all there are, or 10,000 where there is no end.
        seed: of the random part.

    Raises:
        ValueError: for a number that the data set does not have.
    """
    random_state = np.random.RandomState(seed)
    if not isinstance(data, FactorGrid | FactorTable | ImagesOnly):
        num = _checked(num_observations, _SAMPLED)
        factors, observations = data.sample(num, random_state)
        return Rows(None, factors, np.asarray(function(observations)))
    total = data.num_observations
    num = _checked(num_observations, total, at_most=total)
    indices = np.arange(total)
    if num < total:
        indices = np.sort(random_state.choice(total, num, replace=False))
    if not isinstance(function, CachedRepresentation):
        function = CachedRepresentation(function, data)
    return Rows(indices, data.factors_at(indices), function.codes_at(indices))


def _checked(num: int | None, default: int, at_most: int | None = None) -> int:
    if num is None:
        return default
    if isinstance(num, bool) or not isinstance(num, int) or not 1 <= num <= (at_most or num):
        most = f" to {at_most}, all that the data set has" if at_most else ""
        raise ValueError(f"num_observations = {num!r}: expected a number from 1{most}")
    return num


@gin.register("export_npz", module="srvae_adapters", denylist=["trained", "folder"])
def export_npz(
    trained: Trained,
    folder: Path,
    num_observations: int | None = None,
    importance: bool = True,
    seed: int = 0,
) -> Exported:
    """Write `codes.npz`: plain arrays that any numpy reads, none of them pickled.

    * `factors` (row, factor), `codes` (row, latent); `factor_names` (factor,) and
      `factors_num_values` (factor,);
    * `indices` (row,) if the data set is finite: rows are in its own order, the last factor
      varying fastest on a grid;
    * `importance` (latent, factor): DCI's matrix. Where the run was scored by DCI it is the matrix
      of that very score, the same points and trees; `dci.*` and `evaluation.random_seed` can be
      bound otherwise. Left out, with a log line, where DCI is not defined.

    `srvae-evaluate --codes` takes the file.

    Args:
        trained, folder: as for every exporter.
        num_observations, seed: see `encode_rows`.
        importance: False leaves the matrix out, which takes most of the time on a small part.

    Raises:
        ValueError: as `encode_rows` does.
    """
    data = trained.data
    function = pipeline.cached(trained.function, data)
    rows = encode_rows(data, function, num_observations, seed)
    arrays: dict[str, Any] = {
        "factors": rows.factors,
        "codes": rows.codes,
        "factor_names": np.array(names_of(data), dtype=np.str_),
        "factors_num_values": np.array(data.factors_num_values, dtype=np.int64),
    }
    if rows.indices is not None:
        arrays["indices"] = rows.indices
    if importance:
        matrix = dci_importance(trained, function)
        if matrix is not None:
            arrays["importance"] = matrix
    path = folder / "codes.npz"
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_bytes(path, content.getvalue())
    return Exported(path, {"arrays": {name: list(array.shape) for name, array in arrays.items()}})


def dci_importance(
    trained: Trained, function: RepresentationFunction
) -> NDArray[np.float64] | None:
    """DCI's importance matrix (latent, factor) with the run's own settings, or None.

    The settings are those that gin binds, then those the run was scored with, then the metric's
    defaults.
    """
    scored = RunDirectory(trained.run).scores(trained.folder.name).of("dci")
    files = [scored.gin_file()] if scored.is_complete() else []
    with (
        gin_files.configured(files, recorded=True),
        gin_files.configured((), trained.bindings),
        tempfile.TemporaryDirectory() as scratch,
    ):
        seed = gin_files.bound("evaluation.random_seed") or 0
        try:
            plugins.find("metrics", "dci")(
                trained.data, function, np.random.RandomState(seed), artifact_dir=scratch
            )
        except ValueError as error:
            logger.warning("no importance matrix: %s", gin_files.one_line(error))
            return None
        return np.load(Path(scratch) / IMPORTANCE_FILE, allow_pickle=False)


@gin.register("export_parquet", module="srvae_adapters", denylist=["trained", "folder"])
def export_parquet(
    trained: Trained, folder: Path, num_observations: int | None = None, seed: int = 0
) -> Exported:
    """Write `codes.parquet` for `pandas.read_parquet`: one row per observation.

    Columns are the factors by name, as the data set numbers their values, then `latent_0` and so
    on. The index, called `observation`, is that of a finite data set.

    Args:
        trained, folder: as for every exporter.
        num_observations, seed: see `encode_rows`.

    Raises:
        ValueError: if a package is missing, and as `encode_rows` does.
    """
    pandas, _ = require("parquet", "pandas", "pyarrow")
    data = trained.data
    rows = encode_rows(data, trained.function, num_observations, seed)
    names = names_of(data) + [f"latent_{i}" for i in range(rows.codes.shape[1])]
    if len(set(names)) < len(names):
        raise ValueError(f"two columns have the same name, of {names}: rename the factors")
    columns = [*rows.factors.T, *rows.codes.T]
    frame = pandas.DataFrame(dict(zip(names, columns, strict=True)), index=rows.indices)
    frame.index.name = "observation"
    path = folder / "codes.parquet"
    content = io.BytesIO()
    frame.to_parquet(content, engine="pyarrow")
    write_bytes(path, content.getvalue())
    return Exported(path, {"rows": len(frame), "columns": names})
