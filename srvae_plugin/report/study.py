"""What a study's own record adds to its runs: their names in the study, and which did not end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from srvae_plugin.report.run import DataSet, Run

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
        entries = json.loads(path.read_text(encoding="utf-8"))["runs"]
        folders = [(path.parent / entry["folder"]).resolve() for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        notes.append(f"{path} is damaged and left out: {error!r}")
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


def _describe(run: Run, entry: Mapping[str, Any]) -> None:
    run.label = str(entry.get("label") or run.label)
    label = str(entry.get("dataset") or "")
    if label != str(entry.get("dataset_name", "")):
        run.data_label = label
    status = str(entry.get("status", "finished"))
    if "seed" in entry:
        run.config.setdefault("model.random_seed", str(entry["seed"]))
    if status == "finished":
        return
    run.waits = status in _WAITS and not run.finished
    log = f"log: {entry['log']}" if entry.get("log") else ""
    said = [f"{status} in its study", str(entry.get("error") or ""), log]
    run.problems[:0] = ["; ".join(" ".join(part.split()) for part in said if part)]
