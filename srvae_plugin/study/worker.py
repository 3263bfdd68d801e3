"""The process of one run of a study: `python -m srvae_plugin.study.worker FOLDER JOB`.

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
from typing import NamedTuple

from srvae_plugin.command_line import run_command
from srvae_plugin.study.directory import CONFIG
from srvae_plugin.study.locks import only_process_at

GRACE_SECONDS = 60.0


class Job(NamedTuple):
    """What a run is given beside the configuration in its folder."""

    bindings: Sequence[str] = ()
    """What is stronger than the settings of the numbered study's metrics."""
    numbered: str = ""
    """disentanglement_lib's name of the study, for one of its numbered models."""
    number: int = 0
    modules_in: Sequence[str] = ()
    """Folders in which its gin files find the modules that they import."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one job; exit statuses are those of `srvae-run`."""
    folder, words = sys.argv[1:] if arguments is None else arguments
    job = Job(*json.loads(words))
    threading.Thread(target=_end_with_the_study, daemon=True).start()
    sys.argv = _same_command(folder, job)
    run_job(Path(folder), job)


def _same_command(folder: str, job: Job) -> list[str]:
    """The command that would do the same, for environment.json."""
    what = ["--gin", f"{folder}/config.gin"]
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
        from srvae_plugin import summary
        from srvae_plugin.dlib_studies import NumberedModel
        from srvae_plugin.gin_sources import look_for_modules_in
        from srvae_plugin.run import run

        look_for_modules_in(job.modules_in)
        numbered = NumberedModel(job.numbered, job.number) if job.numbered else None
        config = folder / CONFIG
        lock = only_process_at(config)
        try:
            done = run([config], job.bindings, folder, resume=True, study=numbered)
        finally:
            if lock is not None:
                lock.close()
        print(summary.as_text(done))

    run_command("srvae-run", work, debug=False)


if __name__ == "__main__":
    main()
