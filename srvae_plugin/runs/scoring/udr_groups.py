"""Groups of runs that were trained alike from different seeds, which UDR compares."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from srvae_plugin.config.text import NOT_OF_THE_MODEL, gin_dict, gin_function
from srvae_plugin.data.storage import manifest
from srvae_plugin.runs.directory import RunDirectory, TrainingDirectory, runs_below

__all__ = ["Group", "groups_of"]

logger = logging.getLogger("srvae_plugin")


class Group(NamedTuple):
    """Runs that were trained alike from different seeds."""

    name: str
    """That of the model, with a number where there are several groups of it."""
    runs: tuple[Path, ...]

    def trained(self) -> TrainingDirectory:
        """Where the first of them was trained."""
        return RunDirectory(self.runs[0]).model


def groups_of(places: Sequence[Path]) -> list[Group]:
    """The trained runs below some folders, in groups that differ in their seed only.

    What may differ beside the seed is the data set's place and how a run was watched. A run that is
    alone is left out, with a word.

    Args:
        places: run directories, or folders with run directories in them, such as a study.

    Raises:
        ValueError: a place that is no folder or contains no finished run; no two runs are alike;
            two runs alike have the same seed.
    """
    runs = sorted({run.path for place in places for run in runs_below(place)})
    alike: dict[tuple[Any, ...], dict[str, Path]] = defaultdict(dict)
    for run in runs:
        config = gin_dict(manifest.checked_text(RunDirectory(run).model.gin_file()))
        same = alike[_settings(run, config)]
        seed = config.get("model.random_seed", "")
        if seed in same:
            raise ValueError(
                f"{run} and {same[seed]} are of one model and one seed ({seed}), and UDR compares "
                "models of different seeds: name one of them"
            )
        same[seed] = run
    groups: list[Group] = []
    for key, same in alike.items():
        if len(same) < 2:
            logger.warning(
                "%s is the only run of its model and settings: UDR compares two or more; left out",
                *same.values(),
            )
            continue
        model = gin_function(dict(key[0]).get("model.model", "model"))
        taken = [group.name for group in groups if group.name.partition("-")[0] == model]
        name = f"{model}-{len(taken) + 1}" if taken else model
        groups.append(Group(name, tuple(same[seed] for seed in sorted(same, key=_as_number))))
    if not groups:
        raise ValueError(
            f"{', '.join(map(str, places))}: no two of {len(runs)} runs differ in their seed only "
            "(model.random_seed), and UDR compares such runs"
        )
    return groups


def _as_number(seed: str) -> tuple[int, str]:
    return (int(seed), "") if seed.isdecimal() else (-1, seed)


def _settings(run: Path, config: Mapping[str, str]) -> tuple[Any, ...]:
    """What runs that are alike have in common."""
    own = {key: value for key, value in config.items() if key not in NOT_OF_THE_MODEL}
    record = RunDirectory(run).model.dataset()
    if not record.get("digest"):  # an older run, or a data set that cannot be told by its content
        return tuple(sorted(own.items())), ""
    name = str(record["name"])
    own = {k: v for k, v in own.items() if k.partition(".")[0] not in ("dataset", name)}
    options = tuple(sorted((k, str(v)) for k, v in record["options"].items()))
    return tuple(sorted(own.items())), (name, str(record["digest"]), options)
