"""Scores of a run, of any representation function, or of a table of codes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from srvae_plugin.config import gin_files, gin_reach
from srvae_plugin.config.gin_config import Config
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.held_out import to_score
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.directory import RunDirectory, ScoresDirectory
from srvae_plugin.runs.locks import only_writer_in, only_writer_of_scores
from srvae_plugin.runs.representation import Representation, RepresentationFunction
from srvae_plugin.runs.scoring.score_all import (
    Choice,
    Choose,
    Foreign,
    MetricsFailedError,
    Scored,
    Scores,
    said,
    score_all,
)
from srvae_plugin.runs.scoring.tried import content_of, tried
from srvae_plugin.runs.trained_on import BoundData

__all__ = [
    "Asked",
    "Bindings",
    "Files",
    "Ready",
    "RunMetricsFailedError",
    "evaluate_function",
    "evaluate_representation",
    "evaluate_run",
    "load_function",
    "score_representation",
]

Files = gin_files.Texts
Bindings = str | Sequence[str] | None


class RunMetricsFailedError(MetricsFailedError):
    """The same of a run: `by_kind` has the scores of each of its representations."""

    def __init__(self, failed: list[str], by_kind: dict[str, Scores]):
        self.by_kind = by_kind
        super().__init__(failed, next(iter(by_kind.values())))


class Ready(NamedTuple):
    """What need not be loaded to score a representation."""

    function: Representation
    bound: BoundData
    choose: Choose = Choice
    """What a metric is scored with beside the configuration."""


def evaluate_run(
    run: str | Path,
    files: Files = None,
    bindings: Bindings = None,
    resume: bool = False,
    overwrite: bool = False,
) -> dict[str, Scores]:
    """Score every representation of a run directory with the metrics that gin binds.

    Results go to `<run>/metrics/<kind>/<metric>`.

    Raises:
        ValueError: if one of them is there already, unless `resume` keeps or `overwrite` replaces
            it, and for a binding that nothing reads; RunMetricsFailedError, after all else is
            scored, if a metric cannot be computed.
    """
    directory, config = RunDirectory(Path(run)), Config(files, bindings)
    directory.kinds()  # before a lock is made in what is no run directory
    metrics, wanted = _planned(config)
    with only_writer_in(directory.path):
        return _evaluate_kinds(directory, config, metrics, wanted, (resume, overwrite))


def _evaluate_kinds(
    directory: RunDirectory,
    config: Config,
    metrics: Sequence[str],
    wanted: Sequence[str] | None,
    keep: tuple[bool, bool],
) -> dict[str, Scores]:
    kinds, (resume, overwrite) = directory.kinds(), keep
    for kind in wanted or ():
        directory.finished_representation(kind)
    kinds = [kind for kind in kinds if wanted is None or kind in wanted]
    for kind in kinds:
        directory.representation(kind).check_all()  # its files are copied beside the scores
        directory.scores(kind).require_new(metrics, resume, overwrite)
    scores: dict[str, Scores] = {}
    failed: list[str] = []
    for kind in kinds:
        try:
            scores[kind] = score_representation(metrics, directory, kind, config, overwrite)
        except MetricsFailedError as error:
            scores[kind] = error.scores
            failed += [f"{kind}: {reason}" if len(kinds) > 1 else reason for reason in error.failed]
    if failed:
        raise RunMetricsFailedError(failed, scores)
    return scores


def evaluate_representation(
    metrics: Sequence[str],
    run: RunDirectory,
    kind: str,
    files: Files = None,
    bindings: Bindings = None,
    overwrite: bool = False,
) -> Scores:
    """Score one representation of a run; finished metrics are kept unless `overwrite`.

    All metrics share one cache of codes.
    """
    config = Config(files, bindings)
    with only_writer_in(run.path):
        return score_representation(metrics, run, kind, config, overwrite)


def score_representation(
    metrics: Sequence[str],
    run: RunDirectory,
    kind: str,
    config: Config,
    overwrite: bool = False,
    ready: Ready | None = None,
) -> Scores:
    """The same with a configuration that was parsed; `ready` is what the caller has already."""
    source = run.representation(kind)
    processed = source.gin_file()
    with config.active():
        bound = ready.bound if ready else BoundData(processed)
        data = bound.of_step(processed)
        pipeline.require_shape(source, data)
        pipeline.say_other_data(source, data)
    function = ready.function if ready else pipeline.load_representation(source.path)
    cached = pipeline.cached(function, to_score(data))
    scored = Scored(cached, bound, run.scores(kind), source.read()["uuid"], source)
    return score_all(metrics, scored, config, overwrite, ready.choose if ready else Choice)


class Asked(NamedTuple):
    """How a function is scored that was not trained here."""

    resume: bool = False
    """Keep finished results, as in `evaluate_run`."""
    overwrite: bool = False
    """Replace them."""
    of_what: str = ""
    """Identifies the representation; `resume` refuses results of another."""
    foreign: Foreign | None = None
    """What the results say of the model and, if gin does not bind it, of its data."""


_USUAL = Asked()


def evaluate_function(
    function: RepresentationFunction,
    data: GroundTruthData | None,
    output: str | Path,
    files: Files = None,
    bindings: Bindings = None,
    asked: Asked = _USUAL,
) -> Scores:
    """Score any representation function with the metrics that gin binds.

    Args:
        function: observations (batch, height, width, channel) to codes (batch, latent); it is
            tried twice on 64 observations, with a warning if it is not deterministic, and then
            called once for each distinct observation of a finite data set.
        data: None for the data set that gin binds.
        output: folder for `<metric>/results`.
        files, bindings: see `gin_files.configured`.
        asked: what becomes of results that are there, and what the new ones say.

    Raises:
        MetricsFailedError: after the other metrics, if one cannot be computed.
    """
    directory, config = ScoresDirectory(Path(output)), Config(files, bindings)
    metrics, _ = _planned(config)
    with only_writer_of_scores(directory.path):
        directory.require_new(metrics, asked.resume, asked.overwrite)
        return _evaluate(function, data, directory, metrics, config, asked)


def _evaluate(
    function: RepresentationFunction,
    data: GroundTruthData | None,
    directory: ScoresDirectory,
    metrics: Sequence[str],
    config: Config,
    asked: Asked,
) -> Scores:
    with config.active():
        if data is None:
            data = pipeline.bound_dataset()
    is_table = hasattr(function, "codes_at")
    codes = None if is_table else tried(function, data)
    foreign = asked.foreign
    if foreign:
        content = content_of(function, codes)
        foreign = foreign._replace(model={**foreign.model, "content": content})
    if not is_table:
        function = pipeline.cached(function, to_score(data))
    scored = Scored(function, data, directory, asked.of_what, foreign=foreign)
    return score_all(metrics, scored, config, asked.overwrite)


def _planned(config: Config) -> tuple[Sequence[str], Sequence[str] | None]:
    """The metrics and, if the user bound them, the representations to score."""
    with config.active():
        plan = pipeline.run_plan()
        if not plan.metrics:
            raise ValueError("run.metrics is empty: nothing to score")
        gin_reach.require_read(gin_reach.steps_of_scoring(plan.metrics), config.bindings)
        chosen = gin_files.is_typed("run.representations")
        return plan.metrics, plan.representations if chosen else None


def load_function(name: str) -> RepresentationFunction:
    """Import `module:function`, looking in the current directory too.

    Raises:
        ValueError: if there is no such module or callable.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise ValueError(f"--function {name!r}: expected the form module:function")
    # For good, as `python -m` has it: the function may import more when it is called.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # a foreign module may raise anything
        raise ValueError(f"--function {name!r} cannot be loaded: {said(error)}") from error
    if not callable(function):
        raise ValueError(f"--function {name!r}: expected a function, it is {function!r}")
    return function
