"""Published scores, to be shown beside one's own: where each comes from, and how far to trust it.

`published_baselines.csv` has one row per number; `published_protocols.csv` says of each source what
is stated of its training and scoring, of a data set or a model of it where that differs.
"""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

__all__ = [
    "COLUMNS", "CONFIDENCE", "PROTOCOL_COLUMNS", "REGRESSORS", "SCORES", "Protocol",
    "PublishedScore", "as_text", "is_by", "mean_text", "published_scores",
    "read_published", "std_text",
]  # fmt: skip

COLUMNS = (
    "dataset", "model", "hyperparameters", "metric", "mean", "std", "n_seeds", "protocol",
    "statement", "source", "address", "confidence",
)  # fmt: skip
PROTOCOL_COLUMNS = (
    "selection", "training_steps", "batch_size", "num_latent", "learning_rate", "metric_settings",
)  # fmt: skip
"""Columns that a file of one's own may have besides; empty is "not stated"."""
CONFIDENCE = {
    "primary": "printed by its authors in a paper or executed notebook",
    "authors-readme": "printed in the README of the authors' repository",
    "quoted-by-later-paper": "printed by a later paper, which took it from elsewhere",
    "informal": "a README or an issue thread reports one run",
    "own": "the user's own",
}
_SURPLUS = "\0"
_BASELINES = Path(__file__).with_name("published_baselines.csv")
_PROTOCOLS = Path(__file__).with_name("published_protocols.csv")
SCORES = (
    "factor_vae", "beta_vae", "mig", "sap", "dci_disentanglement", "dci_completeness",
    "modularity", "explicitness", "jemmig",
)  # fmt: skip
"""Metrics in [0, 1]; what was published as a percentage has been divided by 100."""
REGRESSORS = ("random forest", "lasso")
"""What DCI's authors fit; hyperparameters name it."""


class Protocol(NamedTuple):
    """What a source states of how its numbers came about; None or empty where it does not."""

    selection: str = ""
    """Which seeds are averaged, if not all."""
    training_steps: int | None = None
    batch_size: int | None = None
    num_latent: int | None = None
    learning_rate: float | None = None
    metric_settings: str = ""


class PublishedScore(NamedTuple):
    """One row: a number, or a statement where no number was printed."""

    dataset: str
    model: str
    hyperparameters: str
    metric: str
    mean: float | None
    approximate: bool
    """The number was read as "about", written `~0.5` in the file."""
    std: float | None
    n_seeds: int | None
    protocol: str
    """The protocol in words."""
    statement: str
    source: str
    address: str
    confidence: str
    stated: Protocol


def published_scores(own: Sequence[Path] = ()) -> list[PublishedScore]:
    """All packaged scores, then those of the user's own files.

    Raises:
        ValueError: naming file, line and column of what is wrong in a file of the user's.
    """
    with _PROTOCOLS.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        protocols = {(row["source"], row["dataset"], row["model"]): row for row in rows}
    packaged = [_with_protocol(score, protocols) for score in read_published(_BASELINES)]
    return packaged + [score for path in own for score in read_published(path)]


def is_by(score: PublishedScore, metric: str) -> bool:
    """Whether a published number of DCI is by what a metric of ours fits: trees or regressors.

    Others are of one metric only. The boosted trees of `dci` are what publications fit that do not
    name a regressor.

    Args:
        score: the published number.
        metric: name of our function.
    """
    if not score.metric.startswith("dci_"):
        return True
    words = score.hyperparameters.lower()
    return (metric == "dci_regression") == any(name in words for name in REGRESSORS)


def read_published(path: Path) -> list[PublishedScore]:
    """Scores of a CSV file with the columns of the packaged one, and any of `PROTOCOL_COLUMNS`.

    Raises:
        ValueError: naming line and column of what is wrong.
    """
    try:
        # What spreadsheets put first, if anything, is no part of the first column's name.
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(_read(file, str(path)))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}; save it as CSV in UTF-8") from None


def _with_protocol(
    score: PublishedScore, protocols: dict[tuple[str, str, str], dict[str, str]]
) -> PublishedScore:
    """The most particular row counts: of the model, of the data set, of the whole source."""
    places = itertools.product((score.model, ""), (score.dataset, ""))
    rows = (protocols.get((score.source, dataset, model)) for model, dataset in places)
    row = next(filter(None, rows), None)
    stated = _protocol(row, str(_PROTOCOLS)) if row else score.stated
    if latents := re.match(r"latent dim (\d+)", score.hyperparameters):
        stated = stated._replace(num_latent=int(latents[1]))
    return score._replace(stated=stated)


def _read(file: TextIO, name: str) -> Iterable[PublishedScore]:
    reader = csv.DictReader(file, restkey=_SURPLUS, strict=True)
    header = list(reader.fieldnames or ())
    missing = [column for column in COLUMNS if column not in header]
    unknown = [column for column in header if column not in COLUMNS + PROTOCOL_COLUMNS]
    if missing or unknown or len(set(header)) < len(header):
        raise ValueError(
            f"{name}, line 1: the columns must be {','.join(COLUMNS)} and may be "
            f"{','.join(PROTOCOL_COLUMNS)}, separated by commas; missing: {missing}, "
            f"unknown: {unknown}"
        )
    try:
        for row in reader:
            place = f"{name}, line {reader.line_num}"
            if _SURPLUS in row or None in row.values():
                got = len([v for k, v in row.items() if v is not None and k != _SURPLUS])
                raise ValueError(
                    f"{place}: got {got + len(row.get(_SURPLUS, ()))} fields, expected "
                    f"{len(header)}; put a text with commas into double quotes"
                )
            yield _score({key: value.strip() for key, value in row.items()}, place)
    except csv.Error as error:
        raise ValueError(f"{name}, line {reader.line_num}: {error}") from None


def _score(row: dict[str, str], place: str) -> PublishedScore:
    for column in ("dataset", "model", "metric", "source"):
        if not row[column]:
            raise ValueError(f"{place}, column {column!r}: is empty; every number needs one")
    if row["confidence"] not in CONFIDENCE:
        raise ValueError(
            f"{place}, column 'confidence': got {row['confidence']!r}, expected one of "
            f"{', '.join(CONFIDENCE)}"
        )
    mean = _number(row, "mean", place)
    if mean is None and not row["statement"]:
        raise ValueError(f"{place}, column 'mean': is empty; without a number give a 'statement'")
    if mean is not None and row["metric"] in SCORES and not 0 <= mean <= 1:
        raise ValueError(
            f"{place}, column 'mean': got {row['mean']!r}, expected a score in [0, 1]; divide "
            "percentages by 100 (the 'std' too)"
        )
    std = _number(row, "std", place)
    if std is not None and std < 0:
        raise ValueError(f"{place}, column 'std': got {row['std']!r}, expected 0 or more")
    return PublishedScore(
        row["dataset"], row["model"], row["hyperparameters"], row["metric"], mean,
        row["mean"].startswith("~"), std, _count(row, "n_seeds", place), row["protocol"],
        row["statement"], row["source"], row["address"], row["confidence"], _protocol(row, place),
    )  # fmt: skip


def _protocol(row: dict[str, str], place: str) -> Protocol:
    return Protocol(
        row.get("selection", ""),
        _count(row, "training_steps", place),
        _count(row, "batch_size", place),
        _count(row, "num_latent", place),
        _number(row, "learning_rate", place),
        row.get("metric_settings", ""),
    )


def _number(row: dict[str, str], column: str, place: str) -> float | None:
    text = row.get(column, "")
    if not text:
        return None
    try:
        value = float(text.removeprefix("~"))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(
            f"{place}, column {column!r}: got {text!r}, expected a number such as 0.86, ~0.86 for "
            "an approximate one, or nothing"
        )
    return value


def _count(row: dict[str, str], column: str, place: str) -> int | None:
    text = row.get(column, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ValueError(
            f"{place}, column {column!r}: got {text!r}, expected a whole number of at least 1, "
            "or nothing"
        )
    return int(text)


def as_text(scores: Iterable[PublishedScore]) -> str:
    """One line a number, and below them the sources with their addresses, numbered."""
    rows = [("dataset", "model", "metric", "mean", "std", "seeds", "confidence", "source")]
    numbers: dict[tuple[str, str, str], int] = {}
    for score in scores:
        place = (score.source, score.address, score.protocol)
        number = numbers.setdefault(place, len(numbers) + 1)
        model = f"{score.model} ({score.hyperparameters})" if score.hyperparameters else score.model
        names = (score.dataset, _shorten(model), _shorten(score.metric))
        said = (mean_text(score), _text(score.std), _text(score.n_seeds), score.confidence)
        rows.append((*names, *said, f"[{number}]"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    sources = [
        f"[{number}] {source}; {address or 'no address'}; {protocol}"
        for (source, address, protocol), number in numbers.items()
    ]
    return "\n".join([*lines, "", "sources:", *sources])


def mean_text(score: PublishedScore) -> str:
    """The number as it was printed, `~` before an approximate one, or the statement."""
    if score.mean is None:
        return score.statement
    return ("~" if score.approximate else "") + _text(score.mean)


def std_text(score: PublishedScore) -> str:
    """The standard deviation with as many decimals as the mean has, or more."""
    mean, std = (_text(value).partition(".")[2] for value in (score.mean, score.std))
    return f"{score.std or 0:.{max(len(mean), len(std))}f}"


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _shorten(text: str, length: int = 48) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
