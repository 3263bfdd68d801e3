"""Runs the processes of a study on this machine, some at a time."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from srvae_plugin.runs.directory import RunDirectory
from srvae_plugin.study.job import GRACE_SECONDS, Job

__all__ = [
    "Ended",
    "Engine",
    "LocalEngine",
    "cores",
    "end_group",
    "gpus",
    "has_ended",
    "launch",
    "thread_variables",
    "wait_or_stop",
]


_POLL_SECONDS = 0.1
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)


class Ended(NamedTuple):
    """A run whose process is over."""

    folder: Path
    status: int | None
    """Exit status; negative: the signal that killed it; None: it was lost with its machine."""
    error: str = ""
    """Why it was lost."""


class Engine(Protocol):
    """Starts runs and says which have ended."""

    threads: int
    """Threads of a run."""

    def capacity(self) -> int:
        """How many runs may be under way at once."""

    def start(self, folder: Path, job: Job) -> None:
        """Start or go on with the run whose configuration is in the folder."""

    def ended(self, seconds: float) -> list[Ended]:
        """Runs that have ended since the last call; waits up to `seconds` for one."""

    def stop(self) -> None:
        """Ask all runs to write a checkpoint and end."""

    def close(self) -> None:
        """End what is still running."""


def cores() -> int:
    """Cores that this process may use: affinity and container limits count."""
    import joblib

    return max(1, joblib.cpu_count())


def gpus() -> list[str]:
    """GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip()]
    return [str(index) for index in range(torch.cuda.device_count())]


def thread_variables(threads: int) -> dict[str, str]:
    """Environment that keeps torch, BLAS, numba and joblib to so many threads or processes."""
    return {name: str(threads) for name in _THREADS}


def launch(
    folder: Path, job: Job, threads: int, environment: Mapping[str, str], cwd: str
) -> subprocess.Popen[bytes]:
    """Start the process of a run; its output goes to the end of the log in its folder.

    It leads a process group of its own, so that Ctrl-C on the terminal reaches the study alone,
    and ends when this process does.
    """
    command = [sys.executable, "-P", "-m", "srvae_plugin.cli.study_worker"]
    with RunDirectory(folder).log.open("ab") as log:
        log.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} on {platform.node()}\n".encode())
        log.flush()
        return subprocess.Popen(
            [*command, str(folder), json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=cwd,
            env={**os.environ, **environment, **thread_variables(threads)},
            start_new_session=True,
        )


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process is over; what it left behind is ended then."""
    if process.poll() is None:
        return False
    end_group(process)
    if process.stdin is not None:
        process.stdin.close()
    return True


class LocalEngine:
    """Processes on this machine.

    Args:
        jobs: how many at once.
        threads: threads of each.
        devices: GPUs to spread them over; None: leave that to torch.
    """

    def __init__(self, jobs: int, threads: int, devices: Sequence[str] = ()):
        self.jobs, self.threads, self._devices = jobs, threads, devices
        self._running: dict[int, tuple[Path, subprocess.Popen[bytes]]] = {}

    def capacity(self) -> int:
        """How many runs may be under way at once."""
        return self.jobs

    def start(self, folder: Path, job: Job) -> None:
        """Start a run in the first free slot."""
        slot = next(i for i in range(self.jobs) if i not in self._running)
        chosen = {}
        if self._devices:
            chosen["CUDA_VISIBLE_DEVICES"] = self._devices[slot % len(self._devices)]
        self._running[slot] = folder, launch(folder, job, self.threads, chosen, os.getcwd())

    def ended(self, seconds: float) -> list[Ended]:
        """Runs that have ended since the last call; waits up to `seconds` for one."""
        deadline = time.monotonic() + seconds
        while True:
            over = [slot for slot, (_, process) in self._running.items() if has_ended(process)]
            if over or time.monotonic() >= deadline:
                found = [self._running.pop(slot) for slot in over]
                return [Ended(folder, process.returncode) for folder, process in found]
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Ask all runs to write a checkpoint and end."""
        for _, process in self._running.values():
            process.terminate()

    def close(self) -> None:
        """Kill what is still running."""
        for _, process in self._running.values():
            end_group(process)
            process.wait()
        self._running.clear()


def wait_or_stop(process: subprocess.Popen[bytes], poll_seconds: float = 0.5) -> int:
    """Exit status of a process; if this one is interrupted, the other writes a checkpoint first."""
    try:
        while not has_ended(process):
            time.sleep(poll_seconds)
    except BaseException:
        process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        while not has_ended(process) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        raise
    finally:
        if process.returncode is None:
            end_group(process)
            process.wait()
    return process.returncode
