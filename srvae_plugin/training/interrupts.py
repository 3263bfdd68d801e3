"""Ctrl-C and SIGTERM: a training stops between two steps, with its checkpoint written."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["InterruptedTrainingError", "stop_signals"]


class InterruptedTrainingError(RuntimeError):
    """SIGINT or SIGTERM arrived; the checkpoint is written.

    Args:
        signum: the signal.
        step: updates done.
        path: the checkpoint.
    """

    def __init__(self, signum: int, step: int, path: Path):
        self.signum = signum
        self.what = f"{signal.Signals(signum).name} at step {step}: checkpoint written to {path}"
        """The message without what to do next, which depends on how the training was called."""
        super().__init__(f"{self.what}; the same call with resume=True continues from there")


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in the yielded list; a second one acts as it did before.

    Does nothing outside the main thread, where Python cannot set handlers.
    """
    received: list[int] = []
    former: dict[int, Any] = {}

    def restore() -> None:
        for signum, handler in former.items():
            signal.signal(signum, handler)

    def receive(signum: int, frame: FrameType | None) -> None:
        received.append(signum)
        restore()

    # ValueError is what `signal` raises outside the main thread.
    with contextlib.suppress(ValueError):
        for signum in (signal.SIGINT, signal.SIGTERM):
            former[signum] = signal.signal(signum, receive)
    try:
        yield received
    finally:
        restore()
