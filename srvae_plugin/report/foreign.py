"""Models that were trained elsewhere: a label and a seed say which, and are the user's to type.

Two models under one label and seed are no two runs of a model, and one model scored twice is not
two of them: their codes say which it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from srvae_plugin.report.comparison.settings import settings_of
from srvae_plugin.report.run import Run

__all__ = ["told_apart"]

_Key = tuple[str, int | None, str]


def told_apart(runs: Sequence[Run], notes: list[str]) -> list[Run]:
    """The runs, of foreign models each once, and different ones of one label and seed apart.

    Args:
        runs: all runs, their data sets named.
        notes: a line is added for all that is put apart or together, and where two seeds have the
            same codes.
    """
    others = [run for run in runs if not run.is_foreign]
    groups: dict[_Key, list[Run]] = defaultdict(list)
    for run in (run for run in runs if run.is_foreign):
        groups[run.label or str(run.folder), run.given_seed, run.data_set].append(run)
    found: list[Run] = []
    for same in groups.values():
        if len(same) > 1 and (len({run.content for run in same}) > 1 or not same[0].content):
            notes.append(_put_apart(same))
        by_label: dict[str, list[Run]] = defaultdict(list)
        for run in same:
            by_label[run.label].append(run)
        for copies in by_label.values():
            found += _merged(copies, notes) if len(copies) > 1 else copies
    _note_copies(found, notes)
    return [*others, *found]


def _put_apart(runs: Sequence[Run]) -> str:
    """Make each content a model of its own, and say so."""
    folders = ", ".join(sorted({str(run.folder) for run in runs}))
    first = runs[0]
    what = f"{first.label}{_seed(first)}" if first.label else first.name
    advice = "its own --label or --seed" if first.label else "an --output of its own"
    known = all(run.content for run in runs)
    why = "scores of different models" if known else "scores that do not say what was scored"
    names: dict[str, str] = {}
    for run in runs:
        place = names.setdefault(run.content, run.name) if run.content else run.name
        content = f", content {run.content[:8]}" if run.content else ""
        run.label = f"{run.label or run.name} ({place}{content})"
    return (
        f"{what} on {first.data_set}: {why} in {folders}; they are not pooled but shown as models "
        f"of their own: give each {advice}"
    )


def _merged(copies: Sequence[Run], notes: list[str]) -> list[Run]:
    """One run of all scores of one model; others hold what was made with other settings."""
    first = copies[0]
    kept = [first]
    twice: set[str] = set()
    for run in copies[1:]:
        for where in list(run.scores):
            own = settings_of(run, where)
            if where not in first.scores:
                for name in ("scores", "settings", "scored_data", "scored_on"):
                    if where in getattr(run, name):
                        getattr(first, name)[where] = getattr(run, name)[where]
            elif any(where in k.scores and settings_of(k, where) == own for k in kept):
                twice.add(where[1])
            else:
                continue
            del run.scores[where]
        first.refused.update(run.refused)
        first.problems += [problem for problem in run.problems if problem not in first.problems]
        run.problems = []
        run.is_more = True
        kept += [run] if run.scores else []
    if twice:
        folders = ", ".join(str(run.folder) for run in copies)
        notes.append(
            f"{first.label or first.name}{_seed(first)} on {first.data_set}: the same codes were "
            f"scored in {folders}; {', '.join(sorted(twice))} counts once"
        )
    return kept


def _note_copies(runs: Sequence[Run], notes: list[str]) -> None:
    """Say where models of different seeds have the same codes: one of them may be a copy."""
    groups: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
    for run in runs:
        if run.label and run.content and not run.is_more:
            groups[run.label, run.data_set, run.content].append(run)
    for (label, data_set, _), same in groups.items():
        if len({run.given_seed for run in same}) > 1:
            seeds = [f"{_seed(run) or ', no seed'} in {run.folder}"[2:] for run in same]
            notes.append(
                f"{label} on {data_set}: the very same codes have {'; '.join(seeds)}: is "
                "one of them a copy? Each counts"
            )


def _seed(run: Run) -> str:
    return "" if run.given_seed is None else f", seed {run.given_seed}"
