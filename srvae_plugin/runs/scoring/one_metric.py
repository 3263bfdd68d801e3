"""Scores a representation with the one metric that gin binds."""

from __future__ import annotations

import inspect
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gin
import numpy as np

from srvae_plugin.config import gin_files
from srvae_plugin.config.data_record import record_of
from srvae_plugin.data.ground_truth import (
    FactorGrid,
    GroundTruthData,
    continuous_factors,
    names_of,
)
from srvae_plugin.data.images_only import ImagesOnly
from srvae_plugin.data.own.factor_kinds import CLASS, CONTINUOUS
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.files import write_json, write_text
from srvae_plugin.metrics.unified_scores import MATRICES_FOLDER
from srvae_plugin.runs.directory import Records, StepDirectory
from srvae_plugin.runs.representation import CachedRepresentation, RepresentationFunction
from srvae_plugin.runs.scoring.tried import seeded
from srvae_plugin.training.settings import check_seed

__all__ = [
    "Beside",
    "EvaluationSettings",
    "cached",
    "described_factors",
    "draw_matrices",
    "needs_factors",
    "require_factors",
    "score",
]


logger = logging.getLogger("srvae_plugin")


@gin.register("evaluation", module="srvae_plugin")
@dataclass
class EvaluationSettings:
    """What gin binds under `evaluation`: the metric and its seed."""

    evaluation_fn: Callable[..., dict[str, Any]]
    random_seed: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        check_seed("evaluation", self.random_seed)


class Beside(NamedTuple):
    """What is written beside the scores."""

    previous: Path | None = None
    """The results folder of the step before, if there was one."""
    identity: str | None = None
    """Text that tells later what the scores are of."""
    records: Records | None = None
    """None: that of the data which is scored on."""


_NOTHING = Beside()


def score(
    function: RepresentationFunction,
    data: GroundTruthData,
    target: StepDirectory,
    overwrite: bool = False,
    beside: Beside = _NOTHING,
) -> dict[str, Any]:
    """Score a representation function with the metric that gin binds; write and return scores."""
    settings = gin_files.made(EvaluationSettings, "srvae_plugin.evaluation")
    target.require_new(overwrite)
    if needs_factors(settings.evaluation_fn):
        require_factors(data)
    with target.made_anew(overwrite) as directory:
        begun = time.monotonic()
        random_state = np.random.RandomState(settings.random_seed)
        arguments: dict[str, Any] = {"random_state": random_state}
        if "artifact_dir" in inspect.signature(settings.evaluation_fn).parameters:
            arguments["artifact_dir"] = str(directory.artifacts)
        with seeded(settings.random_seed):
            scores = dict(settings.evaluation_fn(data, function, **arguments))
        draw_matrices(directory.artifacts)
        _say_what_is_no_number(scores)
        scores["elapsed_time"] = time.monotonic() - begun
        config = gin.operative_config_str()
        # Not of `data` where it is given: that may be the held out part of the recorded whole.
        known = beside.records or Records(record_of(data))
        directory.write(scores, config, beside.previous, known)
        write_json(directory.factors, described_factors(data))
        if beside.identity is not None:
            write_text(directory.identity, beside.identity)
    return scores


def draw_matrices(folder: Path) -> None:
    """Draw the matrices that a metric saved in a folder of artifacts, if it did."""
    if (folder / MATRICES_FOLDER).is_dir():
        from srvae_plugin.plots.score_matrices import draw_saved

        draw_saved(folder)


def _say_what_is_no_number(scores: Mapping[str, Any]) -> None:
    values = {key: value for key, value in scores.items() if isinstance(value, float)}
    bad = [f"{key} = {value:g}" for key, value in values.items() if not math.isfinite(value)]
    if bad:
        logger.warning(
            "scores that are not numbers: %s%s",
            ", ".join(bad[:5]), f" and {len(bad) - 5} more" if len(bad) > 5 else "",
        )  # fmt: skip


def require_factors(data: GroundTruthData) -> None:
    """Raise ValueError if a data set has no factors: most metrics can score nothing on it."""
    if data.num_factors == 0:
        name = getattr(data, "name", type(data).__name__)
        raise ValueError(
            f"{name} has no factors of variation, which this metric needs: leave it out; without "
            'factors there is "unsupervised_metrics". In gin, run.metrics = [] trains and draws '
            "only; in Python, give factors too: (images, factors), or score_codes(codes, factors)"
        )


def needs_factors(metric: Callable[..., Any]) -> bool:
    """Whether a metric looks at factors: yes, unless its attribute `needs_factors` is False."""
    return bool(getattr(metric, "needs_factors", True))


def described_factors(data: GroundTruthData) -> dict[str, Any]:
    """What is known of a data set's factors: names, kinds, and words by name of the factor."""
    names = names_of(data)
    continuous = continuous_factors(data).tolist()
    words = getattr(data, "factor_labels", {})
    return {
        "names": names,
        "kinds": [CONTINUOUS if each else CLASS for each in continuous],
        "labels": {names[k]: list(words[k]) for k in sorted(words)},
    }


def cached(function: RepresentationFunction, data: GroundTruthData) -> RepresentationFunction:
    """Cache a representation over a finite data set; other data sets are left as they are."""
    if isinstance(data, FactorGrid | FactorTable | ImagesOnly):
        return CachedRepresentation(function, data)
    return function
