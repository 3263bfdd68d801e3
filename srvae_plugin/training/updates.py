"""One update of the parameters: gradients of every objective, then every optimizer's step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from srvae_plugin.models.base import Losses

__all__ = ["Clipping", "compiled", "update_parameters"]


def compiled(losses: Callable[[Tensor, Any], Losses]) -> Callable[[Tensor, Any], Losses]:
    """Compile the losses so that their graph can be backpropagated through once per objective.

    By default torch may donate its buffers to the first backward pass and then refuse a second,
    which FactorVAE needs.
    """
    import torch._functorch.config as functorch

    fast = torch.compile(losses)

    def compute(x: Tensor, step: Any) -> Losses:
        with functorch.patch(donated_buffer=False):  # read when a graph is made, here
            return fast(x, step)

    return compute


class Clipping(NamedTuple):
    """Limits on gradients; 0 for none.

    norm: of all the parameters of one optimizer together.
    value: of each number, cut before the norm is taken.
    """

    norm: float = 0.0
    value: float = 0.0

    def apply(self, parameters: list[Tensor]) -> None:
        """Shorten the gradients in place; nothing is read back from the device."""
        if self.value:
            nn.utils.clip_grad_value_(parameters, self.value)
        if self.norm:
            nn.utils.clip_grad_norm_(parameters, self.norm)


def update_parameters(
    objectives: dict[str, Tensor],
    optimizers: dict[str, Optimizer],
    clipping: Clipping = Clipping(),  # noqa: B008 (a tuple)
) -> None:
    """Step every optimizer on the gradient of its own objective, all taken before any step.

    Args:
        objectives: one scalar for each optimizer, by the name of its parameter group.
        optimizers: by the same names.
        clipping: of each optimizer's gradient.

    Raises:
        ValueError: an objective depends on none of its group's parameters.
    """
    for position, (group, objective) in enumerate(objectives.items(), 1):
        of_group = [p for g in optimizers[group].param_groups for p in g["params"]]
        parameters = [p for p in of_group if p.requires_grad]
        if not parameters or not objective.requires_grad:
            raise ValueError(
                f"the objective {group!r} depends on no trainable parameter: expected some with "
                f"requires_grad in the group {group!r} of parameter_groups(), and losses() to use "
                "them, not detached"
            )
        gradients = torch.autograd.grad(
            objective, parameters, retain_graph=position < len(objectives), allow_unused=True
        )
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is None:  # not used by this objective: the optimizer leaves it alone
                parameter.grad = None
                continue
            # torch's fused Adam goes through both in memory order, whatever their strides are.
            same = gradient.stride() == parameter.stride()
            parameter.grad = gradient if same else torch.empty_like(parameter).copy_(gradient)
        clipping.apply(parameters)
    for optimizer in optimizers.values():
        optimizer.step()
