"""Command line: `srvae-study`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from srvae_plugin.cli.command_line import (
    add_bind,
    add_existing,
    add_output,
    advise_threads,
    make_parser,
    run_command,
)
from srvae_plugin.data.storage.lock import only_writer
from srvae_plugin.report.words import counted
from srvae_plugin.study.definition import read_study
from srvae_plugin.study.directory import (
    RunState,
    StudyJson,
    check_directory,
    look,
    planned,
    prepare_directory,
    statuses,
)
from srvae_plugin.study.engine import (
    Engine,
    LocalEngine,
    cores,
    gpus,
)
from srvae_plugin.study.plan import PlannedRun, plan
from srvae_plugin.study.table import counts
from srvae_plugin.version import __version__

__all__ = ["EXAMPLES", "HELP", "study_main"]


logger = logging.getLogger("srvae_plugin")

HELP = """\
Run a study: a grid of models, hyperparameters, data sets and seeds, with a process and a directory
for each run.

A study is a gin file. The SR-VAE paper's are packaged as studies/ablation.gin,
comparison_dsprites.gin, comparison_teapots.gin, sr_beta_vae.gin and sensitivity.gin, each with a
small demonstration such as studies/ablation_quick.gin; disentanglement_lib's, with 12,600 runs, is
studies/unsupervised_study_v1.gin. docs/studies.md explains how to write one and use a cluster.
"""
EXAMPLES = """\
examples:
  srvae-study --gin studies/ablation_quick.gin --list
  srvae-study --gin studies/ablation_quick.gin --output ablation --jobs 2
  srvae-study --gin studies/ablation_quick.gin --output ablation --jobs 2 --resume
  srvae-study --gin studies/ablation.gin --bind 'model.training_steps = 50000' --output short
  srvae-study --gin studies/ablation.gin --output ablation --engine ray --threads 4
  srvae-study --power 0.05 --metric factor_vae_score                    # by published spreads
  srvae-study --power 0.05 --metric factor_vae_score --output ablation  # by the study's own

An existing directory is continued only with --resume. Finished runs with the same bindings are then
skipped, interrupted ones continue from their checkpoints, bit for bit (given the same number of
threads), and failed ones are left alone unless --retry-failed starts them again.

exit status: 0 all runs finished, 1 some failed, 2 bad input (explained in one line), 130 or 143
stopped by Ctrl-C or SIGTERM (current runs wrote checkpoints; a second Ctrl-C kills them).
"""


def study_main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `srvae-study`."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.power is None) != (options.metric is None):
        parser.error("--power and --metric go together: --power 0.05 --metric factor_vae_score")
    if options.power is not None:
        run_command("srvae-study", lambda: _print_power(options), options.debug)
        return
    if not options.gin:
        parser.error("--gin is needed: a study")
    if options.output is None and not options.list:
        parser.error("--output is needed")
    if options.retry_failed and options.overwrite:
        parser.error("--retry-failed and --overwrite contradict each other")
    for name in ("jobs", "threads"):
        if (value := getattr(options, name)) is not None and value < 1:
            parser.error(f"--{name} {value}: expected at least 1")
    if options.gpus_per_run is not None and options.engine != "ray":
        parser.error("--gpus-per-run goes with --engine ray")
    options.resume |= options.retry_failed
    run_command("srvae-study", lambda: _work(options), options.debug)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("srvae-study", HELP, EXAMPLES)
    parser.add_argument("--gin", action="append", metavar="FILE", help="the study; may be repeated")
    add_bind(parser)
    add_output(parser, "study directory")
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="number of concurrent runs (default: one per "
        "GPU, else one; with Ray: as many as the cluster has room for)"
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=int, metavar="N", help="threads per run (default: cores / jobs); with "
        "Ray also the CPUs reserved for a run (default: 1)"
    )  # fmt: skip
    parser.add_argument(
        "--engine", choices=["local", "ray"], default="local",
        help="run on this machine (default) or on a Ray cluster",
    )  # fmt: skip
    parser.add_argument(
        "--gpus-per-run", type=float, metavar="X", help="with Ray: GPUs reserved for a run "
        "(default: 1 if the cluster has any)"
    )  # fmt: skip
    add_existing(parser, "continue a study that was stopped", "delete the study's runs first")
    parser.add_argument(
        "--retry-failed", action="store_true", help="start failed runs again; implies --resume"
    )
    parser.add_argument("--list", action="store_true", help="only print the planned runs")
    planning = parser.add_argument_group("how many seeds (runs nothing)")
    planning.add_argument(
        "--power", type=float, metavar="X", help="print how many seeds it takes to detect a "
        "difference of X, and what the study in --output could have detected (without --output: "
        "from the spread of published scores)"
    )  # fmt: skip
    planning.add_argument(
        "--metric", metavar="NAME", help="metric for --power, such as factor_vae_score or "
        "dci.disentanglement"
    )  # fmt: skip
    return parser


def _print_power(options: argparse.Namespace) -> None:
    from srvae_plugin.cli.power import power_lines

    print("\n".join(power_lines(options.power, options.metric, options.output)))


def _work(options: argparse.Namespace) -> None:
    beside = [path.parent.resolve() for path in map(Path, options.gin) if path.is_file()]
    runs = plan(read_study(options.gin, options.bind), beside)
    if options.list:
        _list(runs, options.output)
    else:
        _run(options, runs)


def _list(runs: Sequence[PlannedRun], output: Path | None) -> None:
    """One line per run: folder, status if there is an output, files and bindings."""
    known = statuses(output, runs) if output is not None else [None] * len(runs)
    lines = (
        "  ".join(filter(None, (run.folder, status, *run.files, "; ".join(run.bindings))))
        for run, status in zip(runs, known, strict=True)
    )
    try:
        print("\n".join([*lines, counted(len(runs), "run")]), flush=True)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(options: argparse.Namespace, runs: Sequence[PlannedRun]) -> None:
    advise_threads(options.threads)
    # These import torch, which takes seconds and is not needed to list runs.
    from srvae_plugin.study.config import configurations
    from srvae_plugin.study.run import require_starts_elsewhere, run_study, to_do, with_data

    output = options.output
    check_directory(output, options.resume, options.overwrite)
    configs = configurations(runs)
    with only_writer(output):
        check_directory(output, options.resume, options.overwrite)
        # Whatever may fail comes before runs are deleted.
        see = planned if options.overwrite else look
        states = see(output, runs, configs)
        todo = with_data(to_do(states, options.retry_failed))
        engine = _engine(options)
        if options.overwrite:
            require_starts_elsewhere(output, todo)
        prepare_directory(output, options.resume, options.overwrite)
        name = Path(options.gin[-1]).stem
        header = {"study": name, "srvae_plugin": __version__, "gin": options.gin}
        header |= {"bind": options.bind, "engine": options.engine, "threads": engine.threads}
        record = StudyJson(output, header, states)
        how = f"{engine.capacity()} at a time, threads of each: {engine.threads}"
        logger.info("%s: %d runs, %d to do, %s, in %s", name, len(runs), len(todo), how, output)
        run_study(name, states, todo, engine, record)
    print("\n".join(_summary(name, output, states)))
    if any(state.status != "finished" for state in states):
        sys.exit(1)


def _engine(options: argparse.Namespace) -> Engine:
    if options.engine == "ray":
        from srvae_plugin.study.ray_engine import RayEngine

        return RayEngine(options.jobs, options.threads or 1, options.gpus_per_run)
    devices = gpus()
    jobs = options.jobs or max(1, len(devices))
    return LocalEngine(jobs, options.threads or max(1, cores() // jobs), devices)


def _summary(name: str, output: Path, states: Sequence[RunState]) -> Iterator[str]:
    """How many runs have which status, and those that have not finished with their logs."""
    yield f"{name}: {counts(states)}"
    for state in states:
        if state.status != "finished":
            yield f"  {state.run}: {state.status}{f': {state.error}' if state.error else ''}"
            if (state.directory.log).is_file():
                yield f"      {state.directory.log}"
    if any(state.status == "failed" for state in states):
        yield "--retry-failed starts the failed runs again"
    yield f"study directory  {output}"
    yield f"make a report    srvae-report {output}"
