"""Shows the progress of a study: one live table on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import logging
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from srvae_plugin.config.text import gin_dict, text_in
from srvae_plugin.files import last_step
from srvae_plugin.study.directory import STATUSES, RunState

__all__ = ["StudyView", "Timer", "clock", "counts", "fraction_trained"]


logger = logging.getLogger("srvae_plugin")

_REFRESH_SECONDS = 1.0
_LINE_SECONDS = 60.0
_MOST_ROWS = 16


class Timer:
    """How long the runs under way have been at it, and an estimate of what is left."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[float, float]] = {}

    def begin(self, state: RunState) -> None:
        """Note the start of a run and how much of it was there already."""
        self._begun[state.run.folder] = (time.monotonic(), fraction_trained(state))

    def seconds(self, state: RunState) -> float:
        """Seconds since a run was started."""
        return time.monotonic() - self._begun[state.run.folder][0]

    def whole_run(self, state: RunState) -> float | None:
        """Estimate of what a run under way takes from start to end; None before its first steps."""
        begun, before = self._begun[state.run.folder]
        gained = fraction_trained(state) - before
        return (time.monotonic() - begun) / gained if gained > 0 else None

    def left(self, states: Sequence[RunState], jobs: int) -> float | None:
        """Estimate of the seconds until the study is done; None before anything is known.

        A run takes what finished ones of its model took on average, else what the progress of one
        under way promises, else the mean over the other models.
        """
        known: dict[str, list[float]] = {}
        promised: dict[str, list[float]] = {}
        for state in states:
            if state.status == "finished":
                known.setdefault(state.run.label, []).append(state.seconds)
            elif state.status == "running" and (whole := self.whole_run(state)) is not None:
                promised.setdefault(state.run.label, []).append(whole)
        takes = {label: statistics.fmean(values) for label, values in {**promised, **known}.items()}
        if not takes:
            return None
        otherwise = statistics.fmean(takes.values())
        total = 0.0
        for state in states:
            whole = takes.get(state.run.label, otherwise)
            if state.status in ("planned", "interrupted"):
                total += whole * (1 - fraction_trained(state))
            elif state.status == "running":
                before = self._begun[state.run.folder][1]
                total += max(0.0, whole * (1 - before) - self.seconds(state))
        return total / max(1, jobs)


def fraction_trained(state: RunState) -> float:
    """How much of the training of a run is done, in [0, 1]."""
    if state.status == "planned":
        return 0.0
    steps = text_in(gin_dict(state.config), "model.training_steps")
    training = state.directory.model
    complete = training.is_complete()
    if complete or not steps.isdecimal() or steps == "0":
        return float(complete)
    return min(1.0, last_step(training.files.scalars) / int(steps))


def clock(seconds: float | None) -> str:
    """Seconds as days, hours:minutes:seconds."""
    return "?" if seconds is None else str(timedelta(seconds=round(seconds)))


def counts(states: Iterable[RunState]) -> str:
    """How many runs have which status, without those that none has."""
    found = [state.status for state in states]
    return ", ".join(f"{found.count(s)} {s}" for s in STATUSES if s in found)


class StudyView:
    """Context in which the progress of a study is shown on standard error."""

    def __init__(self, name: str, states: Sequence[RunState], timer: Timer):
        self._name, self._states, self._timer = name, states, timer
        self._console = Console(stderr=True)
        self._live: Live | None = None
        self._next = 0.0

    def __enter__(self) -> StudyView:
        if sys.stderr.isatty():
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, jobs: int) -> None:
        """Bring the table up to date, if it is time."""
        now = time.monotonic()
        if now < self._next:
            return
        left = self._timer.left(self._states, jobs)
        if self._live is not None:
            self._live.update(self._table(left), refresh=True)
        elif self._next:
            logger.info("%s: %s, ETA %s", self._name, counts(self._states), clock(left))
        # Looking at thousands of runs takes a while: spend little of the time on it.
        pause = _REFRESH_SECONDS if self._live is not None else _LINE_SECONDS
        self._next = time.monotonic() + max(pause, 10 * (time.monotonic() - now))

    def event(self, state: RunState) -> None:
        """Say that a run has ended."""
        how = f"{state.run}: {state.status} after {clock(state.seconds)}"
        how += f" ({state.error})" if state.error else ""
        self.say(how if self._live is not None else f"{how}; {counts(self._states)}")

    def say(self, text: str) -> None:
        """Show a line, above the table if there is one."""
        if self._live is not None:
            self._console.print(text, markup=False, highlight=False)
        else:
            logger.info("%s", text)

    def _table(self, left: float | None) -> Group:
        models = Table("model", *STATUSES, title=self._name, caption=f"ETA {clock(left)}")
        for model in dict.fromkeys(state.run.model for state in self._states):
            found = [state.status for state in self._states if state.run.model == model]
            models.add_row(model, *(str(found.count(status) or "") for status in STATUSES))
        under_way = Table("running", "training", "time")
        rows = [state for state in self._states if state.status == "running"]
        for state in rows[:_MOST_ROWS]:
            done = fraction_trained(state)
            shown = f"{done:.0%}" if done < 1 else "done, scoring"
            under_way.add_row(str(state.run), shown, clock(self._timer.seconds(state)))
        if len(rows) > _MOST_ROWS:
            under_way.add_row(f"and {len(rows) - _MOST_ROWS} more", "", "")
        return Group(models, under_way)
