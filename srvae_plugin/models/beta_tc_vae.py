"""beta-TCVAE: a VAE with a heavier weight on the total correlation alone."""

from __future__ import annotations

import gin
import torch
from torch import Tensor

from srvae_plugin.models.base import Images, Losses, takes_tensor_step
from srvae_plugin.models.losses import (
    penalized,
    require_weight,
    total_correlation,
)
from srvae_plugin.models.networks.choice import Network
from srvae_plugin.models.vae import BaseVAE, Reconstruction, take_loss, vae_losses

__all__ = ["BetaTCVAE"]


@gin.register("beta_tc_vae", module="srvae_plugin", denylist=["num_latent"])
class BetaTCVAE(BaseVAE):
    """Weighs the total correlation of q(z) by beta (disentanglement_lib's `beta_tc_vae`).

    The objective is the VAE's plus (beta - 1) * TC: with alpha = gamma = 1 the paper's three
    terms, mutual information, total correlation and dimension-wise KL, add up to the KL of the
    VAE and the surplus of TC. TC comes from weighted sampling on the batch and without its
    constant (see `models.losses.total_correlation`): `loss` and `regularizer` are shifted
    by (beta - 1) times that constant, which has no gradient.

    Source: Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders",
    NeurIPS 2018, Eq. 4.

    Observations are (batch, channel, height, width) in [0, 1]; latents are (batch, latent).

    Args:
        beta: weight of the total correlation, at least 0; 1 is the VAE.
        encoder, decoder: a name, a function, a module or None; see `BaseVAE`.
        reconstruction_loss: a name, a function or None; see `losses.reconstruction_of`.
        num_latent: number of latents, for use without gin; see `BaseVAE`.

    Raises:
        ValueError: a beta that is negative or not finite.

    Example:
        >>> model = BetaTCVAE(num_latent=10, beta=6.0)
        >>> model.build((1, 64, 64))
        >>> x = torch.zeros(2, 1, 64, 64)
        >>> model.encode(x).mean.shape, model.reconstruct(x).shape
        (torch.Size([2, 10]), torch.Size([2, 1, 64, 64]))
        >>> "tc_loss" in model.losses(x, step=0).logs
        True
    """

    title = "beta-TCVAE"

    def __init__(
        self,
        beta: float | int,
        encoder: Network = None,
        decoder: Network = None,
        reconstruction_loss: Reconstruction = None,
        *,
        num_latent: int | None = None,
    ):
        super().__init__(encoder, decoder, num_latent=num_latent)
        self.beta = require_weight("beta_tc_vae.beta", beta)
        take_loss(self, reconstruction_loss)

    @takes_tensor_step
    def losses(self, x: Images, step: int | Tensor) -> Losses:
        """Eq. 4 with one sample of z for each image; `tc_loss` is logged too."""
        posterior = self.encode(x)
        z = posterior.sample(torch.randn_like(posterior.mean))
        plain = vae_losses(self._reconstruction_loss(x, self.decode(z)), posterior, beta=1.0)
        tc_loss = total_correlation(z, *posterior)
        losses = penalized(plain, (self.beta - 1) * tc_loss)
        return Losses(losses.objectives, losses.logs | {"tc_loss": tc_loss.detach()})
