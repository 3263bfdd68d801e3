"""Scores a run from Python and keeps the scores in its directory, as `srvae-evaluate` does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from srvae_plugin.config import gin_files
from srvae_plugin.config.gin_config import Config
from srvae_plugin.config.gin_files import as_list
from srvae_plugin.config.text import dataset_bindings
from srvae_plugin.data.own.from_python import as_data
from srvae_plugin.data.sampling.held_out import to_score
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.runs import pipeline, weights
from srvae_plugin.runs.described import described_data
from srvae_plugin.runs.directory import RunDirectory, StepDirectory
from srvae_plugin.runs.locks import only_writer_in
from srvae_plugin.runs.scoring.identity import USUAL_BINDINGS
from srvae_plugin.runs.scoring.score import Metrics, metric_settings
from srvae_plugin.runs.scoring.score_all import MetricsFailedError, Scored, score_all
from srvae_plugin.runs.scoring.scores import Scores, without_times
from srvae_plugin.runs.trained_on import BoundData

__all__ = ["score_and_keep"]

_PLAIN = (bool, int, float, str, list, tuple, dict, type(None))


def score_and_keep(
    run: RunDirectory,
    kind: str,
    model: DisentanglementModel,
    metrics: Metrics,
    data: Any = None,
    seed: int = 0,
    overwrite: bool = False,
) -> Scores:
    """Score one representation of a run; see `Run.evaluate`.

    Args:
        run: the run directory.
        kind: the representation.
        model: the trained model; ValueError if it is not that of the representation.
        metrics, data, overwrite: see `Run.evaluate`.
        seed: a whole number.
    """
    source = run.finished_representation(kind)
    weights.require_same(model, source.weights)
    chosen = metric_settings(metrics)
    usual = [line for line in USUAL_BINDINGS if gin_files.bound(line.partition(" = ")[0]) is None]
    bindings = [*usual, f"evaluation.random_seed = {seed}", *_bindings(chosen)]
    given = None if data is None else as_data(data)
    if given is None and "name" not in dataset_bindings(source.gin_file()):
        raise ValueError(
            f"{run.path} was trained on data that load_dataset cannot make again: say which to "
            "score on, run.evaluate(metrics, data)"
        )
    bound, config = _bound(source, given, bindings)
    with config.active():
        scored_on = bound.of_step(source.gin_file()) if isinstance(bound, BoundData) else bound
        pipeline.require_shape(source, scored_on)
        pipeline.say_other_data(source, scored_on)
    function = pipeline.load_representation(source.path, model)
    cached = pipeline.cached(function, to_score(scored_on))
    uuid = source.read()["uuid"]
    scored = Scored(
        cached, bound, run.scores(kind), uuid, source, again="overwrite=True scores it again"
    )
    try:
        with only_writer_in(run.path):
            scores = score_all(list(chosen), scored, config, overwrite)
    except MetricsFailedError as error:
        raise MetricsFailedError(error.failed, without_times(error.scores)) from error
    return without_times(scores)


def _bound(source: StepDirectory, given: Any, bindings: list[str]) -> tuple[Any, Config]:
    """The data set, as gin has it where gin can have it, and the configuration of the scoring."""
    lines = described_data(given) if given is not None else []
    if given is None or lines:
        config = Config((), [*bindings, *lines])
        with config.active():
            bound = BoundData(source.gin_file())
        if given is None or bound.data is given:
            return bound, config
    return given, Config((), bindings)


def _bindings(chosen: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The settings of metrics as gin has them."""
    lines = []
    for metric, settings in chosen.items():
        for key, value in settings.items():
            if not isinstance(value, _PLAIN):
                raise ValueError(
                    f"{metric}: {key} is a {type(value).__name__}, which the run directory cannot "
                    "record: sv.score(run, data, ...) scores without keeping"
                )
            lines.append(f"{metric}.{key} = {value!r}")
    return as_list(lines)
