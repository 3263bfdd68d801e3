"""`methods.shared.architectures`: networks applied to images (num, height, width, channel).

disentanglement_lib's functions add a network to TensorFlow's graph, which keeps its weights. There
is no graph here: each call makes a network with new weights and applies it once. A network to keep
is `srvae_plugin.models.networks`' function of the same name; gin means that one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from srvae_plugin.models.networks import (
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
