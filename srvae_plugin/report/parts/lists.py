"""The plain lists of a report: all runs, what failed, and what it was made with."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from srvae_plugin.report.models import Model
from srvae_plugin.report.run import Run
from srvae_plugin.report.scores import Table, value_of

__all__ = ["lists"]


class _RunRow(NamedTuple):
    run: Run
    model: Model
    values: list[float]


def lists(models: Sequence[Model], tables: Sequence[Table], several: bool) -> dict[str, Any]:
    """What the template lists: every run, failures, environments.

    Args:
        models: all of them.
        tables: all scores.
        several: whether there are several data sets, to be named.
    """
    label = {id(run): model.label for model in models for run in model.runs}
    shown = list(dict.fromkeys((table.kind, table.score) for table in tables))
    values = {
        (id(run), table.kind, table.score): float(value)
        for table in tables
        for row in table.rows
        for run, value in zip(row.runs, row.values, strict=True)
    }
    rows = [
        _RunRow(run, model, [values.get((id(run), *what), math.nan) for what in shown])
        for model in models
        for run in model.runs
        if not run.waits
    ]
    return {
        "run_columns": [
            "run",
            "model",
            *(["data set"] if several else []),
            "seed",
            *(score.titled(kind) for kind, score in shown),
        ],
        "run_rows": sorted(rows, key=lambda row: row.run.name.lower()),
        "waiting": list(_waiting(models)),
        "failures": [*_problems(models), *_not_finite(tables)],
        "model_of": lambda run: label[id(run)],
        "environments": list(_environments([run for model in models for run in model.runs])),
    }


def _waiting(models: Sequence[Model]) -> Iterator[tuple[Model, str, str]]:
    """Model, data set, and the seeds that a study has not come to yet, by their status."""
    for model in models:
        for data_set in dict.fromkeys(run.data_set for run in model.runs if run.waits):
            runs = [run for run in model.runs if run.waits and run.data_set == data_set]
            statuses = sorted({run.status for run in runs})
            seeds = [[run.seed for run in runs if run.status == status] for status in statuses]
            said = zip(seeds, statuses, strict=True)
            yield model, data_set, "; ".join(f"{_ranges(of)} {status}" for of, status in said)


def _ranges(seeds: Sequence[int | None]) -> str:
    """As in: 0, 2 to 4."""
    parts: list[list[int]] = []
    for number in sorted(seed for seed in seeds if seed is not None):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    ends = [f"{part[0]} to {part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts]
    return ", ".join(ends) or "one without a seed"


def _problems(models: Sequence[Model]) -> Iterator[tuple[Run, str]]:
    for model in models:
        for run in model.runs:
            for problem in run.problems:
                yield run, problem


def _not_finite(tables: Sequence[Table]) -> Iterator[tuple[Run, str]]:
    """Scores that were computed and are no number; those that are missing are named elsewhere."""
    for table in tables:
        for row in table.rows:
            for run in row.runs:
                value = value_of(run, (table.kind, table.score.metric), table.score.key)
                if value is not None and not math.isfinite(value):
                    yield run, f"{table.title} is {value}"


def _threads(count: object) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"


def _environments(runs: Sequence[Run]) -> Iterator[tuple[int, str, str, str]]:
    """Runs with the same versions, machine and commit, counted."""
    found: Counter[tuple[str, str, str]] = Counter()
    for env in (run.environment for run in runs if run.environment):
        packages = env.get("packages")
        packages = packages if isinstance(packages, dict) else {}
        versions = {"Python": env.get("python"), **packages}
        machine = (
            f"{env.get('platform', '?')}; {env.get('device', '?')}; {env.get('cpus', '?')} cores, "
            f"{_threads(env.get('threads', '?'))}"
        )
        said = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
        found[said, machine, str(env.get("git_commit") or "–")] += 1
    for (versions_text, machine, commit), count in found.most_common():
        yield count, versions_text, machine, commit
