"""The page of a report: what is computed and drawn, filled into the template."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from srvae_plugin import manifest
from srvae_plugin.files import read_scalars
from srvae_plugin.report.curves import Curve, curve_chart
from srvae_plugin.report.figures import hinton, legend, strip_plot
from srvae_plugin.report.lists import lists
from srvae_plugin.report.models import Model
from srvae_plugin.report.pictures import (
    Budget,
    Chosen,
    animation,
    chosen_runs,
    importance,
    names_in,
    picture,
)
from srvae_plugin.report.protocol import Beside, beside_published, published_by_row
from srvae_plugin.report.published import CONFIDENCE, PublishedScore, mean_text
from srvae_plugin.report.scores import (
    Bootstrap,
    Table,
    data_sets,
    overall,
    score_tables,
)
from srvae_plugin.report.settings import Variants
from srvae_plugin.report.svg import color
from srvae_plugin.runs.directory import DECOMPOSITION
from srvae_plugin.version import __version__

SECTIONS = (
    ("summary", "Beside published numbers"),
    ("scores", "Scores"),
    ("differences", "Paired differences"),
    ("curves", "Learning curves"),
    ("traversals", "Traversals"),
    ("decomposition", "Step by step"),
    ("hinton", "Hinton diagrams"),
    ("failures", "Failures"),
    ("runs", "All runs"),
    ("models", "Models"),
    ("settings", "Metric settings"),
    ("environment", "Environment"),
    ("method", "Method"),
)
_SCALARS = {"reconstruction_loss": "Reconstruction loss (nats per image)", "kl_loss": "KL (nats)"}
_POINTS = 80
"""Rows of a run's scalars that are drawn."""
_T = TypeVar("_T")


def page(
    title: str,
    models: Sequence[Model],
    published: Sequence[PublishedScore],
    bootstrap: Bootstrap,
    compare_with: str | None,
    notes: Sequence[str],
) -> str:
    """HTML of the whole report; see `report.write_report`."""
    notes = list(notes)
    variants = Variants([run for model in models for run in model.runs], notes)
    tables = score_tables(models, bootstrap, compare_with, variants)
    beside = beside_published(tables, published)
    context = {
        "title": title,
        "models": models,
        "beside": beside,
        "notes": notes,
        "bootstrap": bootstrap,
        **_texts(models, beside, bootstrap),
        "by_data_set": _by_data_set(tables, beside),
        "overall": overall(tables, bootstrap),
        "comparisons": [(table, c) for table in tables for c in table.comparisons],
        "chosen_reference": not compare_with and any(table.reference for table in tables),
        "curves": _curves(models, notes),
        "variants": variants.all,
        **_pictures(chosen_runs(tables, models), notes),
        **lists(models, tables),
    }
    return _environment().get_template("report.html.j2").render(context)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("srvae_plugin.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True,
    )  # fmt: skip
    environment.globals |= {
        "number": number, "exact": exact, "color": color, "mean_text": mean_text,
    }  # fmt: skip
    return environment


def number(value: float, digits: int) -> str:
    """A number for people: `digits` decimals below 100, four significant digits or all above."""
    if math.isinf(value):
        return "infinite"
    if abs(value) >= 100:
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}"
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def exact(value: float | None) -> str:
    """A number for sorting and copying, every digit of it; empty for NaN."""
    return "" if value is None or value != value else repr(value)


def _texts(
    models: Sequence[Model], beside: Sequence[Beside], bootstrap: Bootstrap
) -> dict[str, Any]:
    runs = [run for model in models for run in model.runs]
    waiting = sum(run.waits for run in runs)
    failed = sum(not run.finished for run in runs) - waiting
    counts = [
        _count(len(runs), "run"), "of", _count(len(models), "model"), "on",
        _count(len(data_sets(models)), "data set"),
    ]  # fmt: skip
    tail = (f"; {failed} failed" if failed else "") + (
        f"; {waiting} not yet run" if waiting else ""
    )
    used = {one.published.confidence for one in beside if one.published}
    percent = f"{100 * bootstrap.confidence:g}"
    return {
        "version": __version__,
        "date": datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC").lstrip("0"),
        "counts": " ".join(counts) + tail,
        "confidence_title": f"{percent} % interval",
        "percent": percent,
        "confidences": [(name, text) for name, text in CONFIDENCE.items() if name in used],
        "sections": SECTIONS,
        "legend": [(Markup(mark), text) for mark, text in legend()],
    }


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _by_data_set(
    tables: Sequence[Table], beside: Sequence[Beside]
) -> list[tuple[str, list[tuple[Table, Markup]]]]:
    found = []
    for name, same in itertools.groupby(tables, key=lambda table: table.data_set):
        drawn = []
        for table in same:
            numbers = published_by_row(table, beside)
            drawn.append((table, Markup(strip_plot(table, numbers))))
        found.append((name, drawn))
    return found


def _curves(models: Sequence[Model], notes: list[str]) -> list[tuple[str, list[Markup]]]:
    found = []
    for data_set in data_sets(models):
        curves: dict[str, list[Curve]] = {name: [] for name in _SCALARS}
        for model in models:
            for run in model.of(data_set):
                path = run.directory.model.files.scalars
                if not path.is_file():
                    continue
                columns = _or_note(partial(_scalars, path), notes) or {}
                for name in _SCALARS.keys() & columns.keys():
                    curves[name].append(Curve(model, run.name, columns["step"], columns[name]))
        charts = [curve_chart(curves[name], title) for name, title in _SCALARS.items()]
        if any(charts):
            found.append((data_set, [Markup(chart) for chart in charts if chart]))
    return found


def _scalars(path: Path) -> dict[str, NDArray[np.float64]]:
    manifest.check(path)
    return read_scalars(path, _POINTS)


def _or_note(work: Callable[[], _T], notes: list[str]) -> _T | None:
    """What is damaged is said in the report and does not stop it."""
    try:
        return work()
    except (OSError, ValueError) as error:
        notes.append(str(error))
        return None


def _pictures(chosen: Sequence[Chosen], notes: list[str]) -> dict[str, Any]:
    budget = Budget()
    animations, decompositions, hintons = [], [], []
    for one in chosen:
        moving = _or_note(partial(animation, one, budget), notes)
        if moving is not None:
            animations.append(moving)
    for one in chosen:
        source = _or_note(partial(picture, one, DECOMPOSITION, budget), notes)
        if source:
            decompositions.append((one, source))
    for one in chosen:
        stored = _or_note(partial(importance, one.run), notes)
        if stored is not None:
            metric, matrix = stored
            names = names_in(one.run, matrix.shape[1])
            drawn = hinton(matrix, names, f"importance of latents for factors, {one.run.name}")
            hintons.append((one, metric, Markup(drawn)))
    return {
        "animations": animations, "decompositions": decompositions, "hintons": hintons,
        "left_out": budget.left_out,
    }  # fmt: skip
