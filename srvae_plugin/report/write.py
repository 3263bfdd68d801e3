"""A study as one page: scores with all seeds, beside published numbers, and what differs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from srvae_plugin.data.storage.leftovers import put_right_beside
from srvae_plugin.data.storage.lock import only_writer_beside
from srvae_plugin.files import replacing, writing
from srvae_plugin.report.comparison.pairs import Bootstrap
from srvae_plugin.report.comparison.published import published_scores
from srvae_plugin.report.comparison.settings import settings_of
from srvae_plugin.report.data import Found, read_runs
from srvae_plugin.report.models import Model, group_by_model
from srvae_plugin.report.page import page
from srvae_plugin.report.scores import scores_of, value_of

__all__ = ["Written", "scores_text", "write_report"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would run."""
_COLUMNS = (
    "run", "folder", "model", "data_set", "seed", "representation", "metric", "key", "value",
    "training_steps", "batch_size", "latents", "data_set_name", "data_set_options",
    "data_set_digest", "settings",
)  # fmt: skip


class Written(NamedTuple):
    """What a report consists of."""

    page: Path
    scores: Path
    runs: int
    models: list[str]
    notes: int = 0
    """How many notes the page has under its failures."""


def write_report(
    places: Sequence[Path],
    output: Path,
    *,
    published: Sequence[Path] = (),
    bootstrap: Bootstrap | None = None,
    compare_with: str | None = None,
    title: str = "",
    overwrite: bool = False,
) -> Written:
    """Write a page about runs, and a CSV of its name beside it with one row for a run and number.

    Args:
        places: folders of runs, see `srvae_plugin.report.data.read_runs`.
        output: the page; it needs no other file.
        published: CSV files with published numbers of the user's own.
        bootstrap: how intervals are computed.
        compare_with: label of the model that all others are compared with.
        title: of the page; by default the studies' names, or the folders'.
        overwrite: replace page and scores if they exist; otherwise ValueError.

    Returns:
        What was written.

    Raises:
        ValueError: if a folder holds no run, a CSV file is wrong, or there is no such model.
    """
    scores_csv = output.with_suffix(".csv")
    if scores_csv == output:
        raise ValueError(f"{output}: the page's name must end with .html, its table's with .csv")
    for path in (output, scores_csv):
        if path.is_dir():
            raise ValueError(f"{path} is a folder: --output names the page, such as report.html")
    with only_writer_beside(output):
        put_right_beside(output)
        put_right_beside(scores_csv)
        for path in (output, scores_csv):
            if path.exists() and not overwrite:
                raise ValueError(
                    f"{path} exists: --overwrite replaces it, --output names another file"
                )
        numbers = published_scores(published)
        found = read_runs(places)
        models = group_by_model(found.runs)
        labels = [model.label for model in models]
        reference = None if compare_with is None else _label_of(compare_with, models)
        title = title or _title(found, models)
        html = page(
            (title, output.stem), models, numbers, bootstrap or Bootstrap(), reference, found.notes
        )
        # Both or none: the table would be that of another page.
        with replacing(output) as page_file, replacing(scores_csv) as table_file:
            table_file.write_bytes(scores_text(models).encode("utf-8"))
            with writing(output, page_file):
                page_file.write_bytes(html.encode("utf-8"))
    return Written(output, scores_csv, len(found.runs), labels, len(found.notes))


def _title(found: Found, models: Sequence[Model]) -> str:
    """The studies' or folders' names; of a run's folder, what the run is, too."""
    if [run.name for run in found.runs] != [found.title]:
        return found.title
    return f"{found.title}: {models[0].label} on {found.runs[0].data_set}"


def _label_of(name: str, models: Sequence[Model]) -> str:
    """Label of the model that is meant: its own, or what it is called without its settings."""
    labels = [model.label for model in models]
    meant = [model.label for model in models if model.base == name]
    if name in labels or len(meant) == 1:
        return name if name in labels else meant[0]
    raise ValueError(f"--compare-with {name!r}: no such model; there are {', '.join(labels)}")


def scores_text(models: Sequence[Model]) -> str:
    """CSV of every number of every run, every digit of it."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([_plain(cell) for cell in row] for row in _rows(models))
    return file.getvalue()


def _plain(cell: object) -> object:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it."""
    text = str(cell)
    if not text.startswith(_FORMULA):
        return cell
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return cell


def _rows(models: Sequence[Model]) -> Iterator[list[object]]:
    runs = [(run, model) for model in models for run in model.runs]
    for run, model in sorted(runs, key=lambda pair: pair[0].name):
        config = run.config
        settings = [
            config.get(name, "")
            for name in ("model.training_steps", "model.batch_size", "encoder.num_latent")
        ]
        seed = "" if run.seed is None else run.seed
        for kind, score in scores_of([run], all_keys=True):
            value = value_of(run, (kind, score.metric), score.key)
            yield [
                run.name, run.folder, model.label, run.data_set, seed, kind, score.metric,
                score.key, repr(value), *settings, run.data.name, _text(dict(run.data.options)),
                run.data.digest, _text(settings_of(run, (kind, score.metric))),
            ]  # fmt: skip


def _text(settings: Mapping[str, str]) -> str:
    return "; ".join(f"{name} = {value}" for name, value in sorted(settings.items()))
