"""The process of one run of a study: `python -m srvae_plugin.cli.study_worker FOLDER JOB`.

It does what `srvae-run --resume` does, and ends, with a checkpoint, when its study is gone: the
study holds the other end of its standard input.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from srvae_plugin.cli.command_line import run_command
from srvae_plugin.data.storage.lock import only_writer
from srvae_plugin.runs.directory import RunDirectory
from srvae_plugin.study.job import GRACE_SECONDS, Job

__all__ = ["main", "run_job"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one job; exit statuses are those of `srvae-run`."""
    folder, words = sys.argv[1:] if arguments is None else arguments
    job = Job(*json.loads(words))
    threading.Thread(target=_end_with_the_study, daemon=True).start()
    sys.argv = _same_command(folder, job)
    run_job(Path(folder), job)


def _same_command(folder: str, job: Job) -> list[str]:
    """The command that would do the same, for environment.json."""
    what = ["--gin", str(RunDirectory(Path(folder)).config)]
    if job.numbered:
        what = ["--study", job.numbered, "--model-num", str(job.number)]
        what += [part for binding in job.bindings for part in ("--bind", binding)]
    return ["srvae-run", *what, "--output", folder, "--resume"]


def _end_with_the_study() -> None:
    """Wait for the end of standard input, then ask this process to stop, then make it."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    # The study made this process the leader of a group of its own.
    os.killpg(os.getpgid(0), signal.SIGKILL)


def run_job(folder: Path, job: Job) -> None:
    """Run or go on with a run whose `config.gin` is in the folder."""

    def work() -> None:
        from srvae_plugin.config.gin_sources import look_for_modules_in
        from srvae_plugin.runs import summary
        from srvae_plugin.runs.run import run
        from srvae_plugin.study.numbered import NumberedModel

        look_for_modules_in(job.modules_in)
        numbered = NumberedModel(job.numbered, job.number) if job.numbered else None
        config = RunDirectory(folder).config
        # A process that lost its study may still be writing its last checkpoint.
        with only_writer(folder, wait=True):
            done = run([config], job.bindings, folder, resume=True, study=numbered)
        print(summary.as_text(done))

    run_command("srvae-run", work, debug=False)


if __name__ == "__main__":
    main()
