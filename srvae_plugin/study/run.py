"""Runs a study: starts what is not finished, records what ends, stops cleanly."""

from __future__ import annotations

import logging
import signal
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from srvae_plugin.config.text import gin_dict, value_in
from srvae_plugin.runs.weights import require_start
from srvae_plugin.study.config import dataset_lines, prepare_datasets
from srvae_plugin.study.directory import (
    RunState,
    StudyJson,
    claim,
)
from srvae_plugin.study.engine import Ended, Engine
from srvae_plugin.study.job import GRACE_SECONDS, Job
from srvae_plugin.study.table import StudyView, Timer
from srvae_plugin.training.interrupts import stop_signals

__all__ = ["StudyStoppedError", "require_starts_elsewhere", "run_study", "to_do", "with_data"]


logger = logging.getLogger("srvae_plugin")

_POLL_SECONDS = 0.5


class StudyStoppedError(RuntimeError):
    """SIGINT or SIGTERM arrived; the runs under way have written checkpoints."""

    def __init__(self, signum: int, finished: int, total: int):
        self.signum = signum
        super().__init__(
            f"{signal.Signals(signum).name}: stopped with {finished} of {total} runs finished"
        )


def to_do(states: Sequence[RunState], retry_failed: bool) -> list[RunState]:
    """The runs to start: not finished and, unless `retry_failed`, not failed.

    What was begun comes first, since it holds most of its work already, then one seed after the
    other, so that at any time all models have about as many.
    """
    wanted = ("planned", "interrupted", *(["failed"] if retry_failed else []))
    chosen = [state for state in states if state.status in wanted]
    return sorted(chosen, key=lambda state: (state.status == "planned", state.run.seed))


def require_starts_elsewhere(study: Path, states: Sequence[RunState]) -> None:
    """Raise ValueError if a run starts from weights in a study that is about to be deleted."""
    sources = (value_in(gin_dict(state.config), "model.init_from") for state in states)
    for source in dict.fromkeys(sources):
        if source:
            require_start(source, study)


def with_data(states: Sequence[RunState]) -> list[RunState]:
    """Those of the runs whose data set can be opened; the others are marked as failed."""
    wrong = prepare_datasets((state.run, state.config) for state in states)
    for state in states:
        if error := wrong.get(dataset_lines(state.config)):
            state.status, state.error = "failed", f"not started: {error}"
    for error in wrong.values():
        logger.error("its runs are not started: %s", error)
    return [state for state in states if dataset_lines(state.config) not in wrong]


def run_study(
    name: str,
    states: Sequence[RunState],
    todo: Sequence[RunState],
    engine: Engine,
    record: StudyJson,
) -> None:
    """Run those of a study's runs that are to do, and update their states in place.

    Raises:
        StudyStoppedError: after SIGINT or SIGTERM, when the runs under way have written
            checkpoints; a second signal kills them.
    """
    timer = Timer()
    under_way = _UnderWay(engine, timer)
    with stop_signals() as stopped, StudyView(name, states, timer) as view:
        try:
            record.write()
            _loop(deque(todo), under_way, record, view, stopped)
        except Exception:  # the study's own, such as a full disk: its runs lose nothing by it
            under_way.stop(view)
            raise
        finally:
            under_way.close()
            record.write()
    if stopped:
        finished = sum(state.status == "finished" for state in states)
        raise StudyStoppedError(stopped[0], finished, len(states))


class _UnderWay:
    """The runs that have a process, and their states as it goes."""

    def __init__(self, engine: Engine, timer: Timer):
        self._engine, self._timer = engine, timer
        self._states: dict[Path, RunState] = {}

    def __len__(self) -> int:
        return len(self._states)

    def capacity(self) -> int:
        return self._engine.capacity()

    def start(self, state: RunState) -> None:
        claim(state)
        self._timer.begin(state)
        state.status, state.error = "running", ""
        run = state.run
        folders = list(dict.fromkeys(str(Path(f).parent) for f in run.files if Path(f).is_file()))
        bindings = run.bindings if run.numbered else ()
        job = Job(bindings, run.numbered, run.number, folders)
        self._engine.start(state.folder, job)
        self._states[state.folder] = state

    def ended(self) -> list[RunState]:
        """Those that have ended since the last call; waits a moment for one."""
        over = []
        for ended in self._engine.ended(_POLL_SECONDS):
            state = self._states.pop(ended.folder)
            state.seconds = self._timer.seconds(state)
            _note(state, ended)
            over.append(state)
        return over

    def stop(self, view: StudyView) -> None:
        """Ask them to write a checkpoint and end, and wait for that a while."""
        if self._states:
            view.say("stopping: every run writes a checkpoint first")
            self._engine.stop()
        deadline = time.monotonic() + GRACE_SECONDS
        while self._states and time.monotonic() < deadline:
            self.ended()

    def close(self) -> None:
        """End those that are still there."""
        self._engine.close()
        for state in self._states.values():
            state.status, state.seconds = "interrupted", self._timer.seconds(state)


def _loop(
    waiting: deque[RunState],
    under_way: _UnderWay,
    record: StudyJson,
    view: StudyView,
    stopped: Sequence[int],
) -> None:
    """Keep as many runs going as the engine has room for, until all have ended."""
    while waiting or under_way:
        while waiting and len(under_way) < under_way.capacity():
            under_way.start(waiting.popleft())
            record.write(now=False)
        for state in under_way.ended():
            record.write(now=state.status == "failed")
            view.event(state)
        view.show(under_way.capacity())
        if stopped:
            under_way.stop(view)
            return


def _note(state: RunState, ended: Ended) -> None:
    """What the end of its process means for a run."""
    stops = (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)
    if ended.status == 0:
        state.status = "finished"
    elif ended.status in stops:
        state.status = "interrupted"
    elif ended.status is not None and ended.status < 0:
        name = signal.Signals(-ended.status).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        state.status, state.error = "failed", f"killed by {name}{hint}"
    else:
        state.status, state.error = "failed", ended.error or _last_line(state.directory.log)


def _last_line(log: Path) -> str:
    """The last line of a log that says something."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    said = [line.strip() for line in lines if line.strip()]
    return said[-1].removeprefix("srvae-run: error: ") if said else "no output"
