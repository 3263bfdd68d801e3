"""The page of a report: what is computed and drawn, filled into the template."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from srvae_plugin.data.storage import manifest
from srvae_plugin.files import read_scalars
from srvae_plugin.report.comparison.pairs import FEWEST, Bootstrap
from srvae_plugin.report.comparison.protocol import Beside, beside_published, published_by_row
from srvae_plugin.report.comparison.published import CONFIDENCE, PublishedScore, mean_text, std_text
from srvae_plugin.report.comparison.seeds import plans
from srvae_plugin.report.comparison.settings import Variants
from srvae_plugin.report.keys import TRAINING
from srvae_plugin.report.losses import reconstruction_of
from srvae_plugin.report.models import Model
from srvae_plugin.report.parts.curves import Curve, curve_chart, line_key
from srvae_plugin.report.parts.diagnoses import diagnoses
from srvae_plugin.report.parts.explanations import explanation
from srvae_plugin.report.parts.figures import MANY, cell_strip, hinton, legend, strip_plot
from srvae_plugin.report.parts.lists import lists
from srvae_plugin.report.parts.overview import overviews
from srvae_plugin.report.parts.pictures import (
    Budget,
    Chosen,
    animation,
    chosen_runs,
    importance,
    latent_order,
    names_in,
    picture,
)
from srvae_plugin.report.parts.score_curves import score_charts
from srvae_plugin.report.parts.svg import color
from srvae_plugin.report.reading import or_note
from srvae_plugin.report.scores import (
    Table,
    data_sets,
    overall,
    score_tables,
)
from srvae_plugin.report.words import counted, number
from srvae_plugin.runs.directory import DECOMPOSITION
from srvae_plugin.version import __version__

__all__ = ["SECTIONS", "exact", "page"]

SECTIONS = (
    ("overview", "Overview", "overviews"),
    ("published", "Compared with published numbers", "beside"),
    ("scores", "Scores", "by_data_set"),
    ("differences", "Paired differences", "comparisons"),
    ("seeds", "How many seeds", "plans"),
    ("why", "Why is a score low?", "diagnoses"),
    ("curves", "Learning curves", "curves"),
    ("traversals", "Traversals", "traversals"),
    ("decomposition", "Step by step", "decompositions"),
    ("hinton", "Hinton diagrams", "hintons"),
    ("waiting", "Not finished yet", "waiting"),
    ("failures", "Failures", "problems"),
    ("runs", "All runs", "run_rows"),
    ("models", "Models", "models"),
    ("settings", "Metric settings", "variants"),
    ("environment", "Environment", "environments"),
    ("method", "Method", "bootstrap"),
)
"""Anchor and name of each section, and what it shows: without that it is not there."""
_RECONSTRUCTION = "reconstruction_loss"
_SCALARS = {_RECONSTRUCTION: "Reconstruction loss (nats per image)", "kl_loss": "KL (nats)"}
_POINTS = 80
"""Rows of a run's scalars that are drawn."""


def page(
    names: tuple[str, str],
    models: Sequence[Model],
    published: Sequence[PublishedScore],
    bootstrap: Bootstrap,
    compare_with: str | None,
    notes: Sequence[str],
) -> str:
    """HTML of the whole report; see `write_report`.

    Args:
        names: title of the page, and name of its file, after which downloads are named.
        models: all of them.
        published: numbers to be shown beside theirs.
        bootstrap: how intervals are computed.
        compare_with: label of the model that all others are compared with.
        notes: what could not be read.
    """
    notes = list(notes)
    variants = Variants([run for model in models for run in model.runs], notes)
    tables = score_tables(models, bootstrap, compare_with, variants)
    beside = beside_published(tables, published)
    context = {
        "title": names[0],
        "file": names[1],
        "models": models,
        "beside": beside,
        "overviews": overviews(models, tables, beside, bootstrap),
        "plans": plans(tables),
        "diagnoses": diagnoses(models, notes),
        "glossary": list({t.score.title: explanation(t.score) for t in tables}.items()),
        "notes": notes,
        "bootstrap": bootstrap,
        "fewest": FEWEST,
        **_texts(models, beside, bootstrap),
        "by_data_set": (by_data_set := _by_data_set(tables, beside)),
        "legend": _legend(by_data_set),
        "many": MANY,
        "overall": overall(tables, bootstrap),
        "comparisons": [(table, c) for table in tables for c in table.comparisons],
        "chosen_reference": not compare_with and any(table.reference for table in tables),
        "curves": _curves(models, notes),
        "variants": [one for one in variants.all if one.where[1] != TRAINING or one.text],
        **_pictures(chosen_runs(tables, models), notes),
        **lists(models, tables, len(data_sets(models)) > 1),
    }
    context["problems"] = [*context["failures"], *notes, *context["left_out"]]
    context["sections"] = [(anchor, name) for anchor, name, shows in SECTIONS if context[shows]]
    return _environment().get_template("report.html.j2").render(context)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("srvae_plugin.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True,
    )  # fmt: skip
    environment.globals |= {
        "number": number, "counted": counted, "exact": exact, "color": color,
        "mean_text": mean_text, "std_text": std_text,
        "explanation": explanation, "strip": lambda *of: Markup(cell_strip(*of)),
    }  # fmt: skip
    return environment


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
        counted(len(runs), "run"), "of", counted(len(models), "model"), "on",
        counted(len(data_sets(models)), "data set"),
    ]  # fmt: skip
    tail = (f"; {failed} failed" if failed else "") + (
        f"; {waiting} not finished yet" if waiting else ""
    )
    used = {one.published.confidence for one in beside}
    percent = f"{100 * bootstrap.confidence:g}\N{NO-BREAK SPACE}%"
    return {
        "version": __version__,
        "date": datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC").lstrip("0"),
        "counts": " ".join(counts) + tail,
        "confidence_title": f"{percent} interval",
        "percent": percent,
        "uncorrected": _uncorrected(bootstrap.confidence),
        "several": len(data_sets(models)) > 1,
        "confidences": [(name, text) for name, text in CONFIDENCE.items() if name in used],
    }


def _uncorrected(confidence: float) -> str:
    once = max(round(1 / (1 - confidence)), 2)
    few = "more of them do with few seeds"
    if confidence == Bootstrap().confidence:
        # 8,000 simulated sets of 5 normal differences: 16.7 % of their intervals left 0 out.
        few = f"with only {FEWEST} seeds about one in six, because the bootstrap is then too narrow"
    return (
        "Intervals are not corrected for how many there are. Of pairs that do not truly differ, "
        f"about one in {once} looks decided by chance; {few}."
    )


def _by_data_set(
    tables: Sequence[Table], beside: Sequence[Beside]
) -> list[tuple[str, list[tuple[Table, Markup]]]]:
    found = []
    for name, same in itertools.groupby(tables, key=lambda table: table.data_set):
        drawn = []
        for table in same:
            if sum(row.summary.runs for row in table.rows) < 2:
                continue  # the overview has the number of a single run
            numbers = published_by_row(table, beside)
            # One dot is no picture of anything.
            several = sum(int(np.isfinite(row.values).sum()) for row in table.rows) > 1
            drawn.append((table, Markup(strip_plot(table, numbers) if several else "")))
        if drawn:
            found.append((name, drawn))
    return found


def _legend(
    by_data_set: Sequence[tuple[str, list[tuple[Table, Markup]]]],
) -> list[tuple[Markup, str]]:
    plots = [plot for _, group in by_data_set for _, plot in group]
    return [(Markup(mark), text) for mark, text in legend(plots)]


_Keys = list[tuple[Markup, str]]


def _curves(models: Sequence[Model], notes: list[str]) -> list[tuple[str, list[Markup], _Keys]]:
    found = []
    for data_set in data_sets(models):
        drawn: dict[int, Model] = {}
        curves: dict[tuple[str, str], list[Curve]] = defaultdict(list)
        for model in models:
            for run in model.of(data_set):
                path = run.directory.model.files.scalars
                if path.is_file() or run.directory.evaluations.steps():
                    drawn[model.number] = model
                if not path.is_file():
                    continue
                columns = or_note(partial(_scalars, path), notes) or {}
                for name in _SCALARS.keys() & columns.keys():
                    kind = reconstruction_of(run.config) if name == _RECONSTRUCTION else ""
                    curve = Curve(model, run.name, columns["step"], columns[name])
                    curves[name, kind].append(curve)
        charts = _loss_charts(curves)
        charts += score_charts(models, data_set, partial(or_note, notes=notes))
        if any(charts):
            keys = [(Markup(line_key(model.number)), model.label) for model in drawn.values()]
            found.append((data_set, [Markup(chart) for chart in charts if chart], keys))
    return found


def _loss_charts(curves: Mapping[tuple[str, str], Sequence[Curve]]) -> list[str]:
    """One chart per scalar and kind of loss, named if there are several."""
    kinds = {kind for _, kind in curves} - {""}
    return [
        curve_chart(curves[name, kind], f"{title} [{kind}]" if kind and len(kinds) > 1 else title)
        for name, title in _SCALARS.items()
        for kind in sorted({k for n, k in curves if n == name})
    ]


def _scalars(path: Path) -> dict[str, NDArray[np.float64]]:
    manifest.check(path)
    return read_scalars(path, _POINTS)


def _pictures(chosen: Sequence[Chosen], notes: list[str]) -> dict[str, Any]:
    budget = Budget()
    traversals, decompositions, hintons = [], [], []
    for one in chosen:
        moving = or_note(partial(animation, one, budget), notes)
        inputs = or_note(partial(picture, one, "reconstructions.png", budget), notes)
        if moving is not None or inputs:
            traversals.append((one, moving, inputs))
    for one in chosen:
        source = or_note(partial(picture, one, DECOMPOSITION, budget), notes)
        if source:
            decompositions.append((one, source))
    for one in chosen:
        stored = or_note(partial(importance, one.run), notes)
        if stored is not None:
            metric, matrix = stored
            names = names_in(one.run, matrix.shape[1])
            title = f"importance of latents for factors, {one.run.name}"
            order = or_note(partial(latent_order, one.run), notes) or []
            drawn = Markup(hinton(matrix, names, title, order))
            hintons.append((one, metric, drawn, len(order) == len(matrix)))
    return {
        "traversals": traversals, "decompositions": decompositions, "hintons": hintons,
        "left_out": budget.left_out,
    }  # fmt: skip
