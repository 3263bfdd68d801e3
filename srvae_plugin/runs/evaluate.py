"""Scores of a run, of any representation function, or of a table of codes."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from srvae_plugin.config import gin_files, gin_reach
from srvae_plugin.config.data_record import (
    differing_lines,
    other_content,
    record_of,
)
from srvae_plugin.config.gin_files import Choice, as_list
from srvae_plugin.config.text import record_in, with_record
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.held_out import to_score
from srvae_plugin.files import write_json
from srvae_plugin.lock import only_writer
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.content import content_of
from srvae_plugin.runs.directory import Records, RunDirectory, ScoresDirectory, StepDirectory
from srvae_plugin.runs.repeatable import warn_if_random
from srvae_plugin.runs.representation import RepresentationFunction

logger = logging.getLogger("srvae_plugin")

Files = gin_files.Texts
Bindings = str | Sequence[str] | None
Scores = dict[str, dict[str, Any]]
"""scores[metric][key]"""
_FORM = "# what this metric reads:"
"""Stands in the identities of scores; older ones hold all that gin bound."""
Choose = Callable[[str], Choice]
"""What a metric, by its name in `run.metrics`, is scored with."""


class Foreign(NamedTuple):
    """What is recorded with the scores of a model that was not trained here."""

    model: Mapping[str, Any]
    """`name`; `label` and `seed`, None if they were not given; `content` is added, see
    `content_of`."""
    data: Mapping[str, Any] = {}
    """Entries of the data set's record that gin does not know, see `data_record`."""


class MetricsFailedError(ValueError):
    """Some metrics could not be computed: `failed` says why, `scores` has the others'."""

    def __init__(self, failed: list[str], scores: Scores):
        self.failed, self.scores = failed, scores
        super().__init__(f"not scored: {'; '.join(failed)}")


class RunMetricsFailedError(MetricsFailedError):
    """The same of a run: `by_kind` has the scores of each of its representations."""

    def __init__(self, failed: list[str], by_kind: dict[str, Scores]):
        self.by_kind = by_kind
        super().__init__(failed, next(iter(by_kind.values())))


def evaluate_run(
    run: str | Path,
    files: Files = None,
    bindings: Bindings = None,
    resume: bool = False,
    overwrite: bool = False,
) -> dict[str, Scores]:
    """Score every representation of a run directory with the metrics that gin binds.

    Results go to `<run>/metrics/<kind>/<metric>`. Raises ValueError if one of them is there
    already, unless `resume` keeps or `overwrite` replaces it, and for a binding that nothing reads;
    RunMetricsFailedError, after all else is scored, if a metric cannot be computed.
    """
    directory, files, bindings = RunDirectory(Path(run)), as_list(files), as_list(bindings)
    kinds = directory.kinds()
    metrics, wanted = _planned(files, bindings)
    for kind in wanted or ():
        directory.finished_representation(kind)
    kinds = [kind for kind in kinds if wanted is None or kind in wanted]
    for kind in kinds:
        directory.scores(kind).require_new(metrics, resume, overwrite)
    scores: dict[str, Scores] = {}
    failed: list[str] = []
    for kind in kinds:
        try:
            with only_writer(directory.path):
                scores[kind] = evaluate_representation(
                    metrics, directory, kind, files, bindings, overwrite
                )
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
    files: Sequence[str | Path],
    bindings: Sequence[str],
    overwrite: bool = False,
    choose: Choose = Choice,
) -> Scores:
    """Score one representation of a run; finished metrics are kept unless `overwrite`.

    All metrics share one cache of codes. `choose` gives what a metric is scored with beside
    `files` and `bindings`.
    """
    source = run.representation(kind)
    processed = source.gin_file()
    with gin_files.configured(files, bindings):
        data = pipeline.bound_dataset(processed)
        pipeline.require_shape(source, data)
        pipeline.say_other_data(source, data)
    function = pipeline.cached(pipeline.load_representation(source.path), to_score(data))
    output = run.scores(kind)
    of_what = source.read()["uuid"]
    return _score_all(
        metrics, function, data, output, files, bindings, overwrite, of_what, source, choose
    )


def evaluate_function(
    function: RepresentationFunction,
    data: GroundTruthData | None,
    output: str | Path,
    files: Files = None,
    bindings: Bindings = None,
    resume: bool = False,
    overwrite: bool = False,
    of_what: str = "",
    foreign: Foreign | None = None,
) -> Scores:
    """Score any representation function with the metrics that gin binds.

    Args:
        function: observations (batch, height, width, channel) to codes (batch, latent); it is
            tried twice on 64 observations, with a warning if it is not deterministic, and then
            called once for each distinct observation of a finite data set.
        data: None for the data set that gin binds.
        output: folder for `<metric>/results`.
        files, bindings: see `gin_files.configured`.
        resume, overwrite: as in `evaluate_run`.
        of_what: identifies the representation; `resume` refuses results of another.
        foreign: what the results say of the model and, if gin does not bind it, of its data.

    Raises MetricsFailedError, after the other metrics, if one cannot be computed.
    """
    directory, files, bindings = ScoresDirectory(Path(output)), as_list(files), as_list(bindings)
    metrics, _ = _planned(files, bindings)
    directory.require_new(metrics, resume, overwrite)
    with gin_files.configured(files, bindings):
        if data is None:
            data = pipeline.bound_dataset()
        seed = gin_files.bound("evaluation.random_seed") or 0
    is_table = hasattr(function, "codes_at")
    if not is_table:
        warn_if_random(function, data, seed)
    if foreign:
        content = content_of(function, data)
        foreign = foreign._replace(model={**foreign.model, "content": content})
    if not is_table:
        function = pipeline.cached(function, to_score(data))
    with only_writer(directory.path):
        return _score_all(
            metrics, function, data, directory, files, bindings, overwrite, of_what, foreign=foreign
        )


def _score_all(
    metrics: Sequence[str],
    function: RepresentationFunction,
    data: GroundTruthData,
    output: ScoresDirectory,
    files: Sequence[str | Path],
    bindings: Sequence[str],
    overwrite: bool,
    of_what: str,
    source: StepDirectory | None = None,
    choose: Choose = Choice,
    foreign: Foreign | None = None,
) -> Scores:
    """Score with every metric; one that cannot be computed does not stop the others."""
    if overwrite:  # all at once: old scores must not stand beside new ones if this is stopped
        output.delete(metrics)
    scores: Scores = {}
    failed: list[str] = []
    cause: Exception | None = None
    for metric in metrics:
        name = metric.partition("/")[0]
        target = output.of(metric)
        choice = choose(metric)
        with gin_files.configured(
            [*files, *choice.files],
            [*choice.bindings, *bindings, f"evaluation.evaluation_fn = @{choice.function}"],
        ):
            if source is not None:
                # The same object: this records the data set in the operative configuration.
                data = pipeline.bound_dataset(source.gin_file())
            record = {**record_of(data), **(foreign.data if foreign else {})}
            read = gin_reach.text_of(gin_reach.steps_of_metric())
            identity = with_record(f"{of_what}\n{_FORM}\n{read}", record)
            if not _is_kept(target, identity, "" if source else ", --output names another folder"):
                refused = output.refusal(metric)
                refused.unlink(missing_ok=True)
                records = Records(record, foreign.model if foreign else None)
                try:
                    pipeline.score(
                        function,
                        to_score(data),
                        target,
                        True,
                        source.results if source else None,
                        identity,
                        records,
                    )
                except Exception as error:  # a representation of the user's may raise anything
                    failed.append(f"{name}: {_said(error)}")
                    # For reports: without it the metric would seem not to have been asked for.
                    refusal = {"metric": choice.function, "error": _said(error)}
                    write_json(refused, refusal | records.by_name("evaluation"))
                    logger.error("%s is not scored: %s", name, _said(error))
                    cause = cause or error
                    continue
        scores[name] = target.read()
    if failed:
        raise MetricsFailedError(failed, scores) from cause
    return scores


def _said(error: Exception) -> str:
    """One line; of what is not our own error, its type too."""
    text = gin_files.one_line(error)
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"


def _is_kept(target: StepDirectory, identity: str, elsewhere: str) -> bool:
    """Whether finished results are there; ValueError if they are of something else.

    `elsewhere` ends the advice of how to score nevertheless.
    """
    if not target.is_complete():
        return False
    folder, before = target.path, target.read_identity()
    advice = f"--overwrite scores it again{elsewhere}"
    if other := other_content(before, identity):
        raise ValueError(f"{folder}: {other}: {advice}")
    first = before.partition("\n")[0], identity.partition("\n")[0]
    different = differing_lines(before, identity)
    if first[0] == first[1] and different and _FORM not in before.splitlines():
        raise ValueError(
            f"{folder} was scored by an older version, which recorded more than what the metric "
            f"reads, so that the settings cannot be compared: {advice}"
        )
    if first[0] != first[1] or different:
        lines = f" (lines that differ: {'; '.join(different)})" if first[0] == first[1] else ""
        raise ValueError(
            f"{folder} holds the results of another representation or configuration{lines}: "
            f"{advice}"
        )
    if record_in(before) is None:
        logger.warning(
            "%s is of an older version: it does not say what its data contained, which is taken to "
            "be the same now", folder,
        )  # fmt: skip
    return True


def _planned(
    files: Sequence[str | Path], bindings: Sequence[str]
) -> tuple[Sequence[str], Sequence[str] | None]:
    """The metrics and, if the user bound them, the representations to score."""
    with gin_files.configured(files, bindings):
        plan = pipeline.run_plan()
        if not plan.metrics:
            raise ValueError("run.metrics is empty: nothing to score")
        gin_reach.require_read(gin_reach.steps_of_scoring(plan.metrics), bindings)
        chosen = gin_files.is_typed("run.representations")
        return plan.metrics, plan.representations if chosen else None


def load_function(name: str) -> RepresentationFunction:
    """Import `module:function`, looking in the current directory too.

    Raises ValueError if there is no such module or callable.
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
        raise ValueError(f"--function {name!r} cannot be loaded: {_said(error)}") from error
    if not callable(function):
        raise ValueError(f"--function {name!r}: expected a function, it is {function!r}")
    return function
