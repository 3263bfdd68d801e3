"""Reads finished and failed runs from folders: this package's and disentanglement_lib's alike.

A step's folder holds `results/aggregate/<step>.json`, which names the steps before it by their
`uuid`. Scores are brought together by that of the training, wherever the folders lie.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from srvae_plugin.report.keys import metric_name
from srvae_plugin.report.run import Run, Settings
from srvae_plugin.report.study import STUDY, with_study
from srvae_plugin.results import gin_dict

_NO_STEPS = {"results", "visualizations", "artifacts", "tfhub", "tf_checkpoint"}


class Found(NamedTuple):
    """All that was read."""

    runs: list[Run]
    notes: list[str]
    """Files left out, and why."""


def read_runs(places: Sequence[Path]) -> Found:
    """All runs below some folders, sorted by name.

    Arguments:
        places: run directories, folders of run directories, study directories, or JSON files that
            disentanglement_lib's `aggregate_results_to_json` wrote.

    Raises ValueError if a place does not exist or holds no run.
    """
    notes: list[str] = []
    by_uuid: dict[str, Run] = {}
    roots: dict[Path, str] = {}
    studies: list[Path] = []
    seen: set[Path] = set()
    for place in places:
        before = len(seen) + len(roots) + len(studies)
        walk = _from_folder(place, roots, studies, notes)
        for record in _from_table(place) if place.is_file() else walk:
            if record.path.resolve() not in seen or place.is_file():
                seen.add(record.path.resolve())
                _add(record, by_uuid, notes)
        below = [path for path in seen if path.is_relative_to(place.resolve())]
        if len(seen) + len(roots) + len(studies) == before and not below:
            raise ValueError(
                f"{place} holds no run: expected folders with results/aggregate/train.json or "
                "evaluation.json below it, as srvae-run, srvae-study and disentanglement_lib "
                f"leave them{'; ' + '; '.join(notes) if notes else ''}"
            )
    runs = _with_plans(list(by_uuid.values()), roots)
    for study in studies:
        runs = with_study(runs, study, notes)
    return Found(sorted(runs, key=lambda run: run.name), notes)


class _Record(NamedTuple):
    """One aggregate: everything known after one step."""

    path: Path
    """Folder of the step."""
    name: str
    values: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Any]:
        return {k[len(prefix) :]: v for k, v in self.values.items() if k.startswith(prefix)}


def _from_folder(
    place: Path, roots: dict[Path, str], studies: list[Path], notes: list[str]
) -> Iterator[_Record]:
    """Steps below a folder; run directories of ours are added to `roots`, studies to `studies`."""
    if not place.is_dir():
        raise ValueError(f"{place} is no folder of runs: it does not exist")
    for folder, folders, files in os.walk(place):
        here = Path(folder)
        if "config.gin" in files:
            roots[here.resolve()] = _relative(here, place)
        if STUDY in files:
            studies.append(here / STUDY)
        if "results" in folders and (path := _last_step(here)) is not None:
            try:
                values = json.loads(path.read_text(encoding="utf-8"))
                if not isinstance(values, dict):
                    raise ValueError("it holds no dictionary")
            except (OSError, ValueError) as error:
                notes.append(f"{path} is damaged and left out: {error}")
            else:
                yield _Record(here, _relative(here, place), values)
        # Temporary folders begin with a dot; the others hold no results.
        folders[:] = sorted(f for f in folders if f not in _NO_STEPS and not f.startswith("."))


def _last_step(folder: Path) -> Path | None:
    for step in ("evaluation", "postprocess", "train"):
        path = folder / "results" / "aggregate" / f"{step}.json"
        if path.is_file():
            return path
    return None


def _relative(folder: Path, place: Path) -> str:
    return "/".join([place.resolve().name, *folder.relative_to(place).parts])


def _from_table(place: Path) -> Iterator[_Record]:
    """Rows of a table that pandas wrote by columns: {column: {row: value}}."""
    try:
        table = json.loads(place.read_text(encoding="utf-8"))
        rows: dict[str, dict[str, Any]] = {}
        for column, values in table.items():
            for row, value in values.items():
                if value is not None:
                    rows.setdefault(row, {})[column] = value
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"{place} is no table of results, as disentanglement_lib's aggregate_results_to_json "
            f"writes it: {error}"
        ) from None
    for row, values in rows.items():
        # The path of evaluation.json, three folders below that of the step.
        path = Path(str(values.get("path", f"{place}/{row}/results/aggregate/x"))).parents[2]
        yield _Record(path, str(path), values)


def _add(record: _Record, by_uuid: dict[str, Run], notes: list[str]) -> None:
    identity = record.values.get("train_results.uuid")
    of_run = _run_folder(record.path, bool(identity))
    # Scores of a representation that is not of a training belong together if they lie together.
    run = by_uuid.setdefault(str(identity or of_run), Run("", of_run))
    is_training = "postprocess_results.uuid" not in record.values and bool(identity)
    if not run.name or is_training:
        above = len(record.path.parts) - len(of_run.parts)
        run.name = "/".join(record.name.split("/")[:-above] if above else [record.name])
        run.name = run.name or of_run.name
        run.folder = of_run
    if not run.data_set:
        run.config = record.part("train_config.")
        run.training = record.part("train_results.")
        run.data_set = _data_set(record)
    if "evaluation_results.uuid" in record.values:
        _add_scores(run, record, notes)


def _add_scores(run: Run, record: _Record, notes: list[str]) -> None:
    settings = record.part("evaluation_config.")
    inside = record.path.parts[-3] == "metrics" if len(record.path.parts) > 2 else False
    folder = record.path.name if inside else ""
    kind = record.values.get("postprocess_config.postprocess.postprocess_fn", "")
    kind = kind.removeprefix("@").removesuffix("_representation") or "mean"
    where = (kind, metric_name(settings.get("evaluation.evaluation_fn", ""), folder))
    if where in run.scores:
        notes.append(f"{record.name} is left out: {run.name} has scores of {where[1]} already")
        return
    run.scores[where] = record.part("evaluation_results.")
    run.settings[where] = settings


def _run_folder(step: Path, trained: bool) -> Path:
    """Folder of the run that a step's folder is of."""
    if step.name == "model":
        return step.parent
    if step.parent.name == "postprocessed":
        return step.parents[1]
    if step.parent.parent.name == "metrics":
        return step.parents[2]
    return step if trained else step.parent


def _data_set(record: _Record) -> str:
    for step in ("train", "postprocess", "evaluation"):
        config = record.part(f"{step}_config.")
        if name := config.get("dataset.name", "").strip("'\""):
            return _with_file(name, config)
    return "unknown data set"


def _with_file(name: str, config: Settings) -> str:
    """Data sets of the user's own go by the name of their file."""
    path = config.get(f"{name}.path", "None").strip("'\"")
    return f"{name} ({Path(path).name})" if name in ("npz", "image_folder") else name


def _with_plans(runs: list[Run], roots: Mapping[Path, str]) -> list[Run]:
    """Note what our own runs were to score and did not; add those that have not been trained."""
    left = dict(roots)
    for run in runs:
        run.environment = _environment(run)
        if left.pop(run.folder.resolve(), None) is not None:
            plan = gin_dict((run.folder / "config.gin").read_text(encoding="utf-8"))
            planned = {metric_name(name) for name in planned_metrics(plan)}
            missing = sorted(planned - {metric for _, metric in run.scores})
            run.problems += [f"no scores of {', '.join(missing)}"] if missing else []
    for folder, name in left.items():
        config = gin_dict((folder / "config.gin").read_text(encoding="utf-8"))
        record = _Record(folder, name, {f"train_config.{k}": v for k, v in config.items()})
        run = Run(name, folder, config, data_set=_data_set(record), finished=False)
        run.problems.append("training has not finished")
        runs.append(run)
    return runs


def _environment(run: Run) -> dict[str, Any]:
    try:
        found = json.loads((run.folder / "environment.json").read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        run.problems.append(f"environment.json is damaged: {error}")
        return {}


def planned_metrics(config: Settings) -> list[str]:
    """What a run was to be scored with; empty if that is no list of names."""
    try:
        return [str(name) for name in ast.literal_eval(config.get("run.metrics", ""))]
    except (ValueError, SyntaxError):
        return []
