"""The representations of a run, and how these are scored while the model is still trained."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import gin

from srvae_plugin.config import gin_reach
from srvae_plugin.config.data_record import record_of
from srvae_plugin.config.gin_files import Choice
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.directory import Records, RunDirectory
from srvae_plugin.runs.evaluate import Ready, score_representation
from srvae_plugin.runs.on_the_way import Found, Scoring
from srvae_plugin.runs.representation import Representation
from srvae_plugin.runs.scoring.score_all import MetricsFailedError
from srvae_plugin.training.settings import shape_of
from srvae_plugin.training.weights import save_weights

if TYPE_CHECKING:
    from srvae_plugin.runs.run import Checked, StepChoices

__all__ = ["bound_scoring", "represented"]

_NO_SETTINGS = ("evaluation.", "dataset.")
"""Bindings that say with which function, seed and data is scored."""


def represented(
    directory: RunDirectory,
    kind: str,
    checked: Checked,
    model: Callable[[], DisentanglementModel],
    study: StepChoices | None,
) -> Representation:
    """Make a representation of a run, or take up one that is finished.

    Args:
        directory: the run.
        kind: of the representation.
        checked: what the run needs.
        model: gives the trained model.
        study: what the step is given, if that differs from step to step.
    """
    target = directory.representation(kind)
    if target.is_complete():
        target.check_all()
        return pipeline.load_representation(target.path, model())
    choice = study.postprocess(kind) if study else Choice(checked.functions[kind])
    bind = functools.partial(checked.bound.of_step, choice=choice)
    with checked.resolved.choosing("postprocess.postprocess_fn", choice):
        return pipeline.represent(directory.model, target, True, model, bind)


def bound_scoring(checked: Checked, study: StepChoices | None) -> Scoring:
    """Score a model as the run scores the trained one: by the same steps, in a folder for a while.

    Args:
        checked: what the run needs.
        study: see `represented`.
    """

    def score(model: DisentanglementModel) -> Found:
        found = Found({}, {})
        with tempfile.TemporaryDirectory() as folder:
            directory = RunDirectory(Path(folder))
            _write_training(directory, model, checked)
            for kind in checked.plan.representations:
                function = represented(directory, kind, checked, lambda: model, study)
                choose = functools.partial(study.evaluation, kind) if study else Choice
                ready = Ready(function, checked.bound, choose)
                metrics, config = checked.plan.metrics, checked.resolved
                try:
                    scores = score_representation(metrics, directory, kind, config, ready=ready)
                except MetricsFailedError as error:
                    scores, found.failed[kind] = error.scores, error.failed
                found.scores[kind] = scores
        return found

    return Scoring(score, _settings(checked, study))


def _write_training(directory: RunDirectory, model: DisentanglementModel, checked: Checked) -> None:
    """What the later steps read of a training, as if it had ended now."""
    data = checked.bound.data
    with checked.resolved.active():
        checked.uses.repeat()
        text = gin.operative_config_str()
    directory.model.path.mkdir()
    save_weights(model, directory.model.weights, shape_of(data))
    directory.model.write({}, text, records=Records(record_of(data)))


def _settings(checked: Checked, study: StepChoices | None) -> dict[str, dict[str, str]]:
    """What gin binds of each metric, by representation."""
    settings: dict[str, dict[str, str]] = {}
    for kind in checked.plan.representations:
        of_kind = settings.setdefault(kind, {})
        for metric in checked.plan.metrics:
            choice = study.evaluation(kind, metric) if study else Choice(metric)
            with checked.resolved.choosing("evaluation.evaluation_fn", choice):
                lines = gin_reach.text_of(gin_reach.steps_of_metric()).splitlines()
            kept = [line for line in lines if not line.startswith(_NO_SETTINGS)]
            of_kind[metric.partition("/")[0]] = "\n".join(kept)
    return settings
