"""A model of somebody else: a linear autoencoder with Gaussian noise on its latents."""

import torch
from torch import nn

from srvae_plugin import DisentanglementModel, Gaussian, Losses
from srvae_plugin.losses import bernoulli_nll, gaussian_kl


class LinearVAE(DisentanglementModel):
    """One linear layer each way."""

    def __init__(self, weight: float = 1.0, num_latent: int = 4):
        super().__init__()
        self.weight = weight
        self.num_latent = num_latent

    def build(self, observation_shape):
        """Create both layers."""
        pixels = int(torch.tensor(observation_shape).prod())
        self.to_latent = nn.Linear(pixels, 2 * self.num_latent)
        self.to_image = nn.Sequential(
            nn.Linear(self.num_latent, pixels), nn.Unflatten(1, tuple(observation_shape))
        )

    def encode(self, x):
        """Posterior of one linear map."""
        return Gaussian(*self.to_latent(x.flatten(1)).chunk(2, dim=1))

    def decode(self, z):
        """Logits of one linear map."""
        return self.to_image(z)

    def losses(self, x, step):
        """The VAE objective."""
        posterior = self.encode(x)
        logits = self.decode(posterior.sample(torch.randn_like(posterior.mean)))
        reconstruction = bernoulli_nll(logits, x).mean()
        kl = self.weight * gaussian_kl(posterior.mean, posterior.logvar).sum(1).mean()
        logs = {"reconstruction_loss": reconstruction.detach(), "kl_loss": kl.detach()}
        return Losses({"vae": reconstruction + kl}, logs)
