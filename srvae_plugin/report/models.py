"""Sorts runs into models: runs of one model differ in their seed and data set only."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from srvae_plugin.config.text import NOT_OF_THE_MODEL, gin_function
from srvae_plugin.models import titles
from srvae_plugin.report.run import Run, Settings

_LABEL_SETTINGS = 4
_TRAINING_SETTINGS = (
    "vae/AdamOptimizer.learning_rate", "vae_optimizer.learning_rate", "model.batch_size",
    "model.training_steps", "encoder.num_latent",
)  # fmt: skip
"""What belongs to no model in particular: named in the label wherever models differ in it."""

__all__ = ["Model", "group_by_model", "number", "published_name"]


@dataclass
class Model:
    """Runs that differ in seed and data set only."""

    label: str
    """What the report calls it; no two models have the same."""
    name: str
    """What publications call it."""
    config: Settings
    runs: list[Run] = field(default_factory=list)
    base: str = ""
    """The label without the settings that set it apart."""
    number: int = 0
    """Place in the report, which chooses its colour."""

    def of(self, data_set: str) -> list[Run]:
        """Runs on a data set, by seed; those that wait for their turn are left out."""
        runs = [run for run in self.runs if run.data_set == data_set and not run.waits]
        return sorted(runs, key=lambda run: (run.seed is None, run.seed or 0, run.name))

    @property
    def settings(self) -> str:
        """Its own hyperparameters as gin bindings."""
        prefix = f"{gin_function(self.config.get('model.model', ''))}."
        return ", ".join(
            f"{key} = {value}"
            for key, value in sorted(self.config.items())
            if key.startswith(prefix) and value != "None"
        )


class _Key(NamedTuple):
    label: str
    is_ours: bool
    config: tuple[tuple[str, str], ...]


def group_by_model(runs: Sequence[Run]) -> list[Model]:
    """Models of the runs, sorted by label.

    Two runs are of one model if they have the same label in their study, if any, and the same
    training configuration but for seed, data set and what does not change the result. A run that
    did not finish has left what was bound, without the defaults: it joins the model that agrees
    with all of it.
    """
    groups: dict[_Key, list[Run]] = defaultdict(list)
    for run in (run for run in runs if run.finished):
        label = run.label or _own_label(run)
        groups[_Key(label, run.is_ours, _config(run))].append(run)
    for run in (run for run in runs if not run.finished):
        groups[_place(run, groups)].append(run)
    models = []
    for key, label in _labels(groups).items():
        config = dict(key.config)
        name = published_name(config) or key.label
        models.append(Model(label, name, config, groups[key], key.label or label))
    models.sort(key=lambda model: _naturally(model.label))
    for number, model in enumerate(models):
        model.number = number
    return models


def _own_label(run: Run) -> str:
    """Of a run whose configuration does not tell its model: its name, which joins it to no other.

    Runs of Python to which a name was given, `train(..., name="A")`, are of one model by that.
    """
    if "model.model" in run.config or (run.config and not run.finished):
        return ""
    return run.config.get("model.name", "").strip("'\"") or run.name


def _naturally(label: str) -> list[tuple[float, str]]:
    """Sorts beta = 2.0 before beta = 10.0."""
    parts = re.split(r"(\d+(?:\.\d+)?)", label.lower())
    return [(float(part), "") if place % 2 else (0.0, part) for place, part in enumerate(parts)]


def _config(run: Run) -> tuple[tuple[str, str], ...]:
    name = run.data.name
    return tuple(
        sorted(
            (key, value)
            for key, value in run.config.items()
            if key not in NOT_OF_THE_MODEL and key.partition(".")[0] not in ("dataset", name)
        )
    )


def _place(run: Run, groups: Iterable[_Key]) -> _Key:
    """Group of a run that did not finish: the only one that agrees, or one of its own."""
    own = _Key(run.label or _own_label(run), True, _config(run))
    agree = []
    for key in groups:
        theirs = dict(key.config)
        same = all(theirs.get(k, v) == v for k, v in own.config)
        if key.label == own.label and same:
            agree.append(key)
    return agree[0] if len(agree) == 1 else own


def _labels(groups: Mapping[_Key, Sequence[Run]]) -> dict[_Key, str]:
    """A name of its own for every group: that of the model, and what sets it apart from others."""
    by_base: dict[str, list[_Key]] = defaultdict(list)
    finished = {key: any(run.finished for run in runs) for key, runs in groups.items()}
    taken = {key.label for key in groups if finished[key]} | {""}
    both = len({key.is_ours for key in groups if key.config}) > 1
    for key in groups:
        base = key.label or published_name(dict(key.config)) or "unknown model"
        # It lacks the defaults, which would seem to set it apart from others.
        base += ", unfinished" if not finished[key] and key.label in taken else ""
        theirs = both and key.config and not key.is_ours
        by_base[f"{base} by disentanglement_lib" if theirs else base].append(key)
    labels = {}
    usual = _usual_settings(groups, finished)
    common = list(usual)
    for base, same in by_base.items():
        configs = [dict(key.config) for key in same]
        names = sorted({name for config in configs for name in config})
        apart = [name for name in names if len({config.get(name) for config in configs}) > 1]
        everywhere = [name for name in apart if all(name in config for config in configs)]
        everywhere = list(dict.fromkeys([*common, *everywhere]))
        apart = list(dict.fromkeys([*common, *apart]))
        texts = [
            _with_settings(base, config, _own(config, everywhere, usual)) for config in configs
        ]
        if len(set(texts)) < len(texts):
            texts = [_with_settings(base, config, apart) for config in configs]
        for number, (key, text) in enumerate(zip(same, texts, strict=True), 1):
            labels[key] = text if texts.count(text) == 1 else f"{text} #{number}"
    return labels


def _usual_settings(
    groups: Mapping[_Key, Sequence[Run]], finished: Mapping[_Key, bool]
) -> dict[str, float | str | None]:
    """Settings of any model in which two differ, and the value of more than half, if there is one.

    A comparison is of these settings, too: labels name them, but for the value of most.
    """
    configs = [dict(key.config) for key in groups if finished[key] and key.config]
    usual: dict[str, float | str | None] = {}
    for name in _TRAINING_SETTINGS:
        counts = Counter(_value(config.get(name)) for config in configs)
        if len(counts) > 1:
            value, count = counts.most_common(1)[0]
            usual[name] = value if 2 * count > len(configs) else None
    return usual


def _own(
    config: Settings, names: Sequence[str], usual: Mapping[str, float | str | None]
) -> list[str]:
    """The settings that a label names: without those that have the value of most models."""
    return [
        name
        for name in names
        if name not in usual or usual[name] is None or _value(config.get(name)) != usual[name]
    ]


def _value(text: str | None) -> float | str | None:
    """The same of 1e-4 and 0.0001."""
    value = number(text)
    return text if value is None else value


def _with_settings(base: str, config: Settings, names: list[str]) -> str:
    last = [name.rpartition(".")[2] for name in names]
    short = {n: part if last.count(part) == 1 else n for n, part in zip(names, last, strict=True)}
    shown = [f"{short[name]} = {config[name]}" for name in names if name in config]
    more = len(shown) - _LABEL_SETTINGS
    if more > 0:
        shown[_LABEL_SETTINGS:] = [f"{more} more"]
    return f"{base} ({', '.join(shown)})" if shown else base


def published_name(config: Settings) -> str:
    """The model's name in publications; empty for a run without a training configuration."""
    function = gin_function(config.get("model.model", ""))
    own = {key.removeprefix(f"{function}."): value for key, value in config.items()}
    return titles.published_name(function, own)


def number(text: str | None) -> float | None:
    """A gin value that is a number, else None."""
    try:
        return float(text or "")
    except ValueError:
        return None
