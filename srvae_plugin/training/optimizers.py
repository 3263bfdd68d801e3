"""Which optimizer trains which parameters.

Parameter group `g` of a model is trained by what gin binds to `g_optimizer.optimizer_fn`
(`vae_optimizer`, `discriminator_optimizer`; a plug-in registers one of its own for a group of
another name): TensorFlow's names, see `srvae_plugin.training.tensorflow_optimizers`, or the name of
any optimizer of torch's, with torch's arguments::

    vae_optimizer.optimizer_fn = @AdamW
    AdamW.lr = 1e-4
    AdamW.weight_decay = 0.01

Without gin, `optimizers_from` takes a name, a class, a function or an optimizer itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gin
import torch
from torch import nn
from torch.optim import Optimizer

from srvae_plugin.config.plugins import nearest
from srvae_plugin.training import tensorflow_optimizers
from srvae_plugin.training.schedules import Schedule, schedule
from srvae_plugin.training.tensorflow_optimizers import adam_optimizer

__all__ = [
    "Groups",
    "Rate",
    "make_discriminator_optimizer",
    "make_information_optimizer",
    "make_optimizer",
    "make_optimizers",
    "make_vae_optimizer",
    "optimizers_from",
    "torch_optimizers",
]

Groups = Mapping[str, Iterable[nn.Parameter]]
Rate = float | Schedule | None
_UNFIT = ("Optimizer", "LBFGS", "SparseAdam")
"""Names in torch.optim that need more than a gradient: a closure, or a sparse one."""


def torch_optimizers() -> dict[str, type[Optimizer]]:
    """The classes of torch.optim that are registered with gin, by name."""
    found = {name: getattr(torch.optim, name) for name in dir(torch.optim)}
    return {
        name: kind
        for name, kind in found.items()
        if isinstance(kind, type) and issubclass(kind, Optimizer) and name not in _UNFIT
    }


for _name, _kind in torch_optimizers().items():
    gin.register(_name, module="srvae_plugin", denylist=["params"])(_kind)


def make_optimizer(
    parameters: Iterable[nn.Parameter],
    optimizer_fn: Callable[..., Any],
    learning_rate: Rate = None,
) -> Optimizer:
    """Make one optimizer; disentanglement_lib's `make_optimizer`, with the parameters.

    Args:
        parameters: what it trains.
        optimizer_fn: an optimizer's class, or a function of `parameters` and `learning_rate`.
        learning_rate: a number; a function of `global_step`, see
            `srvae_plugin.training.schedules`; None leaves it to `optimizer_fn`.

    Raises:
        ValueError: the optimizer refuses its arguments.
    """
    rate: dict[str, Any] = {}
    if learning_rate is not None:
        key = "lr" if _takes_lr(optimizer_fn) else "learning_rate"
        rate[key] = learning_rate(global_step=0) if callable(learning_rate) else learning_rate
    optimizer = optimizer_fn(parameters, **rate)
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"{optimizer_fn!r} made {optimizer!r}: expected a torch optimizer")
    if callable(learning_rate):
        schedule(optimizer, learning_rate)
    return optimizer


def _takes_lr(optimizer_fn: Callable[..., Any]) -> bool:
    if isinstance(optimizer_fn, type) and issubclass(optimizer_fn, Optimizer):
        return True
    try:
        parameters = inspect.signature(optimizer_fn).parameters
    except (TypeError, ValueError):
        return False
    return "lr" in parameters and "learning_rate" not in parameters


@gin.register("vae_optimizer", module="srvae_plugin", denylist=["parameters"])
def make_vae_optimizer(
    parameters: Iterable[nn.Parameter],
    optimizer_fn: Callable[..., Any] = gin.get_configurable(adam_optimizer),
    learning_rate: Rate = None,
) -> Optimizer:
    """Optimizer of encoder and decoder, see `make_optimizer`."""
    return make_optimizer(parameters, optimizer_fn, learning_rate)


@gin.register("discriminator_optimizer", module="srvae_plugin", denylist=["parameters"])
def make_discriminator_optimizer(
    parameters: Iterable[nn.Parameter],
    optimizer_fn: Callable[..., Any] = gin.get_configurable(adam_optimizer),
    learning_rate: Rate = None,
) -> Optimizer:
    """Optimizer of a discriminator, see `make_optimizer`."""
    return make_optimizer(parameters, optimizer_fn, learning_rate)


@gin.register("information_optimizer", module="srvae_plugin", denylist=["parameters"])
def make_information_optimizer(
    parameters: Iterable[nn.Parameter],
    optimizer_fn: Callable[..., Any] = gin.get_configurable(adam_optimizer),
    learning_rate: Rate = 0.01,
) -> Optimizer:
    """Optimizer of estimators of mutual information, see `make_optimizer`."""
    return make_optimizer(parameters, optimizer_fn, learning_rate)


def make_optimizers(groups: Groups) -> dict[str, Optimizer]:
    """Make one optimizer for each parameter group, as gin binds them.

    Frozen parameters in a group stay as they are. This is the one place of training where gin is
    asked; `TrainingSettings.optimizers` takes another function in its place.

    Args:
        groups: the parameters of each.

    Raises:
        ValueError: a group has no registered `<group>_optimizer`, or no parameter to train.
    """
    return {g: _registered(g)(_trainable(g, parameters)) for g, parameters in groups.items()}


def optimizers_from(
    optimizer: str | Optimizer | Callable[..., Any], learning_rate: Rate, groups: Groups
) -> dict[str, Optimizer]:
    """Make one optimizer for each parameter group without gin.

    Args:
        optimizer: a name ("Adam", "AdamW", "RMSPropOptimizer", ...), a class, a function of the
            parameters, or an optimizer that holds the parameters of the one group.
        learning_rate: see `make_optimizer`; of an optimizer itself None, which keeps its own.
        groups: the parameters of each.

    Raises:
        ValueError: the name is unknown, or the optimizer does not hold the group's parameters.
    """
    if isinstance(optimizer, Optimizer):
        return _own(optimizer, learning_rate, groups)
    function = _by_name(optimizer) if isinstance(optimizer, str) else optimizer
    made = {}
    for group, parameters in groups.items():
        made[group] = make_optimizer(_trainable(group, parameters), function, learning_rate)
    return made


def _own(optimizer: Optimizer, learning_rate: Rate, groups: Groups) -> dict[str, Optimizer]:
    if len(groups) != 1:
        raise ValueError(
            f"optimizer: got one for a model with the parameter groups {', '.join(groups)}; "
            "expected a class, a function or a name, from which one is made for each"
        )
    if learning_rate is not None:
        raise ValueError(
            f"learning_rate = {learning_rate}: an optimizer that is made has one already; leave "
            "it out, or pass the optimizer's class"
        )
    ((group, parameters),) = groups.items()
    held = {id(p) for each in optimizer.param_groups for p in each["params"]}
    if {id(p) for p in _trainable(group, parameters) if p.requires_grad} - held:
        raise ValueError(
            "optimizer: it does not hold all the model's parameters; make it of "
            "model.parameters() after model.build(shape)"
        )
    return {group: optimizer}


def _by_name(name: str) -> Callable[..., Any]:
    known: dict[str, Callable[..., Any]] = dict(torch_optimizers())
    known["Adam"] = adam_optimizer  # torch's own, fused where it can be
    known.update(tensorflow_optimizers.BY_NAME)
    if name not in known:
        cases = {each.lower(): each for each in known}
        raise ValueError(
            f"optimizer = {name!r}{nearest(cases.get(name.lower(), name), known)}; expected one of "
            f"{', '.join(sorted(known))}"
        )
    return known[name]


def _trainable(group: str, parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    listed = list(parameters)
    if not any(parameter.requires_grad for parameter in listed):
        what = "are all frozen (requires_grad is False)" if listed else "are none"
        raise ValueError(
            f"the parameters of the group {group!r} {what}: expected some to train; leave the "
            "group out of parameter_groups() and its objective out of losses()"
        )
    return listed


def _registered(group: str) -> Callable[..., Any]:
    # Ours by its full name first: disentanglement_lib's has the same short one.
    for selector in (f"srvae_plugin.{group}_optimizer", f"{group}_optimizer"):
        try:
            return gin.get_configurable(selector)
        except ValueError:
            continue
    raise ValueError(
        f"parameter group {group!r} has no optimizer: register a function "
        f"'{group}_optimizer(parameters)' with gin"
    )
