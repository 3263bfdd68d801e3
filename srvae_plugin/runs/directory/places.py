"""Which run or step a folder is of, by its place."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from srvae_plugin.runs.directory.run import CONFIG, RunDirectory
from srvae_plugin.runs.directory.steps import Step, StepDirectory, TrainingDirectory

__all__ = [
    "holding_run",
    "is_run_directory",
    "last_step_in",
    "run_of",
    "runs_below",
    "scored_kind",
    "trained_in",
]


def trained_in(folder: Path) -> TrainingDirectory:
    """The training in a run directory, or in the `model` or `postprocessed/<kind>` of one."""
    inner = RunDirectory(folder).model
    return inner if inner.path.is_dir() else TrainingDirectory(folder)


def runs_below(place: Path) -> list[RunDirectory]:
    """Runs with a finished training in a folder, in the order of their paths.

    Raises:
        ValueError: there is no such folder, or no such run.
    """
    if not place.is_dir():
        raise ValueError(f"{place} is not a folder of runs: it does not exist")
    found = []
    for folder, folders, _ in os.walk(place):
        run = RunDirectory(Path(folder))
        if run.model.is_complete():
            found.append(run)
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))
    if not found:
        raise ValueError(f"{place} contains no finished run: expected folders with model/ in them")
    return found


def is_run_directory(files: Iterable[str]) -> bool:
    """Whether a folder with files of these names is a run directory of ours."""
    return CONFIG in files


def last_step_in(folder: Path) -> StepDirectory | None:
    """The last step that a folder is of; None if it is of none."""
    steps: tuple[Step, ...] = ("evaluation", "postprocess", "train")
    found = (StepDirectory(folder, step) for step in steps)
    return next((step for step in found if step.is_complete()), None)


def holding_run(folder: Path) -> Path | None:
    """What would be the run directory of a step, of scores or of an export, by its place."""
    if folder.name == "model":
        return folder.parent
    if folder.parent.name in ("postprocessed", "metrics"):
        return folder.parents[1]
    if folder.parent.parent.name in ("metrics", "exports"):
        return folder.parents[2]
    return None


def scored_kind(folder: Path) -> str:
    """Representation that the scores in a metric's folder of a run are of; "" if it is in none."""
    return folder.parent.name if folder.parent.parent.name == "metrics" else ""


def run_of(step: Path, trained: bool) -> RunDirectory:
    """Run that a step's folder is of; `trained` says whether it came from a training."""
    if step.name == "model":
        return RunDirectory(step.parent)
    if step.parent.name == "postprocessed":
        return RunDirectory(step.parents[1])
    if step.parent.parent.name == "metrics":
        return RunDirectory(step.parents[2])
    return RunDirectory(step if trained else step.parent)
