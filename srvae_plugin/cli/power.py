"""`srvae-study --power`: how many seeds it takes to see a difference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from srvae_plugin.report.comparison.pairs import Bootstrap
from srvae_plugin.report.comparison.protocol import is_same
from srvae_plugin.report.comparison.published import published_scores
from srvae_plugin.report.comparison.seeds import in_words, published_in_words
from srvae_plugin.report.data import read_runs
from srvae_plugin.report.keys import Score, published_names
from srvae_plugin.report.models import group_by_model
from srvae_plugin.report.scores import score_tables

__all__ = ["power_lines"]


def power_lines(difference: float, metric: str, study: Path | None) -> Iterator[str]:
    """Lines that say how many seeds a difference of a metric's scores takes.

    Args:
        difference: to be seen, in the metric's own unit.
        metric: its name, such as `mig`, or `metric.key`.
        study: directory of a study's runs, whose spread counts; None for published ones.

    Raises:
        ValueError: if the difference is not above 0, or no run and no publication has the metric.
    """
    if not 0 < difference < float("inf"):
        raise ValueError(f"--power {difference:g}: expected a difference above 0, such as 0.05")
    known = published_scores()
    if study is None:
        same = [score for score in known if score.metric in (metric, *published_names(metric))]
        lines = list(published_in_words(difference, same))
        if not lines:
            raise ValueError(
                f"--metric {metric!r}: no published score has a spread; give a study's directory "
                "by --output, or one of "
                + ", ".join(sorted({score.metric for score in known if score.std}))
            )
        yield from lines
        return
    tables = score_tables(group_by_model(read_runs([study]).runs), Bootstrap(resamples=1))
    chosen = [table for table in tables if metric in _names(table.score)]
    if not chosen:
        there = dict.fromkeys(table.score.metric for table in tables)
        raise ValueError(
            f"--metric {metric!r}: {study} has no such scores; it has {', '.join(there) or 'none'}"
        )
    for table in chosen:
        same = [score for score in known if is_same(table, score)]
        yield from in_words(table, difference, same)


def _names(score: Score) -> tuple[str, ...]:
    return score.metric, f"{score.metric}.{score.key}"
