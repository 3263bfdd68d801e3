"""Command lines: `srvae-run`, `srvae-evaluate` and `srvae-data`."""

from __future__ import annotations

import argparse
import hashlib
import logging
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from srvae_plugin.version import __version__

RUN_HELP = """\
Train a model, turn it into a representation, score that and draw pictures.

Everything is set by gin files and bindings; later ones win. A gin file is a path, or the name of
one that comes with the package: srvae_dsprites.gin (the SR-VAE paper's configuration),
presets/quick.gin (put it last to make any model file a demonstration of some minutes).
disentanglement_lib's own gin files work too.
"""
RUN_EXAMPLES = """\
examples:
  srvae-run --gin srvae_dsprites.gin --gin presets/quick.gin
  srvae-run --gin srvae_dsprites.gin --bind 'model.random_seed = 3' --output runs/seed3
  srvae-run --gin srvae_dsprites.gin --output runs/seed3 --resume

exit status: 0 done, 2 bad input (one line says what), 130 or 143 stopped by Ctrl-C or SIGTERM
(what was done is kept; --resume goes on).
"""


EVALUATE_HELP = """\
Score a representation with the metrics that gin files name: of a run, of any Python function, or
of a table of codes.

Packaged metric files: metrics/paper.gin (FactorVAE, DCI, MIG, SAP) and metrics/all.gin.
"""
EVALUATE_EXAMPLES = """\
examples:
  srvae-evaluate runs/seed3 --gin metrics/all.gin
  srvae-evaluate --function my_module:encode --bind 'dataset.name = "dsprites_full"'
  srvae-evaluate --codes codes.npz --bind 'run.metrics = ["mig", "dci"]'

exit status: 0 done, 2 bad input (one line says what).
"""


class _Terminated(BaseException):
    """SIGTERM arrived outside training, where there is nothing to checkpoint."""


def run_main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `srvae-run`."""
    parser = _parser("srvae-run", RUN_HELP, RUN_EXAMPLES)
    _add_gin(parser, required=True)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="run directory (default: runs/ and the names of the gin files)",
    )
    _add_existing(parser, "go on with a run that was stopped", "delete the run directory first")
    options = parser.parse_args(arguments)
    output = options.output or Path("runs") / "-".join(Path(f).stem for f in options.gin)

    def work() -> None:
        from srvae_plugin import summary
        from srvae_plugin.run import run

        done = run(
            options.gin,
            options.bind,
            output,
            resume=options.resume,
            overwrite=options.overwrite,
        )
        print(summary.as_text(done))

    _guarded("srvae-run", work, options.debug)


def evaluate_main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `srvae-evaluate`."""
    parser = _parser("srvae-evaluate", EVALUATE_HELP, EVALUATE_EXAMPLES)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("run", nargs="?", type=Path, metavar="RUN_DIR", help="a run directory")
    what.add_argument(
        "--function",
        metavar="MODULE:FUNCTION",
        help="observations (batch, height, width, channel) in [0, 1] to codes (batch, latent)",
    )
    what.add_argument(
        "--codes",
        type=Path,
        metavar="FILE.npz",
        help="arrays `codes` (observation, latent) and `factors` (observation, factor); without "
        "`factors`, one code for each observation of dataset.name in its own order",
    )
    _add_gin(parser, required=False)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for the results of --function and --codes (default: scores/<its name>)",
    )
    _add_existing(parser, "keep results that are there", "replace results that are there")
    options = parser.parse_args(arguments)
    if options.run and options.output:
        parser.error("--output: the results of a run go into its own directory")

    def work() -> None:
        from srvae_plugin import evaluate, summary

        files = options.gin or ["metrics/paper.gin"]
        keep = {"resume": options.resume, "overwrite": options.overwrite}
        if options.run:
            place = options.run / "metrics"
            scores = evaluate.evaluate_run(options.run, files, options.bind, **keep)
        else:
            name = options.function or options.codes.stem
            place = options.output or Path("scores") / name.replace(":", ".")
            data, of_what = None, options.function
            if options.function:
                function = evaluate.load_function(options.function)
            else:
                function = evaluate.load_codes(options.codes, files, options.bind)
                data, of_what = function.data, _digest(options.codes)
            scores = {
                name: evaluate.evaluate_function(
                    function, data, place, files, options.bind, **keep, of_what=of_what
                )
            }
        print(summary.score_table(scores))
        print(f"\nscores  {place}")

    def work_and_show_what_there_is() -> None:
        from srvae_plugin.evaluate import MetricsFailedError
        from srvae_plugin.summary import score_table

        try:
            work()
        except MetricsFailedError as error:
            print(score_table({"scored": error.scores}))
            raise

    _guarded("srvae-evaluate", work_and_show_what_there_is, options.debug)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `srvae-data`."""
    parser = _parser("srvae-data", "Check a data set.", "")
    commands = parser.add_subparsers(dest="command", required=True)
    verify = commands.add_parser(
        "verify",
        help="compare the embedded dSprites with the original",
        description="Without --path: count white pixels and distinct images of the embedded "
        "dSprites. With --path: say how many images of your original file differ from it.",
    )
    verify.add_argument("name", choices=["dsprites_full"])
    verify.add_argument("--path", metavar="FILE", help="the original .npz or .hdf5")
    options = parser.parse_args(arguments)

    def work() -> None:
        from srvae_plugin.data import dsprites

        found = dsprites.verify(options.path)
        print(
            f"{found.source}: {found.white_pixels:,} white pixels (expected "
            f"{dsprites.WHITE_PIXELS:,}), {found.distinct_images:,} distinct images (expected "
            f"{dsprites.DISTINCT_IMAGES:,}), {found.differing_images:,} differ from the rendering"
            + (f", the first at {list(found.first_differing)}" if found.first_differing else "")
        )
        if not found.passed:
            sys.exit(1)

    _guarded("srvae-data", work, options.debug)


def _add_gin(parser: argparse.ArgumentParser, required: bool) -> None:
    default = "" if required else " (default: metrics/paper.gin)"
    parser.add_argument(
        "--gin",
        action="append",
        required=required,
        metavar="FILE",
        help=f"gin file; may be repeated{default}",
    )
    parser.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="'NAME = VALUE'",
        help="gin binding on top of the files, such as 'sr_vae.beta = 4.0'; may be repeated",
    )


def _add_existing(parser: argparse.ArgumentParser, resume: str, overwrite: str) -> None:
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help=resume)
    existing.add_argument("--overwrite", action="store_true", help=overwrite)


def _parser(name: str, description: str, epilog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        name,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"srvae_plugin {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback behind an error")
    return parser


def _guarded(name: str, work: Callable[[], None], debug: bool) -> None:
    """Run a command; bad input becomes one line and exit status 2."""
    _log_to_stderr()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        work()
    except (KeyboardInterrupt, _Terminated) as stop:
        status = 130 if isinstance(stop, KeyboardInterrupt) else 143
        _fail(name, "stopped; finished steps are kept, --resume goes on", status)
    except (ValueError, OSError, RuntimeError) as error:
        if debug:
            raise
        signum = getattr(error, "signum", None)
        if signum is None:
            from srvae_plugin.gin_config import one_line

            _fail(name, f"error: {one_line(error)}", 2)
        _fail(name, f"{error}; go on with the same command and --resume", 128 + signum)


def _log_to_stderr() -> None:
    """Show our own log lines and warnings, and of other libraries what is a warning."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("srvae_plugin").setLevel(logging.INFO)
    warnings.showwarning = lambda message, *place: logging.warning("warning: %s", message)


def _terminate(signum: int, frame: FrameType | None) -> Any:
    raise _Terminated


def _fail(name: str, message: str, status: int) -> NoReturn:
    print(f"{name}: {message}", file=sys.stderr)
    sys.exit(status)
