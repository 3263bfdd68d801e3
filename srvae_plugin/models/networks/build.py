"""The encoder and the decoder that gin binds."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import gin
from torch import nn

from srvae_plugin.models.base import Shape
from srvae_plugin.models.networks.conv_64 import srvae_decoder, srvae_encoder
from srvae_plugin.models.networks.encoder import parameters_of, positive

__all__ = ["make_decoder", "make_gaussian_encoder"]


@gin.register("encoder", module="srvae_plugin", allowlist=["num_latent", "encoder_fn"])
def make_gaussian_encoder(
    observation_shape: Shape,
    num_latent: int,
    encoder_fn: Callable[..., Any] = gin.get_configurable(srvae_encoder),
) -> nn.Module:
    """Build the encoder that gin binds to `encoder.encoder_fn`, with `encoder.num_latent` latents.

    Raises:
        ValueError: `num_latent` is below 1.
    """
    positive("encoder.num_latent", num_latent)
    if _takes_one(encoder_fn):
        return encoder_fn(observation_shape)
    return encoder_fn(observation_shape, num_latent)


def _takes_one(function: Callable[..., Any]) -> bool:
    """Whether a function has room for the observations' shape alone."""
    places = parameters_of(function)
    return len(places) == 1 and places[0].kind != inspect.Parameter.VAR_POSITIONAL


@gin.register("decoder", module="srvae_plugin", allowlist=["decoder_fn"])
def make_decoder(
    num_latent: int,
    observation_shape: Shape,
    decoder_fn: Callable[..., Any] = gin.get_configurable(srvae_decoder),
) -> nn.Module:
    """Build the decoder that gin binds to `decoder.decoder_fn`."""
    return decoder_fn(num_latent, observation_shape)
