"""Plans a study: from its definition to its runs.

Nothing is trained and no model is loaded here, so that thousands of runs are listed in a second.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from srvae_plugin.config import gin_files
from srvae_plugin.study import numbered
from srvae_plugin.study.definition import Study, is_gin_file

__all__ = ["PlannedRun", "plan"]


_SEED = "model.random_seed"
_MODEL_NUM = "model.model_num"
_LONGEST_NAME = 120


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


def plan(study: Study, beside: Sequence[Path] = ()) -> list[PlannedRun]:
    """The runs of a study: models x grid x data sets x seeds, the last running fastest.

    `beside` are folders in which gin files are looked for too.

    Raises:
        ConfigError: if one is missing.
        ValueError: if two runs would have the same folder.
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
        _refuse_bound_twice(name, settings, bindings)
        folder = _folder(dataset, name, settings)
        cell = f"{name} {settings} {dataset}"
        if folders.setdefault(folder, cell) != cell:
            raise ValueError(f"study: {folders[folder]} and {cell} have the same folder {folder}")
        for seed in study.all_seeds:
            runs.append(
                PlannedRun(
                    number=len(runs),
                    model=name,
                    settings=settings,
                    dataset=dataset,
                    seed=seed,
                    files=more_files + files,
                    shared=more + chosen + bindings,
                    own=((_SEED, seed),),
                    folder=f"{folder}/seed-{seed}",
                )
            )
    return runs


def _refuse_bound_twice(model: str, settings: Mapping[str, Any], bindings: Sequence[str]) -> None:
    """Refuse a binding of every run that would take the place of one of the grid."""
    for binding in bindings:
        name = binding.partition("=")[0].strip()
        if name in settings:
            raise ValueError(
                f"study.grid has {name} for {model}, and {binding!r} would replace its values: "
                "leave one of them out"
            )


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
    source = numbered.find_study(study.numbered)
    seeds = source.num_seeds
    chosen = range(source.num_models) if study.model_nums is None else study.model_nums
    if not all(0 <= number < source.num_models for number in chosen):
        raise ValueError(
            f"study.model_nums = {chosen!r}: {source.name} has the models 0 .. "
            f"{source.num_models - 1}"
        )
    for block, numbers in itertools.groupby(chosen, lambda number: number // seeds):
        # Only the seed and the number differ within a block; one call for each would take a minute.
        first = numbered.NumberedModel(study.numbered, block * seeds).bindings()
        values = dict(binding.split(" = ", 1) for binding in first)
        name = values["model.name"].strip("'")
        swept = next(b for b in numbered.METHODS[name].bindings if "{}" in b).split(" = ")[0]
        shared = tuple(b for b in first if b.split(" = ")[0] not in (_SEED, _MODEL_NUM))
        for number in numbers:
            seed = number % seeds
            yield PlannedRun(
                number=number,
                model=name,
                settings={swept: float(values[swept])},
                dataset=values["dataset.name"].strip("'"),
                seed=seed,
                files=(numbered.MODEL_FILE, *files),
                shared=shared + bindings,
                own=((_MODEL_NUM, number), (_SEED, seed)),
                folder=f"runs/{number}",
                numbered=study.numbered,
            )


def _split(
    entries: Sequence[str], beside: Sequence[Path]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Files, found, and bindings of a list."""
    files = tuple(_find(entry, beside) for entry in entries if is_gin_file(entry))
    return files, tuple(entry for entry in entries if not is_gin_file(entry))


def _find(name: str, beside: Sequence[Path]) -> str:
    """Absolute path of a gin file of the user's; a packaged one keeps its short name."""
    for folder in (Path.cwd(), *beside):
        if (folder / name).is_file():
            return str((folder / name).resolve())
    gin_files.find_file(name)
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
    return (re.sub(r"[^\w.=,+-]+", "-", text).strip("-.") or "-")[:_LONGEST_NAME]
