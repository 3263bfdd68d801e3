"""Plans a study: from a gin file with models, hyperparameters, data sets and seeds to its runs.

Nothing is trained and no model is loaded here, so that thousands of runs are listed in a second.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import gin

from srvae_plugin import dlib_studies, gin_config
from srvae_plugin.gin_config import ConfigError
from srvae_plugin.results import gin_dict

SEED = "model.random_seed"
_MODEL_NUM = "model.model_num"
_LONGEST_NAME = 120
_ONLY = (
    "A study's gin file binds study.* only, and what its runs bind stands in lists: "
    'study.every_run = ["model.training_steps = 1000"]'
)


class PlannedRun(NamedTuple):
    """One run of a study."""

    number: int
    """Place in the study; in a numbered study of disentanglement_lib its model number."""
    model: str
    settings: Mapping[str, Any]
    """Hyperparameters of the grid, by gin name."""
    dataset: str
    """Its name in the study; empty if the study has no list of data sets."""
    seed: int
    files: tuple[str, ...]
    shared: tuple[str, ...]
    """Bindings that the runs with other seeds have too."""
    own: tuple[tuple[str, int], ...]
    """Names and values of the bindings that only this run has: its seed and number."""
    folder: str
    """Run directory, relative to the study's."""
    numbered: str = ""
    """disentanglement_lib's name of the study, if it is one of its numbered ones."""

    @property
    def bindings(self) -> list[str]:
        """All bindings, strongest last."""
        return [*self.shared, *(f"{name} = {value}" for name, value in self.own)]

    @property
    def label(self) -> str:
        """The model and its hyperparameters, as in "beta-VAE (vae.beta=4.0)"."""
        chosen = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        return f"{self.model} ({chosen})" if chosen else self.model

    def __str__(self) -> str:
        return " ".join(filter(None, (self.label, self.dataset, f"seed {self.seed}")))


@gin.register("study", module="srvae_plugin")
@dataclass
class Study:
    """What gin binds under `study`.

    Lists hold names of gin files (ending in ".gin": a path from the working directory, beside the
    study's file, or a packaged one) and bindings ("vae.beta = 4.0"). A run has the files and the
    bindings of its model, of its data set and of `every_run`, in this order; later ones win, and
    bindings win over files.

    Arguments:
        models: name -> files and bindings.
        seeds: number of seeds (0, 1, ...), or a list of them; a run binds `model.random_seed`.
        grid: name of a model -> gin name -> values; every combination is a model of its own. A
            value such as "@conv_encoder" is a reference.
        datasets: name -> files and bindings; empty: what the models' files bind.
        every_run: files and bindings of all runs.
        numbered: one of disentanglement_lib's numbered studies, such as "unsupervised_study_v1",
            instead of models, seeds, grid and datasets.
        model_nums: which models of it; None: all.

    Raises ValueError for entries that are no file or binding, and for a grid without its model.
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
        for name in self.grid:
            if name not in self.models:
                raise ValueError(f"study.grid: {name!r} is none of study.models, {[*self.models]}")
        for key, values in _swept(self.grid):
            if isinstance(values, str) or not isinstance(values, Sequence) or not len(values):
                raise ValueError(f"study.grid: {key} = {values!r}: expected a list of values")
        lists = {f"models[{name!r}]": entries for name, entries in self.models.items()}
        lists |= {f"datasets[{name!r}]": entries for name, entries in self.datasets.items()}
        for key, entries in {**lists, "every_run": self.every_run}.items():
            _check_entries(f"study.{key}", entries)
        self.seeds = _checked_seeds(self.seeds)


def _swept(grid: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    for settings in grid.values():
        yield from settings.items()


def _check_entries(key: str, entries: Any) -> None:
    whole = isinstance(entries, list | tuple) and all(isinstance(entry, str) for entry in entries)
    wrong = [] if whole else [entries]
    if whole:
        wrong = [e for e in entries if not (_is_file(e) or re.match(r"[\w./]+\s*=|import\s", e))]
    if wrong:
        raise ValueError(
            f"{key}: {wrong[0]!r}: expected a list of gin files and bindings, such as "
            '["vae_dsprites.gin", "vae.beta = 4.0"]'
        )


def _checked_seeds(seeds: int | Sequence[int]) -> Sequence[int]:
    chosen = range(seeds) if isinstance(seeds, int) else list(seeds)
    sound = all(isinstance(seed, int) and 0 <= seed < 2**32 for seed in chosen)
    if not len(chosen) or not sound or len(set(chosen)) < len(chosen):
        raise ValueError(
            f"study.seeds = {seeds!r}: expected a number from 1, or a list of different seeds in "
            "0 .. 2**32 - 1"
        )
    return chosen


def _is_file(entry: str) -> bool:
    return entry.endswith(".gin")


def read_study(files: Sequence[str | Path], bindings: Sequence[str] = ()) -> Study:
    """Read the study that gin files and bindings describe.

    A binding of anything but `study.*` is added to every run.

    Raises ConfigError for what cannot be read and for a study file that binds something else.
    """
    own = [b for b in bindings if b.lstrip().startswith("study.")]
    try:
        with gin_config.configured(files, own, load_plugins=False):
            _require_study_only()
            study = gin.get_configurable(Study)()
    except ConfigError as error:
        if "unknown name" not in str(error):
            raise
        raise ConfigError(f"{error}. {_ONLY}") from None
    study.every_run = [*study.every_run, *(b for b in bindings if b not in own)]
    return study


def _require_study_only() -> None:
    """Refuse bindings that nothing would read: their names may be known here or not."""
    for name, value in gin_dict(gin.config_str()).items():
        if "." in name and not name.startswith("study."):
            raise ConfigError(f"{name} = {value}: {_ONLY}")


def plan(study: Study, beside: Sequence[Path] = ()) -> list[PlannedRun]:
    """The runs of a study: models x grid x data sets x seeds, the last running fastest.

    `beside` are folders in which gin files are looked for too. Raises ConfigError if one is
    missing, ValueError if two runs would have the same folder.
    """
    files, bindings = _split(study.every_run, beside)
    if study.numbered:
        return list(_numbered(study, files, bindings))
    runs: list[PlannedRun] = []
    folders: dict[str, str] = {}
    for name, settings, dataset in _cells(study):
        entries = [*study.models[name], *study.datasets.get(dataset, ())]
        more_files, more = _split(entries, beside)
        chosen = tuple(f"{key} = {_literal(value)}" for key, value in settings.items())
        folder = _folder(dataset, name, settings)
        cell = f"{name} {settings} {dataset}"
        if folders.setdefault(folder, cell) != cell:
            raise ValueError(f"study: {folders[folder]} and {cell} have the same folder {folder}")
        for seed in study.seeds:  # type: ignore[union-attr]
            runs.append(
                PlannedRun(
                    *(len(runs), name, settings, dataset, seed),
                    files=more_files + files,
                    shared=more + chosen + bindings,
                    own=((SEED, seed),),
                    folder=f"{folder}/seed-{seed}",
                )
            )
    return runs


def _cells(study: Study) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Model, hyperparameters and data set of every cell of the grid."""
    for name in study.models:
        swept = study.grid.get(name, {})
        for values in itertools.product(*swept.values()):
            for dataset in study.datasets or [""]:
                yield name, dict(zip(swept, values, strict=True)), dataset


def _numbered(
    study: Study, files: tuple[str, ...], bindings: tuple[str, ...]
) -> Iterator[PlannedRun]:
    """Runs of a study of disentanglement_lib, with the bindings that `srvae-run --study` gives."""
    source = dlib_studies.find_study(study.numbered)
    seeds = source.num_seeds
    chosen = range(source.num_models) if study.model_nums is None else study.model_nums
    if not all(0 <= number < source.num_models for number in chosen):
        raise ValueError(
            f"study.model_nums = {chosen!r}: {source.name} has the models 0 .. "
            f"{source.num_models - 1}"
        )
    for block, numbers in itertools.groupby(chosen, lambda number: number // seeds):
        # Only the seed and the number differ within a block; one call for each would take a minute.
        first = dlib_studies.NumberedModel(study.numbered, block * seeds).bindings()
        values = dict(binding.split(" = ", 1) for binding in first)
        name = values["model.name"].strip("'")
        swept = next(b for b in dlib_studies.METHODS[name].bindings if "{}" in b).split(" = ")[0]
        shared = tuple(b for b in first if b.split(" = ")[0] not in (SEED, _MODEL_NUM))
        for number in numbers:
            seed = number % seeds
            yield PlannedRun(
                *(number, name, {swept: float(values[swept])}),
                *(values["dataset.name"].strip("'"), seed),
                files=(dlib_studies.MODEL_FILE, *files),
                shared=shared + bindings,
                own=((_MODEL_NUM, number), (SEED, seed)),
                folder=f"runs/{number}",
                numbered=study.numbered,
            )


def _split(
    entries: Sequence[str], beside: Sequence[Path]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Files, found, and bindings of a list."""
    files = tuple(_find(entry, beside) for entry in entries if _is_file(entry))
    return files, tuple(entry for entry in entries if not _is_file(entry))


def _find(name: str, beside: Sequence[Path]) -> str:
    """Absolute path of a gin file of the user's; a packaged one keeps its short name."""
    for folder in (Path.cwd(), *beside):
        if (folder / name).is_file():
            return str((folder / name).resolve())
    gin_config.find_file(name)
    return name


def _literal(value: Any) -> str:
    """A value as gin writes it; a string that starts with @ or % is a reference."""
    is_reference = isinstance(value, str) and value.startswith(("@", "%"))
    return str(value) if is_reference else repr(value)


def _folder(dataset: str, name: str, settings: Mapping[str, Any]) -> str:
    parts = [dataset, name, ",".join(f"{key}={value}" for key, value in settings.items())]
    return "/".join(["runs", *(_slug(part) for part in parts if part)])


def _slug(text: str) -> str:
    """A file name: what is no letter, digit or one of ``._=,+-`` becomes one dash."""
    slug = re.sub(r"[^\w.=,+-]+", "-", text).strip("-.") or "-"
    return slug if len(slug) <= _LONGEST_NAME else slug[:_LONGEST_NAME]
