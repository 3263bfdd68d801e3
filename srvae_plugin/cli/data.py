"""Command line: `srvae-data`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from srvae_plugin.cli.command_line import add_bind, make_parser, run_command

__all__ = ["EXAMPLES", "data_main"]


EXAMPLES = """\
examples:
  srvae-data sheet color_dsprites
  srvae-data sheet shapes3d --path ~/data/3dshapes.h5 --output shapes3d.png
  srvae-data verify dsprites_full --path dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz
"""


def data_main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `srvae-data`."""
    parser = make_parser("srvae-data", "Look at a data set, or check it.", EXAMPLES)
    commands = parser.add_subparsers(dest="command", required=True)
    sheet = commands.add_parser(
        "sheet",
        help="draw a data set, one row per factor",
        description="Draw a data set on one page: one row per factor, varied while the others are "
        "held fixed, and then random observations.",
    )
    sheet.add_argument("name", metavar="NAME", help="gin name of the data set")
    sheet.add_argument("--path", metavar="FILE", help="its file or folder, same as dataset.path")
    sheet.add_argument("--output", type=Path, metavar="PNG", help="default: NAME.png")
    sheet.add_argument("--seed", type=int, default=0, help="chooses the values that are held fixed")
    sheet.add_argument("--overwrite", action="store_true", help="replace the PNG if it exists")
    add_bind(sheet)
    verify = commands.add_parser(
        "verify",
        help="compare the embedded dSprites with the original",
        description="Without --path, count the white pixels and distinct images of the embedded "
        "dSprites. With --path, count the images of your original file that differ from it.",
    )
    verify.add_argument("name", choices=["dsprites_full"])
    verify.add_argument("--path", metavar="FILE", help="the original .npz or .hdf5")
    options = parser.parse_args(arguments)
    work = _draw_sheet if options.command == "sheet" else _verify_dsprites
    run_command("srvae-data", lambda: work(options), options.debug, resumes=False)


def _draw_sheet(options: argparse.Namespace) -> None:
    from srvae_plugin.plots.contact_sheet import write_sheet

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
