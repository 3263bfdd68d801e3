"""Progress of long work: a bar with an ETA on a terminal or in a notebook, else log lines.

A program that has not configured logging, a plain script in a batch job say, gets the lines on
standard error. `logging.getLogger("srvae_plugin").setLevel(logging.WARNING)` turns them off.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from types import TracebackType

from tqdm import tqdm

__all__ = ["Progress", "in_notebook"]


logger = logging.getLogger("srvae_plugin")
_LINE_SECONDS = 20.0
_SHORT_SECONDS = 1.0
"""Work that took no longer is not worth a line of its own, nor a bar that stays in a notebook."""


def in_notebook() -> bool:
    """Whether the code runs in a notebook's kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class Progress:
    """Counts units of work towards `total`, from `done` at the start."""

    def __init__(self, what: str, total: int, done: int = 0, unit: str = "steps"):
        self.what, self.total, self.done, self.unit = what, total, done, unit
        self._begun_at = done
        self._begun = self._last_line = time.monotonic()
        self._bar = None
        self._values: Mapping[str, float] = {}
        if sys.stderr.isatty():
            self._bar = tqdm(total=total, initial=done, desc=what, unit=unit, dynamic_ncols=True)
        elif in_notebook():  # as plain output, which is kept with the notebook
            self._bar = tqdm(
                total=total,
                initial=done,
                desc=what,
                unit=unit,
                ncols=110,
                delay=_SHORT_SECONDS,
                file=sys.stdout,
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
            return
        is_long = _is_configured() or time.monotonic() - self._begun > _SHORT_SECONDS
        if kind is None and self.done > self._begun_at and is_long:
            self._line()

    def advance(self, count: int = 1, values: Mapping[str, float] | None = None) -> None:
        """Count work as done; `values` are shown beside it."""
        self.done += count
        self._values = values or self._values
        if self._bar is not None:
            self._bar.update(count)
            if values:
                self._bar.set_postfix({k: f"{v:.4g}" for k, v in values.items()}, refresh=False)
        elif time.monotonic() - self._last_line > _LINE_SECONDS:
            self._line()

    def _line(self) -> None:
        self._last_line = time.monotonic()
        rate = (self.done - self._begun_at) / max(self._last_line - self._begun, 1e-9)
        minutes, seconds = divmod(round((self.total - self.done) / max(rate, 1e-9)), 60)
        shown = "".join(f", {name} {value:.4g}" for name, value in self._values.items())
        line = (
            f"{self.what}: {self.done} of {self.total} {self.unit}{shown}, {rate:.3g} "
            f"{self.unit}/s, ETA {minutes}:{seconds:02d}"
        )
        if _is_configured():
            logger.info("%s", line)
        else:
            print(line, file=sys.stderr, flush=True)


def _is_configured() -> bool:
    """Whether the program has said what is to become of log lines."""
    return logger.hasHandlers() or logger.level != logging.NOTSET
