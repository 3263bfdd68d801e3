"""A model and its training as gin has them, so that every command can read a run made in Python."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from srvae_plugin.config import plugins
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.pairs import PairedData
from srvae_plugin.models.base import DisentanglementModel, Shape
from srvae_plugin.models.networks.choice import DECODERS, ENCODERS, default_names
from srvae_plugin.training.optimizers import torch_optimizers
from srvae_plugin.training.plain import described_value
from srvae_plugin.training.settings import TrainingSettings

__all__ = [
    "described_data",
    "described_model",
    "described_pairs",
    "described_training",
    "registered_name",
    "require_rebuilt",
    "why_not_rebuilt",
]

_NOT_REBUILT = "# not rebuilt from this file: "
_PLAIN = (bool, int, float, str, type(None))
_NETWORKS = ("encoder", "decoder")


class _NotDescribedError(Exception):
    """Something that no text stands for; it says what."""


class _Named(NamedTuple):
    """A class or function by the name that gin has for it, and what is bound to it."""

    name: str
    imports: tuple[str, ...] = ()
    bindings: tuple[str, ...] = ()


def described_model(model: DisentanglementModel, shape: Shape) -> list[str]:
    """Lines that build the model again; one comment that says why, if there can be none.

    Classes and functions of the user's are named by their module, which a line imports: whoever
    reads the run has to import it, too.
    """
    try:
        return _described(model, shape)
    except _NotDescribedError as error:
        return [f"{_NOT_REBUILT}{error}"]


def why_not_rebuilt(config: str) -> str:
    """Why no model can be built from the text of a configuration; empty if one can."""
    lines = (line for line in config.splitlines() if line.startswith(_NOT_REBUILT))
    return next(lines, "").removeprefix(_NOT_REBUILT)


def require_rebuilt(config: str, run: Any) -> None:
    """Raise ValueError if the model of a run cannot be built from its configuration."""
    if why := why_not_rebuilt(config):
        raise ValueError(
            f"{run} does not say how to build its model ({why}): make one in the same way and pass "
            f"it, load_run({str(run)!r}, model=...)"
        )


def _described(model: DisentanglementModel, shape: Shape) -> list[str]:
    kind = type(model)
    registered = registered_name(kind)
    named = _Named(registered) if registered else _own("the model", kind)
    args, kwargs = model.made_with
    given = dict(inspect.signature(kind).bind_partial(*args, **kwargs).arguments)
    networks: list[_Named] = []
    lines = []
    if kind.__module__.startswith("srvae_plugin."):  # the networks are bound for all of ours alike
        for role, known, default in zip(
            _NETWORKS, (ENCODERS, DECODERS), default_names(shape), strict=True
        ):
            networks.append(_network(role, given.pop(role, None) or default, known))
            lines.append(f"{role}.{role}_fn = @{networks[-1].name}")
        given.pop("num_latent", None)
        lines.insert(0, f"encoder.num_latent = {model.num_latent}")
    for key, value in given.items():
        if callable(value):
            networks.append(_network(key, value, {**ENCODERS, **DECODERS}))
            lines.append(f"{named.name}.{key} = @{networks[-1].name}")
        elif _is_plain(value):
            lines.append(f"{named.name}.{key} = {value!r}")
        else:
            raise _NotDescribedError(f"the argument {key} was given as a {type(value).__name__}")
    imports = sorted({line for each in (named, *networks) for line in each.imports})
    bindings = [line for each in networks for line in each.bindings]
    keys = [line.partition(" = ")[0] for line in dict.fromkeys(bindings)]
    if len(keys) > len(set(keys)):
        raise _NotDescribedError("two networks are the same function with other settings")
    return [*imports, f"model.model = @{named.name}()", *lines, *dict.fromkeys(bindings)]


def _network(role: str, given: Any, known: Mapping[str, Callable[..., Any]]) -> _Named:
    """A network by name, as a class or a function, or as one of these with settings."""
    if isinstance(given, str):
        return _Named(given)
    if isinstance(given, nn.Module):
        raise _NotDescribedError(
            f"the {role} was given as an object, a {type(given).__name__}; its class or a function "
            "that makes one could be named"
        )
    if isinstance(given, functools.partial):
        found = _network(role, given.func, known)
        if given.args or not all(map(_is_plain, given.keywords.values())):
            raise _NotDescribedError(f"the {role} has settings that no text stands for")
        return found._replace(
            bindings=tuple(f"{found.name}.{k} = {v!r}" for k, v in given.keywords.items())
        )
    name = next((name for name, function in known.items() if function is given), None)
    return _Named(name) if name else _own(f"the {role}", given)


def _own(what: str, given: Any) -> _Named:
    """A class or a function of the user's that can be imported."""
    module, name = getattr(given, "__module__", None), getattr(given, "__qualname__", "")
    if module == "__main__" or "<" in name:
        raise _NotDescribedError(
            f"{what} {name} is defined in a script, a notebook or a function; in a module of its "
            "own it could be imported"
        )
    if "." in name or not module or getattr(sys.modules.get(module), name, None) is not given:
        raise _NotDescribedError(f"{what} {name or given!r} cannot be imported by its name")
    return _Named(f"{module}.{name}", (f"import {module}",))


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)


def described_training(settings: TrainingSettings, optimizer: Any, learning_rate: Any) -> list[str]:
    """Bindings of the plain settings under `model`, of optimizers and learning rates.

    What gin has no name for, such as a function that makes an optimizer, is described by a macro
    called `optimizer` or `learning_rate`: runs that differ in it are not seeds of one model.
    """
    lines = [
        f"model.{field.name} = {value!r}"
        for field in dataclasses.fields(settings)
        if isinstance(value := getattr(settings, field.name), _PLAIN) and field.name != "built"
    ]
    groups = [f"{group}_optimizer" for group in settings.model.parameter_groups()]
    name = optimizer if isinstance(optimizer, str) else getattr(optimizer, "__name__", "")
    if optimizer == name or torch_optimizers().get(name) is optimizer:
        # torch's Adam by its name is ours, gin's default.
        lines += [f"{g}.optimizer_fn = @{name}" for g in groups if optimizer != "Adam"]
    else:
        lines.append(f"optimizer = {described_value(optimizer)!r}")
    if isinstance(learning_rate, int | float):
        lines += [f"{group}.learning_rate = {learning_rate!r}" for group in groups]
    elif learning_rate is not None:
        lines.append(f"learning_rate = {described_value(learning_rate)!r}")
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


def registered_name(kind: type) -> str | None:
    """The name that gin knows a model class by; None for one that is no plug-in."""
    for name, found in plugins.load().found["models"].items():
        if (found.__module__, found.__qualname__) == (kind.__module__, kind.__qualname__):
            return name
    return None
