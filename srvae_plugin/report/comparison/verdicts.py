"""Sentences made from the numbers: what is ahead, what is not decided, how many seeds it takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from srvae_plugin.report.comparison.pairs import FEWEST, Comparison, Row
from srvae_plugin.report.comparison.power import POWER, Spread, seeds_needed
from srvae_plugin.report.scores import Table
from srvae_plugin.report.words import counted, number

__all__ = ["Judged", "more_seeds", "sentences"]

Judged = tuple[Table, Row | None, Sequence[Comparison]]
"""A score's table, the row of the best mean, and that beside every other."""
_LISTED = 3
_MANY = 10_000


def sentences(judged: Iterable[Judged]) -> list[str]:
    """Up to three sentences on the scores of one data set."""
    columns = [(table, best, against) for table, best, against in judged if best is not None]
    pairs = [
        (table, one, one.decided(table.score.higher_is_better))
        for table, _, against in columns
        for one in against
    ]
    if not columns:
        return []
    if not pairs:
        return [_alone(columns)]
    ahead = [(table, one) for table, one, decided in pairs if decided]
    open_ = [(table, one) for table, one, decided in pairs if not decided and not _equal(one)]
    tested = any(math.isfinite(one.difference_interval.low) for _, one, _ in pairs)
    said = [_ahead(ahead) if tested else "", _not_decided(open_), _more(open_)]
    return [text for text in said if text]


def _alone(columns: Sequence[tuple[Table, Row, Sequence[Comparison]]]) -> str:
    table, best, _ = columns[0]
    count = best.summary.runs - best.summary.failed
    alone = "one seed, which says nothing about the spread over seeds"
    seeds = alone if count == 1 else counted(count, "seed")
    value = number(best.summary.mean)
    return (
        f"{best.model.label} has a {table.title} of {value} from {seeds}; "
        "there is no second model to compare it with."
    )


def _ahead(pairs: Sequence[tuple[Table, Comparison]]) -> str:
    if not pairs:
        return "In no score is the best model ahead of another beyond chance."
    by_pair: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for table in dict.fromkeys(id(table) for table, _ in pairs):
        same = [(t, one) for t, one in pairs if id(t) == table]
        best = same[0][1].first.label
        others = tuple(one.second.label for _, one in same)
        by_pair.setdefault((best, others), []).append(same[0][0].title)
    parts = [
        f"{best} is ahead of {_listed(others)} in {_listed(scores)}"
        for (best, others), scores in list(by_pair.items())[:_LISTED]
    ]
    more = len(by_pair) - len(parts)
    parts += [f"likewise in {more} more scores"] if more else []
    return f"{'; '.join(parts)}: the paired interval excludes 0."


def _equal(one: Comparison) -> bool:
    """Whether there is nothing to decide: the scores of every seed are the same."""
    return one.pairs > 1 and not one.difference and not one.spread


def _not_decided(pairs: Sequence[tuple[Table, Comparison]]) -> str:
    if not pairs:
        return ""
    if not _closest(pairs):
        return "The means of the best model and the others are equal."
    parts = [
        f"{one.first.label} against {one.second.label} in {table.title} ({_difference(one)})"
        for table, one in _closest(pairs)
    ]
    few = all(one.pairs < FEWEST for _, one in pairs)
    why = f", because an interval needs at least {FEWEST} seeds" if few else ""
    return f"Not decided{why}: {_listed(parts, len(pairs))}."


def _difference(one: Comparison) -> str:
    if not one.pairs:
        return "no seed in common"
    low, high = one.difference_interval
    said = f"difference {number(one.difference)}"
    if math.isfinite(low):
        said = f"{said}, interval {number(low)} to {number(high)}"
    return f"{said}, {counted(one.pairs, 'seed')}"


def _more(pairs: Sequence[tuple[Table, Comparison]]) -> str:
    """How many more seeds would decide, if the true difference is the one that was seen."""
    if not pairs:
        return ""
    parts = []
    for table, one in _closest(pairs):
        needed = more_seeds(one)
        if not needed:
            continue
        more = f"{needed:,} more" if needed < _MANY else f"more than {_MANY:,} more"
        parts.append(f"{more} for {one.first.label} against {one.second.label} in {table.title}")
    if not parts and any(one.pairs > 1 for _, one in pairs):
        return ""
    if not parts:
        return "At least 2 seeds of each model are needed to say how many would decide it."
    few = any(one.pairs < FEWEST for _, one in _closest(pairs))
    guess = "; a rough guess, because so few seeds leave the spread uncertain" if few else ""
    return (
        "If the true differences are the ones seen, it would take this many more seeds of each "
        f"model to see them ({100 * POWER:g}\N{NO-BREAK SPACE}%, two-sided, paired): "
        f"{_listed(parts)}{guess}."
    )


def more_seeds(one: Comparison) -> int | None:
    """Seeds beyond those there are that would see the difference that was seen.

    None where there is no spread or no difference; 0 where there are enough.
    """
    if one.pairs < 2 or not np.isfinite(one.spread) or not one.difference:
        return None
    try:
        needed = seeds_needed(one.difference, Spread(one.spread, one.pairs, True))
    except ValueError:
        return _MANY * 10
    # Fewer than FEWEST have no interval that could decide.
    return max(needed, FEWEST) - one.pairs if max(needed, FEWEST) > one.pairs else 0


def _closest(pairs: Sequence[tuple[Table, Comparison]]) -> list[tuple[Table, Comparison]]:
    """For each score the pair of the smallest difference; of the first scores."""
    first: dict[int, tuple[Table, Comparison]] = {}
    for table, one in pairs:
        kept = first.get(id(table))
        if one.difference and (kept is None or _size(one) < _size(kept[1])):
            first[id(table)] = table, one
    return list(first.values())[:_LISTED]


def _size(one: Comparison) -> float:
    """How large a difference is; what is not known, of models without a common seed, comes last."""
    return abs(one.difference) if math.isfinite(one.difference) else math.inf


def _listed(parts: Sequence[str], of: int = 0) -> str:
    """As in: a, b and c. Of more than six the first five and how many more."""
    shown_parts, more = list(parts), max(of - len(parts), 0)
    if len(shown_parts) > 6:
        more += len(shown_parts) - 5
        del shown_parts[5:]
    if more:
        return f"{', '.join(shown_parts)} and {more} more"
    return " and ".join(filter(None, [", ".join(shown_parts[:-1]), shown_parts[-1]]))
