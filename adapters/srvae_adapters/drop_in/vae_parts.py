"""`methods.unsupervised.vae`: models, and the sums that their losses are made of, in torch."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from srvae_plugin.models import losses
from srvae_plugin.models.base import Losses
from srvae_plugin.models.vae import BaseVAE as OurBase, take_loss, vae_losses

__all__ = ["BaseVAE", "compute_gaussian_kl", "gaussian_log_density", "total_correlation"]


class BaseVAE(OurBase):
    """A VAE whose loss is the reconstruction's plus `regularizer`, for subclasses of a user's.

    As in disentanglement_lib, a subclass's `__init__` need not call this one's.
    """

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        """A model with its networks and its reconstruction loss as gin binds them."""
        model = super().__new__(cls, *arguments, **named)
        OurBase.__init__(model)
        take_loss(model, None)
        return model

    def __init__(self) -> None:
        pass

    def regularizer(
        self, kl_loss: Tensor, z_mean: Tensor, z_logvar: Tensor, z_sampled: Tensor
    ) -> Tensor:
        """What is added to the reconstruction loss, a scalar."""
        raise NotImplementedError

    def losses(self, x: Tensor, step: int | Tensor) -> Losses:
        """See the class."""
        del step
        posterior = self.encode(x)
        z = posterior.sample(torch.randn_like(posterior.mean))
        plain = vae_losses(self._reconstruction_loss(x, self.decode(z)), posterior, beta=0.0)
        kl = compute_gaussian_kl(*posterior)
        return losses.penalized(plain, self.regularizer(kl, posterior.mean, posterior.logvar, z))


def compute_gaussian_kl(z_mean: Tensor, z_logvar: Tensor) -> Tensor:
    """Mean over the batch of the divergence from the prior, in nats."""
    return losses.gaussian_kl(z_mean, z_logvar).sum(1).mean()


def gaussian_log_density(samples: Any, mean: Any, log_var: Any) -> Tensor:
    """Logarithm of a normal density, element by element."""
    samples, mean, log_var = (torch.as_tensor(value) for value in (samples, mean, log_var))
    scaled = (samples - mean).square() * torch.exp(-log_var)
    return -0.5 * (scaled + log_var + math.log(2 * math.pi))


def total_correlation(z: Tensor, z_mean: Tensor, z_logvar: Tensor) -> Tensor:
    """Total correlation of the batch's aggregate posterior, but for a constant."""
    return losses.total_correlation(z, z_mean, z_logvar)
