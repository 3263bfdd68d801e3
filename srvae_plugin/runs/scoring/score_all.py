"""Scores one representation with several metrics, and keeps what is scored already."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from srvae_plugin.config import gin_files
from srvae_plugin.config.data_record import record_of
from srvae_plugin.config.gin_config import Config
from srvae_plugin.config.gin_files import Choice
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.held_out import to_score
from srvae_plugin.files import system_error, write_json
from srvae_plugin.progress import Progress
from srvae_plugin.runs.directory import Records, ScoresDirectory, StepDirectory
from srvae_plugin.runs.replaced import finish_replacing, replaced
from srvae_plugin.runs.representation import RepresentationFunction
from srvae_plugin.runs.scoring.identity import identity_of, is_kept
from srvae_plugin.runs.scoring.notes import each_note_once
from srvae_plugin.runs.scoring.one_metric import Beside, score
from srvae_plugin.runs.trained_on import BoundData

__all__ = ["Choose", "Foreign", "MetricsFailedError", "Scored", "Scores", "said", "score_all"]


logger = logging.getLogger("srvae_plugin")

Scores = dict[str, dict[str, Any]]
"""scores[metric][key]"""
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_ELSEWHERE = ", --output names another folder"
Choose = Callable[[str], Choice]
"""What a metric, by its name in `run.metrics`, is scored with."""


class Foreign(NamedTuple):
    """What is recorded with the scores of a model that was not trained here."""

    model: Mapping[str, Any]
    """`name`; `label` and `seed`, None if they were not given; `content` is added, see
    `content_of`."""
    data: Mapping[str, Any] = {}
    """Entries of the data set's record that gin does not know, see `data_record`."""


class MetricsFailedError(ValueError):
    """Some metrics could not be computed: `failed` says why, `scores` has the others'."""

    def __init__(self, failed: list[str], scores: Scores):
        self.failed, self.scores = failed, scores
        super().__init__(f"not scored: {'; '.join(failed)}")


@dataclass(frozen=True)
class Scored:
    """A representation that is scored, and where its scores go."""

    function: RepresentationFunction
    data: GroundTruthData | BoundData
    """The whole data set, of which the rows to score on are taken; bound by gin or not."""
    output: ScoresDirectory
    of_what: str
    """Identifies the representation: results of another are not kept."""
    source: StepDirectory | None = None
    """The step that left the representation, of one that was trained here."""
    foreign: Foreign | None = None
    again: str = "--overwrite scores it again"
    """What to do where results of something else are there."""

    def data_of(self, choice: Choice) -> GroundTruthData:
        """The data set, within the configuration of a metric, in which it is recorded if bound."""
        if isinstance(self.data, BoundData) and self.source is not None:
            return self.data.of_step(self.source.gin_file(), choice)
        return self.data.data if isinstance(self.data, BoundData) else self.data


def score_all(
    metrics: Sequence[str],
    scored: Scored,
    config: Config,
    overwrite: bool = False,
    choose: Choose = Choice,
) -> Scores:
    """Score with every metric; one that cannot be computed does not stop the others.

    Whoever calls this has the lock of where the scores go.

    Args:
        metrics: names, as in `run.metrics`.
        scored: what is scored.
        config: the configuration.
        overwrite: replace scores that are there, all at once when the new ones are done: former
            ones must not stand beside them.
        choose: what a metric is scored with.

    Raises:
        MetricsFailedError: after the other metrics, if one cannot be computed.
        OSError: the disk is full, or cannot be written; metrics that were done before are kept,
            but with `overwrite` the former scores.
        MemoryError: with `overwrite`, if there was too little; the former scores are kept.
    """
    if overwrite:
        with replaced(scored.output) as new:
            scores, failed = _score_each(metrics, replace(scored, output=new), config, choose)
            for error in failed.values():
                if isinstance(error, MemoryError):
                    raise error
    else:
        finish_replacing(scored.output)
        scores, failed = _score_each(metrics, scored, config, choose)
    if failed:
        raise MetricsFailedError(list(failed), scores) from next(iter(failed.values()))
    return scores


def _score_each(
    metrics: Sequence[str], scored: Scored, config: Config, choose: Choose
) -> tuple[Scores, dict[str, Exception]]:
    """Scores, and what went wrong with the other metrics, by the line that says so."""
    scores: Scores = {}
    failed: dict[str, Exception] = {}
    with each_note_once(), Progress("scoring", len(metrics), unit="metrics") as progress:
        for metric in metrics:
            name, choice = metric.partition("/")[0], choose(metric)
            with config.choosing("evaluation.evaluation_fn", choice):
                error = _score_one(scored, metric, choice)
            if error is None:
                scores[name] = scored.output.of(metric).read()
            else:
                failed[f"{name}: {said(error)}"] = error
                logger.error("%s is not scored: %s", name, said(error))
            progress.advance()
    return scores, failed


def _score_one(scored: Scored, metric: str, choice: Choice) -> Exception | None:
    """Score with the metric that gin binds, if it is not done; return what went wrong."""
    target, source, foreign = scored.output.of(metric), scored.source, scored.foreign
    data = scored.data_of(choice)
    record = {**record_of(data), **(foreign.data if foreign else {})}
    identity = identity_of(scored.of_what, record)
    if is_kept(target, identity, scored.again + ("" if source else _ELSEWHERE)):
        return None
    refused = scored.output.refusal(metric)
    refused.unlink(missing_ok=True)
    records = Records(record, foreign.model if foreign else None)
    beside = Beside(source.results if source else None, identity, records)
    try:
        score(scored.function, to_score(data), target, True, beside)
    except Exception as error:  # a representation of the user's may raise anything
        if system_error(error) in _UNWRITABLE:
            raise  # whatever the metric, and no property of what is scored
        # For reports: without it the metric would seem not to have been asked for.
        refusal = {"metric": choice.function, "error": said(error)}
        write_json(refused, refusal | records.by_name("evaluation"))
        return error
    return None


def said(error: Exception) -> str:
    """One line; of what is not our own error, its type too."""
    text = gin_files.one_line(error)
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"
