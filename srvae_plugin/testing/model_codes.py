"""Checks of a model's codes and pictures: what `encode`, `decode` and all that uses them give."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from srvae_plugin.models.base import Decomposition, Gaussian, Shape
from srvae_plugin.runs.representation import Representation
from srvae_plugin.testing.building import (
    BATCH,
    MakeModel,
    batch_of,
    built,
    images,
    tensor,
)
from srvae_plugin.testing.checks import CheckError, kind_of

TOLERANCE = 1e-5


@torch.no_grad()
def encode_gives_a_gaussian(make: MakeModel, shape: Shape) -> None:
    """A mean and a log variance for each latent."""
    model = built(make, shape).eval()
    encode = f"{type(model).__name__}.encode()"
    posterior = model.encode(images(shape))
    if not isinstance(posterior, Gaussian):
        raise CheckError(
            f"{encode} returns {kind_of(posterior)}: expected srvae_plugin.Gaussian(mean, logvar)"
        )
    for part in ("mean", "logvar"):
        expected = (BATCH, model.num_latent)
        tensor(f"the {part} of {encode}", getattr(posterior, part), expected, "(batch, num_latent)")


@torch.no_grad()
def decode_gives_an_image_for_each_code(make: MakeModel, shape: Shape) -> None:
    """Logits shaped like the observations."""
    model = built(make, shape).eval()
    decode = f"{type(model).__name__}.decode()"
    logits = model.decode(model.encode(images(shape)).mean)
    tensor(f"the result of {decode}", logits, (BATCH, *shape), "as the images have")


@torch.no_grad()
def encode_is_deterministic(make: MakeModel, shape: Shape) -> None:
    """It draws nothing: two calls agree, and torch's generator stays where it is."""
    model = built(make, shape).eval()
    before = torch.get_rng_state()
    one, two = model.encode(images(shape)), model.encode(images(shape))
    encode = f"{type(model).__name__}.encode()"
    if not (torch.equal(one.mean, two.mean) and torch.equal(one.logvar, two.logvar)):
        raise CheckError(
            f"{encode} gives other codes the second time: expected the same; draw in losses()"
        )
    if not torch.equal(before, torch.get_rng_state()):
        raise CheckError(f"{encode} draws random numbers: expected none; draw in losses()")


@torch.no_grad()
def codes_do_not_depend_on_the_batch(make: MakeModel, shape: Shape) -> None:
    """An image has the code that it has among others, to 1e-5."""
    model = built(make, shape).eval()
    x = images(shape)
    together = model.encode(x)
    for row in range(BATCH):
        alone = model.encode(x[row : row + 1])
        for part in ("mean", "logvar"):
            _require_close(
                f"{type(model).__name__}.encode() gives an image alone a {part} that differs from "
                "the one it gets among others",
                getattr(alone, part)[0],
                getattr(together, part)[row],
            )


@torch.no_grad()
def memory_layout_does_not_matter(make: MakeModel, shape: Shape) -> None:
    """Training and representations hand images over in channels-last memory."""
    model = built(make, shape).eval()
    x = images(shape)
    _require_close(
        f"{type(model).__name__}.encode() gives images in channels_last memory codes that differ",
        model.encode(x.contiguous(memory_format=torch.channels_last)).mean,
        model.encode(x).mean,
    )
    model.losses(batch_of(model, x.contiguous(memory_format=torch.channels_last)), 0)


@torch.no_grad()
def noise_decides_a_sample(make: MakeModel, shape: Shape) -> None:
    """`sample` draws nothing of its own."""
    model = built(make, shape).eval()
    x, noise = images(shape), torch.randn(BATCH, model.num_latent)
    sample = f"{type(model).__name__}.sample()"
    one = tensor(f"the result of {sample}", model.sample(x, noise), tuple(noise.shape))
    if not torch.equal(one, model.sample(x, noise)):
        raise CheckError(f"{sample} gives others for the same noise: expected the same latents")


@torch.no_grad()
def it_is_a_representation_function(make: MakeModel, shape: Shape) -> None:
    """As the metrics call it: numpy images (batch, height, width, channel) to float32 codes."""
    model = built(make, shape)
    x = images(shape)
    for kind in ("mean", "sampled"):
        function = Representation(model, kind)
        codes = function(x.permute(0, 2, 3, 1).numpy())
        if codes.shape != (BATCH, model.num_latent) or not np.isfinite(codes).all():
            raise CheckError(
                f"the {kind} representation gives codes of shape {codes.shape}: expected finite "
                f"ones, {(BATCH, model.num_latent)}"
            )
        alone = function(x[:1].permute(0, 2, 3, 1).numpy())
        if not np.abs(alone - codes[:1]).max() <= TOLERANCE:
            raise CheckError(
                f"the {kind} representation gives an image another code alone than among others: "
                "expected the same"
            )


@torch.no_grad()
def pictures_are_intensities(make: MakeModel, shape: Shape) -> None:
    """Reconstructions and traversals of every latent lie in [0, 1]."""
    model = built(make, shape).eval()
    name = type(model).__name__
    x = images(shape)
    _require_intensities(f"{name}.reconstruct()", model.reconstruct(x), (BATCH, *shape))
    values = torch.linspace(-50, 50, 3)
    for latent in range(model.num_latent):
        rows = model.traverse(x[:1], latent, values)
        _require_intensities(f"{name}.traverse() of latent {latent}", rows, (3, *shape))


@torch.no_grad()
def steps_of_a_sequential_model_fit(make: MakeModel, shape: Shape) -> None:
    """`decompose` gives None, or steps that begin at the images and end at `reconstruct`'s."""
    model = built(make, shape).eval()
    x = images(shape)
    parts = model.decompose(x)
    if parts is None:
        return
    name = f"{type(model).__name__}.decompose()"
    if not isinstance(parts, Decomposition):
        raise CheckError(f"{name} returns {kind_of(parts)}: expected a Decomposition or None")
    steps = (len(parts.residuals), BATCH, *shape)
    tensor(f"residuals of {name}", parts.residuals, steps)
    _require_intensities(f"decoder_outputs of {name}", parts.decoder_outputs, steps)
    if not torch.equal(parts.residuals[0], x):
        raise CheckError(f"{name}: residuals[0] differs from the images: expected them unchanged")
    _require_close(
        f"{name} gives a reconstruction that differs from reconstruct()'s",
        parts.reconstruction,
        model.reconstruct(x),
    )


def _require_close(what: str, found: Tensor, expected: Tensor) -> None:
    difference = float((found - expected).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
        raise CheckError(f"{what}, by {difference:.2g}: expected at most {TOLERANCE:g}")


def _require_intensities(what: str, found: object, shape: tuple[int, ...]) -> None:
    pictures = tensor(f"the result of {what}", found, shape)
    low, high = float(pictures.min()), float(pictures.max())
    if low < 0 or high > 1:
        raise CheckError(
            f"{what} gives values from {low:.3g} to {high:.3g}: expected intensities in [0, 1]; "
            "override mean_image() if decode() does not give logits"
        )


REST = (
    encode_is_deterministic,
    codes_do_not_depend_on_the_batch,
    memory_layout_does_not_matter,
    noise_decides_a_sample,
    it_is_a_representation_function,
    pictures_are_intensities,
    steps_of_a_sequential_model_fit,
)
