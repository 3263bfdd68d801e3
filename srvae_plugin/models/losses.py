"""Pure loss terms, in nats; those of an image come without a mean over the batch.

Total correlation and covariance penalty are of the batch as a whole, hence scalars. The
gin-configurable wrappers `reconstruction_loss`, `bernoulli_loss` and `l2_loss` have
disentanglement_lib's names and meaning.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import gin
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from srvae_plugin.models.base import (
    Images,
    Latents,
    Losses,
    Scalar,
)
from srvae_plugin.models.bound import as_bound_now

__all__ = [
    "RECONSTRUCTION_LOSSES",
    "Covariance",
    "PerImage",
    "batch_covariance",
    "bernoulli_entropy",
    "bernoulli_loss",
    "bernoulli_nll",
    "bound_activation",
    "covariance_penalty",
    "gaussian_kl",
    "intensities",
    "l2_loss",
    "make_reconstruction_loss",
    "penalized",
    "reconstruction_of",
    "require_weight",
    "squared_error",
    "total_correlation",
]

PerImage = Float[Tensor, " batch"]
Covariance = Float[Tensor, "latent latent"]


def gaussian_kl(mean: Latents, logvar: Latents) -> Latents:
    """KL(N(mean, exp(logvar)) || N(0, 1)) of each latent, (batch, latent), in nats.

    Source: Kingma & Welling, "Auto-Encoding Variational Bayes", appendix B. Algorithm 2 of the
    SR-VAE paper prints this sum garbled; the closed form is meant.

    Example:
        >>> gaussian_kl(torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2))
        tensor([[0., 2.]])
    """
    mean, logvar = _at_least_single(mean), _at_least_single(logvar)
    return 0.5 * (mean.square() + logvar.exp() - logvar - 1)


def bernoulli_nll(logits: Images, x: Images) -> PerImage:
    """Cross-entropy -log p(x) under a Bernoulli with these logits, summed over pixels.

    Example: four pixels of which nothing is known cost log 2 each.
        >>> bernoulli_nll(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))
        tensor([2.7726])
    """
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def squared_error(image: Images, x: Images) -> PerImage:
    """Sum over pixels of (image - x)^2: a Gaussian's -log p(x) at variance 1/2, but for a constant.

    disentanglement_lib's `l2_loss` and the SR-VAE paper's MSE, up to the mean over pixels.

    Example:
        >>> squared_error(torch.full((1, 1, 2, 2), 0.5), torch.ones(1, 1, 2, 2))
        tensor([1.])
    """
    return (image - x).square().flatten(1).sum(1)


def bernoulli_entropy(x: Images) -> PerImage:
    """Entropy of independent Bernoulli pixels with means x: the least bernoulli_nll can be.

    Example:
        >>> bernoulli_entropy(torch.full((1, 1, 2, 2), 0.5))
        tensor([2.7726])
    """
    p = x.clamp(1e-6, 1 - 1e-6)
    return -(p * p.log() + (1 - p) * (1 - p).log()).flatten(1).sum(1)


def intensities(decoded: Images, activation: str) -> Images:
    """Pixel intensities of a decoder's output: "logits" or "tanh", as in disentanglement_lib.

    "linear" leaves it as it is: for observations that are any real numbers.

    Raises:
        ValueError: another activation, or one that the loss cannot take.
    """
    if activation == "logits":
        return torch.sigmoid(decoded)
    if activation == "tanh":
        return torch.tanh(decoded) / 2 + 0.5
    if activation == "linear":
        return decoded
    raise ValueError(
        f"reconstruction_loss.activation = {activation!r}: expected 'logits', 'tanh' or 'linear'"
    )


def total_correlation(z: Latents, mean: Latents, logvar: Latents) -> Scalar:
    """Total correlation KL(q(z) || prod_l q(z_l)) of the aggregate posterior, but for a constant.

    Minibatch-weighted sampling: each density at z_j is a sum over the batch's posteriors,

        mean_j [log sum_i prod_l q(z_jl | x_i) - sum_l log sum_i q(z_jl | x_i)].

    With q(z) taken over the batch alone the estimate is this plus (latents - 1) log(batch size),
    over a data set plus (latents - 1) log(batch size * data set size); like disentanglement_lib
    we leave that constant out, so that the value is negative as a rule.

    Source: Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders",
    NeurIPS 2018; disentanglement_lib's `total_correlation`.

    Args:
        z: one sample of each image's posterior, (batch, latent).
        mean, logvar: the posteriors, each (batch, latent).

    Example: a latent alone depends on no other.
        >>> total_correlation(torch.randn(8, 1), torch.zeros(8, 1), torch.zeros(8, 1))
        tensor(0.)
    """
    z, mean, logvar = _at_least_single(z), _at_least_single(mean), _at_least_single(logvar)
    scaled = (z[:, None] - mean).square() * torch.exp(-logvar)
    log_density = -0.5 * (scaled + logvar + math.log(2 * math.pi))  # (sample, posterior, latent)
    joint = log_density.sum(2).logsumexp(1)
    product = log_density.logsumexp(1).sum(1)
    return (joint - product).mean()


def batch_covariance(mean: Latents) -> Covariance:
    """Covariance over the batch of the posterior means, divided by the size of the batch.

    Example:
        >>> batch_covariance(torch.tensor([[1.0, 2.0], [-1.0, -2.0]]))
        tensor([[1., 2.],
                [2., 4.]])
    """
    centered = _at_least_single(mean)
    centered = centered - centered.mean(0)
    return (centered[:, :, None] * centered[:, None, :]).mean(0)


def covariance_penalty(covariance: Covariance, lambda_od: float, lambda_d: float) -> Scalar:
    """Weighted squared distance of a covariance from the identity.

    lambda_od * sum_{i != j} C_ij^2 + lambda_d * sum_i (C_ii - 1)^2. Source: Kumar et al.,
    "Variational Inference of Disentangled Latent Concepts from Unlabeled Observations", ICLR
    2018, Eq. 6 and 7.

    Example:
        >>> covariance_penalty(torch.tensor([[1.0, 0.5], [0.5, 3.0]]), lambda_od=10.0, lambda_d=1.0)
        tensor(9.)
    """
    diagonal = covariance.diagonal()
    off_diagonal = covariance - torch.diag(diagonal)
    return lambda_od * off_diagonal.square().sum() + lambda_d * (diagonal - 1).square().sum()


def _at_least_single(x: Latents) -> Latents:
    """In float32 or better: differences of large sums are lost in the half precisions."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def penalized(losses: Losses, penalty: Scalar) -> Losses:
    """Add a penalty to the VAE's objective, and to `loss` and `regularizer` in the logs."""
    logs = dict(losses.logs)
    for name in ("loss", "regularizer"):
        logs[name] = logs[name] + penalty.detach()
    return Losses(losses.objectives | {"vae": losses.objectives["vae"] + penalty}, logs)


def require_weight(name: str, value: float | int) -> float:
    """Return a hyperparameter as a float; ValueError if it is no number, negative or infinite."""
    is_number = hasattr(value, "__float__") and not isinstance(value, bool)
    if not (is_number and 0 <= value < math.inf):
        raise ValueError(f"{name} = {value!r}: expected a finite number of at least 0")
    return float(value)


@gin.register("bernoulli_loss", module="srvae_plugin", allowlist=["subtract_true_image_entropy"])
def bernoulli_loss(
    true_images: Images,
    reconstructed_images: Images,
    activation: str = "logits",
    subtract_true_image_entropy: bool = False,
) -> PerImage:
    """Bernoulli reconstruction loss, (batch,), in nats (disentanglement_lib's `bernoulli_loss`).

    Args:
        true_images: observations in [0, 1].
        reconstructed_images: the decoder's output.
        activation: "logits", or "tanh" for tanh(output) / 2 + 1/2 clipped to [1e-6, 1 - 1e-6].
        subtract_true_image_entropy: make a perfect reconstruction of grey images cost 0.

    Raises:
        ValueError: another activation, or one that the loss cannot take.
    """
    if activation == "linear":
        raise ValueError(
            "reconstruction_loss.activation = 'linear' with bernoulli_loss: its outputs are not "
            "probabilities; use l2_loss"
        )
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
        bound = gin.query_parameter("srvae_plugin.reconstruction_loss.activation")
    except ValueError:
        return "logits"
    return str(copy.deepcopy(bound))  # of a macro its value


RECONSTRUCTION_LOSSES: dict[str, tuple[Callable[[Images, Images], PerImage], str]] = {
    "bernoulli": (lambda x, logits: bernoulli_nll(logits, x), "logits"),
    "gaussian": (lambda x, logits: squared_error(torch.sigmoid(logits), x), "logits"),
    "linear_mse": (lambda x, outputs: squared_error(outputs, x), "linear"),
}
"""By name: (observations, the decoder's output) -> (batch,) nats, and what that output means.

The names are those of SR-VAE's likelihoods. "linear_mse" is for real-valued observations, vectors
above all; the others are for values in [0, 1].
"""


def reconstruction_of(loss: str | Callable[..., Any] | None) -> tuple[Callable[..., Any], str]:
    """A reconstruction loss and the activation that turns a decoder's output into intensities.

    Args:
        loss: a name of `RECONSTRUCTION_LOSSES`; a function (x, logits) -> (batch,) nats; or None
            for what gin binds now to `reconstruction_loss.loss_fn`, the Bernoulli loss if nothing.

    Returns:
        The function and the activation; that of a function is gin's, "logits" if none is bound.

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(loss, str):
        if loss not in RECONSTRUCTION_LOSSES:
            known = ", ".join(RECONSTRUCTION_LOSSES)
            raise ValueError(f"reconstruction_loss = {loss!r}: expected one of {known}")
        return RECONSTRUCTION_LOSSES[loss]
    return loss or as_bound_now(make_reconstruction_loss), bound_activation()
