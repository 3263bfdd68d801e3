"""What runs lack: metrics that were refused, scores that were planned, trainings without an end."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from srvae_plugin.config.text import gin_dict, record_in
from srvae_plugin.files import read_json
from srvae_plugin.report.data_sets import from_config, from_record
from srvae_plugin.report.keys import metric_name
from srvae_plugin.report.reading import seed_of
from srvae_plugin.report.run import UNFINISHED, DataSet, Run, Settings
from srvae_plugin.runs.directory import RunDirectory, refused_folder, run_of, scored_kind

__all__ = ["add_foreign", "add_refusals", "planned_metrics", "with_plans"]


def add_refusals(files: Sequence[Path], by_uuid: dict[str, Run], notes: list[str]) -> None:
    """Note which metrics could not be computed, and add what has no score at all."""
    by_folder = {run.folder.resolve(): run for run in by_uuid.values()}
    for file in files:
        folder = refused_folder(file)
        try:
            said = read_json(file)
            metric, error = str(said["metric"]), str(said["error"])
        except (OSError, ValueError, KeyError) as problem:
            notes.append(_left_out(file, problem))
            continue
        of_run = run_of(folder, False).path
        run = by_folder.get(of_run.resolve())
        if run is None:
            run = by_uuid[str(of_run)] = by_folder[of_run.resolve()] = Run(of_run.name, of_run)
            model, data = said.get("foreign_model"), said.get("evaluation_dataset")
            if isinstance(model, dict) and model:
                add_foreign(run, model)
            run.data = (from_record(data) if isinstance(data, dict) else None) or DataSet()
        name = metric_name(metric, folder.name)
        kind = scored_kind(folder) or "mean"
        run.refused[kind, name] = error
        run.problems.append(f"no score of {name}{'' if kind == 'mean' else f' ({kind})'}: {error}")


def with_plans(runs: list[Run], roots: Mapping[Path, str]) -> list[Run]:
    """Note what our own runs were to score and did not; add those that have not been trained."""
    left = dict(roots)
    for run in runs:
        run.environment = _environment(run)
        if left.pop(run.folder.resolve(), None) is not None:
            text = _config_text(run.folder, run.problems)
            planned = {metric_name(name) for name in planned_metrics(gin_dict(text))}
            known = {metric for _, metric in (*run.scores, *run.refused)}
            missing = sorted(planned - known)
            run.problems += [f"no scores of {', '.join(missing)}"] if missing else []
    for folder, name in left.items():
        problems: list[str] = []
        text = _config_text(folder, problems)
        config = gin_dict(text)
        data = from_record(_record_in(text)) or from_config(config) or DataSet()
        run = Run(name, folder, config, data=data, finished=False)
        run.problems += [UNFINISHED, *problems]
        runs.append(run)
    return runs


def _record_in(config: str) -> dict[str, Any]:
    """What a run that has not finished says of its data."""
    try:
        found = record_in(config)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _config_text(folder: Path, problems: list[str]) -> str:
    """A run's own configuration; empty, and a problem of it, if it cannot be read."""
    try:
        return RunDirectory(folder).read_config()
    except (OSError, ValueError) as error:
        problems.append(str(error))
        return ""


def _environment(run: Run) -> dict[str, Any]:
    try:
        if not run.directory.environment.is_file():
            return {}
        found = run.directory.read_environment()
    except (OSError, ValueError) as error:
        run.problems.append(str(error))
        return {}
    if not isinstance(found.get("data_source", ""), str):
        found["data_source"] = str(found["data_source"])
    return found


def _left_out(path: Path, problem: Exception) -> str:
    said = f"it has no {problem}" if isinstance(problem, KeyError) else str(problem)
    return f"{path} is left out: {said}"


def planned_metrics(config: Settings) -> list[str]:
    """What a run was to be scored with; empty if that is no list of names."""
    try:
        return [str(name) for name in ast.literal_eval(config.get("run.metrics", ""))]
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return []


def add_foreign(run: Run, model: Mapping[str, Any]) -> None:
    """What the scores of a model that was not trained here say of it."""
    run.is_foreign = True
    run.content = str(model.get("content") or "")
    run.label = run.label or str(model.get("label") or "")
    run.given_seed = seed_of(model.get("seed"))
