"""Convolutional networks for 64 x 64 images: the SR-VAE paper's and disentanglement_lib's."""

from __future__ import annotations

import gin
from torch import nn

from srvae_plugin.models.base import Shape
from srvae_plugin.models.networks.convolutions import Conv2d, ConvTranspose2d
from srvae_plugin.models.networks.encoder import (
    GaussianEncoder,
    initialize,
    positive,
    require_64,
)

__all__ = ["conv_encoder", "deconv_decoder", "srvae_decoder", "srvae_encoder"]


@gin.register("srvae_encoder", module="srvae_plugin", denylist=["observation_shape", "num_latent"])
def srvae_encoder(
    observation_shape: Shape,
    num_latent: int,
    base_channels: int = 32,
    initializer: str = "pytorch",
) -> nn.Module:
    """Encoder of the SR-VAE paper, Table 1 (appendix B).

    Four 4x4 convolutions of stride 2 and padding 1 (32, 32, 64, 64 channels), one 4x4 of
    stride 1 to 256 features, then a linear layer to 2 * num_latent; ReLU throughout. All widths
    scale with `base_channels` (32 is the paper's).

    Raises:
        ValueError: images are not 64x64, or a width below 1.
    """
    require_64("srvae_encoder", observation_shape)
    c = positive("srvae_encoder.base_channels", base_channels)
    body = nn.Sequential(
        Conv2d(observation_shape[0], c, 4, 2, 1),
        nn.ReLU(inplace=True),
        Conv2d(c, c, 4, 2, 1),
        nn.ReLU(inplace=True),
        Conv2d(c, 2 * c, 4, 2, 1),
        nn.ReLU(inplace=True),
        Conv2d(2 * c, 2 * c, 4, 2, 1),
        nn.ReLU(inplace=True),
        Conv2d(2 * c, 8 * c, 4),
        nn.ReLU(inplace=True),
        nn.Flatten(),
    )
    return initialize(GaussianEncoder(body, 8 * c, num_latent), initializer)


@gin.register("srvae_decoder", module="srvae_plugin", denylist=["num_latent", "observation_shape"])
def srvae_decoder(
    num_latent: int,
    observation_shape: Shape,
    base_channels: int = 32,
    initializer: str = "pytorch",
) -> nn.Module:
    """Decoder of the SR-VAE paper, Table 1: the encoder's mirror, logits at the end.

    Raises:
        ValueError: images are not 64x64, or a width below 1.
    """
    require_64("srvae_decoder", observation_shape)
    c = positive("srvae_decoder.base_channels", base_channels)
    net = nn.Sequential(
        nn.Linear(num_latent, 8 * c),
        nn.ReLU(inplace=True),
        nn.Unflatten(1, (8 * c, 1, 1)),
        ConvTranspose2d(8 * c, 2 * c, 4),
        nn.ReLU(inplace=True),
        ConvTranspose2d(2 * c, 2 * c, 4, 2, 1),
        nn.ReLU(inplace=True),
        ConvTranspose2d(2 * c, c, 4, 2, 1),
        nn.ReLU(inplace=True),
        ConvTranspose2d(c, c, 4, 2, 1),
        nn.ReLU(inplace=True),
        ConvTranspose2d(c, observation_shape[0], 4, 2, 1),
    )
    return initialize(net, initializer)


@gin.register("conv_encoder", module="srvae_plugin", denylist=["observation_shape", "num_latent"])
def conv_encoder(
    observation_shape: Shape, num_latent: int, initializer: str = "glorot_uniform"
) -> nn.Module:
    """Convolutional encoder of disentanglement_lib (beta-VAE paper, Table 1, row 3: chairs).

    Its third and fourth kernels are 2x2, as in disentanglement_lib.

    Raises:
        ValueError: images are not 64x64.
    """
    require_64("conv_encoder", observation_shape)
    body = nn.Sequential(
        Conv2d(observation_shape[0], 32, 4, 2, 1),
        nn.ReLU(inplace=True),
        Conv2d(32, 32, 4, 2, 1),
        nn.ReLU(inplace=True),
        Conv2d(32, 64, 2, 2),
        nn.ReLU(inplace=True),
        Conv2d(64, 64, 2, 2),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 256),
        nn.ReLU(inplace=True),
    )
    return initialize(GaussianEncoder(body, 256, num_latent), initializer)


@gin.register("deconv_decoder", module="srvae_plugin", denylist=["num_latent", "observation_shape"])
def deconv_decoder(
    num_latent: int, observation_shape: Shape, initializer: str = "glorot_uniform"
) -> nn.Module:
    """Convolutional decoder of disentanglement_lib (beta-VAE paper, Table 1, row 3: chairs).

    Raises:
        ValueError: images are not 64x64.
    """
    require_64("deconv_decoder", observation_shape)
    net = nn.Sequential(
        nn.Linear(num_latent, 256),
        nn.ReLU(inplace=True),
        nn.Linear(256, 1024),
        nn.ReLU(inplace=True),
        nn.Unflatten(1, (64, 4, 4)),
        ConvTranspose2d(64, 64, 4, 2, 1),
        nn.ReLU(inplace=True),
        ConvTranspose2d(64, 32, 4, 2, 1),
        nn.ReLU(inplace=True),
        ConvTranspose2d(32, 32, 4, 2, 1),
        nn.ReLU(inplace=True),
        ConvTranspose2d(32, observation_shape[0], 4, 2, 1),
    )
    return initialize(net, initializer)
