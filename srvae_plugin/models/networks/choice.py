"""Which networks a model has: by name, function or module, or those that fit the observations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import gin
import torch
from torch import nn

from srvae_plugin.models.base import Shape
from srvae_plugin.models.networks.conv_64 import (
    conv_encoder,
    deconv_decoder,
    srvae_decoder,
    srvae_encoder,
)
from srvae_plugin.models.networks.conv_any import conv_decoder_any, conv_encoder_any
from srvae_plugin.models.networks.encoder import parameters_of, positive
from srvae_plugin.models.networks.fully_connected import (
    fc_decoder,
    fc_encoder,
    linear_decoder,
    linear_encoder,
    mlp_decoder,
    mlp_encoder,
)

__all__ = [
    "DECODERS",
    "ENCODERS",
    "Network",
    "build_decoder",
    "build_encoder",
    "default_decoder",
    "default_encoder",
    "default_names",
]

Network = str | nn.Module | Callable[..., nn.Module] | None
"""What a model takes as its encoder or decoder; see `build_encoder` and `build_decoder`."""

ENCODERS: dict[str, Callable[..., nn.Module]] = {
    "srvae_encoder": srvae_encoder,
    "conv_encoder": conv_encoder,
    "conv_encoder_any": conv_encoder_any,
    "fc_encoder": fc_encoder,
    "mlp_encoder": mlp_encoder,
    "test_encoder": linear_encoder,
}
DECODERS: dict[str, Callable[..., nn.Module]] = {
    "srvae_decoder": srvae_decoder,
    "deconv_decoder": deconv_decoder,
    "conv_decoder_any": conv_decoder_any,
    "fc_decoder": fc_decoder,
    "mlp_decoder": mlp_decoder,
    "test_decoder": linear_decoder,
}


def _is_vector(shape: Shape) -> bool:
    return shape[1:] == (1, 1)


def default_names(observation_shape: Shape) -> tuple[str, str]:
    """Names of the encoder and the decoder of a model that is given none.

    The paper's for 64x64 images, those of vectors for (features, 1, 1), else those of any size.
    """
    if _is_vector(observation_shape):
        return "mlp_encoder", "mlp_decoder"
    if observation_shape[1:] == (64, 64):
        return "srvae_encoder", "srvae_decoder"
    return "conv_encoder_any", "conv_decoder_any"


def default_encoder(observation_shape: Shape, num_latent: int) -> nn.Module:
    """The encoder of a model that is given none; see `default_names`."""
    return ENCODERS[default_names(observation_shape)[0]](observation_shape, num_latent)


def default_decoder(num_latent: int, observation_shape: Shape) -> nn.Module:
    """The decoder of a model that is given none; see `default_names`."""
    return DECODERS[default_names(observation_shape)[1]](num_latent, observation_shape)


def build_encoder(
    encoder: Network, observation_shape: Shape, num_latent: int | None
) -> tuple[nn.Module, int]:
    """Make a model's encoder, or take the one that is given.

    Args:
        encoder: one of

            - a name of `ENCODERS`, or under which gin knows a function of the user's;
            - a function of the observation's shape, or of that and the number of latents;
            - a module from observations to (mean, logvar), each (batch, latent), or to one
              tensor (batch, 2 * latent) with the means first; it is trained itself, not a copy;
            - None: `default_encoder`.
        observation_shape: (channel, height, width).
        num_latent: number of latents; None where the encoder says.

    Returns:
        The encoder, whose output is (mean, logvar), and its number of latents.

    Raises:
        ValueError: an unknown name, an unfit shape, or a number of latents that is missing or is
            not the encoder's.
    """
    if num_latent is not None:
        positive("num_latent", num_latent)
    if isinstance(encoder, nn.Module):
        return _given_encoder(encoder, observation_shape, num_latent)
    if isinstance(encoder, str):
        encoder = _named("encoder", encoder, ENCODERS)
    built = _made(encoder or default_encoder, observation_shape, num_latent)
    if (found := getattr(built, "num_latent", None)) is None:
        return _given_encoder(built, observation_shape, num_latent)
    return built, _agreed(found, num_latent)


def build_decoder(decoder: Network, num_latent: int, observation_shape: Shape) -> nn.Module:
    """Make a model's decoder, or take the one that is given.

    Args:
        decoder: as the encoder of `build_encoder`: a name of `DECODERS`, a function of the number
            of latents and the observation's shape, or a module from latents (batch, latent) to
            logits of the observations' shape. None is `default_decoder`.
        num_latent: number of latents.
        observation_shape: (channel, height, width).

    Returns:
        The decoder.

    Raises:
        ValueError: an unknown name or an unfit shape.
    """
    if isinstance(decoder, nn.Module):
        found = _tried(decoder, torch.zeros(2, num_latent), "decoder", f"(2, {num_latent})")
        expected = (2, *observation_shape)
        if not isinstance(found, torch.Tensor) or tuple(found.shape) != expected:
            raise ValueError(
                f"decoder: {type(decoder).__name__} gives {_described(found)} for latents "
                f"(2, {num_latent}): expected logits {expected}"
            )
        return decoder
    if isinstance(decoder, str):
        decoder = _named("decoder", decoder, DECODERS)
    return (decoder or default_decoder)(num_latent, observation_shape)


class _Halves(nn.Module):
    """An encoder whose output is one tensor: means, then log variances."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.module(x).chunk(2, dim=1)


def _given_encoder(
    encoder: nn.Module, shape: Shape, num_latent: int | None
) -> tuple[nn.Module, int]:
    found = _tried(encoder, torch.zeros(2, *shape), "encoder", str((2, *shape)))
    name = type(encoder).__name__
    pair = found.chunk(2, dim=-1) if isinstance(found, torch.Tensor) else found
    shapes = (
        [tuple(each.shape) for each in pair if isinstance(each, torch.Tensor)]
        if isinstance(pair, tuple | list) and len(pair) == 2
        else []
    )
    if len(shapes) != 2 or shapes[0] != shapes[1] or len(shapes[0]) != 2 or shapes[0][0] != 2:
        raise ValueError(
            f"encoder: {name} gives {_described(found)} for observations {(2, *shape)}: expected "
            "(mean, logvar), each (2, latent), or one tensor (2, 2 * latent)"
        )
    both = _Halves(encoder) if isinstance(found, torch.Tensor) else encoder
    return both, _agreed(shapes[0][1], num_latent)


def _tried(module: nn.Module, zeros: torch.Tensor, role: str, what: str) -> Any:
    """What a module makes of zeros, itself unchanged; ValueError if it cannot take them."""
    training = [each for each in module.modules() if each.training]
    parameter = next(module.parameters(), zeros)
    try:
        with torch.no_grad():
            return module.eval()(zeros.to(parameter.device, parameter.dtype))
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{role}: {type(module).__name__} does not take {what}: {str(error).splitlines()[0]}"
        ) from None
    finally:
        for each in training:
            each.training = True


def _described(found: Any) -> str:
    if isinstance(found, torch.Tensor):
        return f"a tensor {tuple(found.shape)}"
    if isinstance(found, tuple | list):
        return f"({', '.join(map(_described, found))})"
    return f"a {type(found).__name__}"


def _agreed(found: int, asked: int | None) -> int:
    if asked not in (None, found):
        raise ValueError(f"num_latent = {asked}, but the encoder has {found} latents")
    return found


def _made(encoder: Callable[..., Any], shape: Shape, num_latent: int | None) -> nn.Module:
    """What the function makes; it is given the number of latents if it asks for one."""
    if num_latent is not None and _needed(encoder) > 1:
        return encoder(shape, num_latent)
    try:
        return encoder(shape)
    except TypeError as error:
        if num_latent is None and "'num_latent'" in str(error):
            raise ValueError(
                "the number of latents is missing: pass num_latent = 10, or bind "
                "encoder.num_latent = 10 in gin before the model is made"
            ) from None
        raise


def _named(role: str, name: str, ours: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """The function of that name; ours read no gin bindings, a user's are as gin has them."""
    if name in ours:
        return ours[name]
    try:
        return gin.get_configurable(name)
    except ValueError:
        close = get_close_matches(name, list(ours), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"unknown {role} {name!r}{hint}; known: {', '.join(sorted(ours))}"
        ) from None


def _needed(function: Callable[..., Any]) -> int:
    """How many arguments a function cannot do without."""
    places = parameters_of(function)
    return sum(p.default is p.empty and p.kind != p.VAR_POSITIONAL for p in places)
