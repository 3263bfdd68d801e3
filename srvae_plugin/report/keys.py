"""Which numbers of a run are scores, what they are called, and which way is better.

Each metric says so itself, see :class:`srvae_plugin.metrics.MetricInfo`; a plug-in's may too.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from srvae_plugin.config import plugins
from srvae_plugin.config.text import gin_function

if TYPE_CHECKING:
    from srvae_plugin.metrics.common.info import MetricInfo

__all__ = [
    "TRAINING",
    "Score",
    "headlines",
    "known_scores",
    "metric_name",
    "numbers",
    "order",
    "published_names",
]

logger = logging.getLogger(__name__)

TRAINING = "training"
"""Stands for a metric: losses on the training data after training."""


class Score(NamedTuple):
    """A number that a metric reports."""

    metric: str
    key: str
    title: str
    published: str = ""
    """Its name among the published scores, if it is there."""
    higher_is_better: bool = True
    function: str = ""
    """What computes it, if `metric` is a gin scope of that."""
    is_stated: bool = True
    """Whether its metric says which way is better; else higher is assumed to be."""

    @property
    def way(self) -> str:
        """Which way is better, in words."""
        if not self.is_stated:
            return "higher is assumed to be better"
        return "higher is better" if self.higher_is_better else "lower is better"

    def titled(self, kind: str) -> str:
        """Its title, and the representation that it is of, unless that is the mean one."""
        return self.title if kind in ("mean", "") else f"{self.title} ({kind})"


_LOSSES = (
    Score(TRAINING, "reconstruction_loss", "Reconstruction loss (nats per image)", "", False),
)
_OF_SEVERAL_RUNS = {
    f"udr_{kind}": Score(f"udr_{kind}", "udr", f"UDR ({kind.title()})")
    for kind in ("lasso", "spearman")
}
"""What `srvae-evaluate --udr` writes: scores of a run beside others, which no metric gives."""
_NO_SCORES = ("uuid", "elapsed_time", "global_step", "training_seconds")
_AT_MOST = 3
"""Headlines of a metric that names none."""
_MANY_INSTANCES = ("downstream_task", "reduced_downstream_task", "strong_downstream_task")
"""Functions that a study evaluates more than once, with other settings."""


def metric_name(evaluation_fn: str, folder: str = "") -> str:
    """Metric of a gin reference such as `@mig` or `@trees/downstream_task`.

    disentanglement_lib tells its downstream tasks apart by their folders only.
    """
    scope = evaluation_fn.removeprefix("@").rpartition("/")[0]
    function = gin_function(evaluation_fn)
    if folder and (function in _MANY_INSTANCES or not function):
        return folder
    return scope or function or "unknown metric"


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Entries of a result that are numbers, those of no interest left out."""
    return {
        key: float(value)
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and key not in _NO_SCORES
    }


def known_scores(metric: str) -> list[Score]:
    """The scores that a metric says are to be shown first, in its order; see `MetricInfo`."""
    if metric == TRAINING:
        return list(_LOSSES)
    if metric in _OF_SEVERAL_RUNS:
        return [_OF_SEVERAL_RUNS[metric]]
    info = _info(metric)
    if info is None:
        return []
    return [
        Score(metric, each.key, each.title, each.published, each.higher_is_better)
        for each in info.headlines
    ]


@functools.cache
def _info(metric: str) -> MetricInfo | None:
    """The facts of a metric; what is no `MetricInfo` is left alone, with a logged warning."""
    info = plugins.metric_info(metric)
    if info is None:
        return None
    from srvae_plugin.metrics.common.info import MetricInfo

    if isinstance(info, MetricInfo):
        return info
    logger.warning(
        "the metric %r has an attribute info of type %s: expected srvae_plugin.metrics.MetricInfo; "
        "its scores are shown by their keys",
        metric, type(info).__name__,
    )  # fmt: skip
    return None


def headlines(metric: str, keys: list[str], function: str = "") -> list[Score]:
    """The scores of a metric to show first: known ones, else test scores, else its first keys.

    A metric that is a scope of a known function has the scores of that.
    """
    known = known_scores(metric)
    known = known or [
        score._replace(metric=metric, title=f"{score.title}, {metric}", function=function)
        for score in known_scores(function)
    ]
    if known:
        return [score for score in known if score.key in keys]
    plain = [key for key in keys if not key.startswith("num_") and ":factor" not in key]
    # Downstream tasks report every size of the training set; the last is the largest.
    tests = [key for key in plain if key.endswith("mean_test_accuracy")][-1:]
    chosen = tests or [key for key in plain if "train" not in key][:_AT_MOST] or plain[:_AT_MOST]
    return [Score(metric, key, f"{metric} {key}", is_stated=False) for key in chosen]


def order(score: Score) -> tuple[bool, float, int, str, str]:
    """Sort key: the training's last; known scores by their metric's place, others after them."""
    known = [each.key for each in known_scores(score.function or score.metric)]
    place, rank = math.inf, 0
    if score.key in known:
        info = _info(score.function or score.metric)
        place, rank = getattr(info, "place", 1000), known.index(score.key)
    return score.metric == TRAINING, place, rank, score.metric, score.key


def published_names(metric: str) -> list[str]:
    """What publications call the scores of a metric; empty if none reports them."""
    return [score.published for score in known_scores(metric) if score.published]
