"""Curves of scores in a report, from what runs found of their models on the way."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from srvae_plugin.report.keys import Score, headlines, numbers, order
from srvae_plugin.report.models import Model
from srvae_plugin.report.parts.curves import Curve, curve_chart
from srvae_plugin.report.run import Run
from srvae_plugin.runs.directory import EvaluationsDirectory

__all__ = ["Read", "score_charts"]

Read = Callable[[Callable[[], "dict[_Way, float]"]], "dict[_Way, float] | None"]
"""Calls a function that reads; None if what it reads is damaged."""


class _Way(NamedTuple):
    """One way of computing one score."""

    kind: str
    score: Score
    settings: str
    """Bindings of the metric, one per line."""


def score_charts(models: Sequence[Model], data_set: str, read: Read) -> list[str]:
    """A chart of each headline score that runs on a data set found on the way.

    Scores that were computed with other settings are in a chart of their own, whose title says
    what sets it apart.

    Args:
        models: all of them.
        data_set: name of the data set.
        read: calls a function that reads, or notes what is damaged and gives None.
    """
    curves: dict[_Way, list[Curve]] = {}
    for model in models:
        for run in model.of(data_set):
            for way, points in _points(run, read).items():
                steps, values = np.array(sorted(points.items()), np.float64).T
                curves.setdefault(way, []).append(Curve(model, run.name, steps, values))
    ways = sorted(curves, key=lambda way: (way.kind != "mean", way.kind, order(way.score)))
    charts = [curve_chart(curves[way], _title(way, ways), every=True) for way in ways]
    return [chart for chart in charts if chart]


def _points(run: Run, read: Read) -> dict[_Way, dict[int, float]]:
    """Scores of a run by way and step."""
    found: dict[_Way, dict[int, float]] = {}
    directory = run.directory.evaluations
    for step in directory.steps():
        for way, value in (read(functools.partial(_scores_at, directory, step)) or {}).items():
            found.setdefault(way, {})[step] = value
    return found


def _scores_at(directory: EvaluationsDirectory, step: int) -> dict[_Way, float]:
    """Scores of a step; ValueError if its file is damaged or something else."""
    content = directory.read(step)
    found = {}
    try:
        for kind, metrics in content.get("scores", {}).items():
            for metric, scores in metrics.items():
                settings = str(content.get("settings", {}).get(kind, {}).get(metric, ""))
                values = numbers(scores)
                for score in headlines(metric, list(values)):
                    found[_Way(kind, score, settings)] = values[score.key]
    except (AttributeError, TypeError) as error:
        path = directory.scores_in(directory.of(step))
        said = f"{path} does not list scores by representation and metric: {error}"
        raise ValueError(said) from None
    return found


def _title(way: _Way, ways: Sequence[_Way]) -> str:
    title = way.score.titled(way.kind)
    others = [set(o.settings.splitlines()) for o in ways if o[:2] == way[:2]]
    if len(others) == 1:
        return title
    shared = set.intersection(*others)
    own = [line for line in way.settings.splitlines() if line not in shared]
    return f"{title} [{', '.join(own) or 'the other settings'}]"
