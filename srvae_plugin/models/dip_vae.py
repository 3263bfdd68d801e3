"""DIP-VAE-I and DIP-VAE-II: a VAE whose codes are drawn to unit covariance."""

from __future__ import annotations

import gin
import torch
from torch import Tensor

from srvae_plugin.models.base import (
    Gaussian,
    Images,
    Losses,
    takes_tensor_step,
)
from srvae_plugin.models.losses import (
    batch_covariance,
    covariance_penalty,
    penalized,
    require_weight,
)
from srvae_plugin.models.networks.choice import Network
from srvae_plugin.models.vae import BaseVAE, Reconstruction, take_loss, vae_losses

__all__ = ["DIPVAE", "DIP_TYPES"]

DIP_TYPES = ("i", "ii")


@gin.register("dip_vae", module="srvae_plugin", denylist=["num_latent"])
class DIPVAE(BaseVAE):
    """Penalizes the codes' covariance for differing from I (disentanglement_lib's `dip_vae`).

    The objective is the VAE's plus lambda_od * sum of squared off-diagonal elements plus
    lambda_d_factor * lambda_od * sum of (diagonal - 1)^2. The covariance, over the batch, is that
    of the posterior means (type "i") or of z itself, which adds the mean posterior variances to
    the diagonal (type "ii").

    Source: Kumar et al., "Variational Inference of Disentangled Latent Concepts from Unlabeled
    Observations", ICLR 2018, Eq. 6 and 7.

    Observations are (batch, channel, height, width) in [0, 1]; latents are (batch, latent).

    Args:
        lambda_od: weight of the off-diagonal elements, at least 0.
        lambda_d_factor: weight of the diagonal as a multiple of lambda_od, at least 0.
        dip_type: "i" or "ii".
        encoder, decoder: a name, a function, a module or None; see `BaseVAE`.
        reconstruction_loss: a name, a function or None; see `losses.reconstruction_of`.
        num_latent: number of latents, for use without gin; see `BaseVAE`.

    Raises:
        ValueError: a hyperparameter out of range.

    Example:
        >>> model = DIPVAE(num_latent=10, lambda_od=10.0, lambda_d_factor=10.0)
        >>> model.build((1, 64, 64))
        >>> x = torch.zeros(2, 1, 64, 64)
        >>> model.encode(x).mean.shape, model.reconstruct(x).shape
        (torch.Size([2, 10]), torch.Size([2, 1, 64, 64]))
        >>> "dip_loss" in model.losses(x, step=0).logs
        True
    """

    title = "DIP-VAE-{dip_type}"

    def __init__(
        self,
        lambda_od: float | int,
        lambda_d_factor: float | int,
        dip_type: str = "i",
        encoder: Network = None,
        decoder: Network = None,
        reconstruction_loss: Reconstruction = None,
        *,
        num_latent: int | None = None,
    ):
        super().__init__(encoder, decoder, num_latent=num_latent)
        self.lambda_od = require_weight("dip_vae.lambda_od", lambda_od)
        self.lambda_d_factor = require_weight("dip_vae.lambda_d_factor", lambda_d_factor)
        if dip_type not in DIP_TYPES:
            raise ValueError(f"dip_vae.dip_type = {dip_type!r}: expected 'i' or 'ii'")
        self.dip_type = dip_type
        take_loss(self, reconstruction_loss)

    @takes_tensor_step
    def losses(self, x: Images, step: int | Tensor) -> Losses:
        """Eq. 6 or 7 with one sample of z for each image; `dip_loss` is logged too."""
        posterior = self.encode(x)
        z = posterior.sample(torch.randn_like(posterior.mean))
        plain = vae_losses(self._reconstruction_loss(x, self.decode(z)), posterior, beta=1.0)
        dip_loss = self._penalty(posterior)
        losses = penalized(plain, dip_loss)
        return Losses(losses.objectives, losses.logs | {"dip_loss": dip_loss.detach()})

    def _penalty(self, posterior: Gaussian) -> Tensor:
        covariance = batch_covariance(posterior.mean)
        if self.dip_type == "ii":
            covariance = covariance + torch.diag(posterior.logvar.exp().mean(0))
        return covariance_penalty(covariance, self.lambda_od, self.lambda_d_factor * self.lambda_od)
