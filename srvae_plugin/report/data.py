"""Reads finished and failed runs from folders: this package's and disentanglement_lib's alike.

A step's folder holds `results/aggregate/<step>.json`, which names the steps before it by their
`uuid`. Scores are brought together by that of the training, wherever the folders lie.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from srvae_plugin.config.text import gin_function
from srvae_plugin.files import read_json
from srvae_plugin.report.comparison.gaps import add_foreign, add_refusals, with_plans
from srvae_plugin.report.data_sets import (
    from_config,
    from_record,
    name_data_sets,
    name_scored_data,
)
from srvae_plugin.report.foreign import told_apart
from srvae_plugin.report.keys import TRAINING, metric_name
from srvae_plugin.report.reading import texts
from srvae_plugin.report.run import DataSet, Run, Settings
from srvae_plugin.report.study import study_name, with_study
from srvae_plugin.runs.directory import (
    NO_STEPS,
    STUDY_FILE,
    is_run_directory,
    last_step_in,
    refused_among,
    run_of,
    scored_kind,
)

__all__ = ["Found", "read_runs"]


class Found(NamedTuple):
    """All that was read."""

    runs: list[Run]
    notes: list[str]
    """Files left out, and why."""
    title: str
    """The studies' names, or those of the folders."""


def read_runs(places: Sequence[Path]) -> Found:
    """All runs below some folders, sorted by name.

    Args:
        places: run directories, folders of run directories, study directories, or JSON files that
            disentanglement_lib's `aggregate_results_to_json` wrote.

    Raises:
        ValueError: if a place does not exist or holds no run.
    """
    notes: list[str] = []
    by_uuid: dict[str, Run] = {}
    roots: dict[Path, str] = {}
    studies: list[Path] = []
    refusals: list[Path] = []
    seen: set[Path] = set()
    for place in places:
        before = len(seen) + len(roots) + len(studies) + len(refusals)
        walk = _from_folder(place, roots, studies, notes, refusals)
        for record in _from_table(place) if place.is_file() else walk:
            if record.path.resolve() not in seen or place.is_file():
                seen.add(record.path.resolve())
                _add(record, by_uuid, notes)
        below = [path for path in seen if path.is_relative_to(place.resolve())]
        if len(seen) + len(roots) + len(studies) + len(refusals) == before and not below:
            raise ValueError(
                f"{place} contains no run: expected folders with results/aggregate/train.json or "
                "evaluation.json below it, as srvae-run, srvae-study and disentanglement_lib write "
                f"them{'; ' + '; '.join(notes) if notes else ''}"
            )
    add_refusals(list(dict.fromkeys(refusals)), by_uuid, notes)
    runs = with_plans(list(by_uuid.values()), roots)
    for study in studies:
        runs = with_study(runs, study, notes)
    for run in runs:
        if not run.data.digest and run.config:
            run.data = from_config(run.config, run.environment.get("data_source")) or run.data
    name_data_sets(runs, notes)
    name_scored_data(runs)
    runs = told_apart(runs, notes)
    named = [name for study in studies if (name := study_name(study))]
    title = ", ".join(dict.fromkeys(named or [place.resolve().name for place in places]))
    return Found(sorted(runs, key=lambda run: run.name), notes, title)


class _Record(NamedTuple):
    """One aggregate: everything known after one step."""

    path: Path
    """Folder of the step."""
    name: str
    values: dict[str, Any]

    def settings(self, step: str) -> Settings:
        """What gin bound for a step."""
        return texts(self.part(f"{step}_config."))

    def part(self, prefix: str) -> dict[str, Any]:
        return {k[len(prefix) :]: v for k, v in self.values.items() if k.startswith(prefix)}


def _from_folder(
    place: Path,
    roots: dict[Path, str],
    studies: list[Path],
    notes: list[str],
    refusals: list[Path],
) -> Iterator[_Record]:
    """Steps below a folder; run directories of ours are added to `roots`, studies to `studies`."""
    if not place.is_dir():
        raise ValueError(f"{place} is not a folder of runs: it does not exist")
    for folder, folders, files in os.walk(place):
        here = Path(folder)
        if is_run_directory(files):
            roots[here.resolve()] = _relative(here, place)
        if STUDY_FILE in files:
            studies.append(here / STUDY_FILE)
        refusals += [here / name for name in refused_among(files)]
        if (step := last_step_in(here)) is not None:
            path = step.aggregate
            try:
                step.check(path)
                values = read_json(path)
            except (OSError, ValueError) as error:
                notes.append(f"{error}; it is left out")
            else:
                yield _Record(here, _relative(here, place), values)
        # Temporary folders begin with a dot; the others hold no results.
        folders[:] = sorted(f for f in folders if f not in NO_STEPS and not f.startswith("."))


def _relative(folder: Path, place: Path) -> str:
    return "/".join([place.resolve().name, *folder.relative_to(place).parts])


def _from_table(place: Path) -> Iterator[_Record]:
    """Rows of a table that pandas wrote by columns: {column: {row: value}}."""
    try:
        table = read_json(place)
        rows: dict[str, dict[str, Any]] = {}
        for column, values in table.items():
            for row, value in values.items():
                if value is not None:
                    rows.setdefault(row, {})[column] = value
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"{place} is not a table of results, as disentanglement_lib's "
            f"aggregate_results_to_json writes it: {error}"
        ) from None
    for row, values in rows.items():
        # The path of evaluation.json, three folders below that of the step.
        file = Path(str(values.get("path", f"{place}/{row}/results/aggregate/x")))
        if len(file.parents) < 3:
            raise ValueError(
                f"{place}, row {row}: the path {str(file)!r} is too short: expected one such as "
                "run/metrics/mig/results/aggregate/evaluation.json"
            )
        yield _Record(file.parents[2], str(file.parents[2]), values)


def _add(record: _Record, by_uuid: dict[str, Run], notes: list[str]) -> None:
    identity = record.values.get("train_results.uuid")
    of_run = run_of(record.path, bool(identity)).path
    # Scores of a representation that is not of a training belong together if they lie together
    # and are of the same codes.
    content = str(record.values.get("foreign_model.content") or "")
    run = by_uuid.setdefault(str(identity or f"{of_run} {content}".rstrip()), Run("", of_run))
    is_training = "postprocess_results.uuid" not in record.values and bool(identity)
    if not run.name or is_training:
        above = len(record.path.parts) - len(of_run.parts)
        run.name = "/".join(record.name.split("/")[:-above] if above else [record.name])
        run.name = run.name or of_run.name
        run.folder = of_run
    if not run.data.name:
        run.config = record.settings("train")
        if losses := record.part("train_results."):
            run.scores["", TRAINING] = losses
        run.data = _data_set(record)
        run.factor_names = _strings(record.values.get("train_dataset.factor_names"))
    if foreign := record.part("foreign_model."):
        add_foreign(run, foreign)
    if "evaluation_results.uuid" in record.values:
        _add_scores(run, record, notes)


def _add_scores(run: Run, record: _Record, notes: list[str]) -> None:
    settings = record.settings("evaluation")
    folder = record.path.name if scored_kind(record.path) else ""
    function = gin_function(record.settings("postprocess").get("postprocess.postprocess_fn", ""))
    kind = function.removesuffix("_representation") or "mean"
    where = (kind, metric_name(settings.get("evaluation.evaluation_fn", ""), folder))
    if where in run.scores:
        notes.append(f"{record.name} is left out: {run.name} has scores of {where[1]} already")
        return
    run.scores[where] = record.part("evaluation_results.")
    run.settings[where] = settings
    if data := from_record(record.part("evaluation_dataset.")):
        run.scored_data[where] = data
        names = _strings(record.values.get("evaluation_dataset.factor_names"))
        run.factor_names = run.factor_names or names


def _strings(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _data_set(record: _Record) -> DataSet:
    """What the first of the steps was made on."""
    for step in ("train", "evaluation"):
        # Scores may be of other data than the training was.
        counts = step == "train" or not record.values.get("train_results.uuid")
        if counts and (found := from_record(record.part(f"{step}_dataset."))):
            return found
    for step in ("train", "postprocess", "evaluation"):
        if found := from_config(record.settings(step)):
            return found
    return DataSet()
