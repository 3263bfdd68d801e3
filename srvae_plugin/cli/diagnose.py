"""`srvae-evaluate --diagnose`: why the scores of a run, a table of codes or a model are low."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srvae_plugin.cli.codes import code_sources, default_place

if TYPE_CHECKING:
    from srvae_plugin.runs.scoring.diagnosis import Diagnosis

__all__ = ["add_diagnose", "diagnose", "require_diagnosable"]


def add_diagnose(parser: argparse.ArgumentParser) -> None:
    """Add `--diagnose` to a parser."""
    parser.add_argument(
        "--diagnose", action="store_true",
        help="explain low scores instead of scoring: what is wrong with each factor, and what the "
        "scores would be without that; written to diagnosis.json, for srvae-report",
    )  # fmt: skip


def require_diagnosable(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with the parser's error if options are there that do not go with `--diagnose`."""
    if options.udr or options.list:
        parser.error("--diagnose goes with a run, --codes, --function or --model")
    if options.gin:
        parser.error(
            "--diagnose has its own metrics: leave --gin out (--bind 'dataset.name = ...' is "
            "allowed)"
        )
    if options.label or options.seed is not None:
        parser.error("--label and --seed go with scores, not with --diagnose")


def diagnose(options: argparse.Namespace, foreign: Callable[..., Any]) -> None:
    """Diagnose what the options name, print it and keep it.

    Args:
        options: of `srvae-evaluate`.
        foreign: gives function, data set and identity of `--function` and `--model`.
    """
    from srvae_plugin.runs.scoring import diagnose as runs

    keep = {"resume": options.resume, "overwrite": options.overwrite}
    if options.run:
        _show(runs.diagnose_run(options.run, options.bind, **keep))
        return
    if options.codes:
        _codes(options, keep)
        return
    function, data, _ = foreign(options, ["metrics/paper.gin"])
    place = options.output or default_place(options, options.function or options.model.stem)
    _show(runs.diagnose_function(function, data, place, options.bind, **keep))


def _codes(options: argparse.Namespace, keep: Mapping[str, bool]) -> None:
    from srvae_plugin.runs.codes.files import load_codes
    from srvae_plugin.runs.scoring import diagnose as runs

    sources = code_sources(options)
    tables = {name: load_codes(source, None, options.bind) for name, source in sources.items()}
    for name, table in tables.items():
        place = options.output or default_place(options, name)
        if options.output and len(tables) > 1:
            place = options.output / name
        _show(runs.diagnose_function(table, table.data, place, options.bind, **keep), name)


def _show(found: Mapping[Path, Diagnosis], name: str = "") -> None:
    for path, diagnosis in found.items():
        title = name or (path.parent.name if len(found) > 1 else "")
        print(f"{title}\n\n{diagnosis}" if title else diagnosis)
        print(f"\ndiagnosis  {path}\n")
