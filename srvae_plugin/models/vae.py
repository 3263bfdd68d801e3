"""VAE and beta-VAE, and the networks and objective that their relatives share."""

from __future__ import annotations

from collections.abc import Callable
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
from srvae_plugin.models.losses import (
    bound_activation,
    gaussian_kl,
    intensities,
    make_reconstruction_loss,
    require_weight,
)
from srvae_plugin.models.networks import make_decoder, make_gaussian_encoder

EncoderFactory = Callable[[Shape], nn.Module]
DecoderFactory = Callable[[int, Shape], nn.Module]


class BaseVAE(DisentanglementModel):
    """A Gaussian encoder and a decoder.

    Args:
        encoder: observation_shape -> encoder module (see `models.networks`). None: what
            gin binds to `encoder.encoder_fn` and `encoder.num_latent`.
        decoder: (num_latent, observation_shape) -> decoder module. None: gin's
            `decoder.decoder_fn`.
    """

    def __init__(
        self, encoder: EncoderFactory | None = None, decoder: DecoderFactory | None = None
    ):
        super().__init__()
        self._encoder_factory = encoder or gin.get_configurable(make_gaussian_encoder)
        self._decoder_factory = decoder or gin.get_configurable(make_decoder)
        self._activation = bound_activation()

    def build(self, observation_shape: Shape) -> None:
        """Create encoder and decoder; ValueError where they cannot take the shape."""
        self.encoder: nn.Module = self._encoder_factory(observation_shape)
        self.num_latent: int = self.encoder.num_latent  # type: ignore[assignment]
        self.decoder: nn.Module = self._decoder_factory(self.num_latent, observation_shape)

    def encode(self, x: Images) -> Gaussian:
        """Posterior q(z|x) of one encoder pass."""
        return Gaussian(*self.encoder(x))

    def decode(self, z: Latents) -> Images:
        """Logits of one decoder pass."""
        return self.decoder(z)

    def mean_image(self, logits: Images) -> Images:
        """Intensities under the activation that gin binds to `reconstruction_loss`."""
        return intensities(logits, self._activation)


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


class VAE(BaseVAE):
    """beta-VAE; beta = 1 is the VAE (disentanglement_lib's `vae`).

    Source: Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained
    Variational Framework", ICLR 2017, Eq. 4; Kingma & Welling, "Auto-Encoding Variational
    Bayes", 2013.

    Args:
        beta: weight of the KL term, at least 0.
        encoder, decoder: see `BaseVAE`.
        reconstruction_loss: (x, logits) -> (batch,) nats. None: gin's
            `reconstruction_loss.loss_fn`.

    Example:
        >>> from functools import partial
        >>> from srvae_plugin.models.networks import srvae_decoder, srvae_encoder
        >>> model = VAE(beta=4.0, encoder=partial(srvae_encoder, num_latent=10),
        ...             decoder=srvae_decoder)
        >>> model.build((1, 64, 64))
        >>> model.encode(torch.zeros(2, 1, 64, 64)).mean.shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        beta: float,
        encoder: EncoderFactory | None = None,
        decoder: DecoderFactory | None = None,
        reconstruction_loss: Callable[..., Any] | None = None,
    ):
        super().__init__(encoder, decoder)
        self.beta = require_weight("vae.beta", beta)
        self._reconstruction_loss = reconstruction_loss or gin.get_configurable(
            make_reconstruction_loss
        )

    @takes_tensor_step
    def losses(self, x: Images, step: int | Tensor) -> Losses:
        """Eq. 4 with one sample of z for each image."""
        posterior = self.encode(x)
        logits = self.decode(posterior.sample(torch.randn_like(posterior.mean)))
        return vae_losses(self._reconstruction_loss(x, logits), posterior, self.beta)
