"""Checks of what a model is trained by: its losses, their gradients and its parameter groups."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srvae_plugin.models.base import DisentanglementModel, Losses, Shape
from srvae_plugin.testing.building import (
    MakeModel,
    batch_of,
    built,
    images,
    tensor,
)
from srvae_plugin.testing.checks import CheckError, kind_of
from srvae_plugin.training.optimizers import make_optimizers
from srvae_plugin.training.updates import update_parameters

_STEPS = 10


def objectives_have_the_keys_of_the_parameter_groups(make: MakeModel, shape: Shape) -> None:
    """One scalar for each group."""
    model = built(make, shape)
    name = type(model).__name__
    losses = model.losses(batch_of(model, images(shape)), 0)
    if not isinstance(losses, Losses):
        raise CheckError(
            f"{name}.losses() returns {kind_of(losses)}: expected srvae_plugin.Losses(objectives, "
            "logs)"
        )
    keys, expected = sorted(losses.objectives), sorted(model.parameter_groups())
    if keys != expected:
        raise CheckError(
            f"{name}.losses() gives objectives {keys}, {name}.parameter_groups() has {expected}: "
            "expected the same keys; rename the objective or override parameter_groups()"
        )
    for key, value in losses.objectives.items():
        tensor(f"the objective {key!r} of {name}.losses()", value, (), "the mean over the batch")


def every_group_has_an_optimizer(make: MakeModel, shape: Shape) -> None:
    """Group `g` is trained by what gin knows as `g_optimizer`."""
    make_optimizers(built(make, shape).parameter_groups())


def groups_hold_every_parameter_once(make: MakeModel, shape: Shape) -> None:
    """What is in no group is never trained. Frozen ones may be in one, or in none."""
    model = built(make, shape)
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    found: dict[int, str] = {}
    for group, parameters in _groups(model).items():
        for parameter in parameters:
            key = names.get(id(parameter), "a tensor that is not a parameter of the model")
            if id(parameter) in found:
                raise CheckError(
                    f"{key!r} is in the groups {found[id(parameter)]!r} and {group!r} of "
                    "parameter_groups(): expected one"
                )
            if id(parameter) not in names:
                raise CheckError(
                    f"the group {group!r} holds {key}: expected parameters of the model only"
                )
            found[id(parameter)] = group
    for key, parameter in model.named_parameters():
        if parameter.requires_grad and id(parameter) not in found:
            raise CheckError(
                f"the parameter {key!r} is in no group of parameter_groups(): expected one; or "
                "freeze it with requires_grad_(False)"
            )


def losses_are_finite(make: MakeModel, shape: Shape) -> None:
    """For black, white and random images."""
    pictures = {"black": torch.zeros(4, *shape), "white": torch.ones(4, *shape)}
    for kind, x in {**pictures, "random": images(shape)}.items():
        model = built(make, shape)
        losses = model.losses(batch_of(model, x), 0)
        name = f"{type(model).__name__}.losses()"
        for key, value in losses.objectives.items():
            tensor(f"the objective {key!r} of {name} for {kind} images", value)
        for key, log in losses.logs.items():
            log = log.float() if isinstance(log, Tensor) else log
            tensor(f"the log {key!r} of {name} for {kind} images", log)


def logs_can_be_written(make: MakeModel, shape: Shape) -> None:
    """Detached numbers or vectors, the same ones at every step, that agree with each other."""
    model = built(make, shape)
    name = f"{type(model).__name__}.losses()"
    losses, later = (model.losses(batch_of(model, images(shape)), step) for step in (0, 1000))
    logs = losses.logs
    if set(logs) != set(later.logs):
        raise CheckError(
            f"{name} logs {sorted(logs)} at step 0, {sorted(later.logs)} at step 1000: expected "
            "the same names, the columns of scalars.csv"
        )
    for key, value in logs.items():
        if not isinstance(value, Tensor):
            raise CheckError(f"the log {key!r} of {name} is {kind_of(value)}: expected a tensor")
        if value.requires_grad:
            raise CheckError(f"the log {key!r} of {name} has a gradient: expected .detach()")
        if value.ndim > 1:
            raise CheckError(
                f"the log {key!r} of {name} has shape {tuple(value.shape)}: expected a number or "
                "a vector"
            )
    if "kl" in logs and logs["kl"].shape != (model.num_latent,):
        raise CheckError(
            f"the log 'kl' of {name} has shape {tuple(logs['kl'].shape)}: expected "
            f"({model.num_latent},), one per latent"
        )
    _require_agreement(name, losses)


def _require_agreement(name: str, losses: Losses) -> None:
    """The names that disentanglement_lib and our curves use mean what they mean there."""
    logs = dict(losses.logs)
    first = next(iter(losses.objectives))
    if "reconstruction_loss" in logs:
        reconstruction = logs["reconstruction_loss"]
        if "kl_loss" in logs:
            logs["-(reconstruction_loss + kl_loss)"] = -(reconstruction + logs["kl_loss"])
        if "regularizer" in logs:
            logs["reconstruction_loss + regularizer"] = reconstruction + logs["regularizer"]
    if "kl" in logs:
        logs["the sum of kl"] = logs["kl"].sum()
    logs[f"the objective {first!r}"] = losses.objectives[first].detach()
    for one, other in (
        ("kl_loss", "the sum of kl"),
        ("elbo", "-(reconstruction_loss + kl_loss)"),
        ("loss", "reconstruction_loss + regularizer"),
        ("loss", f"the objective {first!r}"),
    ):
        if one in logs and other in logs and not torch.isclose(logs[one], logs[other], rtol=1e-5):
            raise CheckError(
                f"the log {one!r} of {name} is {float(logs[one]):.6g}, {other} is "
                f"{float(logs[other]):.6g}: expected the same"
            )


def gradients_reach_every_parameter(make: MakeModel, shape: Shape) -> str | None:
    """Each objective's to its own group; those that change no objective are named in the note."""
    model = built(make, shape)
    optimizers = make_optimizers(_groups(model))
    reached: set[int] = set()
    # Weights that begin at zero stop the gradient of others until the first update.
    for step in range(3):
        objectives = model.losses(batch_of(model, images(shape, step)), step).objectives
        for key in objectives:
            if not objectives[key].requires_grad:
                raise CheckError(
                    f"the objective {key!r} depends on no parameter: expected gradients; is it "
                    "detached?"
                )
        update_parameters(objectives, optimizers)
        for key, group in _groups(model).items():
            for parameter in group:
                if parameter.grad is not None and parameter.grad.any():
                    tensor(f"the gradient of the objective {key!r}", parameter.grad)
                    reached.add(id(parameter))
    missed = {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and id(parameter) not in reached
    }
    detached = [name for name, parameter in missed.items() if _matters(model, parameter, shape)]
    if detached and not model.holds_gradients_back:
        raise CheckError(
            f"no gradient of its objective reaches {', '.join(detached)}, which it depends on: "
            "expected one for every parameter that losses() uses; is it detached?"
        )
    return f"the losses do not use {', '.join(missed)}: never trained" if missed else None


@torch.no_grad()
def _matters(model: DisentanglementModel, parameter: nn.Parameter, shape: Shape) -> bool:
    """Whether the objective of its group changes with the parameter."""
    (key,) = (
        key for key, group in _groups(model).items() if any(parameter is each for each in group)
    )
    before, kept = _objectives(model, shape)[key], parameter.clone()
    parameter.add_(1)
    after = _objectives(model, shape)[key]
    parameter.copy_(kept)
    return before != after


def the_seed_decides_the_losses(make: MakeModel, shape: Shape) -> None:
    """The noise comes from torch's global generator, whose state a checkpoint holds."""
    model = built(make, shape)
    if _objectives(model, shape) != _objectives(built(make, shape), shape):
        raise CheckError(
            f"{type(model).__name__}.losses() gives other values after the same "
            "torch.manual_seed: expected the same; draw from torch's global generator only"
        )


def a_resumed_run_goes_on_as_if_never_stopped(make: MakeModel, shape: Shape) -> None:
    """No state but parameters and buffers."""
    model, resumed = built(make, shape, 0), built(make, shape, 1)
    for step in range(3):
        model.losses(batch_of(model, images(shape, step)), step)
    resumed.load_state_dict(model.state_dict())
    kept, found = _objectives(model, shape, 3), _objectives(resumed, shape, 3)
    if kept != found:
        raise CheckError(
            f"{type(model).__name__}.losses() gives {found} with loaded weights, {kept} in the "
            "model that they come from: expected the same; keep state in buffers"
        )


def training_stays_finite(make: MakeModel, shape: Shape) -> str | None:
    """Ten steps of what gin binds as optimizers; the note is for a loss that they do not lower."""
    model = built(make, shape)
    optimizers = make_optimizers(_groups(model))
    x = (images(shape, batch=8) > 0.9).float()
    before = _objectives(model, shape, 0, x)
    for step in range(_STEPS):
        update_parameters(model.losses(batch_of(model, x), step).objectives, optimizers)
    after = _objectives(model, shape, 0, x)
    for key, parameter in model.named_parameters():
        tensor(f"after {_STEPS} steps the parameter {key!r}", parameter)
    risen = [key for key in before if not after[key] < before[key]]
    if not risen:
        return None
    key = risen[0]
    return f"{_STEPS} steps change the objective {key!r} from {before[key]:.4g} to {after[key]:.4g}"


def _groups(model: DisentanglementModel) -> dict[str, list[nn.Parameter]]:
    return {key: list(group) for key, group in model.parameter_groups().items()}


def _objectives(
    model: DisentanglementModel, shape: Shape, step: int = 0, x: Tensor | None = None
) -> dict[str, float]:
    torch.manual_seed(9)
    losses = model.losses(batch_of(model, images(shape) if x is None else x), step)
    return {key: value.item() for key, value in losses.objectives.items()}


REST = (
    groups_hold_every_parameter_once,
    every_group_has_an_optimizer,
    losses_are_finite,
    logs_can_be_written,
    gradients_reach_every_parameter,
    the_seed_decides_the_losses,
    a_resumed_run_goes_on_as_if_never_stopped,
    training_stays_finite,
)
