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
disentanglement_lib's own gin files work too, and so do the models of its studies by number.
"""
RUN_EXAMPLES = """\
examples:
  srvae-run --gin srvae_dsprites.gin --gin presets/quick.gin
  srvae-run --gin srvae_dsprites.gin --bind 'model.random_seed = 3' --output runs/seed3
  srvae-run --gin srvae_dsprites.gin --output runs/seed3 --resume
  srvae-run --study unsupervised_study_v1 --list
  srvae-run --study unsupervised_study_v1 --model-num 300 --bind 'model.training_steps = 1000'

exit status: 0 done, 2 bad input (one line says what), 130 or 143 stopped by Ctrl-C or SIGTERM
(what was done is kept; --resume goes on).
"""


EVALUATE_HELP = """\
Score a representation with the metrics that gin files name: of a run, of a model that was trained
elsewhere (a TorchScript or ONNX file, any Python function), or of a table of codes.

Packaged metric files: metrics/paper.gin (FactorVAE, DCI, MIG, SAP) and metrics/all.gin.
"""
EVALUATE_EXAMPLES = """\
examples:
  srvae-evaluate runs/seed3 --gin metrics/all.gin
  srvae-evaluate --function my_module:encode --bind 'dataset.name = "dsprites_full"'
  srvae-evaluate --model representation/pytorch_model.pt --bind 'dataset.name = "shapes3d"'
  srvae-evaluate --codes codes.npz --bind 'run.metrics = ["mig", "dci"]'

exit status: 0 done, 2 bad input (one line says what).
"""

DATA_EXAMPLES = """\
examples:
  srvae-data sheet color_dsprites
  srvae-data sheet shapes3d --path ~/data/3dshapes.h5 --output shapes3d.png
  srvae-data verify dsprites_full --path dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz
"""


class _Terminated(BaseException):
    """SIGTERM arrived outside training, where there is nothing to checkpoint."""


def run_main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `srvae-run`."""
    parser = _parser("srvae-run", RUN_HELP, RUN_EXAMPLES)
    what = parser.add_mutually_exclusive_group(required=True)
    _add_gin(what, "")
    what.add_argument(
        "--study",
        metavar="NAME",
        help="run a model of this study of disentanglement_lib, as its dlib_reproduce does",
    )
    _add_bind(parser)
    parser.add_argument("--model-num", type=int, metavar="N", help="number of the study's model")
    parser.add_argument(
        "--list",
        action="store_true",
        help="only print what the study has or, with --model-num, what the model is given",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="run directory (default: runs/ and the names of the gin files, or study and number)",
    )
    _add_existing(parser, "go on with a run that was stopped", "delete the run directory first")
    options = parser.parse_args(arguments)
    if options.gin and (options.list or options.model_num is not None):
        parser.error("--list and --model-num go with --study")
    _guarded("srvae-run", lambda: _list(options) if options.list else _run(options), options.debug)


def _list(options: argparse.Namespace) -> None:
    from srvae_plugin import dlib_studies

    study = dlib_studies.find_study(options.study)
    if options.model_num is None:
        lines = dlib_studies.describe([study])
    else:
        lines = dlib_studies.NumberedModel(options.study, options.model_num).describe()
    print("\n".join(lines))


def _run(options: argparse.Namespace) -> None:
    from srvae_plugin import dlib_studies, summary
    from srvae_plugin.run import run

    files, bindings, study = options.gin, options.bind, None
    if options.study:
        known = dlib_studies.find_study(options.study)
        if options.model_num is None:
            raise ValueError(f"--study {known.name} needs --model-num 0 .. {known.num_models - 1}")
        study = dlib_studies.NumberedModel(known.name, options.model_num)
        files, bindings = [dlib_studies.MODEL_FILE], [*study.bindings(), *bindings]
        output = Path("runs") / known.name / str(options.model_num)
    else:
        output = Path("runs") / "-".join(Path(f).stem for f in files)
    done = run(
        files,
        bindings,
        options.output or output,
        resume=options.resume,
        overwrite=options.overwrite,
        study=study,
    )
    print(summary.as_text(done))


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
        "--model",
        type=Path,
        metavar="FILE",
        help="encoder in TorchScript (.pt, .pth, .ts) or ONNX (.onnx): images in [0, 1] to codes "
        "(batch, latent); of several outputs the first is taken",
    )
    what.add_argument(
        "--codes",
        type=Path,
        metavar="FILE.npz",
        help="arrays `codes` (observation, latent) and `factors` (observation, factor); without "
        "`factors`, one code for each observation of dataset.name in its own order",
    )
    _add_gin(parser, " (default: metrics/paper.gin)")
    _add_bind(parser)
    parser.add_argument(
        "--layout",
        choices=["NHWC", "NCHW"],
        help="axes of the images that --model takes (default: what the file says or works with)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for the results of all but a run (default: scores/<its name>)",
    )
    _add_existing(parser, "keep results that are there", "replace results that are there")
    options = parser.parse_args(arguments)
    if options.run and options.output:
        parser.error("--output: the results of a run go into its own directory")
    if options.layout and not options.model:
        parser.error("--layout goes with --model")

    def work() -> None:
        from srvae_plugin import evaluate, summary

        files = options.gin or ["metrics/paper.gin"]
        keep = {"resume": options.resume, "overwrite": options.overwrite}
        if options.run:
            place = options.run / "metrics"
            scores = evaluate.evaluate_run(options.run, files, options.bind, **keep)
        else:
            name = options.function or (options.model or options.codes).stem
            place = options.output or Path("scores") / name.replace(":", ".")
            data, of_what = None, options.function
            if options.function:
                function = evaluate.load_function(options.function)
            elif options.model:
                from srvae_plugin.foreign_models import load_foreign

                function, data = load_foreign(options.model, options.layout, files, options.bind)
                of_what = f"{_digest(options.model)} {function.layout}"
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
    parser = _parser("srvae-data", "Look at a data set, or check it.", DATA_EXAMPLES)
    commands = parser.add_subparsers(dest="command", required=True)
    sheet = commands.add_parser(
        "sheet",
        help="draw a data set: one row a factor",
        description="Draw any data set on one page: one row a factor, the factor varied and all "
        "else held fixed, then random observations.",
    )
    sheet.add_argument("name", metavar="NAME", help="gin name of the data set")
    sheet.add_argument("--path", metavar="FILE", help="its file or folder, as dataset.path")
    sheet.add_argument("--output", type=Path, metavar="PNG", help="default: NAME.png")
    sheet.add_argument("--seed", type=int, default=0, help="chooses what is held fixed")
    sheet.add_argument("--overwrite", action="store_true", help="replace the PNG if it exists")
    _add_bind(sheet)
    verify = commands.add_parser(
        "verify",
        help="compare the embedded dSprites with the original",
        description="Without --path: count white pixels and distinct images of the embedded "
        "dSprites. With --path: say how many images of your original file differ from it.",
    )
    verify.add_argument("name", choices=["dsprites_full"])
    verify.add_argument("--path", metavar="FILE", help="the original .npz or .hdf5")
    options = parser.parse_args(arguments)
    work = _draw_sheet if options.command == "sheet" else _verify_dsprites
    _guarded("srvae-data", lambda: work(options), options.debug)


def _draw_sheet(options: argparse.Namespace) -> None:
    from srvae_plugin.contact_sheet import write_sheet

    output = options.output or Path(f"{options.name}.png")
    write_sheet(options.name, output, options.path, options.bind, options.seed, options.overwrite)
    print(output)


def _verify_dsprites(options: argparse.Namespace) -> None:
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


def _add_gin(parser: argparse._ActionsContainer, default: str) -> None:
    parser.add_argument(
        "--gin", action="append", metavar="FILE", help=f"gin file; may be repeated{default}"
    )


def _add_bind(parser: argparse.ArgumentParser) -> None:
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
