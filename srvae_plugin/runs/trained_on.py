"""The data set that gin binds, and how it compares with what a model was trained on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gin

from srvae_plugin.config import gin_files, plugins
from srvae_plugin.config.data_record import place, record_of
from srvae_plugin.config.gin_config import Uses
from srvae_plugin.config.gin_files import Choice
from srvae_plugin.config.plugins import load_dataset
from srvae_plugin.config.text import dataset_bindings
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.runs import weights
from srvae_plugin.runs.directory import StepDirectory

__all__ = ["BoundData", "bound_dataset", "require_shape", "say_other_data"]


logger = logging.getLogger("srvae_plugin")

_DATASET = "srvae_plugin.dataset"
_PLAIN = Choice("")


def bound_dataset(previous: Path | None = None) -> GroundTruthData:
    """Load the data set that gin binds.

    What is not bound, and a name of "auto" as in disentanglement_lib's files, is what `previous`,
    the gin file of the step before, has; but with another name, its options are of no use and are
    left out.
    """
    _complete(previous)
    return gin.get_configurable(load_dataset)()


def _complete(previous: Path | None) -> None:
    """Bind what the step before has of the data set and is not bound."""
    recorded = dataset_bindings(previous) if previous else {}
    mine = gin_files.values_of(_DATASET)
    if "name" not in mine and "name" not in recorded:
        raise gin_files.ConfigError("no value bound for dataset.name")
    if "name" not in mine or mine["name"] == recorded.get("name"):
        with gin.unlock_config():
            for option in recorded.keys() - mine.keys():
                gin.bind_parameter(f"{_DATASET}.{option}", recorded[option])


class BoundData:
    """The data set of a configuration, loaded once for all steps that read it.

    Args:
        previous: see `bound_dataset`.
    """

    def __init__(self, previous: Path | None = None):
        self._uses = Uses()
        with self._uses.noted():
            self.data = bound_dataset(previous)
            self._bound = gin_files.values_of(_DATASET)

    def of_step(self, previous: Path, choice: Choice = _PLAIN) -> GroundTruthData:
        """What `bound_dataset` gives a step, with the same record in gin; loaded if it is another.

        A choice that brings files or bindings may have changed the data set in any way.
        """
        _complete(previous)
        if choice.is_plain and gin_files.values_of(_DATASET) == self._bound:
            self._uses.repeat()
            return self.data
        return gin.get_configurable(load_dataset)()


def say_other_data(step: StepDirectory, data: GroundTruthData) -> None:
    """Log it if the data set that gin binds is not what the model was trained on.

    The content counts, not the place: the same data may have moved.
    """
    training = step.at("train")
    before = dataset_bindings(training.gin_file())
    now = gin_files.values_of(_DATASET)
    record, known = training.dataset(), record_of(data)
    comparable = bool(record.get("digest") and known["digest"])
    if bool(record.get("factor_names")) != bool(known["factor_names"]):
        comparable = False  # digests are of images and factors: these may be the same images
    if comparable and record["digest"] == known["digest"]:
        paths = record["paths"]
        before, now = ({k: b[k] for k in b if k not in paths} for b in (before, now))
    elif comparable and now == before:
        logger.warning(
            "%s was trained on %s; the content of %s, which it is scored on, is different",
            step.path, place(record), place(known),
        )  # fmt: skip
    if before and now != before:
        scored_on = _described(now) if now else place(known)
        logger.warning("scored on %s, trained on %s", scored_on, _described(before))
    trained = record or {"options": dataset_bindings(training.gin_file())}
    share, was = _held_out(known), _held_out(trained)
    same = record["digest"] == known["digest"] if comparable else not record
    if share > was and same:
        logger.warning(
            "dataset.held_out = %g, but the model was trained %s: %s of the rows that it "
            "is scored on were trained on",
            share, f"with {was:g}" if was else "without it", "some" if was else "all",
        )  # fmt: skip


def _held_out(record: Mapping[str, Any]) -> float:
    """Share of the rows that a recorded data set holds out; 0 for none."""
    try:
        return float(record.get("options", {}).get("held_out") or 0)
    except (TypeError, ValueError):
        return 0.0


def _described(bindings: Mapping[str, Any]) -> str:
    """A data set's bindings as one phrase: the name first."""
    options = [f"{key} = {value!r}" for key, value in sorted(bindings.items()) if key != "name"]
    return (
        f"{bindings.get('name')} ({', '.join(options)})" if options else str(bindings.get("name"))
    )


def require_shape(step: StepDirectory, data: GroundTruthData) -> None:
    """Raise ValueError if a model that was trained on images of another shape is to read these."""
    channel, height, width = weights.shape_in(step.weights)
    shape = [int(side) for side in data.observation_shape]
    if shape != [height, width, channel]:
        made = plugins.made_with(data)
        name = made[0] if made else getattr(data, "name", "the data")
        raise ValueError(
            f"the model in {step.path} takes images of {height} x {width} x {channel} (height, "
            f"width, channels), those of {name} are {' x '.join(map(str, shape))}: score it on the "
            "data set it was trained on (in gin, dataset.name and dataset.path), or on one of that "
            "size"
        )
