"""Commands in processes of their own that start in milliseconds.

They are forked from a process that has imported everything, so that they can be killed as often
as one likes.
"""

import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        *(f"srvae_plugin.cli.{name}" for name in ("data", "evaluate", "export", "report", "run")),
        *(f"srvae_plugin.data.{name}" for name in ("dsprites_variants", "own_data", "teapots")),
        *(f"srvae_adapters.{name}" for name in ("files", "onnx", "sklearn", "torchscript")),
        "srvae_plugin.cli.study",
        "srvae_plugin.metrics",
        "srvae_plugin.models",
        "srvae_plugin.report.write",
        "srvae_plugin.runs.run",
        "srvae_plugin.runs.summary",
        "srvae_plugin.study.numbered",
        "srvae_plugin.study.run",
        "numba",
        "pandas",
        "sklearn.ensemble",
        "sklearn.linear_model",
        "torch._dynamo",
        "PIL.GifImagePlugin",
    ]
)


def _in_child(work, arguments, log, variables):
    os.environ.update(variables)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    # Those of pytest end in its own captures.
    with (
        open(1, "w", buffering=1, closefd=False) as sys.stdout,
        open(2, "w", buffering=1, closefd=False) as sys.stderr,
    ):
        work(*arguments)


class Forked:
    """A process that calls `work(*arguments)`; what it says goes to a file."""

    def __init__(self, work, *arguments, **variables):
        handle, log = tempfile.mkstemp()
        os.close(handle)
        self.log = Path(log)
        kept = {"OMP_NUM_THREADS": "1", "SRVAE_CACHE": os.environ["SRVAE_CACHE"], **variables}
        self.process = _CONTEXT.Process(target=_in_child, args=(work, arguments, log, kept))
        self.process.start()

    @property
    def pid(self):
        return self.process.pid

    @property
    def said(self):
        return self.log.read_text()

    def send(self, signum):
        os.kill(self.pid, signum)

    def kill(self):
        self.process.kill()
        return self.wait()

    def wait(self, seconds=300):
        """Exit status; negative: the signal that ended it."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, f"it does not end; it said {self.said}"
        return self.process.exitcode

    def wait_for(self, condition, seconds=120):
        for _ in range(round(seconds / 0.01)):
            if condition():
                return
            assert self.process.is_alive(), self.said
            time.sleep(0.01)
        raise TimeoutError(self.said)


def command(main, *words, **variables):
    """A command's entry point in a process of its own."""
    return Forked(main, [str(word) for word in words], **variables)
