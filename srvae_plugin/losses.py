"""Pure loss terms, each in nats per image and without a mean over the batch.

The gin-configurable wrappers `reconstruction_loss`, `bernoulli_loss` and `l2_loss` have
disentanglement_lib's names and meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gin
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from srvae_plugin.model import Images, Latents

PerImage = Float[Tensor, " batch"]


def gaussian_kl(mean: Latents, logvar: Latents) -> Latents:
    """KL(N(mean, exp(logvar)) || N(0, 1)) of each latent, (batch, latent), in nats.

    Source: Kingma & Welling, "Auto-Encoding Variational Bayes", appendix B. Algorithm 2 of the
    SR-VAE paper prints this sum garbled; the closed form is meant.
    """
    return 0.5 * (mean.square() + logvar.exp() - logvar - 1)


def bernoulli_nll(logits: Images, x: Images) -> PerImage:
    """Cross-entropy -log p(x) under a Bernoulli with these logits, summed over pixels."""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def squared_error(image: Images, x: Images) -> PerImage:
    """Sum over pixels of (image - x)^2: a Gaussian's -log p(x) at variance 1/2, but for a constant.

    disentanglement_lib's `l2_loss` and the SR-VAE paper's MSE, up to the mean over pixels.
    """
    return (image - x).square().flatten(1).sum(1)


def bernoulli_entropy(x: Images) -> PerImage:
    """Entropy of independent Bernoulli pixels with means x: the least bernoulli_nll can be."""
    p = x.clamp(1e-6, 1 - 1e-6)
    return -(p * p.log() + (1 - p) * (1 - p).log()).flatten(1).sum(1)


def intensities(decoded: Images, activation: str) -> Images:
    """Pixel intensities of a decoder's output: "logits" or "tanh", as in disentanglement_lib.

    Raises ValueError for another activation.
    """
    if activation == "logits":
        return torch.sigmoid(decoded)
    if activation == "tanh":
        return torch.tanh(decoded) / 2 + 0.5
    raise ValueError(
        f"reconstruction_loss.activation = {activation!r}: expected 'logits' or 'tanh'"
    )


@gin.register("bernoulli_loss", module="srvae_plugin", allowlist=["subtract_true_image_entropy"])
def bernoulli_loss(
    true_images: Images,
    reconstructed_images: Images,
    activation: str = "logits",
    subtract_true_image_entropy: bool = False,
) -> PerImage:
    """Bernoulli reconstruction loss, (batch,), in nats (disentanglement_lib's `bernoulli_loss`).

    Arguments:
        true_images: observations in [0, 1].
        reconstructed_images: the decoder's output.
        activation: "logits", or "tanh" for tanh(output) / 2 + 1/2 clipped to [1e-6, 1 - 1e-6].
        subtract_true_image_entropy: make a perfect reconstruction of grey images cost 0.

    Raises ValueError for another activation.
    """
    if activation == "logits":
        loss = bernoulli_nll(reconstructed_images, true_images)
    else:
        p = intensities(reconstructed_images, activation).clamp(1e-6, 1 - 1e-6)
        loss = F.binary_cross_entropy(p, true_images, reduction="none").flatten(1).sum(1)
    if subtract_true_image_entropy:
        loss = loss - bernoulli_entropy(true_images)
    return loss


@gin.register(
    "l2_loss",
    module="srvae_plugin",
    denylist=["true_images", "reconstructed_images", "activation"],
)
def l2_loss(
    true_images: Images, reconstructed_images: Images, activation: str = "logits"
) -> PerImage:
    """Sum of squared pixel errors, (batch,) (disentanglement_lib's `l2_loss`)."""
    return squared_error(intensities(reconstructed_images, activation), true_images)


@gin.register(
    "reconstruction_loss",
    module="srvae_plugin",
    denylist=["true_images", "reconstructed_images"],
)
def make_reconstruction_loss(
    true_images: Images,
    reconstructed_images: Images,
    loss_fn: Callable[..., Any] = gin.get_configurable(bernoulli_loss),
    activation: str = "logits",
) -> PerImage:
    """Apply the reconstruction loss that gin binds to `reconstruction_loss.loss_fn`."""
    return loss_fn(true_images, reconstructed_images, activation)


def bound_activation() -> str:
    """Activation that gin binds to `reconstruction_loss.activation`; "logits" if none."""
    try:
        return gin.query_parameter("srvae_plugin.reconstruction_loss.activation")
    except ValueError:
        return "logits"
