"""FactorVAE: a VAE against a discriminator that estimates its total correlation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import gin
import torch
from jaxtyping import Float
from torch import Tensor, nn

from srvae_plugin.models.base import (
    Images,
    Latents,
    Losses,
    Scalar,
    takes_tensor_step,
)
from srvae_plugin.models.bound import as_bound_now
from srvae_plugin.models.losses import penalized, require_weight
from srvae_plugin.models.networks.choice import Network
from srvae_plugin.models.networks.discriminator import make_discriminator
from srvae_plugin.models.vae import BaseVAE, Reconstruction, take_loss, vae_losses

__all__ = [
    "DiscriminatorFactory",
    "FactorVAE",
    "PairOfLogits",
    "discriminator_loss",
    "permute_codes",
    "tc_estimate",
]

DiscriminatorFactory = Callable[[int], nn.Module]
PairOfLogits = Float[Tensor, "batch 2"]
_LEAST = 1e-6
"""disentanglement_lib clips the discriminator's probabilities to [1e-6, 1 - 1e-6]."""


def permute_codes(z: Latents) -> Latents:
    """Permute each latent over the batch on its own: draws from the product of the marginals."""
    return z.gather(0, torch.rand_like(z, dtype=torch.float32).argsort(0))


def tc_estimate(logits: PairOfLogits) -> Scalar:
    """Density-ratio estimate of the total correlation, mean of log D / (1 - D), in nats."""
    return (logits[:, 0] - logits[:, 1]).mean()


def discriminator_loss(logits: PairOfLogits, permuted: PairOfLogits) -> Scalar:
    """Mean cross-entropy in telling codes (class 0) from permuted codes (class 1), in nats.

    Clipped like disentanglement_lib's probabilities: a code that is classified with more
    certainty than that, rightly or wrongly, has no gradient.
    """
    low, high = math.log(_LEAST), math.log1p(-_LEAST)
    joint = logits.log_softmax(1)[:, 0].clamp(low, high)
    product = permuted.log_softmax(1)[:, 1].clamp(low, high)
    return -0.5 * (joint.mean() + product.mean())


@gin.register("factor_vae", module="srvae_plugin", denylist=["num_latent"])
class FactorVAE(BaseVAE):
    """Penalizes the total correlation of q(z) (disentanglement_lib's `factor_vae`).

    The objective "vae" is the VAE's plus gamma * TC, TC being the discriminator's mean log
    density ratio; "discriminator" is its cross-entropy between codes and codes permuted over the
    batch. Each has an optimizer of its own (`vae_optimizer`, `discriminator_optimizer`), and
    both gradients are taken at the same weights before either steps.

    Source: Kim & Mnih, "Disentangling by Factorising", ICML 2018, Eq. 2, Eq. 3 and Algorithm 2.

    Deviations: as in disentanglement_lib the permuted codes come from the same batch, where
    Algorithm 2 draws a second one and steps the discriminator after the VAE. disentanglement_lib
    leaves the order of the two steps to TensorFlow, and counts both as steps: its
    `model.training_steps = 300000` makes some 150,000 updates of each network, ours 300,000.

    Observations are (batch, channel, height, width) in [0, 1]; latents are (batch, latent).

    Args:
        gamma: weight of the total correlation, at least 0.
        encoder, decoder: a name, a function, a module or None; see `BaseVAE`.
        reconstruction_loss: a name, a function or None; see `losses.reconstruction_of`.
        discriminator: num_latent -> module from latents to two logits (see
            `models.networks.discriminator`). None: gin's `discriminator.discriminator_fn`,
            the paper's if nothing is bound.
        num_latent: number of latents, for use without gin; see `BaseVAE`.

    Raises:
        ValueError: a gamma that is negative or not finite.

    Example:
        >>> model = FactorVAE(num_latent=10, gamma=10.0)
        >>> model.build((1, 64, 64))
        >>> x = torch.zeros(2, 1, 64, 64)
        >>> model.encode(x).mean.shape, model.reconstruct(x).shape
        (torch.Size([2, 10]), torch.Size([2, 1, 64, 64]))
        >>> sorted(model.losses(x, step=0).objectives)
        ['discriminator', 'vae']
    """

    title = "FactorVAE"

    def __init__(
        self,
        gamma: float | int,
        encoder: Network = None,
        decoder: Network = None,
        reconstruction_loss: Reconstruction = None,
        discriminator: DiscriminatorFactory | None = None,
        *,
        num_latent: int | None = None,
    ):
        super().__init__(encoder, decoder, num_latent=num_latent)
        self.gamma = require_weight("factor_vae.gamma", gamma)
        take_loss(self, reconstruction_loss)
        self._discriminator_factory = discriminator or as_bound_now(make_discriminator)

    def build(self, observation_shape: Sequence[int]) -> None:
        """Create all three networks; ValueError where they cannot take the shape."""
        super().build(observation_shape)
        self.discriminator: nn.Module = self._discriminator_factory(self.num_latent)

    def parameter_groups(self) -> Mapping[str, Iterable[nn.Parameter]]:
        """Encoder and decoder under "vae", the discriminator under its own name."""
        return {
            "vae": [*self.encoder.parameters(), *self.decoder.parameters()],
            "discriminator": list(self.discriminator.parameters()),
        }

    @takes_tensor_step
    def losses(self, x: Images, step: int | Tensor) -> Losses:
        """Eq. 2 and 3 with one sample of z for each image.

        `tc_loss`, the estimated total correlation, and `discriminator_loss` are logged too.
        """
        posterior = self.encode(x)
        z = posterior.sample(torch.randn_like(posterior.mean))
        logits = self.discriminator(z)
        permuted = self.discriminator(permute_codes(z))
        plain = vae_losses(self._reconstruction_loss(x, self.decode(z)), posterior, beta=1.0)
        tc_loss = tc_estimate(logits)
        losses = penalized(plain, self.gamma * tc_loss)
        classification = discriminator_loss(logits, permuted)
        logs = {"tc_loss": tc_loss.detach(), "discriminator_loss": classification.detach()}
        return Losses(losses.objectives | {"discriminator": classification}, losses.logs | logs)
