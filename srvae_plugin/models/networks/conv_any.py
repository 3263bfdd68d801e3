"""Convolutional networks for images of any size: the SR-VAE paper's, longer or shorter.

Every layer halves the sides that are above 5, until each is 3 to 5. On 64x64 images these are the
paper's Table 1 itself, weight for weight: `srvae_encoder` and `srvae_decoder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import gin
from torch import nn

from srvae_plugin.models.base import Shape
from srvae_plugin.models.networks.convolutions import Conv2d, ConvTranspose2d
from srvae_plugin.models.networks.encoder import GaussianEncoder, initialize, positive

__all__ = ["Size", "conv_decoder_any", "conv_encoder_any"]

_SMALL = 5
"""Sides up to this are not halved."""

Size = tuple[int, int]


class _Layer(NamedTuple):
    """One step down: a convolution of padding 1, and what undoes it."""

    size: Size
    """Height and width of what it reads."""
    kernel: Size
    stride: Size

    @property
    def rest(self) -> Size:
        """Rows and columns that halving an odd side drops; the way back adds them."""
        return self.size[0] % self.stride[0], self.size[1] % self.stride[1]


def _layers(size: Size) -> tuple[list[_Layer], Size]:
    """The steps from an image of that size, and the size of the last map."""
    layers: list[_Layer] = []
    while max(size) > _SMALL:
        halved = tuple(side > _SMALL for side in size)
        kernel, stride = (tuple(4 if h else 3 for h in halved), tuple(1 + h for h in halved))
        layers.append(_Layer(size, kernel, stride))  # type: ignore[arg-type]
        size = (size[0] // stride[0], size[1] // stride[1])
    return layers, size


def _widths(name: str, layers: int, base: int, channels: Sequence[int] | None) -> list[int]:
    """Channels after each layer: base twice, 2 base twice, 4 base twice ... unless given."""
    base = positive(f"{name}.base_channels", base)
    if channels is None:
        return [base * 2 ** (layer // 2) for layer in range(layers)]
    if len(channels) != layers:
        raise ValueError(
            f"{name}.channels = {list(channels)}: images of this size take {layers} layers, "
            f"expected {layers} numbers"
        )
    return [positive(f"{name}.channels", width) for width in channels]


@gin.register(
    "conv_encoder_any", module="srvae_plugin", denylist=["observation_shape", "num_latent"]
)
def conv_encoder_any(
    observation_shape: Shape,
    num_latent: int,
    base_channels: int = 32,
    channels: Sequence[int] | None = None,
    features: int | None = None,
    initializer: str = "pytorch",
) -> nn.Module:
    """Strided convolutions down to a map of 3 to 5 a side, one to features, a linear layer.

    4x4 convolutions of stride 2 and padding 1; along a side that is small already the kernel is 3
    and the stride 1. Then one convolution over the whole map, as in the SR-VAE paper's Table 1,
    whose network this is for 64x64 images. ReLU throughout.

    Args:
        observation_shape: (channel, height, width), any.
        num_latent: number of latents.
        base_channels: width of the first two layers; it doubles after every second layer.
        channels: widths of all halving layers instead, one number per layer.
        features: width of the last hidden layer; None is 8 * base_channels.
        initializer: see `srvae_plugin.models.networks.initialize`.

    Returns:
        A `GaussianEncoder`.

    Raises:
        ValueError: a width below 1, or another number of widths than of layers.

    Example:
        >>> import torch
        >>> encoder = conv_encoder_any((3, 48, 80), num_latent=10, base_channels=4)
        >>> encoder(torch.zeros(2, 3, 48, 80)).mean.shape
        torch.Size([2, 10])
    """
    layers, last = _layers(observation_shape[1:])
    widths = _widths("conv_encoder_any", len(layers), base_channels, channels)
    hidden = _features("conv_encoder_any", features, base_channels)
    body: list[nn.Module] = []
    inputs = observation_shape[0]
    for layer, width in zip(layers, widths, strict=True):
        body += [Conv2d(inputs, width, layer.kernel, layer.stride, 1), nn.ReLU(inplace=True)]
        inputs = width
    body += [Conv2d(inputs, hidden, last), nn.ReLU(inplace=True), nn.Flatten()]
    return initialize(GaussianEncoder(nn.Sequential(*body), hidden, num_latent), initializer)


@gin.register(
    "conv_decoder_any", module="srvae_plugin", denylist=["num_latent", "observation_shape"]
)
def conv_decoder_any(
    num_latent: int,
    observation_shape: Shape,
    base_channels: int = 32,
    channels: Sequence[int] | None = None,
    features: int | None = None,
    initializer: str = "pytorch",
) -> nn.Module:
    """The mirror of `conv_encoder_any`, logits at the end.

    Args:
        num_latent: number of latents.
        observation_shape: (channel, height, width), any.
        base_channels, features, initializer: as of `conv_encoder_any`.
        channels: widths of all halving layers instead, in the encoder's order, from the image
            inwards.

    Returns:
        A module from latents (batch, latent) to logits (batch, channel, height, width).

    Raises:
        ValueError: as `conv_encoder_any`.

    Example:
        >>> import torch
        >>> conv_decoder_any(10, (1, 75, 75), base_channels=4)(torch.zeros(2, 10)).shape
        torch.Size([2, 1, 75, 75])
    """
    layers, last = _layers(observation_shape[1:])
    widths = _widths("conv_decoder_any", len(layers), base_channels, channels)
    hidden = _features("conv_decoder_any", features, base_channels)
    outputs = [observation_shape[0], *widths]
    net: list[nn.Module] = [
        nn.Linear(num_latent, hidden),
        nn.ReLU(inplace=True),
        nn.Unflatten(1, (hidden, 1, 1)),
        ConvTranspose2d(hidden, outputs[-1], last),
    ]
    for number in reversed(range(len(layers))):
        layer = layers[number]
        net += [
            nn.ReLU(inplace=True),
            ConvTranspose2d(
                outputs[number + 1], outputs[number], layer.kernel, layer.stride, 1, layer.rest
            ),
        ]
    return initialize(nn.Sequential(*net), initializer)


def _features(name: str, features: int | None, base: int) -> int:
    return 8 * base if features is None else positive(f"{name}.features", features)
