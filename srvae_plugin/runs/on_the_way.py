"""Scores and traversals of a model while it is trained, every so many steps.

Each is what a run that ends at that step would find, bit for bit, and leaves the training as if
nobody had looked. It goes to `evaluations/step_N` of the run directory, in one piece, with the
digest of the weights that were looked at: a resumed training that comes to a step again keeps what
is there only if its weights are the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from srvae_plugin.config import plugins
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.files import new_folder, write_json
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.plots import pictures
from srvae_plugin.runs.directory import EvaluationsDirectory
from srvae_plugin.runs.representation import Representation
from srvae_plugin.runs.scoring.score import (
    DEFAULT_METRICS,
    Metrics,
    metric_settings,
    score_function,
)
from srvae_plugin.runs.scoring.score_all import MetricsFailedError, Scores
from srvae_plugin.runs.scoring.scores import flat_scores
from srvae_plugin.training.callbacks import Callback, Start
from srvae_plugin.training.plain import described_value
from srvae_plugin.training.weights import digest_of_weights

__all__ = ["Evaluations", "Found", "Scoring", "named_scoring", "usual_metrics"]

logger = logging.getLogger("srvae_plugin")


class Found(NamedTuple):
    """What scoring gave, by representation."""

    scores: dict[str, Scores]
    failed: dict[str, list[str]]
    """Of the metrics that could not be computed, why."""


class Scoring(NamedTuple):
    """How a model is scored."""

    score: Callable[[DisentanglementModel], Found]
    settings: Mapping[str, Mapping[str, str]]
    """Bindings of each metric, one per line, by representation: what sets scores apart."""


class Evaluations(Callback):
    """Looks at the model every so many steps; see the module.

    Args:
        every: steps between looks; 0 only deletes what is of steps that were not taken.
        directory: where it is written.
        scoring: how the model is scored; None: it is not.
        data: what traversals are drawn of; None: none are.
    """

    def __init__(
        self,
        every: int,
        directory: EvaluationsDirectory,
        scoring: Scoring | None = None,
        data: GroundTruthData | None = None,
    ) -> None:
        self.every = every
        self._directory, self._scoring, self._data = directory, scoring, data
        self._settings = (
            {kind: dict(of) for kind, of in scoring.settings.items()} if scoring else {}
        )

    def on_start(self, start: Start) -> None:
        """Delete what the training does not come to again.

        Raises:
            ValueError: what is kept was scored in another way.
        """
        for step in self._directory.steps():
            comes = self.every and step % self.every == 0 and step <= start.training_steps
            if step > start.step and not comes:
                self._directory.delete(step)
            elif step <= start.step and self.every:
                self._require_same(step)
        if self.every > start.training_steps:
            logger.warning(
                "evaluate_every = %d: nothing is evaluated during training, the training has %d "
                "steps",
                self.every, start.training_steps,
            )  # fmt: skip

    def on_interval(self, step: int, model: DisentanglementModel) -> Mapping[str, float] | None:
        """Score the model and draw its traversals, if that is not done; return the scores."""
        weights, begun = digest_of_weights(model), time.monotonic()
        if self._is_there(step, weights):
            return None
        found = self._scoring.score(model) if self._scoring else Found({}, {})
        with new_folder(self._directory.of(step), overwrite=True) as folder:
            if self._data is not None:
                pictures.save_traversals(
                    model, self._data, EvaluationsDirectory.traversals_in(folder)
                )
            content = {
                "step": step,
                "weights": weights,
                "settings": self._settings,
                "scores": {kind: dict(scores) for kind, scores in found.scores.items()},
                "failed": found.failed,
                "elapsed_time": time.monotonic() - begun,
            }
            write_json(EvaluationsDirectory.scores_in(folder), content)
        return flat_scores(found.scores)

    def _is_there(self, step: int, weights: str) -> bool:
        if step not in self._directory.steps():
            return False
        known = self._read(step)
        return known.get("weights") == weights and known.get("settings") == self._settings

    def _require_same(self, step: int) -> None:
        known = self._read(step).get("settings", {})
        if known != self._settings:
            raise ValueError(
                f"{self._directory.of(step)} was scored with other metrics or settings: use the "
                "same ones during training, or delete that folder and those beside it"
            )

    def _read(self, step: int) -> dict[str, Any]:
        try:
            return self._directory.read(step)
        except ValueError as error:
            raise ValueError(
                f"{error}: delete the folder {self._directory.of(step)} to continue without it"
            ) from None


def usual_metrics(data: GroundTruthData) -> Metrics:
    """What a data set is scored with if nobody says."""
    return DEFAULT_METRICS if data.num_factors else ("unsupervised_metrics",)


def named_scoring(data: GroundTruthData, metrics: Metrics, seed: int) -> Scoring:
    """Score the mean representation as `srvae_plugin.score` does, with these metrics and seed.

    Raises:
        ValueError: an unknown metric, or none.
    """
    settings = metric_settings(metrics)
    for name in settings:
        plugins.find("metrics", name)
    if not settings:
        raise ValueError(
            "metrics: none to score with; evaluate_every = 0 scores nothing during training"
        )

    def score(model: DisentanglementModel) -> Found:
        try:
            scores = score_function(Representation(model), data, metrics, seed)
        except MetricsFailedError as error:
            return Found({"mean": error.scores}, {"mean": error.failed})
        return Found({"mean": scores}, {})

    texts = {
        name: "\n".join(f"{name}.{k} = {described_value(v)!r}" for k, v in sorted(of.items()))
        for name, of in settings.items()
    }
    return Scoring(score, {"mean": texts})
