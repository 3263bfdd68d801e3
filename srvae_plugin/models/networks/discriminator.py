"""FactorVAE's discriminator, under disentanglement_lib's gin names.

A discriminator function takes `num_latent` and returns a module from latents (batch, latent) to
two logits (batch, 2): first that of "drawn from q(z)", then that of "drawn from the product of
its marginals". A user's own is registered with gin and bound to `discriminator.discriminator_fn`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gin
from torch import nn

from srvae_plugin.models.networks.encoder import initialize, positive

__all__ = ["fc_discriminator", "make_discriminator"]


@gin.register("fc_discriminator", module="srvae_plugin", denylist=["num_latent"])
def fc_discriminator(
    num_latent: int, width: int = 1000, initializer: str = "glorot_uniform"
) -> nn.Module:
    """Six fully connected layers of `width` units with leaky ReLU, then two logits.

    Source: Kim & Mnih, "Disentangling by Factorising", ICML 2018, appendix A;
    disentanglement_lib's `fc_discriminator`, whose leaky ReLU has TensorFlow's slope of 0.2.
    `initializer` is that of `models.networks.initialize`.

    Raises:
        ValueError: a width below 1.
    """
    positive("fc_discriminator.width", width)
    layers: list[nn.Module] = []
    for inputs in (num_latent, *[width] * 5):
        layers += [nn.Linear(inputs, width), nn.LeakyReLU(0.2)]
    return initialize(nn.Sequential(*layers, nn.Linear(width, 2)), initializer)


@gin.register("discriminator", module="srvae_plugin", allowlist=["discriminator_fn"])
def make_discriminator(
    num_latent: int,
    discriminator_fn: Callable[..., Any] = gin.get_configurable(fc_discriminator),
) -> nn.Module:
    """Build the discriminator that gin binds to `discriminator.discriminator_fn`."""
    return discriminator_fn(num_latent)
