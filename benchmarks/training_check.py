"""Our models and those of training_plain.py do the same: gradients and losses.

`python benchmarks/training.py --check` prints it; the tests call the two functions on small
networks.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from training_contenders import our_model
from training_plain import LEARNING_RATE, PLAIN_MODELS, PlainSRVAE, Settings, observations

from srvae_plugin.config import gin_files
from srvae_plugin.training.optimizers import make_optimizers
from srvae_plugin.training.updates import update_parameters

SEEDS = 5
LIMITS = {torch.float32: 1e-5, torch.float64: 1e-12}


def twins(
    settings: Settings, dtype: torch.dtype, name: str = "srvae", **options: Any
) -> tuple[Any, Any]:
    """Our model and the plain one with the same weights; options go to ours."""
    ours = our_model(name, settings, **options)
    ours.build((1, 64, 64))
    ours.to(dtype).to(memory_format=torch.channels_last)
    plain = PLAIN_MODELS[name].model(settings).to(dtype)
    with torch.no_grad():
        for parameter, value in zip(
            plain.parameters(), as_plain(ours, lambda p: p.data), strict=True
        ):
            parameter.copy_(value)
    return ours, plain


def as_plain(ours: Any, pick: Callable[[Any], Tensor]) -> list[Tensor]:
    """What `pick` takes of each of our parameters, in the plain model's order and shape."""
    encoder = ours.encoder
    heads = zip(encoder.mean.parameters(), encoder.logvar.parameters(), strict=True)
    tensors = [pick(parameter) for parameter in encoder.body.parameters()]
    tensors += [torch.cat([pick(mean), pick(logvar)]) for mean, logvar in heads]
    rest = [*ours.decoder.parameters(), *getattr(ours, "discriminator", nn.Module()).parameters()]
    return tensors + [pick(parameter) for parameter in rest]


def batch_of(settings: Settings, seed: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The same observations in our layout and in the usual one."""
    x = observations(settings.batch, seed).to(dtype).permute(0, 3, 1, 2)
    return x.contiguous(memory_format=torch.channels_last), x.contiguous()


def gradient_errors(
    settings: Settings, dtype: torch.dtype, seed: int = 0, **options: Any
) -> dict[str, float]:
    """Error of the gradients of ours and of the plain model, computed in `dtype`.

    The truth is the plain model's gradient in float64, from the same weights and noise; the error
    is the norm of a tensor's difference over the tensor's norm, the worst of all tensors. The
    plain model is no truth in float32: the gradient of its last bias is a sum over the pixels of
    a batch, which torch takes one after the other in the usual layout.
    """
    torch.manual_seed(seed)
    ours, plain = twins(settings, dtype, **options)
    exact = PlainSRVAE(settings).double()
    exact.load_state_dict(plain.state_dict())
    x, same = batch_of(settings, seed, dtype)
    torch.manual_seed(seed + 1)
    noise = torch.randn(settings.latents, settings.batch, settings.latents, dtype=dtype)
    torch.manual_seed(seed + 1)
    ours.losses(x, 0).objectives["vae"].backward()
    plain.loss(same, noise).backward()
    exact.loss(same.double(), noise.double()).backward()
    truth: list[Any] = [parameter.grad for parameter in exact.parameters()]

    def error(gradients: list[Any]) -> float:
        pairs = zip(gradients, truth, strict=True)
        return max(float((a - b).norm() / b.norm()) for a, b in pairs)

    return {
        "ours": error(as_plain(ours, lambda p: p.grad)),
        "plain": error([parameter.grad for parameter in plain.parameters()]),
    }


def our_training(model: Any) -> Callable[[Tensor], float]:
    """A function that updates the model as the training loop does, in float64 too."""
    rate = f"vae_optimizer.learning_rate = {LEARNING_RATE}"
    with gin_files.only(["training/discriminator.gin"], [rate]):
        optimizers = make_optimizers(model.parameter_groups())

    def update(x: Tensor) -> float:
        losses = model.losses(x, 0)
        update_parameters(losses.objectives, optimizers)
        return losses.logs["loss"].item()

    return update


def curve_differences(
    settings: Settings, dtype: torch.dtype, steps: int, name: str = "srvae"
) -> list[float]:
    """Relative difference of the loss at each update of the same training."""
    torch.manual_seed(0)
    ours, plain = twins(settings, dtype, name)
    updates = our_training(ours), PLAIN_MODELS[name].training(plain)
    differences = []
    for step in range(steps):
        losses = []
        for update, x in zip(updates, batch_of(settings, step, dtype), strict=True):
            torch.manual_seed(step)
            losses.append(update(x))
        differences.append(abs(losses[0] - losses[1]) / abs(losses[1]))
    return differences


def check(settings: Settings, steps: int) -> dict[str, Any]:
    """Print and return how far the two are apart; exit if our gradients miss a limit.

    float64 has no fast convolutions: its check takes smaller networks and batches. The limit is
    for the median of the seeds: now and then a sum of gradients cancels to almost nothing, or an
    activation so close to 0 that rounding decides, and float32 is that far from the truth.
    """
    small = Settings(settings.latents, min(settings.batch, 8), min(settings.channels, 8))
    report: dict[str, Any] = {}
    for dtype, chosen in ((torch.float32, settings), (torch.float64, small)):
        print(f"{dtype}, {chosen}:")
        errors = [gradient_errors(chosen, dtype, seed) for seed in range(SEEDS)]
        for name in ("ours", "plain"):
            found = sorted(error[name] for error in errors)
            print(
                f"  error of the gradients, {name}: median {statistics.median(found):.1e}", end=""
            )
            print(f", of {SEEDS} seeds {found[0]:.1e} .. {found[-1]:.1e}", flush=True)
        curve = curve_differences(chosen, dtype, steps)
        largest = max(range(steps), key=curve.__getitem__)
        print(f"  losses of {steps} updates differ by {curve[largest]:.1e} at most, at ", end="")
        print(f"update {largest + 1}", flush=True)
        report[str(dtype)] = {"settings": chosen._asdict(), "gradients": errors, "losses": curve}
        if not statistics.median(error["ours"] for error in errors) <= LIMITS[dtype]:
            sys.exit(f"srvae and srvae_plain do not compute the same: limit {LIMITS[dtype]}")
    return report
