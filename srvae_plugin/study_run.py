"""Runs a study: starts what is not finished, records what ends, stops cleanly."""

from __future__ import annotations

import logging
import signal
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from srvae_plugin.study_config import dataset_lines, prepare_datasets
from srvae_plugin.study_directory import LOG, RunState, StudyJson, claim
from srvae_plugin.study_engine import Ended, Engine
from srvae_plugin.study_table import StudyView, Timer
from srvae_plugin.study_worker import GRACE_SECONDS, Job
from srvae_plugin.train import stop_signals

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

    Raises StudyStoppedError after SIGINT or SIGTERM, when the runs under way have written
    checkpoints; a second signal kills them.
    """
    timer = Timer()
    running: dict[Path, RunState] = {}
    with stop_signals() as stopped, StudyView(name, states, timer) as view:
        progress = _Progress(running, engine, timer, record, view)
        try:
            record.write()
            _loop(deque(todo), progress, stopped)
        except Exception:  # the study's own, such as a full disk: its runs lose nothing by it
            _stop(progress)
            raise
        finally:
            engine.close()
            for state in running.values():
                state.status, state.seconds = "interrupted", timer.seconds(state)
            record.write()
    if stopped:
        finished = sum(state.status == "finished" for state in states)
        raise StudyStoppedError(stopped[0], finished, len(states))


class _Progress(NamedTuple):
    """What the loop works on."""

    running: dict[Path, RunState]
    engine: Engine
    timer: Timer
    record: StudyJson
    view: StudyView


def _loop(waiting: deque[RunState], progress: _Progress, stopped: Sequence[int]) -> None:
    """Keep as many runs going as the engine has room for, until all have ended."""
    running, engine, timer, record, view = progress
    while running or waiting:
        while waiting and len(running) < engine.capacity():
            state = waiting.popleft()
            _start(state, engine, timer)
            running[state.folder] = state
            record.write(now=False)
        for ended in engine.ended(_POLL_SECONDS):
            state = running.pop(ended.folder)
            state.seconds = timer.seconds(state)
            _note(state, ended)
            record.write(now=state.status == "failed")
            view.event(state)
        view.show(engine.capacity())
        if stopped:
            _stop(progress)
            return


def _stop(progress: _Progress) -> None:
    """Ask the runs to write a checkpoint and end, and wait for that a while."""
    running, engine, timer, _, view = progress
    if running:
        view.say(f"stopping {len(running)} runs; they write checkpoints first")
    engine.stop()
    deadline = time.monotonic() + GRACE_SECONDS
    while running and time.monotonic() < deadline:
        for ended in engine.ended(_POLL_SECONDS):
            state = running.pop(ended.folder)
            state.seconds = timer.seconds(state)
            _note(state, ended)


def _start(state: RunState, engine: Engine, timer: Timer) -> None:
    claim(state)
    timer.begin(state)
    state.status, state.error = "running", ""
    run = state.run
    job = Job(run.bindings, run.numbered, run.number) if run.numbered else Job()
    engine.start(state.folder, job)


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
        state.status, state.error = "failed", ended.error or _last_line(state.folder / LOG)


def _last_line(log: Path) -> str:
    """The last line of a log that says something."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    said = [line.strip() for line in lines if line.strip()]
    return said[-1].removeprefix("srvae-run: error: ") if said else "no output"
