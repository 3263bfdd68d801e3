"""Weights of a trained model as a safetensors file."""

from __future__ import annotations

import json
import operator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from srvae_plugin.data.storage import manifest
from srvae_plugin.models.base import DisentanglementModel, Shape
from srvae_plugin.training.weights import fitting_weights, weights_file, weights_of

__all__ = ["load", "require_same", "require_start", "shape_in"]


def shape_in(path: Path) -> Shape:
    """(channel, height, width) of the observations that the weights were built for."""
    manifest.check(path)
    try:
        with safe_open(path, "pt") as file:
            shape = json.loads(file.metadata()["observation_shape"])
            channel, height, width = (operator.index(side) for side in shape)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"weights {path} are missing, damaged or do not say their images' shape: {error}"
        ) from None
    return channel, height, width


def load(model: DisentanglementModel, path: Path, build: bool = True) -> None:
    """Load weights into a model; ValueError if they are missing, damaged or do not fit.

    Args:
        model: not built yet, unless `build` is false.
        path: a file of `training.weights.save_weights`.
        build: build the model for the shape in the file.
    """
    manifest.check(path)
    shape = shape_in(path) if build else None
    try:
        if shape is not None:
            model.build(shape)
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"weights {path} are missing, damaged or do not fit: {reason}") from None


def require_same(model: DisentanglementModel, path: Path) -> None:
    """Raise ValueError unless a model has the parameters that a file holds."""
    manifest.check(path)
    saved = load_file(path)
    for name, parameter in model.named_parameters():
        own = parameter.detach().cpu()
        if name not in saved or not torch.equal(saved[name], own):
            raise ValueError(
                f"the model in memory is not the one that {path} holds, one of them was trained "
                "since: load_run reads the directory again, sv.score(model, data) scores what is "
                "in memory"
            )


def require_start(source: str, run: Path, model: DisentanglementModel | None = None) -> None:
    """Raise ValueError unless a training in the directory `run` can start from other weights.

    Args:
        source: see `training.weights.weights_file`.
        run: the run directory, or the training's own, that is made or made anew.
        model: a built model, which they must fit.
    """
    if weights_file(source).resolve().is_relative_to(run.resolve()):
        raise ValueError(
            f"init_from = '{source}' lies in {run}, which is made anew: choose another output, or "
            "copy the weights first"
        )
    if model is None:
        weights_of(source)
    else:
        fitting_weights(model, source)
