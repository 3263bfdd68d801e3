"""The score table and the list of files that a run ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from srvae_plugin.runs.run import RunSummary
from srvae_plugin.runs.scoring.scores import NOT_SCORES

__all__ = ["as_text", "columns_of", "number", "score_table", "shown_scores"]


def as_text(done: RunSummary) -> str:
    """Scores of every metric, the training losses, and where everything lies."""
    return "\n".join(
        ["", score_table(done.scores), "", _training(done.training), "", *_places(done)]
    )


def score_table(scores: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Table of scores[representation][metric][key]."""
    rows = [["representation", "metric", "score", "value"]]
    for kind, metrics in scores.items():
        for metric, values in metrics.items():
            shown = shown_scores(values).items()
            rows += [[kind, metric, key, number(value)] for key, value in shown]
    return columns_of(rows)


def shown_scores(values: Mapping[str, Any]) -> dict[str, Any]:
    """What tables show of a metric's results: not the points it used, and was asked to use.

    Where these differ a log line has said so, and the files of results have both.
    """
    return {
        key: value
        for key, value in values.items()
        if key not in NOT_SCORES and not key.endswith("_asked") and f"{key}_asked" not in values
    }


def columns_of(rows: Sequence[Sequence[str]]) -> str:
    """Columns of plain text, the first row above a line."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    ruled = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in ruled
    )


def number(value: Any) -> str:
    """A score as tables show it."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _training(losses: dict[str, Any]) -> str:
    """The usual losses, of those that the model logs."""
    steps = losses["global_step"]
    said = f"trained for {steps} step{'' if steps == 1 else 's'}"
    if "elapsed_time" in losses:
        said += f" in {losses['elapsed_time']:.0f} s"
    names = {"reconstruction_loss": "reconstruction", "kl_loss": "KL"}
    shown = [f"{name} {losses[key]:.2f}" for key, name in names.items() if key in losses]
    return f"{said}: {', '.join(shown)} nats per image" if shown else said


def _places(done: RunSummary) -> list[str]:
    places = {"run directory": done.directory.path, "weights": done.directory.model.path}
    places |= {"scores": done.directory.metrics_path, **done.pictures}
    width = max(map(len, places))
    return [f"{name.ljust(width)}  {path}" for name, path in places.items()]
