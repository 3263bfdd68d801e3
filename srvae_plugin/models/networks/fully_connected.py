"""Networks without convolutions: disentanglement_lib's, and perceptrons for vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import gin
from torch import nn

from srvae_plugin.models.base import Shape
from srvae_plugin.models.networks.encoder import GaussianEncoder, initialize, positive

__all__ = [
    "fc_decoder",
    "fc_encoder",
    "linear_decoder",
    "linear_encoder",
    "mlp_decoder",
    "mlp_encoder",
]


@gin.register("fc_encoder", module="srvae_plugin", denylist=["observation_shape", "num_latent"])
def fc_encoder(
    observation_shape: Shape, num_latent: int, initializer: str = "glorot_uniform"
) -> nn.Module:
    """Fully connected encoder of disentanglement_lib (beta-VAE paper, Table 1, row 1: dSprites)."""
    body = nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(observation_shape), 1200),
        nn.ReLU(inplace=True),
        nn.Linear(1200, 1200),
        nn.ReLU(inplace=True),
    )
    return initialize(GaussianEncoder(body, 1200, num_latent), initializer)


@gin.register("fc_decoder", module="srvae_plugin", denylist=["num_latent", "observation_shape"])
def fc_decoder(
    num_latent: int, observation_shape: Shape, initializer: str = "glorot_uniform"
) -> nn.Module:
    """Fully connected decoder of disentanglement_lib: three tanh layers of 1200, then logits."""
    net = nn.Sequential(
        nn.Linear(num_latent, 1200),
        nn.Tanh(),
        nn.Linear(1200, 1200),
        nn.Tanh(),
        nn.Linear(1200, 1200),
        nn.Tanh(),
        nn.Linear(1200, math.prod(observation_shape)),
        nn.Unflatten(1, observation_shape),
    )
    return initialize(net, initializer)


@gin.register("test_encoder", module="srvae_plugin", denylist=["observation_shape", "num_latent"])
def linear_encoder(
    observation_shape: Shape, num_latent: int, initializer: str = "glorot_uniform"
) -> nn.Module:
    """Linear encoder that disentanglement_lib tries things out with."""
    features = math.prod(observation_shape)
    return initialize(GaussianEncoder(nn.Flatten(), features, num_latent), initializer)


@gin.register("test_decoder", module="srvae_plugin", denylist=["num_latent", "observation_shape"])
def linear_decoder(
    num_latent: int, observation_shape: Shape, initializer: str = "glorot_uniform"
) -> nn.Module:
    """Linear decoder that disentanglement_lib tries things out with."""
    net = nn.Sequential(
        nn.Linear(num_latent, math.prod(observation_shape)), nn.Unflatten(1, observation_shape)
    )
    return initialize(net, initializer)


@gin.register("mlp_encoder", module="srvae_plugin", denylist=["observation_shape", "num_latent"])
def mlp_encoder(
    observation_shape: Shape,
    num_latent: int,
    widths: Sequence[int] = (256, 256),
    initializer: str = "pytorch",
) -> nn.Module:
    """Fully connected layers of these widths with ReLU, then a linear one: for vectors.

    A vector of n features is an observation of shape (n, 1, 1); images are flattened.

    Args:
        observation_shape: (channel, height, width), any.
        num_latent: number of latents.
        widths: of the hidden layers, from the observation inwards.
        initializer: see `srvae_plugin.models.networks.initialize`.

    Returns:
        A `GaussianEncoder`.

    Raises:
        ValueError: no width, or one below 1.

    Example:
        >>> import torch
        >>> mlp_encoder((7, 1, 1), num_latent=3)(torch.zeros(2, 7, 1, 1)).mean.shape
        torch.Size([2, 3])
    """
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = math.prod(observation_shape)
    for width in _widths("mlp_encoder", widths):
        layers += [nn.Linear(inputs, width), nn.ReLU(inplace=True)]
        inputs = width
    return initialize(GaussianEncoder(nn.Sequential(*layers), inputs, num_latent), initializer)


@gin.register("mlp_decoder", module="srvae_plugin", denylist=["num_latent", "observation_shape"])
def mlp_decoder(
    num_latent: int,
    observation_shape: Shape,
    widths: Sequence[int] = (256, 256),
    initializer: str = "pytorch",
) -> nn.Module:
    """The mirror of `mlp_encoder`.

    Args:
        num_latent: number of latents.
        observation_shape: (channel, height, width), any.
        widths: of the hidden layers in the encoder's order, from the observation inwards.
        initializer: see `srvae_plugin.models.networks.initialize`.

    Returns:
        A module from latents (batch, latent) to outputs of the observations' shape.

    Raises:
        ValueError: no width, or one below 1.
    """
    layers: list[nn.Module] = []
    inputs = num_latent
    for width in reversed(_widths("mlp_decoder", widths)):
        layers += [nn.Linear(inputs, width), nn.ReLU(inplace=True)]
        inputs = width
    layers += [nn.Linear(inputs, math.prod(observation_shape)), nn.Unflatten(1, observation_shape)]
    return initialize(nn.Sequential(*layers), initializer)


def _widths(name: str, widths: Sequence[int]) -> list[int]:
    if not widths:
        raise ValueError(f"{name}.widths is empty: expected the width of at least one layer")
    return [positive(f"{name}.widths", width) for width in widths]
