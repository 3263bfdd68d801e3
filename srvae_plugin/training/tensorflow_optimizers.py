"""TensorFlow 1's optimizers under its names and by its formulas, as disentanglement_lib binds them.

`use_locking` and `name` are accepted and ignored, with one log line. The numbers of an update are
TensorFlow's up to rounding, except in Adam, see `adam_optimizer`.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable
from typing import Any

import gin
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, Optimizer

__all__ = [
    "BY_NAME",
    "FUSED",
    "Parameters",
    "TensorFlowRMSProp",
    "adagrad_optimizer",
    "adam_optimizer",
    "gradient_descent_optimizer",
    "momentum_optimizer",
    "rmsprop_optimizer",
]

_log = logging.getLogger("srvae_plugin")

FUSED = ("cpu", "cuda", "mps")
"""Devices on which torch updates all parameters in one pass."""

Parameters = Iterable[nn.Parameter]


@functools.cache
def _say_ignored(parameter: str) -> None:
    """Log it once a process."""
    _log.info("%s concerns TensorFlow only: ignored", parameter)


def _start(optimizer: str, learning_rate: Any, use_locking: bool | None, name: str | None) -> float:
    """Check the rate, and say what is ignored."""
    for key, value in (("use_locking", use_locking), ("name", name)):
        if value is not None:
            _say_ignored(f"{optimizer}.{key}")
    if learning_rate is None:
        raise ValueError(f"{optimizer}.learning_rate is not bound: expected a number above 0")
    if callable(learning_rate):
        raise ValueError(
            f"{optimizer}.learning_rate = {learning_rate!r}: expected a number; bind a schedule "
            "to vae_optimizer.learning_rate"
        )
    if not learning_rate > 0:
        raise ValueError(f"{optimizer}.learning_rate = {learning_rate}: expected above 0")
    return learning_rate


@gin.register("AdamOptimizer", module="srvae_plugin", denylist=["parameters"])
def adam_optimizer(
    parameters: Parameters,
    learning_rate: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    use_locking: bool | None = None,
    name: str | None = None,
) -> Optimizer:
    """Adam with TensorFlow's argument names.

    TensorFlow adds epsilon to sqrt(v) before the bias correction, torch after it; with the
    usual 1e-8 the difference is in the noise.

    Raises:
        ValueError: the learning rate is not positive.
    """
    rate = _start("AdamOptimizer", learning_rate, use_locking, name)
    parameters = list(parameters)
    fused = all(p.device.type in FUSED and p.is_floating_point() for p in parameters)
    return Adam(parameters, lr=rate, betas=(beta1, beta2), eps=epsilon, fused=fused)


@gin.register("GradientDescentOptimizer", module="srvae_plugin", denylist=["parameters"])
def gradient_descent_optimizer(
    parameters: Parameters,
    learning_rate: float | None = None,
    use_locking: bool | None = None,
    name: str | None = None,
) -> Optimizer:
    """Plain gradient descent: `w -= learning_rate * g`."""
    rate = _start("GradientDescentOptimizer", learning_rate, use_locking, name)
    return SGD(parameters, lr=rate)


@gin.register("MomentumOptimizer", module="srvae_plugin", denylist=["parameters"])
def momentum_optimizer(
    parameters: Parameters,
    learning_rate: float | None = None,
    momentum: float = 0.9,
    use_nesterov: bool = False,
    use_locking: bool | None = None,
    name: str | None = None,
) -> Optimizer:
    """Momentum: `m = momentum * m + g; w -= learning_rate * m`.

    `use_nesterov` has `w -= learning_rate * (g + momentum * m)` (Sutskever et al., 2013).
    TensorFlow has no default for `momentum`.
    """
    rate = _start("MomentumOptimizer", learning_rate, use_locking, name)
    return SGD(parameters, lr=rate, momentum=momentum, nesterov=use_nesterov)


@gin.register("AdagradOptimizer", module="srvae_plugin", denylist=["parameters"])
def adagrad_optimizer(
    parameters: Parameters,
    learning_rate: float | None = None,
    initial_accumulator_value: float = 0.1,
    use_locking: bool | None = None,
    name: str | None = None,
) -> Optimizer:
    """Adagrad: `a += g ** 2; w -= learning_rate * g / sqrt(a)`, a being 0.1 at first."""
    rate = _start("AdagradOptimizer", learning_rate, use_locking, name)
    initial = initial_accumulator_value
    if not initial > 0:
        raise ValueError(
            f"AdagradOptimizer.initial_accumulator_value = {initial}: expected above 0"
        )
    return Adagrad(parameters, lr=rate, initial_accumulator_value=initial, eps=0.0)


@gin.register("RMSPropOptimizer", module="srvae_plugin", denylist=["parameters"])
def rmsprop_optimizer(
    parameters: Parameters,
    learning_rate: float | None = None,
    decay: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-10,
    use_locking: bool | None = None,
    centered: bool = False,
    name: str | None = None,
) -> Optimizer:
    """TensorFlow's RMSProp, see `TensorFlowRMSProp`."""
    rate = _start("RMSPropOptimizer", learning_rate, use_locking, name)
    return TensorFlowRMSProp(parameters, rate, decay, momentum, epsilon, centered=centered)


class TensorFlowRMSProp(Optimizer):
    """RMSProp (Tieleman & Hinton, 2012) as TensorFlow 1 has it.

    ``s = decay * s + (1 - decay) * g ** 2``, s being 1 at first;
    ``m = momentum * m + lr * g / sqrt(s + epsilon)``; ``w -= m``. Centered, the square of a mean of
    g, 0 at first, is subtracted from s under the root. torch's begins with s = 0, adds epsilon
    outside the root, and keeps the rate out of m.

    Args:
        parameters: what is trained.
        lr: learning rate.
        decay: of the means.
        momentum: of the update.
        epsilon: under the root.
        centered: divide by the standard deviation of g, not by its root mean square.
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float,
        decay: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-10,
        *,
        centered: bool = False,
    ) -> None:
        settings = {"lr": lr, "decay": decay, "momentum": momentum}
        super().__init__(parameters, {**settings, "epsilon": epsilon, "centered": centered})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["mean_square"] = torch.ones_like(parameter)
            state["momentum"] = torch.zeros_like(parameter)
            if group["centered"]:
                state["mean"] = torch.zeros_like(parameter)
        share = 1 - group["decay"]
        square = state["mean_square"]
        square.mul_(group["decay"]).addcmul_(gradient, gradient, value=share)
        under = square + group["epsilon"]
        if group["centered"]:
            state["mean"].mul_(group["decay"]).add_(gradient, alpha=share)
            under.addcmul_(state["mean"], state["mean"], value=-1)
        moved = state["momentum"].mul_(group["momentum"])
        moved.addcdiv_(gradient, under.sqrt_(), value=group["lr"])
        parameter.sub_(moved)


BY_NAME: dict[str, Callable[..., Optimizer]] = {
    "AdamOptimizer": adam_optimizer,
    "AdagradOptimizer": adagrad_optimizer,
    "GradientDescentOptimizer": gradient_descent_optimizer,
    "MomentumOptimizer": momentum_optimizer,
    "RMSPropOptimizer": rmsprop_optimizer,
}
"""All of them, by TensorFlow's names."""
