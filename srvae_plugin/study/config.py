"""Configurations of planned runs as text, and the data sets they need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import gin

from srvae_plugin.config import gin_files, gin_reach
from srvae_plugin.config.text import gin_dict
from srvae_plugin.runs import pipeline
from srvae_plugin.study.numbered import NumberedModel
from srvae_plugin.study.plan import PlannedRun

__all__ = ["configurations", "dataset_lines", "prepare_datasets"]


def configurations(runs: Sequence[PlannedRun]) -> list[str]:
    """Whole gin configuration of each run, as its `config.gin` will have it.

    Runs that differ in seed and number only are read once. Each is checked as far as that goes
    without data: names, types, hyperparameters out of range, missing bindings.

    Raises:
        ConfigError: a run cannot be read, or none of the runs that a binding is meant for reads it;
            the message names it.
    """
    read: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[PlannedRun, str]] = {}
    idle = _Idle({run.model for run in runs})
    texts = []
    for run in runs:
        key = (run.files, run.shared)
        if key not in read:
            read[key] = (run, _configuration(run, idle))
        first, text = read[key]
        other = text if first is run else _with_values(text, first, run)
        texts.append(_configuration(run) if other is None else other)
    idle.require_none()
    return texts


class _Idle:
    """Bindings that nothing reads, over all runs that have them.

    What all models have, such as a binding of `study.every_run`, may concern some of them only;
    what one model has is meant for that one.
    """

    def __init__(self, models: set[str]):
        self._models = models
        self._having: dict[str, set[str]] = {}
        self._read: set[tuple[str, str]] = set()
        self._instead: dict[tuple[str, str], str] = {}

    def note(self, run: PlannedRun, idle: dict[str, str]) -> None:
        """Note which bindings of a run nothing in it reads, with what to bind instead."""
        for binding in run.shared:
            self._having.setdefault(binding, set()).add(run.model)
            if binding in idle:
                self._instead[binding, run.model] = idle[binding]
            else:
                self._read.add((binding, run.model))

    def require_none(self) -> None:
        """Raise ConfigError for a binding that none of the runs it is meant for reads."""
        for (binding, model), instead in self._instead.items():
            having = self._having[binding]
            meant = having if having == self._models else {model}
            if not any((binding, each) in self._read for each in meant):
                whom = f"the runs of {model}" if len(meant) == 1 else "any run of the study"
                raise gin_files.ConfigError(f"binding {binding!r} has no effect in {whom}{instead}")


def _configuration(run: PlannedRun, idle: _Idle | None = None) -> str:
    try:
        with gin_files.configured(run.files, run.bindings):
            plan = pipeline.run_plan()
            pipeline.training_settings()
            if gin_files.bound("dataset.name") is None:
                raise gin_files.ConfigError("no value bound for dataset.name")
            if idle is not None:
                metrics = _functions(run, plan.metrics)
                roots = gin_reach.steps_of_run(metrics)
                idle.note(run, gin_reach.idle_bindings(roots, run.shared))
            return gin.config_str()
    except ValueError as error:
        raise gin_files.ConfigError(f"{run}: {gin_files.one_line(error)}") from None


def _functions(run: PlannedRun, metrics: Sequence[str]) -> Sequence[str]:
    """What scores a run, which in a numbered study its metrics' names do not say."""
    if not run.numbered:
        return metrics
    model = NumberedModel(run.numbered, run.number)
    return [model.evaluation("mean", metric).function for metric in metrics]


def _with_values(text: str, first: PlannedRun, run: PlannedRun) -> str | None:
    """The text with another run's seed and number; None if it does not have them on lines."""
    for (name, before), (_, now) in zip(first.own, run.own, strict=True):
        line = re.compile(rf"^{re.escape(name)} = {before}$", re.MULTILINE)
        text, found = line.subn(f"{name} = {now}", text)
        if found != 1:
            return None
    return text


def dataset_lines(config: str) -> tuple[str, ...]:
    """The bindings of the data set in a configuration."""
    found = gin_dict(config).items()
    return tuple(f"{name} = {value}" for name, value in found if name.startswith("dataset."))


def prepare_datasets(runs: Iterable[tuple[PlannedRun, str]]) -> dict[tuple[str, ...], str]:
    """Open each data set once, so that its cache is there before many runs want it.

    `runs` come with their configurations. Returns what is wrong with the data sets that cannot be
    opened, by their bindings.
    """
    first: dict[tuple[str, ...], PlannedRun] = {}
    for run, config in runs:
        first.setdefault(dataset_lines(config), run)
    wrong = {}
    for lines, run in first.items():
        try:
            with gin_files.configured(run.files, run.bindings):
                pipeline.bound_dataset()
        except (ValueError, OSError) as error:
            wrong[lines] = gin_files.one_line(error)
    return wrong
