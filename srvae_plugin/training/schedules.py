"""Learning rates that change with the step, under TensorFlow's names and by its formulas.

As in disentanglement_lib a schedule is bound without parentheses, since it is called at each step::

    vae_optimizer.learning_rate = @exponential_decay
    exponential_decay.learning_rate = 1e-3
    exponential_decay.decay_steps = 10000
    exponential_decay.decay_rate = 0.9

`global_step` counts the updates done, from 0. Rates are computed in double precision, TensorFlow's
in single. disentanglement_lib counts FactorVAE's two optimizers separately, so that its step 2n is
n here. None of them knows `model.training_steps`: a training that goes on keeps its schedule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gin
from torch.optim import Optimizer

__all__ = [
    "Schedule",
    "cosine_decay",
    "exponential_decay",
    "inverse_time_decay",
    "is_scheduled",
    "linear_warmup",
    "natural_exp_decay",
    "piecewise_constant",
    "polynomial_decay",
    "schedule",
    "set_learning_rates",
]

Schedule = Callable[..., float]
_SCHEDULE = "_srvae_schedule"


def schedule(optimizer: Optimizer, rate_at: Schedule) -> None:
    """Have an optimizer's learning rate follow `rate_at(global_step=...)`."""
    setattr(optimizer, _SCHEDULE, rate_at)


def is_scheduled(optimizer: Optimizer) -> bool:
    """Whether an optimizer's learning rate follows a schedule."""
    return hasattr(optimizer, _SCHEDULE)


def set_learning_rates(optimizers: Mapping[str, Optimizer], step: int) -> None:
    """Give those optimizers that follow a schedule the rate of the update after `step` updates.

    Raises:
        ValueError: a rate is negative or not finite.
    """
    for name, optimizer in optimizers.items():
        rate_at: Any = getattr(optimizer, _SCHEDULE, None)
        if rate_at is None:
            continue
        rate = float(rate_at(global_step=step))
        if not 0 <= rate < math.inf:
            raise ValueError(
                f"{name}_optimizer.learning_rate is {rate:g} at step {step}: expected a finite "
                "number of at least 0"
            )
        for group in optimizer.param_groups:
            group["lr"] = rate


def _periods(global_step: int, decay_steps: float, staircase: bool) -> float:
    if not decay_steps > 0:
        raise ValueError(f"decay_steps = {decay_steps}: expected above 0")
    periods = global_step / decay_steps
    return math.floor(periods) if staircase else periods


@gin.register(module="srvae_plugin", denylist=["global_step"])
def exponential_decay(
    learning_rate: float,
    decay_steps: int,
    decay_rate: float,
    staircase: bool = False,
    global_step: int = 0,
) -> float:
    """`learning_rate * decay_rate ** (step / decay_steps)`; staircase rounds the exponent down."""
    return learning_rate * decay_rate ** _periods(global_step, decay_steps, staircase)


@gin.register(module="srvae_plugin", denylist=["global_step"])
def natural_exp_decay(
    learning_rate: float,
    decay_steps: int,
    decay_rate: float,
    staircase: bool = False,
    global_step: int = 0,
) -> float:
    """`learning_rate * exp(-decay_rate * step / decay_steps)`."""
    return learning_rate * math.exp(-decay_rate * _periods(global_step, decay_steps, staircase))


@gin.register(module="srvae_plugin", denylist=["global_step"])
def inverse_time_decay(
    learning_rate: float,
    decay_steps: int,
    decay_rate: float,
    staircase: bool = False,
    global_step: int = 0,
) -> float:
    """`learning_rate / (1 + decay_rate * step / decay_steps)`."""
    return learning_rate / (1 + decay_rate * _periods(global_step, decay_steps, staircase))


@gin.register(module="srvae_plugin", denylist=["global_step"])
def piecewise_constant(
    boundaries: Sequence[int], values: Sequence[float], global_step: int = 0
) -> float:
    """The first value up to and at the first boundary, the second up to and at the second, ...

    Raises:
        ValueError: there is not one value more than boundaries, or these do not ascend.
    """
    if len(values) != len(boundaries) + 1:
        raise ValueError(
            f"piecewise_constant: got {len(boundaries)} boundaries and {len(values)} values; "
            "expected one value more"
        )
    if list(boundaries) != sorted(boundaries):
        raise ValueError(f"piecewise_constant.boundaries = {boundaries}: expected ascending steps")
    return values[sum(global_step > boundary for boundary in boundaries)]


@gin.register(module="srvae_plugin", denylist=["global_step"])
def polynomial_decay(
    learning_rate: float,
    decay_steps: int,
    end_learning_rate: float = 0.0001,
    power: float = 1.0,
    cycle: bool = False,
    global_step: int = 0,
) -> float:
    """From `learning_rate` to `end_learning_rate` by `(1 - step / decay_steps) ** power`.

    It stays at the end, or with `cycle` goes on in periods of 2, 3, ... times `decay_steps`.
    """
    _periods(global_step, decay_steps, False)
    length = decay_steps * max(1, math.ceil(global_step / decay_steps)) if cycle else decay_steps
    done = min(global_step, length) / length
    return (learning_rate - end_learning_rate) * (1 - done) ** power + end_learning_rate


@gin.register(module="srvae_plugin", denylist=["global_step"])
def cosine_decay(
    learning_rate: float, decay_steps: int, alpha: float = 0.0, global_step: int = 0
) -> float:
    """Half a cosine from `learning_rate` to `alpha * learning_rate` (Loshchilov & Hutter, 2017)."""
    done = min(_periods(global_step, decay_steps, False), 1.0)
    return learning_rate * ((1 - alpha) * (1 + math.cos(math.pi * done)) / 2 + alpha)


@gin.register(module="srvae_plugin", denylist=["global_step"])
def linear_warmup(learning_rate: float, warmup_steps: int, global_step: int = 0) -> float:
    """`learning_rate * (step + 1) / warmup_steps` until that is `learning_rate`; not TensorFlow's.

    The first update has a rate above 0.
    """
    return learning_rate * min(1.0, _periods(global_step + 1, warmup_steps, False))
