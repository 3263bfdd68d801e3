"""A VAE of two linear layers."""

import math

import torch
from torch import nn

from srvae_plugin import DisentanglementModel, Gaussian
from srvae_plugin.models.losses import bernoulli_nll
from srvae_plugin.models.vae import vae_losses


class LinearVAE(DisentanglementModel):
    """One linear layer each way, with the objective of the beta-VAE."""

    def __init__(self, beta: float = 1.0, num_latent: int = 4):
        super().__init__()
        self.beta, self.num_latent = beta, num_latent

    def build(self, observation_shape):
        """Create both layers for observations of this (channel, height, width)."""
        pixels = math.prod(observation_shape)
        self.to_latent = nn.Linear(pixels, 2 * self.num_latent)
        self.to_image = nn.Sequential(
            nn.Linear(self.num_latent, pixels), nn.Unflatten(1, observation_shape)
        )

    def encode(self, x):
        """Mean and log variance of each latent."""
        return Gaussian(*self.to_latent(x.flatten(1)).chunk(2, dim=1))

    def decode(self, z):
        """Logits."""
        return self.to_image(z)

    def losses(self, x, step):
        """Reconstruction of one sample and beta * KL, in nats."""
        posterior = self.encode(x)
        logits = self.decode(posterior.sample(torch.randn_like(posterior.mean)))
        return vae_losses(bernoulli_nll(logits, x), posterior, self.beta)
