"""Optimizers under disentanglement_lib's gin names.

Parameter group `g` of a model is trained by what gin binds to `g_optimizer.optimizer_fn`
(`vae_optimizer`, `discriminator_optimizer`; a plug-in registers one of its own for a group of
another name).
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gin
from torch import nn
from torch.optim import Adam, Optimizer

logger = logging.getLogger("srvae_plugin")

_FUSED = ("cpu", "cuda", "mps")
"""Devices on which torch updates all parameters in one pass."""


@functools.cache
def _say_ignored(parameter: str) -> None:
    """Log it once a process."""
    logger.info("AdamOptimizer.%s concerns TensorFlow only: ignored", parameter)


@gin.register("AdamOptimizer", module="srvae_plugin", denylist=["parameters"])
def adam_optimizer(
    parameters: Iterable[nn.Parameter],
    learning_rate: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    use_locking: bool | None = None,
    name: str | None = None,
) -> Optimizer:
    """Adam with TensorFlow's argument names; `use_locking` and `name` are accepted and ignored.

    TensorFlow adds epsilon to sqrt(v) before the bias correction, torch after it; with the
    usual 1e-8 the difference is in the noise. Raises ValueError for a learning rate that is not
    positive.
    """
    if not learning_rate > 0:
        raise ValueError(f"AdamOptimizer.learning_rate = {learning_rate}: expected above 0")
    for key, value in (("use_locking", use_locking), ("name", name)):
        if value is not None:
            _say_ignored(key)
    parameters = list(parameters)
    fused = all(p.device.type in _FUSED and p.is_floating_point() for p in parameters)
    return Adam(parameters, lr=learning_rate, betas=(beta1, beta2), eps=epsilon, fused=fused)


def _make(
    parameters: Iterable[nn.Parameter],
    optimizer_fn: Callable[..., Any],
    learning_rate: float | None,
) -> Optimizer:
    if learning_rate is None:
        return optimizer_fn(parameters)
    return optimizer_fn(parameters, learning_rate=learning_rate)


@gin.register("vae_optimizer", module="srvae_plugin", denylist=["parameters"])
def make_vae_optimizer(
    parameters: Iterable[nn.Parameter],
    optimizer_fn: Callable[..., Any] = gin.get_configurable(adam_optimizer),
    learning_rate: float | None = None,
) -> Optimizer:
    """Optimizer of encoder and decoder; `learning_rate` None leaves it to `optimizer_fn`."""
    return _make(parameters, optimizer_fn, learning_rate)


@gin.register("discriminator_optimizer", module="srvae_plugin", denylist=["parameters"])
def make_discriminator_optimizer(
    parameters: Iterable[nn.Parameter],
    optimizer_fn: Callable[..., Any] = gin.get_configurable(adam_optimizer),
    learning_rate: float | None = None,
) -> Optimizer:
    """Optimizer of a discriminator."""
    return _make(parameters, optimizer_fn, learning_rate)


def make_optimizers(groups: Mapping[str, Iterable[nn.Parameter]]) -> dict[str, Optimizer]:
    """One optimizer for each parameter group; frozen parameters in a group stay as they are.

    Raises ValueError for a group without a registered `<group>_optimizer`, and for one without a
    parameter to train.
    """
    optimizers = {}
    for group, parameters in groups.items():
        make, listed = _optimizer_maker(group), list(parameters)
        if not any(parameter.requires_grad for parameter in listed):
            what = "are all frozen (requires_grad is False)" if listed else "are none"
            raise ValueError(
                f"the parameters of the group {group!r} {what}: expected some to train; leave the "
                "group out of parameter_groups() and its objective out of losses()"
            )
        optimizers[group] = make(listed)
    return optimizers


def _optimizer_maker(group: str) -> Callable[..., Any]:
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
