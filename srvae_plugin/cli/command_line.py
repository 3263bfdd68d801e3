"""What all commands share: their options, and what becomes of errors, signals and log lines."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import select
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from srvae_plugin.files import error_reason, system_error
from srvae_plugin.training.allocator import keep_freed_memory
from srvae_plugin.version import __version__

__all__ = [
    "add_bind",
    "add_existing",
    "add_gin",
    "add_import",
    "add_output",
    "add_threads",
    "advise_threads",
    "make_parser",
    "run_command",
    "use_threads",
    "wait_passively",
]


class _Parser(argparse.ArgumentParser):
    """Says how a binding is typed where the shell has taken one apart."""

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments: ="):
            message += " (a binding takes quotes: --bind 'sr_vae.beta = 4.0')"
        super().error(message)


def make_parser(name: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """Parser of a command, with `--version` and `--debug`; texts are shown as they are."""
    parser = _Parser(
        name,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"srvae_plugin {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback behind an error")
    return parser


def add_gin(parser: argparse._ActionsContainer, default: str) -> None:
    """Add `--gin`; `default` goes on with its help."""
    parser.add_argument(
        "--gin", action="append", metavar="FILE", help=f"gin file; may be repeated{default}"
    )


def add_bind(parser: argparse.ArgumentParser) -> None:
    """Add `--bind`."""
    parser.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="'NAME = VALUE'",
        help="gin binding that overrides the files, such as 'sr_vae.beta = 4.0'; may be repeated",
    )


def add_import(parser: argparse.ArgumentParser) -> None:
    """Add `--import`."""
    parser.add_argument(
        "--import",
        dest="modules",
        action="append",
        default=[],
        metavar="MODULE",
        help="import this module first, such as one that defines a run's networks (a run directory "
        "never imports anything by itself); the working directory is searched too; may be repeated",
    )


def add_output(parser: argparse.ArgumentParser, meaning: str) -> None:
    """Add `--output`, a folder."""
    parser.add_argument("--output", type=Path, metavar="DIR", help=meaning)


def add_existing(parser: argparse.ArgumentParser, resume: str, overwrite: str) -> None:
    """Add `--resume` and `--overwrite`, which exclude each other, with these texts of help."""
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help=resume)
    existing.add_argument("--overwrite", action="store_true", help=overwrite)


_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS", "LOKY_MAX_CPU_COUNT",
)  # fmt: skip

_NO_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "Cannot allocate memory",
)
"""What torch's allocators say."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_WAIT_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add `--threads`."""
    parser.add_argument(
        "--threads",
        type=_at_least_one,
        metavar="N",
        help="number of threads (default: one per core); on a busy machine, 1 may be faster",
    )


def _at_least_one(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least 1")
    return int(text)


def use_threads(threads: int | None) -> None:
    """Have this process compute with so many threads; None: as torch does by itself.

    It has to be called before torch is imported, which reads the environment once. Says so in a
    line where the machine has more to do than cores and no number of threads was chosen.
    """
    if threads is not None:
        os.environ.update({name: str(threads) for name in _THREAD_VARIABLES})
        import torch  # which would take no more threads than cores from the environment

        torch.set_num_threads(threads)
    advise_threads(threads)


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait, here and in processes started from here.

    By default they spin, and beside other work each then waits for one that is not being run:
    a training step takes many times longer (docs/benchmarks.md has numbers). Without effect once
    torch is imported.
    """
    if not any(name in os.environ for name in _WAIT_VARIABLES):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def advise_threads(threads: int | None) -> None:
    """Log a line if the machine is busy and neither option nor environment names `threads`."""
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if threads is None and "OMP_NUM_THREADS" not in os.environ and load > cores > 1:
        logging.getLogger("srvae_plugin").warning(
            "this machine is busy (load %.1f on %d cores): --threads 1 may be as fast, or faster",
            load, cores,
        )  # fmt: skip


class _Terminated(BaseException):
    """SIGTERM arrived outside training, where there is nothing to checkpoint."""


def run_command(name: str, work: Callable[[], None], debug: bool, resumes: bool = True) -> None:
    """Run a command and end the process as the commands' help says.

    Bad input and a lack of memory (ValueError, OSError, RuntimeError, MemoryError) become one line
    and exit status 2, with `debug` a traceback. Ctrl-C, SIGTERM and an error that says in `signum`
    which signal it stands for end it with 128 and the number of the signal; so does a reader of the
    output, such as `head`, that has seen enough. Work that computes calls `use_threads` first.
    """
    _log_to_stderr()
    wait_passively()
    keep_freed_memory()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        work()
        sys.stdout.flush()
    except (KeyboardInterrupt, _Terminated) as stop:
        status = 130 if isinstance(stop, KeyboardInterrupt) else 143
        kept = "; finished steps are kept, and --resume continues" if resumes else ""
        _fail(name, f"stopped{kept}", status)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        if isinstance(error, BrokenPipeError) and _output_is_closed():
            sys.exit(128 + signal.SIGPIPE)
        if debug:
            raise
        signum = getattr(error, "signum", None)
        if signum is None:
            _fail(name, f"error: {_reason(error)}", 2)
        what = getattr(error, "what", error)
        _fail(name, f"{what}; continue with the same command and --resume", 128 + signum)


def _reason(error: Exception) -> str:
    """What went wrong, in one line."""
    from srvae_plugin.config.gin_files import one_line

    text = one_line(error)
    if isinstance(error, MemoryError) or any(sign in str(error) for sign in _NO_MEMORY):
        said = f" ({text})" if text else ""
        return (
            f"out of memory{said}: finished steps are kept; use smaller batches, fewer threads "
            "(--threads) or a machine with more memory, and --resume"
        )
    if system_error(error) in _FULL:
        return (
            f"{text}; finished files are intact: free some space, then repeat the command (with "
            "--resume, if it has that option)"
        )
    if isinstance(error, OSError) and error.filename is None and text.startswith("[Errno"):
        return f"{error.strerror} (the system does not name the file; --debug shows the traceback)"
    if isinstance(error, OSError) and isinstance(error.filename, str | os.PathLike):
        return f"{os.fspath(error.filename)}: {error_reason(Path(error.filename), error)}"
    return text


def _log_to_stderr() -> None:
    """Show our own log lines and warnings, and of other libraries what is a warning."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("srvae_plugin").setLevel(logging.INFO)
    warnings.showwarning = lambda message, *place: logging.warning("%s", message)


class _Line(logging.Formatter):
    """The message alone, and that it is a warning if it is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return f"warning: {line}" if record.levelno == logging.WARNING else line


def _output_is_closed() -> bool:
    """Whether nobody reads the standard output any more, which is then left alone."""
    output = select.poll()
    output.register(sys.stdout, select.POLLERR)
    if not output.poll(0):
        return False
    # The interpreter flushes once more when it ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _terminate(signum: int, frame: FrameType | None) -> Any:
    raise _Terminated


def _fail(name: str, message: str, status: int) -> NoReturn:
    print(f"{name}: {message}", file=sys.stderr)
    sys.exit(status)
