"""What a study's own record adds to its runs: their names in the study, and which did not end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from srvae_plugin.report.reading import seed_of
from srvae_plugin.report.run import UNFINISHED, DataSet, Run
from srvae_plugin.runs.directory import read_study_record

__all__ = ["study_name", "with_study"]

_WAITS = ("planned", "running", "interrupted")
"""Statuses of runs that may still come to an end."""


def with_study(runs: list[Run], path: Path, notes: list[str]) -> list[Run]:
    """The runs, those of a study labelled as there, and those of it that left nothing added.

    Args:
        runs: runs found in folders.
        path: a `study.json`; its runs' folders are relative to its own.
        notes: a line is added if the file is damaged.
    """
    try:
        entries = read_study_record(path)["runs"]
        folders = [_inside(path, entry["folder"]) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        said = str(error) if isinstance(error, ValueError) else f"it does not list runs: {error!r}"
        notes.append(
            f"{path} is damaged ({said}): the names that it gives to runs and what it says of "
            "unfinished ones are left out; delete it, and the study's command with --resume will "
            "write it again"
        )
        return runs
    by_folder = {run.folder.resolve(): run for run in runs}
    added = []
    for entry, folder in zip(entries, folders, strict=True):
        run = by_folder.get(folder)
        if run is None:
            name = f"{path.resolve().parent.name}/{entry['folder']}"
            data = DataSet(str(entry.get("dataset_name", "")))
            run = Run(name, folder, data=data, finished=False)
            added.append(run)
        _describe(run, entry)
    return [*runs, *added]


def _inside(path: Path, folder: str) -> Path:
    """Folder of a run; ValueError if it lies outside the study's."""
    found = (path.parent / folder).resolve()
    if not found.is_relative_to(path.parent.resolve()):
        raise ValueError(f"it has a run in {folder!r}, outside its folder")
    return found


def _describe(run: Run, entry: Mapping[str, Any]) -> None:
    run.label = str(entry.get("label") or run.label)
    label = str(entry.get("dataset") or "")
    if label != str(entry.get("dataset_name", "")):
        run.data_label = label
    status = str(entry.get("status", "finished"))
    if "seed" in entry:
        if (seed := seed_of(entry["seed"])) is None:
            run.problems.append(
                f"study.json: the seed is {entry['seed']!r:.40}, not a whole number"
            )
        else:
            run.config.setdefault("model.random_seed", str(seed))
    run.status = status
    if status == "finished":
        return
    run.waits = status in _WAITS and not run.finished
    # The study says why, or that it is no fault.
    run.problems = [problem for problem in run.problems if problem != UNFINISHED]
    if run.waits:
        return
    log = f"log: {entry['log']}" if entry.get("log") else ""
    said = [f"{status} in its study", str(entry.get("error") or ""), log]
    run.problems[:0] = ["; ".join(" ".join(part.split()) for part in said if part)]


def study_name(path: Path) -> str:
    """The study's name in its `study.json`; empty if it does not say."""
    try:
        name = read_study_record(path).get("study")
    except (OSError, ValueError):
        return ""
    return name if isinstance(name, str) else ""
