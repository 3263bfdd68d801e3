"""Mutual information of latents and labels, estimated by small networks (MINE).

Source: Belghazi et al., "Mutual Information Neural Estimation", ICML 2018, Eq. 10; one network of
20 hidden units for each label and latent, as in disentanglement_lib's `s2_mine_vae`.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from srvae_plugin.models.base import Latents

__all__ = ["MutualInformation"]

_WIDTH = 20


class MutualInformation(nn.Module):
    """Lower bounds (label, latent) of the mutual information, in nats.

    For each label l and latent r, with T a network, v the labels and v' the labels permuted over
    the batch, mean T(z_r, v_l) - log mean exp T(z_r, v'_l).

    Args:
        num_labels, num_latent: how many.

    Example: a constant network knows of no information.
        >>> estimate = MutualInformation(1, 2)
        >>> _ = estimate.out.data.zero_()
        >>> estimate(torch.randn(8, 2), torch.randn(8, 1)).abs().max().item() < 1e-6
        True
    """

    def __init__(self, num_labels: int, num_latent: int):
        super().__init__()
        both, limit = (num_labels, num_latent, _WIDTH), math.sqrt(6 / (1 + _WIDTH))
        self.latent, self.label, self.out = (
            nn.Parameter(torch.empty(both).uniform_(-limit, limit)) for _ in range(3)
        )
        self.bias = nn.Parameter(torch.zeros(both))
        self.out_bias = nn.Parameter(torch.zeros(both[:2]))

    def forward(
        self, codes: Latents, labels: Float[Tensor, "batch label"]
    ) -> Float[Tensor, "label latent"]:
        """The estimates; permutations are drawn from torch's global generator."""
        number = len(codes)
        paired = labels[:, :, None].expand(-1, -1, codes.shape[1])
        order = torch.rand_like(paired, dtype=torch.float32).argsort(0)
        joint, apart = (self._scores(codes, each) for each in (paired, paired.gather(0, order)))
        return joint.mean(0) - apart.logsumexp(0) + math.log(number)

    def _scores(self, codes: Latents, labels: Tensor) -> Tensor:
        """T of each image, (batch, label, latent)."""
        hidden = codes[:, None, :, None] * self.latent + labels[..., None] * self.label
        return (nn.functional.elu(hidden + self.bias) * self.out).sum(-1) + self.out_bias
