"""Configurations of planned runs as text, and the data sets they need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import gin

from srvae_plugin import gin_config, results, steps
from srvae_plugin.study.plan import PlannedRun


def configurations(runs: Sequence[PlannedRun]) -> list[str]:
    """Whole gin configuration of each run, as its `config.gin` will have it.

    Runs that differ in seed and number only are read once. Each is checked as far as that goes
    without data: names, types, hyperparameters out of range, missing bindings.

    Raises ConfigError that names the run.
    """
    read: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[PlannedRun, str]] = {}
    texts = []
    for run in runs:
        key = (run.files, run.shared)
        if key not in read:
            read[key] = (run, _configuration(run))
        first, text = read[key]
        other = text if first is run else _with_values(text, first, run)
        texts.append(_configuration(run) if other is None else other)
    return texts


def _configuration(run: PlannedRun) -> str:
    try:
        with gin_config.configured(run.files, run.bindings):
            steps.run_plan()
            steps.training_settings()
            if gin_config.bound("dataset.name") is None:
                raise gin_config.ConfigError("no value bound for dataset.name")
            return gin.config_str()
    except ValueError as error:
        raise gin_config.ConfigError(f"{run}: {gin_config.one_line(error)}") from None


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
    found = results.gin_dict(config).items()
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
            with gin_config.configured(run.files, run.bindings):
                steps.bound_dataset()
        except (ValueError, OSError) as error:
            wrong[lines] = gin_config.one_line(error)
    return wrong
