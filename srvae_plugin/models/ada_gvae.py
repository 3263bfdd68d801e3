"""Ada-GVAE, Ada-ML-VAE and their variants with labels: VAEs of pairs that share factors.

The posteriors of the two images of a pair are averaged in the latents that are taken to be shared.
Source: Locatello et al., "Weakly-Supervised Disentanglement Without Compromises", ICML 2020.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import gin
import torch
from jaxtyping import Bool
from torch import Tensor

from srvae_plugin.data.sampling.pairs import ChangedFactors, PairedData
from srvae_plugin.models.base import Gaussian, Latents, Losses, Pairs, takes_tensor_step
from srvae_plugin.models.losses import require_weight
from srvae_plugin.models.networks.choice import Network
from srvae_plugin.models.vae import BaseVAE, Reconstruction, take_loss, vae_losses

__all__ = [
    "AdaGVAE",
    "AdaMLVAE",
    "GroupVAELabels",
    "MLVAELabels",
    "Mask",
    "PairVAE",
    "arithmetic_average",
    "differing_latents",
    "geometric_average",
    "kl_between",
    "labelled_latents",
]

gin.register("dynamics", module="srvae_plugin", denylist=["data"])(ChangedFactors)
Mask = Bool[Tensor, "batch latent"]


def kl_between(one: Gaussian, other: Gaussian) -> Latents:
    """KL(one || other) of each latent, (batch, latent), in nats.

    Example:
        >>> zero, two = (Gaussian(torch.tensor([[m]]), torch.zeros(1, 1)) for m in (0.0, 2.0))
        >>> kl_between(zero, two)
        tensor([[2.]])
    """
    difference = one.logvar - other.logvar
    distance = (one.mean - other.mean).square() * torch.exp(-other.logvar)
    return 0.5 * (difference.exp() + distance - 1 - difference)


def differing_latents(one: Gaussian, other: Gaussian) -> Mask:
    """Which latents are taken to differ in each pair: those with a KL of half the range or more.

    The threshold is the mean of the largest and the smallest KL of the pair (Eq. 7). Where all are
    the same, none differs.

    Example:
        >>> flat = torch.zeros(1, 3)
        >>> differing_latents(Gaussian(flat, flat), Gaussian(torch.tensor([[0.0, 0.1, 2.0]]), flat))
        tensor([[False, False,  True]])
    """
    kl = kl_between(one, other)
    low, high = kl.aminmax(dim=1, keepdim=True)
    return (kl >= 0.5 * (low + high)) & (high > low)


def labelled_latents(labels: Tensor, num_latent: int) -> Mask:
    """Which latents differ by the labels: latent i stands for factor i, those beyond for none.

    Raises:
        ValueError: there are more labels than latents.
    """
    differ = labels > 0.5
    if differ.shape[1] > num_latent:
        raise ValueError(
            f"num_latent = {num_latent}: expected at least {differ.shape[1]}, a latent for each "
            "factor"
        )
    return torch.nn.functional.pad(differ, (0, num_latent - differ.shape[1]))


def arithmetic_average(one: Gaussian, other: Gaussian) -> Gaussian:
    """Mean of the means and mean of the variances: the group VAE's (Hosoya, IJCAI 2019).

    Example:
        >>> both = Gaussian(torch.zeros(1, 1), torch.zeros(1, 1)), Gaussian(
        ...     torch.ones(1, 1), torch.full((1, 1), 3.0).log())
        >>> mean, logvar = arithmetic_average(*both)
        >>> mean, logvar.exp()
        (tensor([[0.5000]]), tensor([[2.]]))
    """
    logvar = torch.logaddexp(one.logvar, other.logvar) - torch.log(torch.full_like(one.logvar, 2))
    return Gaussian(0.5 * (one.mean + other.mean), logvar)


def geometric_average(one: Gaussian, other: Gaussian) -> Gaussian:
    """Square root of the product of the densities, normalised: the ML-VAE's (Bouchacourt et al.).

    Its precision is the mean of the precisions, its mean the mean weighted by them.

    Example:
        >>> both = Gaussian(torch.zeros(1, 1), torch.zeros(1, 1)), Gaussian(
        ...     torch.ones(1, 1), torch.full((1, 1), 3.0).log())
        >>> mean, logvar = geometric_average(*both)
        >>> mean, logvar.exp()
        (tensor([[0.2500]]), tensor([[1.5000]]))
    """
    precision = torch.logaddexp(-one.logvar, -other.logvar)
    weight = torch.exp(-one.logvar - precision)
    mean = weight * one.mean + (1 - weight) * other.mean
    return Gaussian(mean, torch.log(torch.full_like(precision, 2)) - precision)


class PairVAE(BaseVAE):
    """A VAE of pairs: in the latents that do not differ both images have the average posterior.

    Args:
        beta: weight of the KL term, at least 0; None for what gin binds to `group_vae.beta` or
            `mlvae.beta`.
        encoder, decoder: a name, a function, a module or None; see `BaseVAE`.
        reconstruction_loss: a name, a function or None; see `losses.reconstruction_of`.
        num_latent: number of latents, for use without gin; see `BaseVAE`.

    Raises:
        ValueError: a beta that is missing, negative or not finite.
    """

    gin_name: ClassVar[str]
    family: ClassVar[str]
    """Name under which disentanglement_lib's gin files bind beta."""

    def __init__(
        self,
        beta: float | int | None = None,
        encoder: Network = None,
        decoder: Network = None,
        reconstruction_loss: Reconstruction = None,
        *,
        num_latent: int | None = None,
    ):
        super().__init__(encoder, decoder, num_latent=num_latent)
        name = self.gin_name
        if beta is None:
            name, beta = self.family, _BETAS[self.family]()
        if beta is None:
            raise ValueError(f"no value bound for {name}.beta: bind {name}.beta = 1.0")
        self.beta = require_weight(f"{name}.beta", beta)
        take_loss(self, reconstruction_loss)

    def training_data(self, data: Any) -> PairedData:
        """Pairs as they are; of another data set those that gin binds as `dynamics`."""
        return data if isinstance(data, PairedData) else gin.get_configurable(ChangedFactors)(data)

    @staticmethod
    @abstractmethod
    def average(one: Gaussian, other: Gaussian) -> Gaussian:
        """The posterior of what both images of a pair share."""

    @abstractmethod
    def differing(self, one: Gaussian, other: Gaussian, labels: Tensor) -> Mask:
        """Which latents of each pair differ, (batch, latent)."""

    @takes_tensor_step
    def losses(self, x: Pairs, step: int | Tensor) -> Losses:
        """The beta-VAE's objective of both images, from their posteriors after averaging.

        `differing`, the mean number of latents that are not averaged, is logged too.
        """
        encoded = self.encode(x.images)
        one, other = (
            Gaussian(*parts) for parts in zip(*(p.chunk(2) for p in encoded), strict=True)
        )
        differ = self.differing(one, other, x.labels)
        shared = self.average(one, other)
        both = torch.cat([differ, differ])
        posterior = Gaussian(
            *(
                torch.where(both, own, torch.cat([average, average]))
                for own, average in zip(encoded, shared, strict=True)
            )
        )
        logits = self.decode(posterior.sample(torch.randn_like(posterior.mean)))
        losses = vae_losses(self._reconstruction_loss(x.images, logits), posterior, self.beta)
        number = differ.sum(1).to(posterior.mean.dtype).mean()
        return Losses(losses.objectives, losses.logs | {"differing": number})


class _Adaptive(PairVAE):
    def differing(self, one: Gaussian, other: Gaussian, labels: Tensor) -> Mask:
        """By the distance of the posteriors; see `differing_latents`."""
        return differing_latents(one, other)


class _Labelled(PairVAE):
    _num_labels = 0

    def training_data(self, data: Any) -> PairedData:
        """As of any model of pairs; the number of labels is kept."""
        pairs = super().training_data(data)
        self._num_labels = pairs.num_labels
        return pairs

    def build(self, observation_shape: Sequence[int]) -> None:
        """Create both networks; ValueError if there are more factors than latents, too."""
        super().build(observation_shape)
        if self._num_labels > self.num_latent:
            raise ValueError(
                f"num_latent = {self.num_latent}: expected at least {self._num_labels}, a latent "
                f"for each factor, in {type(self).__name__}"
            )

    def differing(self, one: Gaussian, other: Gaussian, labels: Tensor) -> Mask:
        """By the labels; see `labelled_latents`."""
        return labelled_latents(labels, self.num_latent)


@gin.register("group_vae_argmax", module="srvae_plugin", denylist=["num_latent"])
class AdaGVAE(_Adaptive):
    """Ada-GVAE (disentanglement_lib's `group_vae_argmax`); see `PairVAE` for its arguments.

    Which latents a pair shares is told by the distance of its posteriors (`differing_latents`);
    these are averaged arithmetically. Pairs come from
    `srvae_plugin.data.sampling.pairs.ChangedFactors`, gin's `dynamics`.

    Source: Locatello et al., ICML 2020, Eq. 5 to 7 and Section 4.

    Example:
        >>> model = AdaGVAE(num_latent=10, beta=1.0)
        >>> model.build((1, 64, 64))
        >>> x = Pairs(torch.zeros(4, 1, 64, 64), torch.zeros(2, 5))
        >>> sorted(model.losses(x, step=0).objectives)
        ['vae']
    """

    title = "Ada-GVAE"
    gin_name = "group_vae_argmax"
    family = "group_vae"
    average = staticmethod(arithmetic_average)


@gin.register("group_vae_labels", module="srvae_plugin", denylist=["num_latent"])
class GroupVAELabels(_Labelled):
    """Group VAE with labels (disentanglement_lib's `group_vae_labels`); see `PairVAE`.

    Latent i stands for factor i: it is averaged unless the label says that the factor changed.
    There must be a latent for each factor, where the original would average none in a pair whose
    factor has no latent.

    Source: Hosoya, "Group-based Learning of Disentangled Representations with Generalizability for
    Novel Contents", IJCAI 2019; as in Locatello et al., ICML 2020.

    Example:
        >>> GroupVAELabels(num_latent=10, beta=1.0).published_name
        'GVAE (labels)'
    """

    title = "GVAE (labels)"
    gin_name = "group_vae_labels"
    family = "group_vae"
    average = staticmethod(arithmetic_average)


@gin.register("mlvae_argmax", module="srvae_plugin", denylist=["num_latent"])
class AdaMLVAE(_Adaptive):
    """Ada-ML-VAE (disentanglement_lib's `mlvae_argmax`): `AdaGVAE` with the ML-VAE's average.

    Source: Locatello et al., ICML 2020; Bouchacourt et al., "Multi-Level Variational Autoencoder",
    AAAI 2018.

    Example:
        >>> AdaMLVAE(num_latent=10, beta=1.0).published_name
        'Ada-ML-VAE'
    """

    title = "Ada-ML-VAE"
    gin_name = "mlvae_argmax"
    family = "mlvae"
    average = staticmethod(geometric_average)


@gin.register("mlvae_labels", module="srvae_plugin", denylist=["num_latent"])
class MLVAELabels(_Labelled):
    """ML-VAE with labels (disentanglement_lib's `mlvae_labels`): see `GroupVAELabels`.

    Example:
        >>> MLVAELabels(num_latent=10, beta=1.0).published_name
        'ML-VAE (labels)'
    """

    title = "ML-VAE (labels)"
    gin_name = "mlvae_labels"
    family = "mlvae"
    average = staticmethod(geometric_average)


@gin.register("group_vae", module="srvae_plugin")
def _group_vae(beta: float | int | None = None) -> float | int | None:
    """Beta of the group VAEs, as disentanglement_lib's gin files bind it."""
    return beta


@gin.register("mlvae", module="srvae_plugin")
def _mlvae(beta: float | int | None = None) -> float | int | None:
    """Beta of the ML-VAEs, as disentanglement_lib's gin files bind it."""
    return beta


_BETAS: dict[str, Callable[[], float | int | None]] = {
    "group_vae": gin.get_configurable(_group_vae),
    "mlvae": gin.get_configurable(_mlvae),
}
