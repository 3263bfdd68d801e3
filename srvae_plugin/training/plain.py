"""What `loop.train` takes, made of a model, data and a few numbers; gin takes no part."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from types import CellType, FunctionType
from typing import Any, NamedTuple

import numpy as np
from torch import nn
from torch.optim import Optimizer

from srvae_plugin.config.data_record import record_of
from srvae_plugin.config.plugins import nearest
from srvae_plugin.config.text import with_record
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.own.from_python import as_data, loader_batch_size
from srvae_plugin.data.own.image_scale import extent
from srvae_plugin.data.sampling.pairs import PairedData, plain_data
from srvae_plugin.data.sampling.seeds import Seed, seed_of
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.models.vae import BaseVAE
from srvae_plugin.training.optimizers import Rate, optimizers_from
from srvae_plugin.training.settings import TrainingSettings, shape_of

__all__ = ["Prepared", "described_value", "prepared"]

_BATCH_SIZE, _LOOKED_AT = 64, 256
_FEWEST_EVALUATED, _MOST_EVALUATED = 10, 1000
_OWN = ("model", "training_steps", "random_seed", "batch_size", "optimizers", "built")
"""Settings that are arguments under other names, or follow from them."""
_ARGUMENTS: tuple[str, ...] = ("steps", "batch_size", "learning_rate", "seed", "optimizer")
_ARGUMENTS += ("evaluate_every", "metrics", "init_from", "keep_every", "resume", "overwrite")
_CALLED_ELSEWHERE = {"lr": "learning_rate", "epochs": "steps", "max_steps": "steps"}
_PLAIN = (bool, int, float, str, tuple, type(None))


class Prepared(NamedTuple):
    """What `loop.train` takes.

    settings, data: see there.
    config: text that says what is trained and how, to tell whether a checkpoint is of the same.
    """

    settings: TrainingSettings
    data: GroundTruthData | PairedData
    config: str


def prepared(
    model: DisentanglementModel,
    data: Any,
    *,
    steps: int,
    batch_size: int | None = None,
    learning_rate: Rate = None,
    optimizer: str | Optimizer | Callable[..., Any] = "Adam",
    seed: Seed = 0,
    **settings: Any,
) -> Prepared:
    """Check and convert what a training is given; see `srvae_plugin.train`.

    Raises:
        ValueError: an argument cannot be used.
    """
    _require_known(settings)
    of_loader = loader_batch_size(data)
    if None not in (batch_size, of_loader) and batch_size != of_loader:
        raise ValueError(
            f"batch_size = {batch_size}: the DataLoader has {of_loader}; leave one of them out"
        )
    plain = as_data(data)
    _require_range(model, plain)
    ready = isinstance(optimizer, Optimizer)
    if ready and not any(True for _ in model.parameters()):
        raise ValueError(
            "optimizer: the model has no parameters yet; call model.build(shape) before making "
            f"an optimizer of them, here model.build({shape_of(plain)})"
        )
    if not (
        learning_rate is None or callable(learning_rate) or hasattr(learning_rate, "__float__")
    ):
        raise ValueError(f"learning_rate = {learning_rate!r}: expected a number, or a function")
    if isinstance(steps, bool) or not hasattr(steps, "__index__"):
        raise ValueError(f"steps = {steps!r}: expected a whole number")
    settings.setdefault("eval_steps", min(max(steps // 10, _FEWEST_EVALUATED), _MOST_EVALUATED))
    made = TrainingSettings(
        model=model,
        training_steps=steps,
        random_seed=seed_of(seed),
        batch_size=of_loader or _BATCH_SIZE if batch_size is None else batch_size,
        optimizers=functools.partial(optimizers_from, optimizer, learning_rate),
        built=ready,
        **settings,
    )
    source = model.training_data(plain)
    lines = _described_model(model) + _described_settings(made)
    lines += [
        f"optimizer = {described_value(optimizer)!r}",
        f"learning_rate = {described_value(learning_rate)!r}",
    ]
    if isinstance(source, PairedData):
        described = source.described()  # what gin has no binding for counts, too
        lines += [f"{key.removeprefix('# ')} = {value!r}" for key, value in described.items()]
    record = record_of(plain_data(plain))
    return Prepared(made, source, with_record("\n".join(lines), record))


def _require_known(settings: Iterable[str]) -> None:
    fields = [field.name for field in dataclasses.fields(TrainingSettings)]
    others = [name for name in fields if name not in (*_OWN, *_ARGUMENTS)]
    for name in settings:
        if name not in fields or name in _OWN:
            meant = _CALLED_ELSEWHERE.get(name, name)
            raise ValueError(
                f"unknown setting {name!r}{nearest(meant, (*_ARGUMENTS, *others))}; other known "
                f"settings: {', '.join(others)}"
            )


def _require_range(model: DisentanglementModel, data: GroundTruthData) -> None:
    """Refuse vectors outside [0, 1] for a model of ours whose loss is of values inside."""
    if not isinstance(model, BaseVAE) or tuple(data.observation_shape)[:2] != (1, 1):
        return
    likelihood = getattr(model, "likelihood", None)
    given = model.made_with[1].get("reconstruction_loss")
    if likelihood == "linear_mse" or model._activation == "linear" or callable(given):
        return
    whole = getattr(data, "extent", None)
    low, high = whole or extent(data.sample_observations(_LOOKED_AT, np.random.RandomState(0)))
    if low < 0 or high > 1:
        raise ValueError(
            f"data: got vectors with values {low:g} to {high:g}, and the loss of "
            f"{type(model).__name__} is of values in [0, 1]: scale them, or take a VAE with "
            "reconstruction_loss='linear_mse'"
        )


def _described_model(model: DisentanglementModel) -> list[str]:
    """Its class and arguments: attributes of their names as they are now, others as given."""
    signature = inspect.signature(type(model))
    now = {k: v for k, v in vars(model).items() if k in signature.parameters}
    plain = {k: v for k, v in now.items() if isinstance(v, _PLAIN)}
    args, kwargs = model.made_with
    given = signature.bind_partial(*args, **kwargs).arguments
    plain |= {k: described_value(v) for k, v in given.items() if k not in plain and v is not None}
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    return [f"model.model = {kind!r}", *(f"model.model.{k} = {v!r}" for k, v in plain.items())]


def _described_settings(settings: TrainingSettings) -> list[str]:
    fields = [f.name for f in dataclasses.fields(settings) if f.name not in ("model", "callbacks")]
    values = {name: getattr(settings, name) for name in fields}
    return [f"model.{k} = {v!r}" for k, v in values.items() if isinstance(v, _PLAIN)]


def described_value(value: Any) -> Any:
    """An argument as plain data or a text, the same in the next process."""
    if isinstance(value, Optimizer):
        return f"{type(value).__name__} {sorted(value.defaults.items(), key=str)}"
    if isinstance(value, functools.partial):
        return f"{described_value(value.func)} {value.args} {sorted(value.keywords.items())}"
    if isinstance(value, nn.Module):
        layers = re.sub(r"0x[0-9a-fA-F]+", "", " ".join(repr(value).split()))
        return f"{type(value).__module__}.{type(value).__qualname__} {layers}"
    if callable(value):
        inside = _inside(value) if inspect.isfunction(value) else ()
        return f"{_name(value)} {inside}" if inside else _name(value)
    return value


def _name(function: Any) -> str:
    name = getattr(function, "__qualname__", type(function))
    return f"{getattr(function, '__module__', '')}.{name}"


def _inside(function: FunctionType, within: Sequence[Any] = ()) -> tuple[Any, ...]:
    """The numbers, defaults and kept values of a function that its name does not tell from others.

    Of what it keeps, numbers, words and functions count; other things may change while it is used.
    """
    if "<" not in function.__qualname__ or function in within:
        return ()
    code = function.__code__
    numbers = tuple(each for each in code.co_consts if isinstance(each, int | float))
    defaults = tuple(_kept(each, within) for each in function.__defaults__ or ())
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    kept = tuple((name, _kept(cell, (*within, function))) for name, cell in cells)
    return numbers, defaults, kept


def _kept(value: Any, within: Sequence[Any]) -> Any:
    if isinstance(value, CellType):
        try:
            return _kept(value.cell_contents, within)
        except ValueError:  # it is assigned later
            return None
    if isinstance(value, tuple):
        return tuple(_kept(each, within) for each in value)
    if inspect.isfunction(value):
        return (_name(value), *_inside(value, within))
    return value if isinstance(value, int | float | str | None) else type(value).__name__
