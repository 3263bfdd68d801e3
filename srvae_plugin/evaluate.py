"""Scores of a run, of any representation function, or of a table of codes."""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gin
import numpy as np

from srvae_plugin import gin_config, results, steps
from srvae_plugin.data.ground_truth import FactorGrid, GroundTruthData
from srvae_plugin.data.locate import expanded
from srvae_plugin.data.table import FactorTable
from srvae_plugin.data_record import (
    differing_lines,
    other_content,
    place,
    record_in,
    record_of,
    with_record,
)
from srvae_plugin.gin_config import Choice
from srvae_plugin.representation import RepresentationFunction, TabulatedCodes

logger = logging.getLogger("srvae_plugin")


Files = Sequence[str | Path]
Scores = dict[str, dict[str, Any]]
"""scores[metric][key]"""
Choose = Callable[[str], Choice]
"""What a metric, by its name in `run.metrics`, is scored with."""


class Foreign(NamedTuple):
    """What is recorded with the scores of a model that was not trained here."""

    model: Mapping[str, Any]
    """`name`; `label` and `seed`, None if they were not given."""
    data: Mapping[str, Any] = {}
    """Entries of the data set's record that gin does not know, see `data_record`."""


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
        data = steps.bound_dataset(processed)
        _say_other_content(source, data)
    function = steps.cached(steps.load_representation(source), data)
    output = run / "metrics" / kind
    of_what = results.read_results(source, "postprocess")["uuid"]
    return _score_all(
        metrics, function, data, output, files, bindings, overwrite, of_what, source, choose
    )


def _say_other_content(source: Path, data: GroundTruthData) -> None:
    """Log it if the model was trained on data of another content."""
    try:
        trained = results.read_json(source / "results" / "json" / "train_dataset.json")
    except ValueError:  # a run of an older version
        return
    now = record_of(data)
    if trained.get("digest") and now["digest"] and trained["digest"] != now["digest"]:
        logger.warning(
            "%s was trained on %s with another content than that of %s, which it is scored on",
            source, place(trained), place(now),
        )  # fmt: skip


def evaluate_function(
    function: RepresentationFunction,
    data: GroundTruthData | None,
    output: Path,
    files: Files,
    bindings: Sequence[str],
    resume: bool = False,
    overwrite: bool = False,
    of_what: str = "",
    foreign: Foreign | None = None,
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
        foreign: what the results say of the model and, if gin does not bind it, of its data.

    Raises MetricsFailedError, after the other metrics, if one cannot be computed.
    """
    metrics = _planned_metrics(files, bindings)
    _require_new(output, metrics, resume, overwrite)
    if data is None:
        with gin_config.configured(files, bindings):
            data = steps.bound_dataset()
    if not hasattr(function, "codes_at"):
        function = steps.cached(function, data)
    return _score_all(
        metrics, function, data, output, files, bindings, overwrite, of_what, foreign=foreign
    )


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
    foreign: Foreign | None = None,
) -> Scores:
    """Score with every metric; one that cannot be computed does not stop the others."""
    if metrics:
        steps.require_factors(data)
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
                data = steps.bound_dataset(results.gin_file(source, "postprocess"))
            record = {**record_of(data), **(foreign.data if foreign else {})}
            identity = with_record(f"{of_what}\n{gin.config_str()}", record)
            if not _is_kept(folder, identity):
                refused = output / f"{name}{results.REFUSED}"
                refused.unlink(missing_ok=True)
                records: dict[str, Any] = {"evaluation_dataset": record}
                if foreign:
                    records["foreign_model"] = foreign.model
                try:
                    steps.score(
                        function,
                        data,
                        folder,
                        True,
                        source and source / "results",
                        identity,
                        records,
                    )
                except Exception as error:  # a representation of the user's may raise anything
                    failed.append(f"{name}: {_said(error)}")
                    # For reports: without it the metric would seem not to have been asked for.
                    refusal = {"metric": choice.function, "error": _said(error), **records}
                    results.write_json(refused, refusal)
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
    before = saved.read_text(encoding="utf-8") if saved.is_file() else ""
    if other := other_content(before, identity):
        raise ValueError(
            f"{folder}: {other}: --overwrite scores it again, --output names another folder"
        )
    first = before.partition("\n")[0], identity.partition("\n")[0]
    if first[0] != first[1] or differing_lines(before, identity):
        raise ValueError(
            f"{folder} holds the results of another representation or configuration: --overwrite "
            "replaces them"
        )
    if record_in(before) is None:
        logger.warning(
            "%s is of an older version: it does not say what its data contained, which is taken to "
            "be the same now", folder,
        )  # fmt: skip
    return True


def _planned_metrics(files: Files, bindings: Sequence[str]) -> Sequence[str]:
    with gin_config.configured(files, bindings):
        metrics = steps.run_plan().metrics
    if not metrics:
        raise ValueError("run.metrics is empty: nothing to score")
    return metrics


def _require_new(output: Path, metrics: Sequence[str], resume: bool, overwrite: bool) -> None:
    names = [metric.partition("/")[0] for metric in metrics]
    there = [
        n for n in names if (output / n).exists() and not (output / n / results.REFUSED).is_file()
    ]
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

    It holds `codes` (observation, latent) and `factors` (observation, factor); without `factors`
    the rows are those of the data set that gin binds, in its own order.

    Raises ValueError if the file is damaged or holds something else.
    """
    path = expanded(path)
    try:
        with path.open("rb") as stream, np.lib.npyio.NpzFile(stream) as file:
            arrays = {name: file[name] for name in file.files if name in ("codes", "factors")}
    except FileNotFoundError:
        raise ValueError(f"{path} not found") from None
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path} is damaged or no npz of plain arrays: {error}") from None
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise ValueError(f"{path} is no npz of plain arrays")
    if "codes" not in arrays:
        raise ValueError(f"{path} has no array 'codes' (observation, latent)")
    if "factors" in arrays:
        return TabulatedCodes(arrays["codes"], FactorTable(arrays["factors"]))
    with gin_config.configured(files, bindings):
        data = steps.bound_dataset()
    if not isinstance(data, FactorGrid | FactorTable):
        raise ValueError(f"{path} has no array 'factors', and dataset.name is no finite data set")
    return TabulatedCodes(arrays["codes"], data)
