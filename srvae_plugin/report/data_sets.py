"""Which runs are on one data set, and what a report calls it."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from srvae_plugin.report.run import DataSet, Run, Settings
from srvae_plugin.report.words import counted

__all__ = ["from_config", "from_record", "name_data_sets", "name_scored_data"]

_OWN = ("npz", "image_folder", "codes")
"""Data sets of the user's own: they go by the name of their file."""


def from_record(record: Mapping[str, Any]) -> DataSet | None:
    """The data set of a record that was written with results; None if there is none."""
    name, options, paths = (record.get(key) for key in ("name", "options", "paths"))
    if not isinstance(name, str) or not isinstance(options, dict) or not isinstance(paths, dict):
        return None
    places = [str(path.get("absolute", "")) for path in paths.values() if isinstance(path, dict)]
    chosen = tuple(sorted((str(key), str(value)) for key, value in options.items()))
    return DataSet(name, chosen, ", ".join(places), str(record.get("digest") or ""))


def from_config(config: Settings, source: Any = None) -> DataSet | None:
    """The data set that gin bound, of runs that say nothing about its content."""
    name = config.get("dataset.name", "").strip("'\"")
    if not name:
        return None
    bound = {
        key.partition(".")[2]: value
        for prefix in (f"{name}.", "dataset.")
        for key, value in config.items()
        if key.startswith(prefix) and (value != "None" or prefix == "dataset.")
    }
    bound = {key: value for key, value in bound.items() if key != "name" and value != "None"}
    places = {
        key: v for key, v in bound.items() if key == "path" or key.endswith(("_path", "_dir"))
    }
    others = {key: value for key, value in bound.items() if key not in places}
    if not places and source not in (None, "", "re-rendered", "re-created"):
        places["found"] = str(source)
    return DataSet(name, tuple(sorted(others.items())), ", ".join(map(_plain, places.values())), "")


def _plain(text: str) -> str:
    try:
        return str(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return text


class _Key(NamedTuple):
    """What makes a data set: its content if that is known, else where it lies."""

    name: str
    options: tuple[tuple[str, str], ...]
    digest: str
    place: str


def name_data_sets(runs: Sequence[Run], notes: list[str]) -> None:
    """Set every run's `data_set`, the same for runs on one data set and for no others.

    It is the study's label if there is one, else the data set's name, with its options or what
    tells its content from others where that is needed. Lines are added to `notes` where a run does
    not say what its data contained.
    """
    keys = _keys(runs, notes)
    groups: dict[_Key, list[Run]] = defaultdict(list)
    for run, key in zip(runs, keys, strict=True):
        groups[key].append(run)
    bases = {key: _base(key, members) for key, members in groups.items()}
    for key, members in groups.items():
        same = [other for other, base in bases.items() if base == bases[key]]
        label = _told_apart(key, bases[key], same)
        for run in members:
            run.data_set = label


def name_scored_data(runs: Sequence[Run]) -> None:
    """Set every run's `scored_on` where a metric was computed on other data than the run's."""
    labels = {(run.data.name, run.data.options, run.data.digest): run.data_set for run in runs}
    for run in runs:
        for where, data in run.scored_data.items():
            key = (data.name, data.options, data.digest)
            if not run.data.digest or key == (run.data.name, run.data.options, run.data.digest):
                continue
            options = "".join(f", {name} = {value}" for name, value in data.options)
            other = f"{data.name}{options}, content {data.digest[:12]}"
            run.scored_on[where] = labels.get(key, other)


def _keys(runs: Sequence[Run], notes: list[str]) -> list[_Key]:
    known: dict[tuple[Any, ...], set[_Key]] = defaultdict(set)
    for run in runs:
        if run.data.digest:
            old = from_config(run.config, run.environment.get("data_source")) or run.data
            key = _Key(run.data.name, run.data.options, run.data.digest, "")
            known[old.name, old.options].add(key)
    keys: list[_Key] = []
    joined: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    for run in runs:
        data = run.data
        if data.digest:
            keys.append(_Key(data.name, data.options, data.digest, ""))
            continue
        same = known.get((data.name, data.options), set())
        if len(same) == 1 and not data.place:
            keys.append(next(iter(same)))
            joined[data.name] += run.finished
        else:
            keys.append(_Key(data.name, data.options, "", data.place))
            unknown[f"{data.name} ({data.place})"] += bool(data.place) and run.finished
    notes += [
        f"{counted(count, 'run')} on {name}: the content is not recorded (made by an older version "
        "or another program): taken for the same data set as that of the others"
        for name, count in joined.items()
        if count
    ]
    notes += [
        f"{counted(count, 'run')} on {name}: the content is not recorded (made by an older version "
        "or another program): the data set is identified by name, options and path"
        for name, count in unknown.items()
        if count
    ]
    return keys


def _base(key: _Key, runs: Sequence[Run]) -> str:
    labels = sorted({run.data_label for run in runs if run.data_label})
    if labels:
        return " / ".join(labels)
    places = sorted({run.data.place for run in runs if run.data.place})
    if key.name in _OWN and places:
        files = sorted({Path(place).name for place in places})
        return f"{key.name} ({' / '.join(files)})"
    return key.name or "unknown data set"


def _told_apart(key: _Key, base: str, same: Sequence[_Key]) -> str:
    """The base, with the options and the content where another data set has the same one."""
    if len(same) == 1:
        return base
    parts = []
    if len({other.options for other in same}) > 1:
        shared = set.intersection(*(set(other.options) for other in same))
        own = [f"{name} = {value}" for name, value in key.options if (name, value) not in shared]
        parts.append(", ".join(own) or "no options")
    alike = [other for other in same if other.options == key.options]
    if len(alike) > 1:
        parts.append(f"content {key.digest[:12]}" if key.digest else key.place or "not recorded")
    return f"{base} [{'; '.join(parts)}]"
