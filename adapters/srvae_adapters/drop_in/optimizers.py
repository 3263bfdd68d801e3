"""`methods.shared.optimizers`: optimizers with TensorFlow's `minimize`, of torch.

disentanglement_lib's functions make an optimizer before there is anything to train; which
variables it trains follows from the loss. So it is here: a loss is a function without arguments,
and the leaves of its result that need a gradient are trained.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import gin
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from srvae_plugin.training import optimizers
from srvae_plugin.training.schedules import set_learning_rates

__all__ = ["Minimizer", "make_discriminator_optimizer", "make_optimizer", "make_vae_optimizer"]


class Minimizer:
    """An optimizer that learns from the loss what it trains.

    Args:
        make: makes a torch optimizer of parameters.
    """

    def __init__(self, make: Callable[[Sequence[Tensor]], Optimizer]) -> None:
        self._make = make
        self._optimizer: Optimizer | None = None
        self._steps = 0

    def minimize(
        self,
        loss: Callable[[], Tensor],
        global_step: Tensor | None = None,
        var_list: Sequence[Tensor] | None = None,
    ) -> Callable[[], None]:
        """A function that takes one step each time it is called.

        Args:
            loss: function without arguments that returns a scalar.
            global_step: a tensor that each step adds 1 to; None: none.
            var_list: what to train. None: the leaves of the loss that need a gradient.
        """

        def step() -> None:
            value = loss()
            trained = list(_leaves(value) if var_list is None else var_list)
            optimizer = self._of(trained)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            _leave_alone(optimizer, trained)
            set_learning_rates({"vae": optimizer}, self._steps)
            optimizer.step()
            self._steps += 1
            if global_step is not None:
                with torch.no_grad():
                    global_step.add_(1)

        return step

    def _of(self, trained: Sequence[Tensor]) -> Optimizer:
        if self._optimizer is None:
            self._optimizer = self._make(trained)
        held = {id(tensor) for tensor in _held(self._optimizer)}
        if others := [tensor for tensor in trained if id(tensor) not in held]:
            self._optimizer.add_param_group({"params": others})
        return self._optimizer

    @property
    def _learning_rate_tensor(self) -> float:
        """The rate of the next step, by the original's name."""
        # Before the first step nobody knows what is trained.
        optimizer = self._optimizer or self._make([nn.Parameter(torch.zeros(1))])
        set_learning_rates({"vae": optimizer}, self._steps)
        return float(optimizer.param_groups[0]["lr"])


def _held(optimizer: Optimizer) -> list[Tensor]:
    return [tensor for group in optimizer.param_groups for tensor in group["params"]]


def _leave_alone(optimizer: Optimizer, trained: Sequence[Tensor]) -> None:
    """Drop the gradients of what a step of another loss trains."""
    chosen = {id(tensor) for tensor in trained}
    for tensor in _held(optimizer):
        if id(tensor) not in chosen:
            tensor.grad = None


def _leaves(value: Tensor) -> list[Tensor]:
    """The leaves that a value was computed from and that need a gradient, each once."""
    found, seen, waiting = [], set(), [value.grad_fn]
    while waiting:
        node: Any = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        waiting += [function for function, _ in node.next_functions]
    return found


def make_optimizer(optimizer_fn: Callable[..., Any], learning_rate: Any) -> Minimizer:
    """Optimizer with a learning rate: a number, a schedule, or None for its own."""
    return Minimizer(
        lambda parameters: optimizers.make_optimizer(parameters, optimizer_fn, learning_rate)  # type: ignore[arg-type]
    )


def make_vae_optimizer(**settings: Any) -> Minimizer:
    """The optimizer that gin binds to `vae_optimizer`; `settings` are its parameters."""
    configured = gin.get_configurable(optimizers.make_vae_optimizer)
    return Minimizer(functools.partial(configured, **settings))


def make_discriminator_optimizer(**settings: Any) -> Minimizer:
    """The optimizer that gin binds to `discriminator_optimizer`."""
    configured = gin.get_configurable(optimizers.make_discriminator_optimizer)
    return Minimizer(functools.partial(configured, **settings))
