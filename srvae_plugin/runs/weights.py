"""Weights of a trained model as a safetensors file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from srvae_plugin.files import replacing
from srvae_plugin.models.base import DisentanglementModel, Shape


def save(model: DisentanglementModel, path: Path, observation_shape: Sequence[int]) -> None:
    """Write weights and the shape they were built for; OSError if it fails."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    metadata = {"observation_shape": json.dumps(list(observation_shape))}
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata)
    except SafetensorError as error:
        raise OSError(f"weights {path} cannot be written (disk full?): {error}") from None


def shape_in(path: Path) -> Shape:
    """(channel, height, width) of the observations that the weights were built for."""
    with safe_open(path, "pt") as file:
        channel, height, width = json.loads(file.metadata()["observation_shape"])
    return channel, height, width


def load(model: DisentanglementModel, path: Path, build: bool = True) -> None:
    """Load weights into a model; ValueError if they are missing, damaged or do not fit.

    Args:
        model: not built yet, unless `build` is false.
        path: a file that `save` wrote.
        build: build the model for the shape in the file.
    """
    try:
        if build:
            model.build(shape_in(path))
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"weights {path} are missing, damaged or do not fit: {reason}") from None
