"""Command line: `srvae-run`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from srvae_plugin.cli.command_line import (
    add_bind,
    add_existing,
    add_gin,
    add_output,
    add_threads,
    make_parser,
    run_command,
    use_threads,
)

__all__ = ["EXAMPLES", "HELP", "run_main"]


HELP = """\
Train a model, turn it into a representation, score it and draw pictures.

Everything is set by gin files and bindings; later ones win. --gin takes a path, or the name of a
packaged file such as srvae_dsprites.gin (the SR-VAE paper's configuration) or presets/quick.gin
(put it last to turn any model file into a demonstration of a few minutes).

disentanglement_lib's gin files work too: model_configs, followed by postprocess_configs and
metric_configs if you like; abstract reasoning files do not. Its FactorVAE counts the updates of
both networks: bind half of its model.training_steps. --study runs a model of its studies by number,
and does this for you.

A binding that nothing in the run uses is an error; in your gin file it is a warning.
"""
EXAMPLES = """\
examples:
  srvae-run --gin srvae_dsprites.gin --gin presets/quick.gin
  srvae-run --gin srvae_dsprites.gin --bind 'model.random_seed = 3' --output runs/seed3
  srvae-run --gin srvae_dsprites.gin --output runs/seed3 --resume
  srvae-run --study unsupervised_study_v1 --list
  srvae-run --study unsupervised_study_v1 --model-num 300 --bind 'model.training_steps = 1000'

exit status: 0 done, 2 bad input (explained in one line), 130 or 143 stopped by Ctrl-C or SIGTERM
(finished work is kept; --resume continues).
"""


def run_main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `srvae-run`."""
    parser = make_parser("srvae-run", HELP, EXAMPLES)
    what = parser.add_mutually_exclusive_group(required=True)
    add_gin(what, "")
    what.add_argument(
        "--study",
        metavar="NAME",
        help="run a model of this disentanglement_lib study, as dlib_reproduce does",
    )
    add_bind(parser)
    parser.add_argument("--model-num", type=int, metavar="N", help="number of the study's model")
    parser.add_argument(
        "--list",
        action="store_true",
        help="only print the study's models, or with --model-num that model's bindings",
    )
    add_output(
        parser, "run directory (default: below runs/, named after gin files or study and number)"
    )
    parser.add_argument(
        "--init-from",
        metavar="DIR",
        help="start from the weights of another run: its directory, a snapshot folder or a "
        "safetensors file; same as binding model.init_from",
    )
    add_existing(parser, "continue a run that was stopped", "delete the run directory first")
    add_threads(parser)
    options = parser.parse_args(arguments)
    if options.gin and (options.list or options.model_num is not None):
        parser.error("--list and --model-num go with --study")
    run_command(
        "srvae-run",
        lambda: _list(options) if options.list else _run(options),
        options.debug,
    )


def _list(options: argparse.Namespace) -> None:
    from srvae_plugin.study import numbered

    study = numbered.find_study(options.study)
    if options.model_num is None:
        lines = numbered.describe([study])
    else:
        lines = numbered.NumberedModel(options.study, options.model_num).describe()
    print("\n".join(lines))


def _init_from(options: argparse.Namespace) -> list[str]:
    if options.init_from is None:
        return []
    for binding in options.bind:
        if binding.partition("=")[0].strip() == "model.init_from":
            raise ValueError(
                f"--init-from and --bind '{binding}' say the same thing: leave one out"
            )
    return [f"model.init_from = {options.init_from!r}"]


def _run(options: argparse.Namespace) -> None:
    use_threads(options.threads)
    from srvae_plugin.runs import summary
    from srvae_plugin.runs.run import run
    from srvae_plugin.study import numbered

    files, bindings, study = options.gin, [*options.bind, *_init_from(options)], None
    if options.study:
        known = numbered.find_study(options.study)
        if options.model_num is None:
            raise ValueError(f"--study {known.name} needs --model-num 0 .. {known.num_models - 1}")
        study = numbered.NumberedModel(known.name, options.model_num)
        files, bindings = [numbered.MODEL_FILE], [*study.bindings(), *bindings]
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
