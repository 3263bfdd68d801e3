"""AnnealedVAE: a VAE whose KL is held at a capacity that grows during training."""

from __future__ import annotations

import gin
import torch
from torch import Tensor

from srvae_plugin.models.base import Images, Losses, takes_tensor_step
from srvae_plugin.models.losses import (
    gaussian_kl,
    penalized,
    require_weight,
)
from srvae_plugin.models.networks.choice import Network
from srvae_plugin.models.vae import BaseVAE, Reconstruction, take_loss, vae_losses

__all__ = ["AnnealedVAE", "anneal"]


def anneal(c_max: float, step: int | Tensor, iteration_threshold: float) -> float | Tensor:
    """Capacity in nats at a step: 0 at step 0, then linear, c_max from the threshold on.

    The step is a number or a tensor (), and so is the capacity.
    """
    if isinstance(step, Tensor):
        return (c_max * step.double() / iteration_threshold).clamp(max=c_max)
    return min(c_max, c_max * step / iteration_threshold)


@gin.register("annealed_vae", module="srvae_plugin", denylist=["num_latent"])
class AnnealedVAE(BaseVAE):
    """The KL is drawn to a growing capacity C (disentanglement_lib's `annealed_vae`).

    The objective is the reconstruction loss plus gamma * |KL - C|; the KL is summed over latents
    and averaged over the batch before the distance is taken.

    Source: Burgess et al., "Understanding disentangling in beta-VAE", 2018, Eq. 8.

    Observations are (batch, channel, height, width) in [0, 1]; latents are (batch, latent).

    Args:
        gamma: weight of the distance, at least 0.
        c_max: last capacity in nats, at least 0.
        iteration_threshold: steps until the capacity is c_max, above 0.
        encoder, decoder: a name, a function, a module or None; see `BaseVAE`.
        reconstruction_loss: a name, a function or None; see `losses.reconstruction_of`.
        num_latent: number of latents, for use without gin; see `BaseVAE`.

    Raises:
        ValueError: a hyperparameter out of range.

    Example:
        >>> model = AnnealedVAE(num_latent=10, gamma=1000.0, c_max=25.0, iteration_threshold=100000)
        >>> model.build((1, 64, 64))
        >>> x = torch.zeros(2, 1, 64, 64)
        >>> model.encode(x).mean.shape, model.reconstruct(x).shape
        (torch.Size([2, 10]), torch.Size([2, 1, 64, 64]))
        >>> model.losses(x, step=50000).logs["capacity"]
        tensor(12.5000)
    """

    title = "AnnealedVAE"

    def __init__(
        self,
        gamma: float | int,
        c_max: float | int,
        iteration_threshold: float | int,
        encoder: Network = None,
        decoder: Network = None,
        reconstruction_loss: Reconstruction = None,
        *,
        num_latent: int | None = None,
    ):
        super().__init__(encoder, decoder, num_latent=num_latent)
        self.gamma = require_weight("annealed_vae.gamma", gamma)
        self.c_max = require_weight("annealed_vae.c_max", c_max)
        if not 0 < iteration_threshold < float("inf"):
            raise ValueError(
                f"annealed_vae.iteration_threshold = {iteration_threshold}: expected a finite "
                "number of steps above 0"
            )
        self.iteration_threshold = float(iteration_threshold)
        take_loss(self, reconstruction_loss)

    @takes_tensor_step
    def losses(self, x: Images, step: int | Tensor) -> Losses:
        """Eq. 8 with one sample of z for each image; `capacity` is logged too."""
        posterior = self.encode(x)
        logits = self.decode(posterior.sample(torch.randn_like(posterior.mean)))
        kl_loss = gaussian_kl(*posterior).mean(0).sum()
        capacity = anneal(self.c_max, step, self.iteration_threshold)
        if isinstance(capacity, Tensor):
            capacity = capacity.to(kl_loss.dtype)
        unregularized = vae_losses(self._reconstruction_loss(x, logits), posterior, beta=0.0)
        losses = penalized(unregularized, self.gamma * (kl_loss - capacity).abs())
        logs = losses.logs | {"capacity": torch.zeros((), device=x.device) + capacity}
        return Losses(losses.objectives, logs)
