"""Runs the processes of a study on a Ray cluster: one task a run.

The study directory must be on a file system that every node has at the same path, and so must the
Python environment. Checkpoints and results are written there, so that a task that Ray starts again
on another node, since its own was lost, goes on from the last checkpoint.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from srvae_plugin.study.engine import Ended, launch, wait_or_stop
from srvae_plugin.study.job import Job

__all__ = ["RETRIES", "RayEngine", "run_task"]


RETRIES = 10
"""How often a run is started again after its node or worker was lost."""
_FORWARDED = ("SRVAE_CACHE", "XDG_CACHE_HOME", "DISENTANGLEMENT_LIB_DATA", "PYTHONPATH")


def run_task(folder: str, job: Job, threads: int, environment: Mapping[str, str], cwd: str) -> int:
    """Body of a Ray task: run in a process of its own on this node, and return its exit status.

    When the task is cancelled, the run writes a checkpoint first. When this Ray worker dies with
    its node or its study, so does the run, and goes on later from the last checkpoint it has.
    """
    return wait_or_stop(launch(Path(folder), Job(*job), threads, environment, cwd))


class RayEngine:
    """Tasks on the Ray cluster of RAY_ADDRESS, or of this machine, or one started here.

    Args:
        jobs: how many at once; None: as many as the cluster has room for.
        threads: CPUs that a run reserves, and its threads.
        gpus: GPUs that a run reserves, may be a fraction; None: 1 if the cluster has any.

    Raises:
        ValueError: if Ray is not installed or the cluster cannot be reached.
    """

    def __init__(self, jobs: int | None, threads: int, gpus: float | None = None):
        try:
            import ray
        except ImportError:
            raise ValueError("--engine ray needs Ray: pip install 'srvae_plugin[ray]'") from None
        self._ray, self.jobs, self.threads = ray, jobs, threads
        try:
            ray.init(log_to_driver=False, configure_logging=False)
        except (ConnectionError, RuntimeError) as error:
            raise ValueError(f"--engine ray: no Ray cluster: {error}") from None
        has_gpus = self._resources().get("GPU", 0) > 0
        self._gpus = float(has_gpus) if gpus is None else gpus
        self._task = ray.remote(run_task).options(
            num_cpus=threads, num_gpus=self._gpus, max_retries=RETRIES
        )
        self._running: dict[Any, Path] = {}
        self._stopping = False

    def _resources(self) -> dict[str, float]:
        return self._ray.cluster_resources()

    def capacity(self) -> int:
        """How many runs may be under way at once: at least one, so that a cluster can grow."""
        if self.jobs is not None:
            return self.jobs
        room = self._resources()
        fits = [room.get("CPU", 0) / self.threads]
        if self._gpus:
            fits.append(room.get("GPU", 0) / self._gpus)
        return max(1, int(min(fits)))

    def start(self, folder: Path, job: Job) -> None:
        """Submit a run."""
        forwarded = {name: os.environ[name] for name in _FORWARDED if name in os.environ}
        task = self._task.remote(str(folder), tuple(job), self.threads, forwarded, os.getcwd())
        self._running[task] = folder

    def ended(self, seconds: float) -> list[Ended]:
        """Runs that have ended since the last call; waits up to `seconds` for one."""
        tasks = list(self._running)
        if not tasks:
            return []
        over, _ = self._ray.wait(tasks, num_returns=len(tasks), timeout=0)
        if not over:
            over, _ = self._ray.wait(tasks, num_returns=1, timeout=seconds)
        return [self._outcome(task) for task in over]

    def _outcome(self, task: Any) -> Ended:
        folder = self._running.pop(task)
        try:
            return Ended(folder, self._ray.get(task))
        except self._ray.exceptions.TaskCancelledError:
            return Ended(folder, -signal.SIGTERM)
        except self._ray.exceptions.RayError as error:
            if self._stopping:
                # A worker that has just begun fails at Ray's interrupt instead of taking it.
                return Ended(folder, -signal.SIGTERM)
            reason = str(error).strip().splitlines()
            return Ended(folder, None, f"{type(error).__name__}: {reason[-1] if reason else ''}")

    def stop(self) -> None:
        """Ask all runs to write a checkpoint and end; whatever ends from now on was stopped."""
        self._stopping = True
        for task in self._running:
            self._ray.cancel(task)

    def close(self) -> None:
        """End what is still running and leave the cluster."""
        for task in self._running:
            self._ray.cancel(task, force=True)
        self._running.clear()
        self._ray.shutdown()
