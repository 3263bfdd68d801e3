"""Seeds that a study takes and what it could have detected, by its own or published spreads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from statistics import median_low
from typing import NamedTuple

import numpy as np

from srvae_plugin.report.comparison.pairs import Row, paired_by_seed
from srvae_plugin.report.comparison.power import (
    POWER,
    Spread,
    seeds_needed,
    spread_interval,
    visible_difference,
)
from srvae_plugin.report.comparison.published import PublishedScore
from srvae_plugin.report.scores import Table
from srvae_plugin.report.words import counted

__all__ = ["Plan", "in_words", "plans", "published_in_words", "published_spread", "spread_of"]

_SHARES = (0.02, 0.05, 0.1)
_ROUNDING = 1e-12
"""A smaller spread is that of equal scores."""
_RULE = f"{100 * POWER:g} %, two-sided"


class Plan(NamedTuple):
    """What a study could have detected in one score, and the seeds that other differences take."""

    table: Table
    spread: Spread
    seen: float
    """Smallest difference that its seeds see with the usual power."""
    needed: list[tuple[float, str]]
    """Seeds of each model for some differences."""
    is_share: bool
    """Whether the scores lie between 0 and 1."""

    @property
    def sees_nothing(self) -> bool:
        """Whether no difference is large enough to be seen."""
        return self.is_share and self.seen > 1


def plans(tables: Sequence[Table]) -> list[Plan]:
    """A plan for each score that has a spread over seeds."""
    found = []
    for table in tables:
        spread = spread_of(table.rows)
        # Equal scores, 0 of collapsed codes say, are no spread to plan from.
        if spread is None or spread.deviation < _ROUNDING:
            continue
        means = [abs(row.summary.mean) for row in table.rows if np.isfinite(row.summary.mean)]
        # Of what is no share of 1, such as a loss, the same shares of its mean.
        is_share = max(means) <= 1
        unit = 1.0 if is_share else float(f"{np.mean(means):.1g}")
        needed = [(share * unit, _needed(share * unit, spread)) for share in _SHARES]
        seen = visible_difference(spread, spread.seeds)
        is_share &= table.score.higher_is_better
        found.append(Plan(table, spread, seen, needed, is_share))
    return found


def spread_of(rows: Sequence[Row]) -> Spread | None:
    """The spread over seeds of a study in one score, and how many of them; None of single runs.

    Paired where two models share at least two seeds: pooled over all pairs of models. Otherwise
    pooled over the models. The number of seeds is the median: one model that has not had all its
    seeds is not to speak for the others.
    """
    differences = [
        paired_by_seed(one, two) for place, one in enumerate(rows) for two in rows[place + 1 :]
    ]
    shared = [values for values in differences if len(values) > 1]
    if shared:
        # Of k models k - 1 differences are free, however many pairs there are.
        return Spread(_pooled(shared), median_low(map(len, shared)), True, _free(len(shared)))
    own = [row.values[np.isfinite(row.values)] for row in rows]
    several = [values for values in own if len(values) > 1]
    if not several:
        return None
    return Spread(_pooled(several), median_low(map(len, several)), False, len(several))


def _pooled(samples: Sequence[np.ndarray]) -> float:
    squares = sum(float(np.var(values, ddof=1)) * (len(values) - 1) for values in samples)
    return math.sqrt(squares / sum(len(values) - 1 for values in samples))


def _free(pairs: int) -> int:
    """Models less one, of the number of their pairs."""
    return round((math.sqrt(8 * pairs + 1) - 1) / 2)


def published_spread(scores: Iterable[PublishedScore]) -> Spread | None:
    """Pooled standard deviation of published scores; None if none of them states one.

    They are of different models, none of them seed by seed: the spread is not paired.
    """
    known = [(score.std, score.n_seeds) for score in scores if score.std and score.n_seeds]
    known = [(std, seeds) for std, seeds in known if seeds > 1]
    if not known:
        return None
    freedom = sum(seeds - 1 for _, seeds in known)
    deviation = math.sqrt(sum(std**2 * (seeds - 1) for std, seeds in known) / freedom)
    return Spread(deviation, min(seeds for _, seeds in known), False, len(known))


def in_words(table: Table, difference: float, published: Sequence[PublishedScore]) -> Iterator[str]:
    """What a study says of a difference, line by line.

    Args:
        table: one score of it on one data set.
        difference: to be seen.
        published: numbers of the same score and data set, for studies of single runs.
    """
    counts = [int(np.isfinite(row.values).sum()) for row in table.rows]
    seeds = counted(max(counts), "seed")
    seeds = seeds if len({*counts}) == 1 else f"{min(counts)} to {seeds}"
    yield f"{table.score.title} on {table.data_set}: {counted(len(counts), 'model')}, {seeds} each"
    spread = spread_of(table.rows)
    if spread is not None and spread.deviation < _ROUNDING:
        what = "models differ by the same in every seed" if spread.paired else "all seeds are equal"
        yield f"  {what}: there is no spread to plan from"
        return
    if spread is not None:
        yield from _plan(difference, spread, "this study's")
        seen = visible_difference(spread, spread.seeds)
        yield f"  with {spread.seeds} seeds it could have detected a difference of {seen:.3g}"
        return
    spread = published_spread(published)
    if spread is None:
        yield "  single runs and no published spread: run at least 2 seeds of each model"
        return
    yield "  single runs have no spread of their own"
    yield from _plan(difference, spread, "published")


def published_in_words(difference: float, scores: Sequence[PublishedScore]) -> Iterator[str]:
    """What published spreads say of a difference, score by score and data set by data set."""
    for what in dict.fromkeys((score.metric, score.dataset) for score in scores):
        same = [score for score in scores if (score.metric, score.dataset) == what]
        if spread := published_spread(same):
            sources = dict.fromkeys(score.source for score in same if score.std and score.n_seeds)
            yield f"{what[0]} on {what[1]}: {counted(spread.groups, 'published spread')}"
            yield from _plan(difference, spread, "published")
            yield f"  from {'; '.join(sources)}"


def _plan(difference: float, spread: Spread, whose: str) -> Iterator[str]:
    how = "of the differences seed by seed" if spread.paired else "within a model"
    low, high = spread_interval(spread)
    yield (
        f"  {whose} standard deviation {how}: {spread.deviation:.3g} "
        f"(95 % interval {low:.2g} to {high:.2g})"
    )
    test = "paired" if spread.paired else "not paired"
    ends = [_needed(difference, spread._replace(deviation=value)) for value in (low, high)]
    yield (
        f"  a difference of {difference:g} takes {_needed(difference, spread)} seeds of each "
        f"model ({_RULE}, {test}); {ends[0]} to {ends[1]} by that interval"
    )


def _needed(difference: float, spread: Spread) -> str:
    try:
        return f"{seeds_needed(difference, spread):,}"
    except ValueError:
        return "more than a billion"
