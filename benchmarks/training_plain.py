"""The SR-VAE paper's networks and algorithms in plain PyTorch, written down as they are printed.

The other side of benchmarks/training.py and gpu_speed.py: it knows nothing of this project. Also a
VAE and a FactorVAE with the same networks, the batch that every contender trains on, and the
operations that the layers cost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEARNING_RATE = 1e-4  # Table 2


class Settings(NamedTuple):
    """Size of the task; `channels` is the width of the first convolution, 32 in the paper."""

    latents: int
    batch: int
    channels: int


def observations(batch: int, seed: int = 0) -> Tensor:
    """White rectangles on black, (batch, 64, 64, 1), laid out as a data set hands them out."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randint(0, 40, (batch, 2, 1), generator=generator)
    size = torch.randint(8, 24, (batch, 2, 1), generator=generator)
    inside = (torch.arange(64) >= start) & (torch.arange(64) < start + size)
    return (inside[:, 0, :, None] & inside[:, 1, None, :]).float()[..., None]


def table_1(latents: int, c: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Encoder and decoder of Table 1."""
    encoder = nn.Sequential(
        *(nn.Conv2d(1, c, 4, 2, 1), nn.ReLU(), nn.Conv2d(c, c, 4, 2, 1), nn.ReLU()),
        *(nn.Conv2d(c, 2 * c, 4, 2, 1), nn.ReLU(), nn.Conv2d(2 * c, 2 * c, 4, 2, 1), nn.ReLU()),
        *(nn.Conv2d(2 * c, 8 * c, 4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * c, 2 * latents)),
    )
    decoder = nn.Sequential(
        *(nn.Linear(latents, 8 * c), nn.ReLU(), nn.Unflatten(1, (8 * c, 1, 1))),
        *(nn.ConvTranspose2d(8 * c, 2 * c, 4), nn.ReLU()),
        *(nn.ConvTranspose2d(2 * c, 2 * c, 4, 2, 1), nn.ReLU()),
        *(nn.ConvTranspose2d(2 * c, c, 4, 2, 1), nn.ReLU()),
        *(nn.ConvTranspose2d(c, c, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(c, 1, 4, 2, 1)),
    )
    return encoder, decoder


def negative_elbo(logits: Tensor, mean: Tensor, logvar: Tensor, x: Tensor) -> Tensor:
    """Cross-entropy plus KL, summed over an image and averaged over the batch."""
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    kl = -0.5 * torch.sum(1 + logvar - mean.pow(2) - logvar.exp())
    return (reconstruction + kl) / len(x)


class PlainSRVAE(nn.Module):
    """Algorithms 1 and 2, read as `sr_vae.reading = "paper"` says, line by line."""

    def __init__(self, settings: Settings):
        super().__init__()
        self.d = settings.latents
        self.encoder, self.decoder = table_1(settings.latents, settings.channels)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, mean and log variance of a batch (Algorithm 1); noise (step, batch, latent)."""
        batch, d = len(x), self.d
        if noise is None:
            noise = torch.randn(d, batch, d, dtype=x.dtype, device=x.device)
        y = x
        mean = torch.zeros(batch, 0, dtype=x.dtype, device=x.device)
        logvar = torch.zeros(batch, 0, dtype=x.dtype, device=x.device)
        for i in range(d):
            mean_i, logvar_i = self.encoder(y).chunk(2, dim=1)
            mean = torch.cat([mean, mean_i[:, i : i + 1]], dim=1)
            logvar = torch.cat([logvar, logvar_i[:, i : i + 1]], dim=1)
            z = mean + torch.exp(0.5 * logvar) * noise[i, :, : i + 1]
            z = F.pad(z, (0, d - i - 1))
            decoded = self.decoder(z)
            if i < d - 1:
                y = y - torch.sigmoid(decoded)
        return decoded + y, mean, logvar

    def encode(self, x: Tensor) -> Tensor:
        """Mean of every latent, each step on the means of those before."""
        mean = torch.zeros(len(x), 0, dtype=x.dtype)
        for i in range(self.d):
            mean = torch.cat([mean, self.encoder(x)[:, i : i + 1]], dim=1)
            if i < self.d - 1:
                z = torch.cat([mean, torch.zeros(len(x), self.d - i - 1, dtype=x.dtype)], dim=1)
                x = x - torch.sigmoid(self.decoder(z))
        return mean

    def loss(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Cross-entropy plus KL, summed and averaged over the batch (Algorithm 2)."""
        return negative_elbo(*self(x, noise), x)


class PlainVAE(nn.Module):
    """Kingma & Welling's VAE."""

    def __init__(self, settings: Settings):
        super().__init__()
        self.encoder, self.decoder = table_1(settings.latents, settings.channels)

    def loss_and_code(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy plus KL, averaged over the batch, and the latents it was computed with."""
        mean, logvar = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        return negative_elbo(self.decoder(z), mean, logvar, x), z

    def loss(self, x: Tensor) -> Tensor:
        return self.loss_and_code(x)[0]


class PlainFactorVAE(PlainVAE):
    """Kim & Mnih's Algorithm 2, both losses on one batch as in disentanglement_lib."""

    gamma = 10.0

    def __init__(self, settings: Settings):
        super().__init__(settings)
        layers: list[nn.Module] = []
        for inputs in (settings.latents, *[1000] * 5):
            layers += [nn.Linear(inputs, 1000), nn.LeakyReLU(0.2)]
        self.discriminator = nn.Sequential(*layers, nn.Linear(1000, 2))

    def losses(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The VAE's loss, which needs the discriminator's gradient, and the discriminator's."""
        loss, z = self.loss_and_code(x)
        logits = self.discriminator(z)
        loss = loss + self.gamma * (logits[:, 0] - logits[:, 1]).mean()
        z = z.detach()
        order = torch.rand(z.shape, device=z.device).argsort(dim=0)  # of each latent on its own
        permuted = torch.take_along_dim(z, order, dim=0)
        ones = torch.ones(len(x), dtype=torch.long, device=x.device)
        joint = F.cross_entropy(self.discriminator(z), ones - 1)
        product = F.cross_entropy(self.discriminator(permuted), ones)
        return loss, (joint + product) / 2


def plain_training(model: PlainSRVAE | PlainVAE) -> Callable[[Tensor], float]:
    """A function that updates the model on a batch and returns the loss."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)

    def update(x: Tensor) -> float:
        optimizer.zero_grad()
        loss = model.loss(x)
        loss.backward()
        optimizer.step()
        return loss.item()

    return update


def factor_vae_training(model: PlainFactorVAE) -> Callable[[Tensor], float]:
    """The same for FactorVAE; both networks step from the same weights."""
    networks = [*model.encoder.parameters(), *model.decoder.parameters()]
    vae = torch.optim.Adam(networks, LEARNING_RATE)
    discriminator = torch.optim.Adam(model.discriminator.parameters(), LEARNING_RATE, (0.5, 0.9))

    def update(x: Tensor) -> float:
        loss, classification = model.losses(x)
        vae.zero_grad()
        loss.backward()
        discriminator.zero_grad()  # the gradient of the VAE's loss
        classification.backward()
        vae.step()
        discriminator.step()
        return loss.item()

    return update


class Plain(NamedTuple):
    """A model and what trains it."""

    model: Callable[[Settings], nn.Module]
    training: Callable[[Any], Callable[[Tensor], float]]


PLAIN_MODELS = {
    "srvae": Plain(PlainSRVAE, plain_training),
    "vae": Plain(PlainVAE, plain_training),
    "factor_vae": Plain(PlainFactorVAE, factor_vae_training),
}


def step_flops(settings: Settings) -> dict[str, float]:
    """Floating-point operations of one step of SR-VAE and of the VAE, from the layers' shapes.

    Forward, gradient of the input, gradient of the weights: as many multiplications each, and an
    addition with every one. The image needs no gradient. Activations and biases are left out;
    products with a convolution's zero padding are counted, as a convolution written as a matrix
    product makes them.
    """
    counts: list[int] = []

    def count(layer: Any, inputs: Any, output: Tensor) -> None:
        positions = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        counts.append(layer.weight.numel() * positions.shape[2:].numel())

    encoder, decoder = (net.to("meta") for net in table_1(settings.latents, settings.channels))
    for layer in (*encoder, *decoder):
        if hasattr(layer, "weight"):
            layer.register_forward_hook(count)
    encoder(torch.empty(1, 1, 64, 64, device="meta"))
    decoder(torch.empty(1, settings.latents, device="meta"))
    passes = {"srvae": settings.latents, "vae": 1}
    multiplications = {name: 3 * n * sum(counts) - counts[0] for name, n in passes.items()}
    return {name: 2.0 * settings.batch * n for name, n in multiplications.items()}
