"""Scores of a run, of any representation function, or of a table of codes."""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gin
from numpy.typing import NDArray

from srvae_plugin import gin_config, results, steps
from srvae_plugin.data.factor_columns import FACTOR_ARRAYS, chosen_rows, read_columns
from srvae_plugin.data.ground_truth import FactorGrid, GroundTruthData
from srvae_plugin.data.held_out import split, to_score
from srvae_plugin.data.images_only import ImagesOnly, RowNumbers
from srvae_plugin.data.npz_arrays import array_names, read_array
from srvae_plugin.data.table import FactorTable
from srvae_plugin.gin_config import Choice
from srvae_plugin.representation import RepresentationFunction, TabulatedCodes

logger = logging.getLogger("srvae_plugin")

Files = Sequence[str | Path]
Scores = dict[str, dict[str, Any]]
"""scores[metric][key]"""
TABLE_BINDINGS = ("factor_kinds", "factor_bins", "held_out")
"""What of `dataset` holds for a table of codes with factors."""
Choose = Callable[[str], Choice]
"""What a metric, by its name in `run.metrics`, is scored with."""


class MetricsFailedError(ValueError):
    """Some metrics could not be computed; `scores` has the others'."""

    def __init__(self, failed: list[str], scores: Scores):
        self.scores = scores
        super().__init__(f"not scored: {'; '.join(failed)}")


def evaluate_run(
    run: Path, files: Files, bindings: Sequence[str], resume: bool = False, overwrite: bool = False
) -> dict[str, Scores]:
    """Score every representation of a run directory with the metrics that gin binds.

    Results go to `<run>/metrics/<kind>/<metric>`. Raises ValueError if one of them is there
    already, unless `resume` keeps or `overwrite` replaces it.
    """
    kinds = [
        path.name
        for path in sorted((run / "postprocessed").glob("*"))
        if not path.name.startswith(".") and results.is_complete(path, "postprocess")
    ]
    if not kinds:
        raise ValueError(f"{run} is not a run directory: it has no finished postprocessed/<kind>")
    metrics = _planned_metrics(files, bindings)
    for kind in kinds:
        _require_new(run / "metrics" / kind, metrics, resume, overwrite)
    return {
        kind: evaluate_representation(metrics, run, kind, files, bindings, overwrite)
        for kind in kinds
    }


def evaluate_representation(
    metrics: Sequence[str],
    run: Path,
    kind: str,
    files: Files,
    bindings: Sequence[str],
    overwrite: bool = False,
    choose: Choose = Choice,
) -> Scores:
    """Score one representation of a run; finished metrics are kept unless `overwrite`.

    All metrics share one cache of codes. `choose` gives what a metric is scored with beside
    `files` and `bindings`.
    """
    source = run / "postprocessed" / kind
    processed = results.gin_file(source, "postprocess")
    with gin_config.configured(files, bindings):
        data = to_score(steps.bound_dataset(processed))
    function = steps.cached(steps.load_representation(source), data)
    output = run / "metrics" / kind
    of_what = results.read_results(source, "postprocess")["uuid"]
    return _score_all(
        metrics, function, data, output, files, bindings, overwrite, of_what, source, choose
    )


def evaluate_function(
    function: RepresentationFunction,
    data: GroundTruthData | None,
    output: Path,
    files: Files,
    bindings: Sequence[str],
    resume: bool = False,
    overwrite: bool = False,
    of_what: str = "",
) -> Scores:
    """Score any representation function with the metrics that gin binds.

    Arguments:
        function: observations (batch, height, width, channel) to codes (batch, latent); it is
            called once for each distinct observation of a finite data set.
        data: None for the data set that gin binds.
        output: folder for `<metric>/results`.
        files, bindings: see `gin_config.configured`.
        resume, overwrite: as in `evaluate_run`.
        of_what: identifies the representation; `resume` refuses results of another.

    Raises MetricsFailedError, after the other metrics, if one cannot be computed.
    """
    metrics = _planned_metrics(files, bindings)
    _require_new(output, metrics, resume, overwrite)
    if data is None:
        with gin_config.configured(files, bindings):
            data = steps.bound_dataset()
    data = to_score(data)
    if not hasattr(function, "codes_at"):
        function = steps.cached(function, data)
    return _score_all(metrics, function, data, output, files, bindings, overwrite, of_what)


def _score_all(
    metrics: Sequence[str],
    function: RepresentationFunction,
    data: GroundTruthData,
    output: Path,
    files: Files,
    bindings: Sequence[str],
    overwrite: bool,
    of_what: str,
    source: Path | None = None,
    choose: Choose = Choice,
) -> Scores:
    """Score with every metric; one that cannot be computed does not stop the others."""
    if overwrite:  # all at once: old scores must not stand beside new ones if this is stopped
        for folder in (output / metric.partition("/")[0] for metric in metrics):
            if folder.exists():
                shutil.rmtree(folder)
    scores: Scores = {}
    failed: list[str] = []
    cause: Exception | None = None
    for metric in metrics:
        name = metric.partition("/")[0]
        folder = output / name
        choice = choose(metric)
        with gin_config.configured(
            [*files, *choice.files],
            [*choice.bindings, *bindings, f"evaluation.evaluation_fn = @{choice.function}"],
        ):
            if source is not None:
                # The same object: this records the data set in the operative configuration.
                data = to_score(steps.bound_dataset(results.gin_file(source, "postprocess")))
            identity = f"{of_what}\n{gin.config_str()}"
            if not _is_kept(folder, identity):
                try:
                    steps.score(
                        function, data, folder, True, source and source / "results", identity
                    )
                except Exception as error:  # a representation of the user's may raise anything
                    failed.append(f"{name}: {_said(error)}")
                    logger.error("%s is not scored: %s", name, _said(error))
                    cause = cause or error
                    continue
        scores[name] = results.read_results(folder, "evaluation")
    if failed:
        raise MetricsFailedError(failed, scores) from cause
    return scores


def _said(error: Exception) -> str:
    """One line; of what is not our own error, its type too."""
    text = gin_config.one_line(error)
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"


def _is_kept(folder: Path, identity: str) -> bool:
    """Whether finished results are there; ValueError if they are of something else."""
    if not results.is_complete(folder, "evaluation"):
        return False
    saved = folder / steps.IDENTITY
    if not saved.is_file() or saved.read_text(encoding="utf-8") != identity:
        raise ValueError(
            f"{folder} holds the results of another representation or configuration: --overwrite "
            "replaces them"
        )
    return True


def _planned_metrics(files: Files, bindings: Sequence[str]) -> Sequence[str]:
    with gin_config.configured(files, bindings):
        metrics = steps.run_plan().metrics
    if not metrics:
        raise ValueError("run.metrics is empty: nothing to score")
    return metrics


def _require_new(output: Path, metrics: Sequence[str], resume: bool, overwrite: bool) -> None:
    names = [metric.partition("/")[0] for metric in metrics]
    there = [name for name in names if (output / name).exists()]
    if there and not (resume or overwrite):
        raise ValueError(
            f"{output} has results of {', '.join(there)}: --resume keeps them, --overwrite "
            "replaces them"
        )


def load_function(name: str) -> RepresentationFunction:
    """Import `module:function`, looking in the current directory too.

    Raises ValueError if there is no such module or callable.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise ValueError(f"--function {name!r}: expected the form module:function")
    # For good, as `python -m` has it: the function may import more when it is called.
    sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # a foreign module may raise anything
        raise ValueError(f"--function {name!r} cannot be loaded: {_said(error)}") from error
    if not callable(function):
        raise ValueError(f"--function {name!r}: expected a function, it is {function!r}")
    return function


def load_codes(path: Path, files: Files, bindings: Sequence[str]) -> TabulatedCodes:
    """Read a table of codes from an npz (nothing is unpickled).

    It holds `codes` (observation, latent) and `factors` (observation, factor), with
    `factor_names` and `factor_kinds` if you like, as `srvae_plugin.data.own_data.npz` reads them.
    `dataset.factor_kinds`, `dataset.factor_bins` and `dataset.held_out` hold for it. Without
    `factors` the rows are those of the data set that gin binds, in its own order; if it binds none
    they have no factors.

    Raises ValueError if the file is damaged or holds something else.
    """
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
    with gin_config.configured(files, bindings):
        bound = {name: gin_config.bound(f"dataset.{name}") for name in TABLE_BINDINGS}
        if "factors" in arrays:
            return _codes_with_factors(path, codes, arrays, bound)
        if gin_config.bound("dataset.name") in (None, "auto"):
            return _codes_alone(path, codes)
        data = steps.bound_dataset()
    if not isinstance(data, FactorGrid | FactorTable):
        raise ValueError(f"{path} has no array 'factors', and dataset.name is no finite data set")
    if to_score(data) is not data:
        raise ValueError(
            f"{path} has no array 'factors', and dataset.held_out takes rows out of the data set, "
            "so that codes and rows do not match: store factors beside the codes, or unbind it"
        )
    return TabulatedCodes(codes, data)


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
            _, rows = split(len(codes), bound["held_out"])
            codes, columns = codes[rows], chosen_rows(columns, rows)
        table = FactorTable(columns.factors, columns.names, factor_kinds=columns.kinds)
        return TabulatedCodes(codes, table)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


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
