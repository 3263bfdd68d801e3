"""A model and its training as gin has them, so that every command can read a run made in Python."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from srvae_plugin.config import plugins
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.pairs import PairedData
from srvae_plugin.models.base import DisentanglementModel, Shape
from srvae_plugin.models.networks.choice import DECODERS, ENCODERS, default_names
from srvae_plugin.training.settings import TrainingSettings

__all__ = [
    "NOT_REBUILT",
    "described_data",
    "described_model",
    "described_pairs",
    "described_training",
]

NOT_REBUILT = (
    "# The model was given as an object that no name stands for: load_run(path, model=...)."
)
_PLAIN = (bool, int, float, str, type(None))
_NETWORKS = ("encoder", "decoder", "num_latent")


def described_model(model: DisentanglementModel, shape: Shape) -> list[str]:
    """Bindings that build the model again; one line, `NOT_REBUILT`, if there are none."""
    name = _registered_name(type(model))
    args, kwargs = model.made_with
    given = inspect.signature(type(model)).bind_partial(*args, **kwargs).arguments
    networks = [
        _network_name(given.get(role), known, default)
        for role, known, default in zip(
            _NETWORKS, (ENCODERS, DECODERS), default_names(shape), strict=False
        )
    ]
    own = {key: value for key, value in given.items() if key not in _NETWORKS}
    plain = all(isinstance(value, _PLAIN) for value in own.values())
    if name is None or None in networks or not plain:
        return [NOT_REBUILT]
    return [
        f"model.model = @{name}()",
        f"encoder.num_latent = {model.num_latent}",
        f"encoder.encoder_fn = @{networks[0]}",
        f"decoder.decoder_fn = @{networks[1]}",
        *(f"{name}.{key} = {value!r}" for key, value in own.items()),
    ]


def described_training(settings: TrainingSettings, learning_rate: Any) -> list[str]:
    """Bindings of the plain settings under `model`, and the learning rate if it is a number."""
    lines = [
        f"model.{field.name} = {value!r}"
        for field in dataclasses.fields(settings)
        if isinstance(value := getattr(settings, field.name), _PLAIN) and field.name != "built"
    ]
    if isinstance(learning_rate, int | float):
        groups = settings.model.parameter_groups()
        lines += [f"{group}_optimizer.learning_rate = {learning_rate!r}" for group in groups]
    return lines


def described_data(data: GroundTruthData) -> list[str]:
    """Bindings of a data set that `load_dataset` made; none of another."""
    made = plugins.made_with(data)
    if made is None:
        return []
    name, options = made
    bound = {"name": name, **options}
    return [f"dataset.{key} = {_plain_text(value)}" for key, value in bound.items()]


def described_pairs(data: GroundTruthData | PairedData) -> list[str]:
    """Bindings of how observations are paired; none of a data set that is no pairs."""
    if not isinstance(data, PairedData):
        return []
    return [f"{key} = {_plain_text(value)}" for key, value in data.described().items()]


def _plain_text(value: Any) -> str:
    return repr(value if isinstance(value, (*_PLAIN, list, tuple, dict)) else str(value))


def _registered_name(kind: type) -> str | None:
    for name, found in plugins.load().found["models"].items():
        if (found.__module__, found.__qualname__) == (kind.__module__, kind.__qualname__):
            return name
    return None


def _network_name(given: Any, known: Mapping[str, Any], default: str) -> str | None:
    if given is None:
        return default
    if isinstance(given, str):
        return given
    return next((name for name, function in known.items() if function is given), None)
