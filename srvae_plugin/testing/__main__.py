"""`python -m srvae_plugin.testing my_package`: checks all plug-ins that a package registers."""

from __future__ import annotations

import argparse
import logging
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib.metadata import EntryPoint

from srvae_plugin.config import gin_files
from srvae_plugin.config.plugins import Group, nearest
from srvae_plugin.models.base import Shape
from srvae_plugin.testing.checks import Outcome
from srvae_plugin.testing.models import SHAPES
from srvae_plugin.testing.package import check_plugin, plugins_of

PROGRAM = "python -m srvae_plugin.testing"
DESCRIPTION = """\
Check every model, data set, metric and exporter that a package registers. Each check prints a line:
what was wrong and what was expected. Models that use this package's networks get small ones.
"""
EXAMPLES = """\
examples:
  python -m srvae_plugin.testing my_package
  python -m srvae_plugin.testing my_package --only my_vae --bind 'my_vae.beta = 4.0'
  python -m srvae_plugin.testing my_package --only my_data --bind 'my_data.path = "mine.npz"'

exit status: 0 no check failed, 1 a check failed, 2 bad usage (explained in one line).
"""
SMALL_NETWORKS = (
    "encoder.encoder_fn = @conv_encoder_any",
    "encoder.num_latent = 4",
    "conv_encoder_any.base_channels = 4",
    "decoder.decoder_fn = @conv_decoder_any",
    "conv_decoder_any.base_channels = 4",
    "reconstruction_loss.loss_fn = @bernoulli_loss",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per check; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        chosen = _chosen(options.package, options.only)
        with (
            gin_files.configured((), SMALL_NETWORKS),
            gin_files.configured(options.gin, options.bind),
        ):
            statuses = [
                _print(each, options.debug)
                for group, entry_point in chosen
                for each in check_plugin(group, entry_point, options.shape or SHAPES)
            ]
    except ValueError as error:
        print(f"{PROGRAM}: error: {gin_files.one_line(error)}", file=sys.stderr)
        return 2
    counts = {status: statuses.count(status) for status in ("ok", "FAILED", "skipped")}
    print(", ".join(f"{number} {status}" for status, number in counts.items()))
    return 1 if counts["FAILED"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        PROGRAM,
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("package", help="an installed distribution, or a package to import")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="only the entry point with this name; may be repeated",
    )
    parser.add_argument(
        "--shape",
        action="append",
        type=_shape,
        metavar="CxHxW",
        help="observations to build models for (default: 1x64x64 and 3x64x64); may be repeated",
    )
    parser.add_argument("--gin", action="append", default=[], metavar="FILE", help="gin file")
    parser.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="'NAME = VALUE'",
        help="gin binding, such as 'my_vae.beta = 4.0'; may be repeated",
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of every failure")
    return parser


def _chosen(package: str, only: Sequence[str]) -> list[tuple[Group, EntryPoint]]:
    found = plugins_of(package)
    for name in only:
        known = [entry_point.name for _, entry_point in found]
        if name not in known:
            raise ValueError(
                f"--only {name}: {package} registers no such name{nearest(name, known)}; it "
                f"registers {', '.join(known)}"
            )
    return [each for each in found if not only or each[1].name in only]


def _print(outcome: Outcome, debug: bool) -> str:
    print(outcome, flush=True)
    if debug and outcome.error is not None:
        traceback.print_exception(outcome.error)
    return outcome.status


def _shape(text: str) -> Shape:
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){2}", text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected CxHxW, for example 3x64x64")
    channel, height, width = map(int, text.split("x"))
    return channel, height, width


if __name__ == "__main__":
    # What matters is printed, one line per check.
    logging.getLogger("srvae_plugin").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    sys.exit(main())
