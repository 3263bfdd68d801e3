"""Networks without convolutions, for images of any size: disentanglement_lib's."""

from __future__ import annotations

import math

import gin
from torch import nn

from srvae_plugin.models.base import Shape
from srvae_plugin.models.networks.encoder import GaussianEncoder, initialize


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
