"""`methods.shared.architectures`: networks applied to images (num, height, width, channel).

disentanglement_lib's functions add a network to TensorFlow's graph, which keeps its weights. There
is no graph here: each call makes a network with new weights and applies it once. A network to keep
is `srvae_plugin.models.networks`' function of the same name; gin means that one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gin
import torch
from torch import Tensor

from srvae_plugin.models.networks import (
    build,
    conv_64,
    discriminator,
    fully_connected,
)

__all__ = [
    "Network",
    "conv_encoder",
    "deconv_decoder",
    "fc_decoder",
    "fc_discriminator",
    "fc_encoder",
    "make_decoder",
    "make_discriminator",
    "make_gaussian_encoder",
    "test_decoder",
    "test_encoder",
]

Network = Callable[..., Any]


def _encoder(make: Network) -> Network:
    def encoder(
        input_tensor: Tensor, num_latent: int, is_training: bool = True
    ) -> tuple[Tensor, Tensor]:
        del is_training
        images = torch.as_tensor(input_tensor).permute(0, 3, 1, 2)
        return tuple(make(tuple(images.shape[1:]), num_latent)(images))

    encoder.__name__, encoder.__doc__ = make.__name__, make.__doc__
    return encoder


def _decoder(make: Network) -> Network:
    def decoder(
        latent_tensor: Tensor, output_shape: Sequence[int], is_training: bool = True
    ) -> Tensor:
        del is_training
        latents = torch.as_tensor(latent_tensor)
        height, width, channel = output_shape
        return make(latents.shape[1], (channel, height, width))(latents).permute(0, 2, 3, 1)

    decoder.__name__, decoder.__doc__ = make.__name__, make.__doc__
    return decoder


conv_encoder = _encoder(conv_64.conv_encoder)
fc_encoder = _encoder(fully_connected.fc_encoder)
test_encoder = _encoder(fully_connected.linear_encoder)
deconv_decoder = _decoder(conv_64.deconv_decoder)
fc_decoder = _decoder(fully_connected.fc_decoder)
test_decoder = _decoder(fully_connected.linear_decoder)


def fc_discriminator(input_tensor: Tensor, is_training: bool = True) -> tuple[Tensor, Tensor]:
    """FactorVAE's discriminator: logits and probabilities (batch, 2)."""
    del is_training
    codes = torch.as_tensor(input_tensor)
    logits = discriminator.fc_discriminator(codes.shape[1])(codes)
    return logits, torch.softmax(logits, dim=1)


def make_gaussian_encoder(
    input_tensor: Tensor, is_training: bool = True, **settings: Any
) -> tuple[Tensor, Tensor]:
    """The encoder that gin binds; `num_latent` and `encoder_fn` may be given.

    An `encoder_fn` that is given is one of this module or of a script: it takes a tensor.
    """
    make = settings.pop("encoder_fn", None)
    if make is not None:
        settings["num_latent"] = settings.get("num_latent") or _bound("encoder.num_latent")
        return make(input_tensor=input_tensor, is_training=is_training, **settings)
    images = torch.as_tensor(input_tensor).permute(0, 3, 1, 2)
    network = gin.get_configurable(build.make_gaussian_encoder)(tuple(images.shape[1:]), **settings)
    return tuple(network(images))


def make_decoder(
    latent_tensor: Tensor,
    output_shape: Sequence[int],
    is_training: bool = True,
    decoder_fn: Network | None = None,
) -> Tensor:
    """The decoder that gin binds, or one that is given and takes a tensor."""
    if decoder_fn is not None:
        return decoder_fn(latent_tensor, output_shape, is_training=is_training)
    latents = torch.as_tensor(latent_tensor)
    height, width, channel = output_shape
    make = gin.get_configurable(build.make_decoder)
    return make(latents.shape[1], (channel, height, width))(latents).permute(0, 2, 3, 1)


def make_discriminator(
    input_tensor: Tensor, is_training: bool = False, discriminator_fn: Network | None = None
) -> tuple[Tensor, Tensor]:
    """The discriminator that gin binds, or one that is given and takes a tensor."""
    if discriminator_fn is not None:
        return discriminator_fn(input_tensor, is_training=is_training)
    codes = torch.as_tensor(input_tensor)
    logits = gin.get_configurable(discriminator.make_discriminator)(codes.shape[1])(codes)
    return logits, torch.softmax(logits, dim=1)


def _bound(name: str) -> Any:
    return gin.query_parameter(f"srvae_plugin.{name}")
