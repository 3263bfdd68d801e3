"""What a study's gin file says: its models, hyperparameters, data sets and seeds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gin

from srvae_plugin.config import gin_files
from srvae_plugin.config.gin_files import ConfigError
from srvae_plugin.config.text import gin_dict

__all__ = ["Study", "is_gin_file", "read_study"]


_ONLY = (
    "A study's gin file binds study.* only, and what its runs bind stands in lists: "
    'study.every_run = ["model.training_steps = 1000"]'
)


@gin.register("study", module="srvae_plugin")
@dataclass
class Study:
    """What gin binds under `study`.

    Lists hold names of gin files (ending in ".gin": a path from the working directory, beside the
    study's file, or a packaged one) and bindings ("vae.beta = 4.0"). A run has the files and the
    bindings of its model, of its data set and of `every_run`, in this order; later ones win, and
    bindings win over files.

    Args:
        models: name -> files and bindings.
        seeds: number of seeds (0, 1, ...), or a list of them; a run binds `model.random_seed`.
        grid: name of a model -> gin name -> values; every combination is a model of its own. A
            value such as "@conv_encoder" is a reference.
        datasets: name -> files and bindings; empty: what the models' files bind.
        every_run: files and bindings of all runs.
        numbered: one of disentanglement_lib's numbered studies, such as "unsupervised_study_v1",
            instead of models, seeds, grid and datasets.
        model_nums: which models of it; None: all.

    Raises:
        ValueError: for entries that are no file or binding, and for a grid without its model.
    """

    models: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seeds: int | Sequence[int] = 1
    grid: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)
    datasets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    every_run: Sequence[str] = ()
    numbered: str = ""
    model_nums: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if bool(self.models) == bool(self.numbered):
            raise ValueError("study.models or study.numbered: expected one of them to be bound")
        if self.numbered and (self.grid or self.datasets):
            raise ValueError(f"study.numbered = {self.numbered!r} has its own grid and data sets")
        for name, settings in self.grid.items():
            if name not in self.models:
                raise ValueError(f"study.grid: {name!r} is none of study.models, {[*self.models]}")
            _refuse_seeds("study.grid", [*settings])
            for key, values in settings.items():
                if isinstance(values, str) or not isinstance(values, Sequence) or not len(values):
                    raise ValueError(f"study.grid: {key} = {values!r}: expected a list of values")
                if any(value in values[:place] for place, value in enumerate(values)):
                    raise ValueError(f"study.grid: {key} = {values!r} has the same value twice")
        lists = {f"models[{name!r}]": entries for name, entries in self.models.items()}
        lists |= {f"datasets[{name!r}]": entries for name, entries in self.datasets.items()}
        for key, entries in {**lists, "every_run": self.every_run}.items():
            _check_entries(f"study.{key}", entries)
            _refuse_seeds(f"study.{key}", entries)
        _check_seeds(self)
        numbers = self.model_nums
        if numbers is not None and not 0 < len(numbers) == len(set(numbers)):
            raise ValueError(f"study.model_nums = {numbers!r}: expected numbers, each one once")

    @property
    def all_seeds(self) -> Sequence[int]:
        """The seeds, one by one."""
        return range(self.seeds) if isinstance(self.seeds, int) else list(self.seeds)


def _check_entries(key: str, entries: Any) -> None:
    is_list = isinstance(entries, list | tuple)
    wrong = [entry for entry in entries if not _is_entry(entry)] if is_list else [entries]
    if wrong:
        raise ValueError(
            f"{key}: {wrong[0]!r}: expected a list of gin files and bindings, such as "
            '["vae_dsprites.gin", "vae.beta = 4.0"]'
        )


def _refuse_seeds(key: str, entries: Sequence[str]) -> None:
    """Refuse bindings that the seed of each run would replace."""
    for entry in entries:
        name = entry.partition("=")[0].strip().removeprefix("srvae_plugin.")
        if name == "model.random_seed":
            raise ValueError(
                f"{key}: {entry!r} has no effect, as each run has its own: study.seeds = [3, 4] "
                "says which seeds a study has"
            )


def _is_entry(entry: Any) -> bool:
    binding = r"[\w./]+\s*=|import\s"
    return isinstance(entry, str) and (is_gin_file(entry) or bool(re.match(binding, entry)))


def _check_seeds(study: Study) -> None:
    seeds = study.all_seeds
    sound = all(isinstance(seed, int) and 0 <= seed < 2**32 for seed in seeds)
    if not len(seeds) or not sound or len(set(seeds)) < len(seeds):
        raise ValueError(
            f"study.seeds = {study.seeds!r}: expected a number from 1, or a list of different "
            "seeds in 0 .. 2**32 - 1"
        )


def is_gin_file(entry: str) -> bool:
    """Whether an entry of a study's lists names a gin file; if not, it is a binding."""
    return entry.endswith(".gin")


def read_study(files: Sequence[str | Path], bindings: Sequence[str] = ()) -> Study:
    """Read the study that gin files and bindings describe.

    A binding of anything but `study.*` is added to every run.

    Raises:
        ConfigError: for what cannot be read and for a study file that binds something else.
        ValueError: for a binding that each run sets itself, its seed.
    """
    own = [b for b in bindings if b.lstrip().startswith("study.")]
    try:
        with gin_files.configured(files, own, load_plugins=False):
            _require_study_only()
            study = gin.get_configurable(Study)()
    except ConfigError as error:
        if "unknown name" not in str(error) and "cannot be bound here" not in str(error):
            raise
        raise ConfigError(f"{error}. {_ONLY}") from None
    of_runs = [b for b in bindings if b not in own]
    _refuse_seeds("bindings", of_runs)
    study.every_run = [*study.every_run, *of_runs]
    return study


def _require_study_only() -> None:
    """Refuse bindings that nothing would read: their names may be known here or not."""
    for name, value in gin_dict(gin.config_str()).items():
        if "." in name and not name.startswith("study."):
            raise ConfigError(f"{name} = {value}: {_ONLY}")
