"""`srvae-evaluate --codes`: its options, and tables of codes scored one after the other."""

from __future__ import annotations

import argparse
import glob
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srvae_plugin.runs.codes.files import CodesFile
    from srvae_plugin.runs.evaluate import Scores
    from srvae_plugin.runs.representation import TabulatedCodes

__all__ = [
    "PAGE",
    "add_codes",
    "code_sources",
    "comparison_table",
    "default_place",
    "require_fitting",
    "score_tables",
]

PAGE = "report.html"


def add_codes(what: argparse._ActionsContainer, parser: argparse.ArgumentParser) -> None:
    """Add `--codes` to the group of things to score, and what goes with it to the parser."""
    what.add_argument(
        "--codes",
        nargs="+",
        metavar="FILE",
        help="npz, HDF5 (.h5, .hdf5) or .pt of plain tensors with `codes` (observation, latent) "
        "and `factors` (observation, factor); or csv, tsv or parquet with the codes in columns "
        "latent_0, latent_1 ... and a factor in each other column; or codes alone (.npy too) "
        "with --factors. Without factors, there must be one code for each observation of "
        "dataset.name, in its order; if none is bound, only metrics that need no factors are "
        "computed. Several files or patterns are compared in one table and one page",
    )
    parser.add_argument(
        "--factors", type=Path, metavar="FILE",
        help="the factors, if --codes has only codes: in any of these formats, one row per "
        "observation",
    )  # fmt: skip
    for which in ("code", "factor"):
        parser.add_argument(
            f"--{which}-columns", action="append", metavar="NAMES",
            help=f"which columns of a csv, tsv or parquet are {which}s: names or patterns, "
            "separated by commas; may be repeated",
        )  # fmt: skip
    parser.add_argument(
        "--pca-dim", type=int, metavar="K",
        help="for vector-valued codes (observation, group, dim): score the first K principal "
        "components of each group, as papers on diffusion models do with K = 1; fitted to all "
        "rows, or to the training rows of dataset.held_out",
    )  # fmt: skip


def require_fitting(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with the parser's error if options of `--codes` are there that do not go together."""
    own = ("factors", "code_columns", "factor_columns", "pca_dim")
    if not options.codes:
        for name in own:
            if getattr(options, name) is not None:
                parser.error(f"--{name.replace('_', '-')} goes with --codes")


def comparison_table(scores: Mapping[str, Scores]) -> str:
    """Scores of several tables, one column each; "-" is what a table has no score of."""
    from srvae_plugin.runs.summary import columns_of, number, shown_scores

    keys = {
        (metric, key): None
        for metrics in scores.values()
        for metric, values in metrics.items()
        for key in shown_scores(values)
    }
    rows = [["metric", "score", *scores]]
    for metric, key in keys:
        values = [by_metric.get(metric, {}).get(key, "-") for by_metric in scores.values()]
        rows.append([metric, key, *map(number, values)])
    return columns_of(rows)


def default_place(options: argparse.Namespace, name: str) -> Path:
    """A folder for each label and seed."""
    parts = [options.label or name] + [f"seed-{options.seed}"] * (options.seed is not None)
    return Path("scores", *(re.sub(r"[^\w.=,+-]+", "-", p.replace(":", ".")) for p in parts))


def score_tables(
    options: argparse.Namespace, files: Sequence[str]
) -> tuple[dict[str, Scores], Path]:
    """Score each table of `--codes`; several go into a folder each, beside a page about them.

    Returns:
        Scores by table, and the folder they are in.

    Raises:
        ValueError: before anything is scored, if a file cannot be read or what is there may not be
            replaced.
        MetricsFailedError: after all else, if a metric cannot be computed.
    """
    from srvae_plugin.runs.codes.files import load_codes

    sources = code_sources(options)
    tables = {name: load_codes(source, files, options.bind) for name, source in sources.items()}
    if len(sources) == 1:
        ((name, source),) = sources.items()
        place = options.output or default_place(options, name)
        return {name: _score(options, files, name, source, tables[name], place)}, place
    return _score_several(options, files, sources, tables)


def code_sources(options: argparse.Namespace) -> dict[str, CodesFile]:
    """The tables of `--codes`, and how they are read, by name.

    Raises:
        ValueError: if no file has such a name, or one is named twice.
    """
    return {name: _source(options, path) for name, path in _named(options.codes).items()}


def _named(patterns: Sequence[str]) -> dict[str, Path]:
    """The files, by names that differ: the parts of their paths that do."""
    paths: dict[Path, None] = {}
    for pattern in patterns:
        if os.path.lexists(pattern) or not glob.has_magic(pattern):
            if Path(pattern) in paths:
                raise ValueError(f"--codes {pattern}: it is named twice")
            paths[Path(pattern)] = None
            continue
        found = sorted(glob.glob(os.path.expanduser(pattern), recursive=True))
        if not found:
            raise ValueError(f"--codes {pattern!r}: no file has such a name")
        paths.update(dict.fromkeys(map(Path, found)))
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return {path.stem: path for path in paths}
    absolute = {Path(os.path.abspath(path)): path for path in paths}
    root = Path(os.path.commonpath([path.parent for path in absolute]))
    parts = {path: path.relative_to(root).with_suffix("").parts for path in absolute}
    if all(len(p) > 1 for p in parts.values()) and len({p[-1] for p in parts.values()}) == 1:
        parts = {path: p[:-1] for path, p in parts.items()}  # all are called codes, say
    if len(set(parts.values())) < len(parts):  # a.npz beside a.csv
        parts = {path: path.relative_to(root).parts for path in absolute}
    return {"-".join(parts[path]): absolute[path] for path in absolute}


def _source(options: argparse.Namespace, path: Path) -> CodesFile:
    from srvae_plugin.runs.codes.columns import Columns
    from srvae_plugin.runs.codes.files import CodesFile

    chosen = [
        tuple(name.strip() for part in given for name in part.split(",") if name.strip())
        if given
        else None
        for given in (options.code_columns, options.factor_columns)
    ]
    return CodesFile(path, options.factors, Columns(*chosen), options.pca_dim)


def _score(
    options: argparse.Namespace,
    files: Sequence[str],
    name: str,
    source: CodesFile,
    table: TabulatedCodes,
    place: Path,
) -> Scores:
    from srvae_plugin.data.own.table import FactorTable
    from srvae_plugin.runs import evaluate

    model = {"name": name, "label": options.label, "seed": options.seed}
    if source.pca_dim is not None:
        model["pca_dim"] = source.pca_dim
    own_factors = type(table.data) is FactorTable
    foreign = evaluate.Foreign(model, _data_record(source) if own_factors else {})
    asked = evaluate.Asked(options.resume, options.overwrite, source.identity, foreign)
    return evaluate.evaluate_function(table, table.data, place, files, options.bind, asked)


def _data_record(source: CodesFile) -> dict[str, Any]:
    """What the results say of the data of a table that brings its own factors."""
    typed = {"codes": source.codes} | ({"factors": source.factors} if source.factors else {})
    places = {
        name: {"typed": str(typed[name]), "absolute": str(path)}
        for name, path in source.files.items()
    }
    return {"name": "codes", "paths": places}


def _score_several(
    options: argparse.Namespace,
    files: Sequence[str],
    sources: Mapping[str, CodesFile],
    tables: Mapping[str, TabulatedCodes],
) -> tuple[dict[str, Scores], Path]:
    from srvae_plugin.report.write import write_report
    from srvae_plugin.runs.evaluate import MetricsFailedError, RunMetricsFailedError

    if options.label or options.seed is not None:
        raise ValueError(
            "--label and --seed name one model: score each file by itself with its own, then "
            "srvae-report scores compares them"
        )
    place = options.output or Path("scores")
    replace = options.resume or options.overwrite
    written = (place / PAGE, (place / PAGE).with_suffix(".csv"))
    if there := [path.name for path in written if path.exists() and not replace]:
        raise ValueError(
            f"{place / there[0]} exists: --resume keeps scores and writes the page again, "
            "--overwrite replaces both, --output names another folder"
        )
    scores: dict[str, Scores] = {}
    failed: list[str] = []
    for name, source in sources.items():
        folder = place / re.sub(r"[^\w.=,+-]+", "-", name)
        try:
            scores[name] = _score(options, files, name, source, tables[name], folder)
        except MetricsFailedError as error:
            scores[name] = error.scores
            failed += [f"{name}: {reason}" for reason in error.failed]
    done = write_report(
        [place / re.sub(r"[^\w.=,+-]+", "-", name) for name in sources], place / PAGE,
        title=", ".join(sources), overwrite=replace,
    )  # fmt: skip
    print(f"report  {done.page}\n")
    if failed:
        raise RunMetricsFailedError(failed, scores)
    return scores, place
