"""VAE and beta-VAE, and the networks and objective that their relatives share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gin
import torch
from jaxtyping import Float
from torch import Tensor, nn

from srvae_plugin.models.base import (
    DisentanglementModel,
    Gaussian,
    Images,
    Latents,
    Losses,
    Shape,
    takes_tensor_step,
)
from srvae_plugin.models.bound import as_bound_now
from srvae_plugin.models.losses import (
    bound_activation,
    gaussian_kl,
    intensities,
    reconstruction_of,
    require_weight,
)
from srvae_plugin.models.networks.build import make_decoder, make_gaussian_encoder
from srvae_plugin.models.networks.choice import Network, build_decoder, build_encoder
from srvae_plugin.models.networks.encoder import positive

__all__ = ["VAE", "BaseVAE", "Reconstruction", "take_loss", "vae_losses"]

Reconstruction = str | Callable[..., Any] | None
"""A reconstruction loss; see `models.losses.reconstruction_of`."""


class BaseVAE(DisentanglementModel):
    """A Gaussian encoder and a decoder.

    Args:
        encoder: a name ("conv_encoder"), a function, a module, or None; see
            `models.networks.choice.build_encoder`. None takes what fits the observations if
            `num_latent` is given, else what gin binds to `encoder.encoder_fn` and
            `encoder.num_latent`.
        decoder: likewise; see `models.networks.choice.build_decoder`.
        num_latent: number of latents; None where the encoder says, as gin's does.

    Raises:
        ValueError: a number of latents below 1.
    """

    _reconstruction_loss: Callable[..., Tensor]

    def __init__(
        self, encoder: Network = None, decoder: Network = None, *, num_latent: int | None = None
    ):
        super().__init__()
        if num_latent is None and not isinstance(encoder, nn.Module):
            encoder = encoder or as_bound_now(make_gaussian_encoder)
            decoder = decoder or as_bound_now(make_decoder)
        # In a tuple, so that a module is no part of the model before it is built.
        self._networks = (encoder, decoder)
        self._asked_latents = num_latent
        if num_latent is not None:
            self.num_latent = positive("num_latent", num_latent)
        self._activation = bound_activation()

    def build(self, observation_shape: Sequence[int]) -> None:
        """Create encoder and decoder for observations (channel, height, width).

        Raises:
            ValueError: they cannot take the shape, or the number of latents is not known.
        """
        shape = _checked(observation_shape)
        encoder, decoder = self._networks
        self.encoder: nn.Module
        self.encoder, self.num_latent = build_encoder(encoder, shape, self._asked_latents)
        self.decoder: nn.Module = build_decoder(decoder, self.num_latent, shape)

    def encode(self, x: Images) -> Gaussian:
        """Posterior q(z|x) of one encoder pass."""
        return Gaussian(*self.encoder(x))

    def decode(self, z: Latents) -> Images:
        """Logits of one decoder pass."""
        return self.decoder(z)

    def mean_image(self, logits: Images) -> Images:
        """Intensities under the activation of the reconstruction loss."""
        return intensities(logits, self._activation)


def _checked(shape: Sequence[int]) -> Shape:
    if len(shape) == 1:
        raise ValueError(
            f"observations of shape {tuple(shape)}: a vector of {shape[0]} features is an "
            f"observation ({shape[0]}, 1, 1), one pixel of {shape[0]} channels"
        )
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(
            f"observations of shape {tuple(shape)}: expected (channel, height, width), at least 1"
        )
    channel, height, width = shape
    return channel, height, width


def take_loss(model: BaseVAE, loss: Reconstruction) -> None:
    """Give a model its reconstruction loss; no method, as SR-VAE and its like have their own."""
    model._reconstruction_loss, model._activation = reconstruction_of(loss)


def vae_losses(reconstruction: Float[Tensor, " batch"], posterior: Gaussian, beta: float) -> Losses:
    """Objective `mean(reconstruction) + beta * KL` and the logs that go with it.

    The KL is summed over latents and averaged over the batch. The logs have
    disentanglement_lib's names; `elbo` is -(reconstruction_loss + kl_loss), and `kl` is the KL
    of each latent, (latent,).
    """
    reconstruction_loss = reconstruction.mean()
    kl = gaussian_kl(posterior.mean, posterior.logvar).mean(0)
    kl_loss = kl.sum()
    regularizer = beta * kl_loss
    loss = reconstruction_loss + regularizer
    logs = {
        "loss": loss,
        "reconstruction_loss": reconstruction_loss,
        "kl_loss": kl_loss,
        "regularizer": regularizer,
        "elbo": -(reconstruction_loss + kl_loss),
        "kl": kl,
    }
    return Losses({"vae": loss}, {name: value.detach() for name, value in logs.items()})


@gin.register("vae", module="srvae_plugin", denylist=["num_latent"])
class VAE(BaseVAE):
    """beta-VAE; beta = 1 is the VAE (disentanglement_lib's `vae`).

    Source: Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained
    Variational Framework", ICLR 2017, Eq. 4; Kingma & Welling, "Auto-Encoding Variational
    Bayes", 2013.

    Observations are (batch, channel, height, width) in [0, 1]; latents are (batch, latent).

    Args:
        beta: weight of the KL term, at least 0.
        encoder, decoder: a name, a function, a module or None; see `BaseVAE`.
        reconstruction_loss: a name, a function or None; see `losses.reconstruction_of`.
        num_latent: number of latents, for use without gin; see `BaseVAE`.

    Raises:
        ValueError: a beta that is negative or not finite.

    Example:
        >>> model = VAE(num_latent=10, beta=4.0)
        >>> model.build((1, 64, 64))
        >>> x = torch.zeros(2, 1, 64, 64)
        >>> model.encode(x).mean.shape, model.reconstruct(x).shape
        (torch.Size([2, 10]), torch.Size([2, 1, 64, 64]))
        >>> sorted(model.losses(x, step=0).objectives)
        ['vae']
    """

    title = "VAE"
    title_with_beta = "beta-VAE"

    def __init__(
        self,
        beta: float,
        encoder: Network = None,
        decoder: Network = None,
        reconstruction_loss: Reconstruction = None,
        *,
        num_latent: int | None = None,
    ):
        super().__init__(encoder, decoder, num_latent=num_latent)
        self.beta = require_weight("vae.beta", beta)
        take_loss(self, reconstruction_loss)

    @takes_tensor_step
    def losses(self, x: Images, step: int | Tensor) -> Losses:
        """Eq. 4 with one sample of z for each image."""
        posterior = self.encode(x)
        logits = self.decode(posterior.sample(torch.randn_like(posterior.mean)))
        return vae_losses(self._reconstruction_loss(x, logits), posterior, self.beta)
