"""How far codes are from labels: disentanglement_lib's supervised losses, with what they learn.

A loss is made of the number of latents and the numbers of values of the labels, and called with
codes (batch, latent) and labels (batch, label). Latent i stands for label i.

Source: Locatello et al., "Disentangling Factors of Variation Using Few Labels", ICLR 2020, and
disentanglement_lib's semi-supervised models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import gin
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from srvae_plugin.models.annealed_vae import anneal
from srvae_plugin.models.base import Latents, Scalar

__all__ = [
    "LOSSES",
    "Annealer",
    "CovarianceLoss",
    "CrossEntropyLoss",
    "EmbeddingLoss",
    "LabelRows",
    "SquaredLoss",
    "SupervisedLoss",
    "annealed",
    "fine_tuned",
    "fixed",
    "make_annealed",
    "make_supervised_loss",
]

LabelRows = Float[Tensor, "batch label"]
SupervisedLoss = Callable[..., nn.Module]
Annealer = Callable[..., Any]
"""(weight, step) -> the weight at that step, a number or a tensor."""
_GIVEN = ["num_latent", "factor_sizes"]


class _OfLabels(nn.Module):
    _values: Tensor

    def __init__(self, num_latent: int, factor_sizes: Sequence[int]):
        super().__init__()
        if num_latent < len(factor_sizes):
            raise ValueError(
                f"num_latent = {num_latent}: expected at least {len(factor_sizes)}, a latent for "
                "each label"
            )
        self.sizes = [int(size) for size in factor_sizes]
        # A copy to the device at each step would wait for it.
        self.register_buffer("_values", torch.tensor(self.sizes, dtype=torch.float32), False)

    def normalized(self, labels: LabelRows) -> LabelRows:
        """Labels over the number of their values."""
        return labels / self._values


@gin.register("l2", module="srvae_plugin", denylist=_GIVEN)
class SquaredLoss(_OfLabels):
    """Sum over batch and labels of (b * code - label)^2, b being learned.

    Without `learn_scale` it is of sigmoid(code) and the label over its number of values, of one
    image at a time: disentanglement_lib compares each code with the labels of the whole batch
    there, by an axis too many.

    Args:
        num_latent, factor_sizes: see the top of this file.
        learn_scale: learn b, which begins at 1.

    Example:
        >>> SquaredLoss(2, [4])(torch.tensor([[1.0, 9.0]]), torch.tensor([[3.0]])).item()
        4.0
    """

    def __init__(self, num_latent: int, factor_sizes: Sequence[int], learn_scale: bool = True):
        super().__init__(num_latent, factor_sizes)
        self.scale = nn.Parameter(torch.ones(())) if learn_scale else None

    def forward(self, codes: Latents, labels: LabelRows) -> Scalar:
        """The loss."""
        own = codes[:, : labels.shape[1]]
        if self.scale is None:
            return (torch.sigmoid(own) - self.normalized(labels)).square().sum()
        return (own * self.scale - labels).square().sum()


@gin.register("xent", module="srvae_plugin", denylist=_GIVEN)
class CrossEntropyLoss(_OfLabels):
    """Sum over batch and labels of the cross-entropy of sigmoid(code) with label / values.

    Example:
        >>> round(CrossEntropyLoss(1, [2])(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)
        0.6931
    """

    def forward(self, codes: Latents, labels: LabelRows) -> Scalar:
        """The loss."""
        own, targets = codes[:, : labels.shape[1]], self.normalized(labels)
        return F.binary_cross_entropy_with_logits(own, targets, reduction="sum")


@gin.register("cov", module="srvae_plugin", denylist=_GIVEN)
class CovarianceLoss(nn.Module):
    """Sum of the squared covariances over the batch of every latent with every other's label.

    Example:
        >>> codes = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> CovarianceLoss(2, [2, 2])(codes, torch.tensor([[0.0, 2.0], [0.0, 0.0]])).item()
        1.0
    """

    def __init__(self, num_latent: int, factor_sizes: Sequence[int]):
        super().__init__()

    def forward(self, codes: Latents, labels: LabelRows) -> Scalar:
        """The loss."""
        covariance = (codes - codes.mean(0)).T @ (labels - labels.mean(0)) / len(codes)
        diagonal = torch.eye(*covariance.shape, dtype=torch.bool, device=codes.device)
        return covariance.masked_fill(diagonal, 0).square().sum()


@gin.register("embed", module="srvae_plugin", denylist=_GIVEN)
class EmbeddingLoss(_OfLabels):
    """Sum over labels of the mean cross-entropy of softmax(-(sigma * (code - e_value))^2).

    Each value of a label has a learned place e on the line.

    Args:
        num_latent, factor_sizes: see the top of this file.
        sigma: inverse width; "learn" learns one for each label.
        use_order: let the places of a label be equally far apart, in order.

    Example: a code that is as far from both values tells nothing.
        >>> loss = EmbeddingLoss(1, [2], sigma=1.0, use_order=True)
        >>> _ = loss.bias[0].data.fill_(-0.5), loss.slope[0].data.fill_(1.0)
        >>> round(loss(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)
        0.6931
    """

    def __init__(
        self,
        num_latent: int,
        factor_sizes: Sequence[int],
        sigma: float | int | str,
        use_order: bool = False,
    ):
        super().__init__(num_latent, factor_sizes)
        if isinstance(sigma, str) and sigma != "learn":
            raise ValueError(f"embed.sigma = {sigma!r}: expected a number or 'learn'")
        self.use_order = use_order
        self.sigma: Any = sigma
        if use_order:
            self.bias = nn.ParameterList(_glorot(1) for _ in self.sizes)
            self.slope = nn.ParameterList(_glorot(1) for _ in self.sizes)
        else:
            self.places = nn.ParameterList(_glorot(size) for size in self.sizes)
        if sigma == "learn":
            self.sigma = nn.ParameterList(_glorot(1) for _ in self.sizes)

    def forward(self, codes: Latents, labels: LabelRows) -> Scalar:
        """The loss."""
        total = codes.new_zeros(())
        for i, size in enumerate(self.sizes):
            if self.use_order:
                values = torch.arange(size, dtype=codes.dtype, device=codes.device)
                places = values * self.slope[i] + self.bias[i]
            else:
                places = self.places[i]
            sigma = self.sigma[i] if isinstance(self.sigma, nn.ParameterList) else self.sigma
            logits = -((codes[:, i, None] - places) * sigma).square()
            total = total + F.cross_entropy(logits, labels[:, i].long())
        return total


def _glorot(size: int) -> nn.Parameter:
    """TensorFlow's default for a variable (size,): uniform in +-sqrt(3 / size)."""
    limit = math.sqrt(3 / size)
    return nn.Parameter(torch.empty(size).uniform_(-limit, limit))


LOSSES: dict[str, SupervisedLoss] = {
    "l2": SquaredLoss,
    "xent": CrossEntropyLoss,
    "cov": CovarianceLoss,
    "embed": EmbeddingLoss,
}


@gin.register("supervised_loss", module="srvae_plugin", denylist=_GIVEN)
def make_supervised_loss(
    num_latent: int,
    factor_sizes: Sequence[int],
    loss_fn: Callable[..., Any] = gin.get_configurable(CrossEntropyLoss),
) -> nn.Module:
    """Make the loss that gin binds to `supervised_loss.loss_fn`: @l2, @xent, @cov or @embed."""
    return loss_fn(num_latent, factor_sizes)


@gin.register("fixed", module="srvae_plugin", allowlist=[])
def fixed(gamma: float | int, step: Any, iteration_threshold: float | int) -> Any:
    """The weight at every step."""
    return gamma


@gin.register("anneal", module="srvae_plugin", allowlist=[])
def annealed(gamma: float | int, step: Any, iteration_threshold: float | int) -> Any:
    """The weight from the threshold on, and a share of it before, from 0 on.

    Example:
        >>> annealed(4.0, 5, 10), annealed(4.0, 20, 10)
        (2.0, 4.0)
    """
    if not iteration_threshold > 0:
        raise ValueError(
            f"annealer.iteration_threshold = {iteration_threshold}: expected a number of steps "
            "above 0"
        )
    return anneal(float(gamma), step, float(iteration_threshold))


@gin.register("fine_tune", module="srvae_plugin", allowlist=[])
def fine_tuned(gamma: float | int, step: Any, iteration_threshold: float | int) -> Any:
    """The weight after the threshold, and 0 up to it.

    Example:
        >>> fine_tuned(4.0, 10, 10), fine_tuned(4.0, 11, 10)
        (0.0, 4.0)
    """
    if isinstance(step, Tensor):
        return gamma * (step - iteration_threshold).clamp(0, 1)
    return gamma * float(min(1, max(0, step - iteration_threshold)))


@gin.register("annealer", module="srvae_plugin", denylist=["gamma", "step"])
def make_annealed(
    gamma: float | int,
    step: Any,
    iteration_threshold: float | int = 0,
    anneal_fn: Callable[..., Any] = gin.get_configurable(fixed),
) -> Any:
    """The weight of the supervised loss at a step, by what gin binds to `annealer.anneal_fn`."""
    return anneal_fn(gamma, step, iteration_threshold)
