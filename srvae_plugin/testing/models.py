"""Checks of a model: how it is built and saved; those of its codes and losses are beside this.

Each check takes `make`, which returns a model that is not built yet, and the (channel, height,
width) of one observation.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from srvae_plugin.models.base import DisentanglementModel, Shape
from srvae_plugin.runs.directory import TrainingDirectory
from srvae_plugin.testing import model_codes, model_losses
from srvae_plugin.testing.building import (
    MakeModel,
    built,
    images,
    tensor,
)
from srvae_plugin.testing.checks import (
    CheckError,
    Outcome,
    called,
    in_stages,
    kind_of,
    reason,
    require,
    shape_text,
)
from srvae_plugin.testing.complete_run import a_tiny_run_completes
from srvae_plugin.training.weights import save_weights

SHAPES: tuple[Shape, ...] = ((1, 64, 64), (3, 64, 64))


def the_constructor_leaves_parameters_to_build(make: MakeModel, shape: Shape) -> None:
    """It is called before the seed is set."""
    model = called(make)
    if not isinstance(model, DisentanglementModel):
        raise CheckError(
            f"it makes {kind_of(model)}: expected a subclass of srvae_plugin.DisentanglementModel"
        )
    for name, _ in model.named_parameters():
        raise CheckError(
            f"{type(model).__name__}() makes the parameter {name!r} before the seed is set: "
            "expected none; make parameters in build()"
        )


def build_makes_the_parameters(make: MakeModel, shape: Shape) -> None:
    """There are some, of float32, and the number of latents is known."""
    model = built(make, shape)
    name = type(model).__name__
    latents = getattr(model, "num_latent", None)
    if isinstance(latents, bool) or not isinstance(latents, int) or latents < 1:
        raise CheckError(
            f"{name}.num_latent is {latents!r} after build(): expected the number of latents, an "
            "int of at least 1"
        )
    parameters = list(model.named_parameters())
    if not parameters:
        raise CheckError(f"{name}.build() makes no parameters: expected nn.Module attributes")
    for key, parameter in parameters:
        tensor(f"the parameter {key!r} of {name}", parameter)


def the_seed_decides_the_parameters(make: MakeModel, shape: Shape) -> None:
    """Another one gives others, so that the seeds of a study differ."""
    one, same, other = (
        nn.utils.parameters_to_vector(built(make, shape, seed).parameters()) for seed in (0, 0, 1)
    )
    if not torch.equal(one, same):
        raise CheckError(
            "two builds with the same torch.manual_seed give different parameters: expected equal "
            "ones; draw them from torch's global generator only"
        )
    if torch.equal(one, other):
        raise CheckError(
            "builds with torch.manual_seed(0) and (1) give equal parameters: expected different "
            "ones; build() must not set a seed of its own"
        )


@torch.no_grad()
def saved_weights_give_the_same_model(make: MakeModel, shape: Shape) -> None:
    """Written to a safetensors file and loaded into a model of another seed."""
    model, other = built(make, shape, 0).eval(), built(make, shape, 1).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = TrainingDirectory(Path(folder)).weights
        save_weights(model, path, shape)
        other.load_state_dict(load_file(path))
    x = images(shape)
    expected, loaded = model.encode(x), other.encode(x)
    same = torch.equal(expected.mean, loaded.mean) and torch.equal(expected.logvar, loaded.logvar)
    if not (same and torch.equal(model.reconstruct(x), other.reconstruct(x))):
        raise CheckError(
            f"a {type(model).__name__} with the saved weights of another encodes or reconstructs "
            "differently: expected the same; what build() draws has to be a parameter or a buffer"
        )


FIRST = (the_constructor_leaves_parameters_to_build, build_makes_the_parameters)
SECOND = (
    model_codes.encode_gives_a_gaussian,
    model_codes.decode_gives_an_image_for_each_code,
    model_losses.objectives_have_the_keys_of_the_parameter_groups,
)
REST = (
    the_seed_decides_the_parameters,
    saved_weights_give_the_same_model,
    *model_codes.REST,
    *model_losses.REST,
)
LAST = (a_tiny_run_completes,)
CHECKS = (*FIRST, *SECOND, *REST, *LAST)


def model_outcomes(
    make: MakeModel, shapes: Sequence[Shape] = SHAPES, name: str = "model"
) -> Iterator[Outcome]:
    """Make every check for each shape of observations that the model does not refuse.

    torch's random state is as before in the end.
    """
    refused = []
    with torch.random.fork_rng(devices=[]):
        for shape in shapes:
            subject = f"{name} {shape_text(shape)}"
            if refusal := _refusal(make, shape):
                refused.append(Outcome("skipped", subject, "build", f"it refuses: {refusal}"))
            else:
                yield from in_stages(subject, (FIRST, SECOND, REST, LAST), make, shape)
    if len(refused) < len(shapes):
        yield from refused
    else:
        yield from (each._replace(status="FAILED") for each in refused)


def check_model(make: MakeModel, shapes: Sequence[Shape] = SHAPES) -> None:
    """Raise CheckError, one line per failure, unless a model keeps the contract of `model.py`.

    Args:
        make: returns a new model that is not built, for example `lambda: MyVAE(beta=4.0)`.
        shapes: (channel, height, width) of observations to build it for; it may refuse some of
            them, with ValueError, but not all.
    """
    require(model_outcomes(make, shapes))


def _refusal(make: Callable[[], DisentanglementModel], shape: Shape) -> str:
    """Why build() refuses that shape with a ValueError; "" if it does not."""
    try:
        model = make()
    except Exception:  # what a constructor does wrong is for the checks to say
        return ""
    try:
        model.build(shape)
    except ValueError as error:
        return reason(error)
    except Exception:  # likewise
        return ""
    return ""
