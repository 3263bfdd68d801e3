"""Weights of a trained model as a safetensors file."""

from __future__ import annotations

import contextlib
import copy
import json
import operator
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

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


def load(model: DisentanglementModel, path: Path) -> None:
    """Build a model and load weights; ValueError if they are missing, damaged or do not fit.

    Args:
        model: not built yet.
        path: a file of `training.weights.save_weights`, which has the shape, too.
    """
    manifest.check(path)
    shape = shape_in(path)
    try:
        tensors = load_file(path)
        _require_fit(model, shape, tensors)
        model.build(shape)
        model.load_state_dict(tensors)
    except (
        OSError,
        SafetensorError,
        RuntimeError,
        KeyError,
        TypeError,
        OverflowError,
    ) as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise ValueError(f"weights {path} are missing, damaged or do not fit: {reason}") from None


def _require_fit(model: DisentanglementModel, shape: Shape, tensors: Mapping[str, Tensor]) -> None:
    """Raise RuntimeError unless a model, once built, takes these weights.

    It is tried on torch's meta device, where tensors take no memory: a stranger's configuration
    may ask for any size. What cannot be built there is left to be built in earnest.
    """
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nothing is copied there, torch says of each tensor
        try:
            trial = copy.deepcopy(model)
            trial.build(shape)
        except Exception as error:  # a user's model may do anything
            if "overflow" in str(error).lower():  # of sizes that no computer has
                raise
            return
        with contextlib.suppress(NotImplementedError):  # it reads a value, and there is none
            trial.load_state_dict(tensors)


def require_same(model: DisentanglementModel, path: Path) -> None:
    """Raise ValueError unless a model has the parameters that a file holds."""
    manifest.check(path)
    saved = load_file(path)
    for name, parameter in model.named_parameters():
        own = parameter.detach().cpu()
        if name not in saved or not torch.equal(saved[name], own):
            raise ValueError(
                f"the model in memory differs from the one in {path}: one of them has been trained "
                "further; load_run reads the directory again, sv.score(model, data) scores what is "
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
            f"init_from = '{source}' lies in {run}, which would be overwritten: choose another "
            "output, or copy the weights first"
        )
    if model is None:
        weights_of(source)
    else:
        fitting_weights(model, source)
