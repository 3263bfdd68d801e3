"""The directory of a study: what is there, what is missing, and `study.json` that says so.

    <study>/study.json       every run with its model, data set, seed, bindings, folder and status
    <study>/runs/.../        one run directory each, with `log.txt` beside what `srvae-run` leaves

Run directories are the truth: where `environment.json` exists the run is finished.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from srvae_plugin.config.data_record import differences
from srvae_plugin.config.text import gin_dict, record_in, with_record
from srvae_plugin.data.storage.leftovers import is_leftover, put_right
from srvae_plugin.data.storage.lock import LOCK
from srvae_plugin.files import delete_folder, read_json, write_text
from srvae_plugin.runs.directory import (
    STUDY_FILE,
    RunDirectory,
    read_study_record,
    write_study_record,
)
from srvae_plugin.study.locks import require_no_writer_in
from srvae_plugin.study.plan import PlannedRun

__all__ = [
    "STATUSES",
    "RunState",
    "Status",
    "StudyJson",
    "check_directory",
    "claim",
    "look",
    "planned",
    "prepare_directory",
    "read_study_json",
    "statuses",
]


logger = logging.getLogger("srvae_plugin")

_FORMATS = (1, 2)

Status = Literal["planned", "running", "finished", "failed", "interrupted"]
STATUSES: tuple[Status, ...] = ("finished", "running", "failed", "interrupted", "planned")


@dataclass
class RunState:
    """A planned run and how far it is."""

    run: PlannedRun
    folder: Path
    config: str
    """Its whole gin configuration."""
    dataset: str
    """gin name of its data set."""
    status: Status = "planned"
    seconds: float = 0.0
    """What it took; of runs that are not finished, the last attempt."""
    error: str = ""

    @property
    def directory(self) -> RunDirectory:
        """Its files."""
        return RunDirectory(self.folder)

    def as_json(self, study: Path) -> dict[str, Any]:
        """What `study.json` says of it."""
        run, log = self.run, self.directory.log
        return {
            "number": run.number,
            "model": run.model,
            "label": run.label,
            "settings": dict(run.settings),
            "dataset": run.dataset or self.dataset,
            "dataset_name": self.dataset,
            "seed": run.seed,
            "files": list(run.files),
            "bindings": run.bindings,
            "folder": run.folder,
            "status": self.status,
            "seconds": round(self.seconds, 1),
            "error": self.error or None,
            "log": str(log.relative_to(study)) if log.is_file() else None,
        }


def read_study_json(study: Path) -> dict[str, Any]:
    """Content of `study.json`; ValueError if the folder is no study's or the file is damaged."""
    path = study / STUDY_FILE
    try:
        content = read_study_record(path)
        if content["format"] not in _FORMATS or not isinstance(content["runs"], list):
            raise ValueError("another format")
        for entry in content["runs"]:
            _check_entry(study, entry)
        return content
    except FileNotFoundError:
        raise ValueError(f"{study} is not a study directory: it has no {STUDY_FILE}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({error}): delete it; the run directories say what is finished, "
            "only the list of failed runs is lost"
        ) from None


def _check_entry(study: Path, entry: Mapping[str, Any]) -> None:
    folder, status, error = entry["folder"], entry["status"], entry.get("error")
    if status not in STATUSES or not isinstance(error, str | None):
        raise ValueError(f"not a run status: {status!r:.40}, {error!r:.40}")
    if not (study / folder).resolve().is_relative_to(study.resolve()):
        raise ValueError(f"a run in {folder!r}, outside the study")


def check_directory(study: Path, resume: bool, overwrite: bool) -> bool:
    """Whether there is a study in a directory that may be continued or overwritten.

    Raises:
        ValueError: if there is something and neither is asked for, or it is no study.
    """
    names = {path.name for path in study.iterdir()} if study.is_dir() else set()
    there = any(name != LOCK and not is_leftover(name) for name in names)
    if there and not (resume or overwrite):
        raise ValueError(
            f"{study} exists: --resume continues unfinished runs, --overwrite deletes its "
            "runs, --output names another folder"
        )
    if there:
        read_study_json(study)
    return there


def prepare_directory(study: Path, resume: bool, overwrite: bool) -> None:
    """Make a study's directory; `overwrite` deletes the runs of the study in it.

    Raises:
        ValueError: as `check_directory` does.
    """
    if check_directory(study, resume, overwrite) and overwrite:
        logger.info("deleting %s", study / "runs")
        require_no_writer_in(study / "runs")
        delete_folder(study / "runs")
        (study / STUDY_FILE).unlink()
    put_right(study, below=False)
    study.mkdir(parents=True, exist_ok=True)


def planned(study: Path, runs: Sequence[PlannedRun], configs: Sequence[str]) -> list[RunState]:
    """States of planned runs of which nothing is there."""
    return [
        RunState(run, study / run.folder, config, _dataset_name(config))
        for run, config in zip(runs, configs, strict=True)
    ]


def look(study: Path, runs: Sequence[PlannedRun], configs: Sequence[str]) -> list[RunState]:
    """States of the planned runs, from the run directories and `study.json`.

    Args:
        study: the study's directory.
        runs, configs: the planned runs and their whole gin configurations.

    Raises:
        ValueError: if a run directory was made under another configuration than planned.
    """
    errors = _errors(study)
    states, others = planned(study, runs, configs), []
    for state in states:
        run = state.run
        if changed := _changed_bindings(state):
            others.append(f"{run.folder} ({'; '.join(changed)})")
        state.status = _status(state.folder, run.folder in errors)
        if state.status == "failed":
            state.error = errors[run.folder]
        elif state.status == "finished":
            state.seconds = _seconds(state.folder)
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise ValueError(
            f"runs were made with other bindings: {', '.join(others[:3])}{more}."
            " Choose another --output, delete these folders, or --overwrite deletes all runs"
        )
    return states


def statuses(study: Path, runs: Sequence[PlannedRun]) -> list[Status]:
    """Statuses of planned runs, whose configurations are not looked at."""
    errors = _errors(study)
    return [_status(study / run.folder, run.folder in errors) for run in runs]


def _errors(study: Path) -> dict[str, str]:
    """What `study.json` says of the runs that failed, by folder."""
    return {
        entry["folder"]: entry.get("error") or ""
        for entry in _entries(study)
        if entry["status"] == "failed"
    }


def _entries(study: Path) -> list[dict[str, Any]]:
    """The runs in `study.json`; none if the file is not there yet."""
    return read_study_json(study)["runs"] if (study / STUDY_FILE).is_file() else []


def _status(folder: Path, failed: bool) -> Status:
    """Status of a run that failed when it was last tried, or did not."""
    directory = RunDirectory(folder)
    if directory.environment.is_file():
        return "finished"
    if not directory.config.is_file():
        return "planned"
    return "failed" if failed else "interrupted"


def _dataset_name(config: str) -> str:
    """What `dataset.name` is bound to."""
    return gin_dict(config).get("dataset.name", "").strip("'\"")


def _seconds(folder: Path) -> float:
    try:
        return float(read_json(RunDirectory(folder).environment)["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _changed_bindings(state: RunState) -> list[str]:
    saved = state.directory.config
    if not saved.is_file():
        # A process that was killed may have left a temporary file, whose name starts with a dot.
        there = state.folder.is_dir() and any(p.name[0] != "." for p in state.folder.iterdir())
        return [f"no {saved.name}"] if there else []
    before = state.directory.read_config()
    return [str(each) for each in differences(before, _with_data_of(before, state.config))]


def _with_data_of(saved: str, config: str) -> str:
    """The configuration with what a run recorded of its data, which counts instead of the path.

    The run itself compares it with the data that is there.
    """
    record = record_in(saved)
    return config if record is None else with_record(config, record)


def claim(state: RunState) -> None:
    """Make the run directory with its configuration, before its process starts."""
    path = state.directory.config
    before = state.directory.read_config() if path.is_file() else ""
    now = _with_data_of(before, state.config)
    if now != before:  # the data may lie elsewhere now
        write_text(path, now)


class StudyJson:
    """Writes `study.json`, keeping what an earlier study left there of runs not planned now."""

    def __init__(self, study: Path, header: Mapping[str, Any], states: Sequence[RunState]):
        self._study, self._header, self._states = study, dict(header), states
        planned = {state.run.folder for state in states}
        self._kept = [entry for entry in _entries(study) if entry["folder"] not in planned]
        self._next = 0.0

    def write(self, now: bool = True) -> None:
        """Write it in one piece; not `now` leaves it out if it was written a moment ago."""
        begun = time.monotonic()
        if not now and begun < self._next:
            return
        entries = [state.as_json(self._study) for state in self._states]
        content = {**self._header, "runs": [*entries, *self._kept]}
        write_study_record(self._study / STUDY_FILE, content)
        # Thousands of runs take a second: spend a few per cent of the time on it at most.
        self._next = time.monotonic() + max(1.0, 30 * (time.monotonic() - begun))
