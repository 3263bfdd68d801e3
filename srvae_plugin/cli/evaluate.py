"""Command line: `srvae-evaluate`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srvae_plugin.cli.codes import (
    add_codes,
    comparison_table,
    default_place,
    require_fitting,
    score_tables,
)
from srvae_plugin.cli.command_line import (
    add_bind,
    add_existing,
    add_gin,
    add_import,
    add_output,
    add_threads,
    make_parser,
    run_command,
    use_threads,
)
from srvae_plugin.cli.diagnose import add_diagnose, diagnose, require_diagnosable
from srvae_plugin.cli.listing import KINDS, listing

if TYPE_CHECKING:
    from srvae_plugin.data.ground_truth import GroundTruthData
    from srvae_plugin.runs.evaluate import RepresentationFunction, Scores

__all__ = ["EXAMPLES", "HELP", "NOT_ALL_SCORED", "evaluate_main"]


NOT_ALL_SCORED = 3
HELP = """\
Score a representation: that of a run, of a model trained elsewhere (a TorchScript or ONNX file, or
any Python function), or a table of codes. Gin files choose the metrics.

A run is scored on the data set it was trained on, unless you bind dataset.path or another
dataset.name; a log line says so.

--diagnose explains low scores instead: for each factor, whether it is not encoded, rotated over
several latents, split, duplicated or encoded non-linearly, and what MIG, SAP, DCI, modularity and
MCC would be without that (docs/diagnosis.md).

Packaged metric files: metrics/paper.gin (FactorVAE, DCI, MIG, SAP) and metrics/all.gin.
"""
EXAMPLES = """\
examples:
  srvae-evaluate runs/seed3 --gin metrics/all.gin --overwrite
  srvae-evaluate --function my_module:encode --bind 'dataset.name = "dsprites_full"'
  srvae-evaluate --model representation/pytorch_model.pt --bind 'dataset.name = "shapes3d"'
  srvae-evaluate --codes codes.npz --bind 'run.metrics = ["mig", "dci"]'
  srvae-evaluate --codes codes.npy --factors factors.csv
  srvae-evaluate --codes table.csv --code-columns 'z*' --factor-columns shape,scale
  srvae-evaluate --codes vectors.npz --pca-dim 1
  srvae-evaluate runs/seed3 --diagnose
  srvae-evaluate --codes codes.npz --diagnose
  srvae-evaluate --list metrics
  srvae-evaluate --udr studies/ablation --output udr
  srvae-evaluate --codes a.npz b.npz 'runs/*/codes.npz' --output comparison

exit status: 0 done, 2 bad input (explained in one line), 3 some metrics could not be computed (the
table shows the others; a line for each failure says why).
"""


def evaluate_main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `srvae-evaluate`."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run and options.output:
        parser.error("--output: the results of a run go into its own directory")
    if options.layout and not options.model:
        parser.error("--layout goes with --model")
    require_fitting(parser, options)
    if (options.run or options.udr) and (options.label or options.seed is not None):
        parser.error("--label and --seed: a run has its own")
    if options.diagnose:
        require_diagnosable(parser, options)
    if options.seed is not None and not options.label:
        parser.error("--seed goes with --label, which says what model it is a seed of")
    run_command("srvae-evaluate", lambda: _work(options), options.debug)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("srvae-evaluate", HELP, EXAMPLES)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("run", nargs="?", type=Path, metavar="RUN_DIR", help="a run directory")
    what.add_argument(
        "--function",
        metavar="MODULE:FUNCTION",
        help="from observations (batch, height, width, channel) in [0, 1] to codes (batch, "
        "latent); importing the module runs its code",
    )
    what.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help="encoder in TorchScript (.pt, .pth, .ts) or ONNX (.onnx), from images in [0, 1] to "
        "codes (batch, latent); of several outputs the first is used. A TorchScript file can run "
        "code (opening files is refused): use it only if you trust its source",
    )
    add_codes(what, parser)
    what.add_argument(
        "--udr",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="unsupervised disentanglement ranking: compares runs below these folders that differ "
        "only in their seed, and writes each one's score beside its others; --output gets all "
        "pairs. Lasso; for Spearman, --bind 'udr_sklearn.correlation_matrix = \"spearman\"'",
    )
    what.add_argument(
        "--list",
        nargs="?",
        const="all",
        choices=["all", *KINDS],
        help="list what is available, with references, ranges, directions and arguments",
    )
    add_diagnose(parser)
    add_gin(parser, " (default: metrics/paper.gin; with --udr metrics/udr.gin)")
    add_bind(parser)
    add_import(parser)
    parser.add_argument(
        "--layout",
        choices=["NHWC", "NCHW"],
        help="axes of the images that --model expects (default: as the file states, or what works)",
    )
    parser.add_argument(
        "--label",
        metavar="NAME",
        help="name of the model in srvae-report (not for a run): scores with the same label belong "
        "to one model, and each --seed is one of its runs",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="seed the model was trained with; needs --label"
    )
    add_output(
        parser,
        "folder for the results (default: scores/<name>; a run's go into its own directory)",
    )
    add_existing(parser, "keep existing results", "replace existing results")
    add_threads(parser)
    return parser


def _work(options: argparse.Namespace) -> None:
    use_threads(options.threads)
    if options.list:
        from srvae_plugin.config.gin_sources import import_modules

        import_modules(options.modules, ())
        print(listing(options.list))
        return
    from srvae_plugin.config.gin_sources import import_modules
    from srvae_plugin.runs.evaluate import MetricsFailedError, RunMetricsFailedError

    import_modules(options.modules, options.gin or ())
    if options.diagnose:
        diagnose(options, _foreign)
        return
    try:
        scores, place = _scores(options)
    except MetricsFailedError as error:
        by_kind = error.by_kind if isinstance(error, RunMetricsFailedError) else None
        print(_table(by_kind or {_name(options): error.scores}, options), flush=True)
        for reason in error.failed:
            print(f"srvae-evaluate: not scored: {reason}", file=sys.stderr)
        if options.debug:
            raise
        sys.exit(NOT_ALL_SCORED)
    print(_table(scores, options))
    print(f"\nscores  {place}")


def _name(options: argparse.Namespace) -> str:
    """What is scored, if it is one thing and no run."""
    return options.function or Path(options.model or options.codes[0]).stem


def _table(scores: dict[str, Scores], options: argparse.Namespace) -> str:
    from srvae_plugin.runs.summary import score_table

    return comparison_table(scores) if options.codes and len(scores) > 1 else score_table(scores)


def _scores(options: argparse.Namespace) -> tuple[dict[str, Scores], Path]:
    """The scores, by representation, and the folder they are in."""
    from srvae_plugin.runs import evaluate

    keep = {"resume": options.resume, "overwrite": options.overwrite}
    if options.udr:
        return _ranked(options), options.output or Path("metrics/mean below each run")
    files = options.gin or ["metrics/paper.gin"]
    if options.run:
        scores = evaluate.evaluate_run(options.run, files, options.bind, **keep)
        return scores, options.run / "metrics"
    if options.codes:
        return score_tables(options, files)
    name = _name(options)
    place = options.output or default_place(options, name)
    function, data, of_what = _foreign(options, files)
    foreign = evaluate.Foreign({"name": name, "label": options.label, "seed": options.seed})
    asked = evaluate.Asked(**keep, of_what=of_what, foreign=foreign)
    of_one = evaluate.evaluate_function(function, data, place, files, options.bind, asked)
    return {name: of_one}, place


def _ranked(options: argparse.Namespace) -> dict[str, Scores]:
    from srvae_plugin.runs.scoring.udr import groups_of, rank_groups

    files = options.gin or ["metrics/udr.gin"]
    scores = rank_groups(
        groups_of(options.udr), options.output, files, options.bind, options.resume,
        options.overwrite,
    )  # fmt: skip
    return {str(run): {"udr": dict(values)} for run, values in scores.items()}


def _foreign(
    options: argparse.Namespace, files: Sequence[str]
) -> tuple[RepresentationFunction, GroundTruthData | None, str]:
    """A function that is no run's, its data set if it has one, and what tells it from others."""
    from srvae_plugin.data.storage.manifest import sha256_of
    from srvae_plugin.runs import evaluate

    if options.function:
        function = evaluate.load_function(options.function)
        module = sys.modules[options.function.partition(":")[0]]
        source = Path(getattr(module, "__file__", None) or "")
        version = sha256_of(source) if source.is_file() else ""
        return function, None, f"{options.function} {version}"
    from srvae_plugin.interchange.foreign_models import load_foreign

    encoder, data = load_foreign(options.model, options.layout, files, options.bind)
    return encoder, data, f"{sha256_of(options.model)} {encoder.layout}"
