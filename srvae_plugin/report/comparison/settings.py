"""Which scores were made with the same metric settings: others are never put together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from srvae_plugin.report.keys import TRAINING
from srvae_plugin.report.losses import reconstruction_of
from srvae_plugin.report.run import Run, Settings, Where
from srvae_plugin.report.words import counted

__all__ = ["Variant", "Variants", "settings_of"]

_OTHER_STEPS = ("evaluation", "dataset", "model", "postprocess", "run", "train", "study")
# The seed of the evaluation goes with the run's in disentanglement_lib's studies. The others say
# how a score is computed and not what.
_NO_SETTINGS = {
    "random_seed", "random_state", "seed", "n_jobs", "num_jobs", "num_threads", "threads",
    "verbose", "device", "artifact_dir", "name",
}  # fmt: skip
_POINTS = re.compile(
    r"(num_(train|test|eval|variance_estimate|points|samples)\w*|\w+_asked|\w+_used)"
)


def settings_of(run: Run, where: Where) -> Settings:
    """All that may change a score: what gin bound, the points used, other data than trained on."""
    if where[1] == TRAINING:
        return {"reconstruction": reconstruction_of(run.config)}
    bound = run.settings.get(where, {})
    skipped = {*_OTHER_STEPS, run.data.name, run.scored_data_name.get(where, "")}
    found = {
        key: value
        for key, value in bound.items()
        if "." in key
        and key.rpartition("/")[2].partition(".")[0] not in skipped
        and key.rpartition(".")[2] not in _NO_SETTINGS
    }
    scores = run.scores.get(where, {})
    for key, value in scores.items():
        # As many points as were asked for: the setting says it already.
        own = key.removesuffix("_asked")
        as_asked = f"{own}_asked" in scores and scores.get(own) == scores[f"{own}_asked"]
        if _POINTS.fullmatch(key) and type(value) is int and not as_asked:
            found[f"{where[1]}: {key}"] = str(value)
    if other := run.scored_on.get(where):
        found["scored on"] = other
    return found


class Variant(NamedTuple):
    """One way of computing a metric, of those in a report."""

    where: Where
    text: str
    """What sets it apart from the others; empty if there is no other."""
    settings: Settings
    runs: int


class Variants:
    """All ways of computing each metric that the runs of a report have.

    Settings that an older version did not record are taken for what all others have, if these
    agree, and that is noted.
    """

    def __init__(self, runs: Sequence[Run], notes: list[str]) -> None:
        self.all: list[Variant] = []
        self._of: dict[tuple[int, Where], str] = {}
        wheres = dict.fromkeys(where for run in runs for where in run.scores)
        for where in wheres:
            self._sort(where, [run for run in runs if where in run.scores], notes)

    def text_of(self, run: Run, where: Where) -> str:
        """What sets a run's score apart; empty if all runs' were computed in one way."""
        return self._of.get((id(run), where), "")

    def texts(self, where: Where) -> list[str]:
        """The different ways of a metric."""
        return [variant.text for variant in self.all if variant.where == where] or [""]

    def _sort(self, where: Where, runs: Sequence[Run], notes: list[str]) -> None:
        own = {id(run): frozenset(settings_of(run, where).items()) for run in runs}
        kinds = list(dict.fromkeys(own.values()))
        merged = {kind: _whole(kind, kinds) for kind in kinds}
        count = Counter(merged[own[id(run)]] for run in runs)
        ways = list(count)
        for kind in (kind for kind in kinds if merged[kind] != kind):
            lacks = ", ".join(f"{k} = {v}" for k, v in sorted(merged[kind] - kind))
            number = sum(own[id(run)] == kind for run in runs)
            notes.append(
                f"{where[1]}, {counted(number, 'run')}: not all settings are recorded; assumed to "
                f"be as in the others: {lacks}"
            )
        used = [_points(where, [r for r in runs if merged[own[id(r)]] == way]) for way in ways]
        texts = _texts(ways, used)
        for way in ways:
            self.all.append(Variant(where, texts[way], dict(sorted(way)), count[way]))
        for run in runs:
            self._of[id(run), where] = texts[merged[own[id(run)]]]


_Way = frozenset[tuple[str, str]]


def _whole(kind: _Way, kinds: Sequence[_Way]) -> _Way:
    """The only largest way that agrees with all that this one has; itself if there is none."""
    names = {name for name, _ in kind}
    larger = [o for o in kinds if kind < o and not any(n == "scored on" for n, _ in o - kind)]
    larger = [o for o in larger if not any(_counts_points(n) for n, _ in o - kind)]
    top = [other for other in larger if not any(other < o for o in larger)]
    return top[0] if len(top) == 1 and len({n for n, _ in top[0]}) > len(names) else kind


def _counts_points(name: str) -> bool:
    return ": " in name


def _points(where: Where, runs: Sequence[Run]) -> _Way:
    """The numbers of points that all of the runs used, whether or not as many were asked for."""
    each = [
        {(f"{where[1]}: {k}", str(v)) for k, v in run.scores[where].items()
         if _POINTS.fullmatch(k) and type(v) is int}
        for run in runs
    ]  # fmt: skip
    return frozenset(set.intersection(*each))


def _texts(ways: Sequence[_Way], used: Sequence[_Way]) -> dict[_Way, str]:
    if len(ways) == 1:
        return {ways[0]: ""}
    shared = frozenset.intersection(*ways)
    names = sorted({name for way in ways for name, _ in way - shared})
    texts = {}
    for way, points in zip(ways, used, strict=True):
        said = dict(way | points)
        # How many points were used is a number of the results, and no setting: it may be missing.
        shown = [name for name in names if name in said or not _counts_points(name)]
        texts[way] = ", ".join(f"{name} = {said.get(name, 'not recorded')}" for name in shown)
    return texts
