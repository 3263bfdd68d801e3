"""`methods.weak`: models of pairs, in torch, and the pairs that they are trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srvae_adapters.drop_in import pictures
from srvae_adapters.drop_in.vae_parts import compute_gaussian_kl
from srvae_plugin.config import gin_files
from srvae_plugin.models.ada_gvae import (
    Mask,
    PairVAE,
    arithmetic_average,
    geometric_average,
    kl_between,
)
from srvae_plugin.models.base import Gaussian, Losses, Pairs
from srvae_plugin.models.losses import penalized
from srvae_plugin.models.vae import vae_losses

__all__ = [
    "GroupVAEBase",
    "MLVae",
    "Stream",
    "aggregate_argmax",
    "aggregate_labels",
    "compute_kl",
    "discretize_in_bins",
    "make_weak_loss",
    "simple_dynamics",
    "visualize_weakly_supervised_dataset",
    "weak_dataset_from_ground_truth_data",
]

Stream = np.random.RandomState


def simple_dynamics(
    z: NDArray[np.int64],
    ground_truth_data: Any,
    random_state: Stream,
    return_index: bool = False,
    k: int | None = None,
) -> tuple[NDArray[np.int64], int]:
    """Give one factor, or k of them, new values, in place.

    As in the original, the new values are drawn from numpy's global state.

    Args:
        z: (1, factor) factors.
        ground_truth_data: the data set.
        random_state: draws k and which factors change.
        return_index: give the last factor that changed, not k.
        k: how many; -1 draws it; None for what gin binds to `dynamics.k`, or -1.
    """
    if k is None:
        k = gin_files.bound("srvae_plugin.dynamics.k") or -1
    drawn = random_state.randint(1, ground_truth_data.num_factors) if k == -1 else k
    number = random_state.choice([1, drawn])
    index = -1
    for index in random_state.choice(z.shape[1], number, replace=False).tolist():
        z[:, index] = np.random.choice(range(ground_truth_data.factors_num_values[index]))
    return z, index if return_index else drawn


def weak_dataset_from_ground_truth_data(ground_truth_data: Any, random_seed: int) -> Any:
    """An endless torch IterableDataset of pairs, one above the other, and [factor that changed]."""
    from torch.utils.data import IterableDataset

    class Pairs(IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            random_state = Stream(random_seed)
            while True:
                factors = ground_truth_data.sample_factors(1, random_state)
                images = ground_truth_data.sample_observations_from_factors(factors, random_state)
                after, index = simple_dynamics(
                    factors, ground_truth_data, random_state, return_index=True
                )
                others = ground_truth_data.sample_observations_from_factors(after, random_state)
                pair = np.concatenate([images, others], axis=1)[0].astype(np.float32)
                yield pair, np.array([index], dtype=np.int32)

    return Pairs()


def visualize_weakly_supervised_dataset(
    data: Any, path: str, num_animations: int = 10, num_frames: int = 20, fps: float = 10
) -> None:
    """Write `<path>/animation.gif`: observations that change as the pairs do, one after another."""
    random_state = Stream(0)
    shown = []
    for _ in range(num_animations):
        factors = data.sample_factors(1, random_state)
        frames = [data.sample_observations_from_factors(factors, random_state)[0]]
        for _ in range(num_frames):
            factors, _ = simple_dynamics(factors, data, random_state)
            frames.append(data.sample_observations_from_factors(factors, random_state)[0])
        shown.append(frames)
    pictures.save_animation(shown, Path(path) / "animation.gif", fps)


def make_weak_loss(z1: Any, z2: Any, labels: Any, loss_fn: Callable[..., Any]) -> Any:
    """What the function gives; the original lets gin bind it, and calls it nowhere."""
    return loss_fn(z1, z2, labels)


def compute_kl(z_1: Tensor, z_2: Tensor, logvar_1: Tensor, logvar_2: Tensor) -> Tensor:
    """Twice the divergence of one posterior from the other, of each latent."""
    return 2 * kl_between(Gaussian(z_1, logvar_1), Gaussian(z_2, logvar_2))


def discretize_in_bins(x: Tensor) -> Tensor:
    """0 for the lower half of a vector's range, 1 for the upper."""
    low, high = x.aminmax(dim=-1, keepdim=True)
    return ((x >= 0.5 * (low + high)) & (high > low)).int()


def _aggregated(own: Tensor, *posteriors: Tensor) -> tuple[Tensor, Tensor]:
    mean, logvar, new_mean, new_logvar = posteriors
    return torch.where(own, mean, new_mean), torch.where(own, logvar, new_logvar)


def aggregate_labels(
    z_mean: Tensor,
    z_logvar: Tensor,
    new_mean: Tensor,
    new_log_var: Tensor,
    labels: Tensor,
    kl_per_point: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The posterior that was averaged but for the latent of the label, (batch, latent) one-hot."""
    del kl_per_point
    own = labels == labels.amax(dim=1, keepdim=True)
    return _aggregated(own, z_mean, z_logvar, new_mean, new_log_var)


def aggregate_argmax(
    z_mean: Tensor,
    z_logvar: Tensor,
    new_mean: Tensor,
    new_log_var: Tensor,
    labels: Tensor | None,
    kl_per_point: Tensor,
) -> tuple[Tensor, Tensor]:
    """The posterior that was averaged but for the latents whose distance is in the upper half."""
    del labels
    own = discretize_in_bins(kl_per_point) == 1
    return _aggregated(own, z_mean, z_logvar, new_mean, new_log_var)


class _Aggregating(PairVAE):
    """A model of pairs for subclasses of a user's, which have `aggregate`."""

    def aggregate(
        self,
        z_mean: Tensor,
        z_logvar: Tensor,
        new_mean: Tensor,
        new_log_var: Tensor,
        labels: Tensor,
        kl_per_point: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Mean and log variance of an image's posterior, from its own and the average one."""
        raise NotImplementedError

    def regularizer(self, kl_loss: Tensor, z_mean: None, z_logvar: None, z_sampled: None) -> Tensor:
        """What is added to the reconstruction loss."""
        del z_mean, z_logvar, z_sampled
        return self.beta * kl_loss

    def differing(self, one: Gaussian, other: Gaussian, labels: Tensor) -> Mask:
        """`aggregate` says it, for each image by itself."""
        raise NotImplementedError

    def losses(self, x: Pairs, step: int | Tensor) -> Losses:
        """See the original's model function."""
        del step
        encoded = self.encode(x.images)
        one, other = (
            Gaussian(*parts) for parts in zip(*(p.chunk(2) for p in encoded), strict=True)
        )
        average, distance = self.average(one, other), 2 * kl_between(one, other)
        missing = distance.shape[1] - x.labels.shape[1]
        labels = torch.nn.functional.pad(x.labels, (0, missing))
        both = [self.aggregate(*each, *average, labels, distance) for each in (one, other)]
        posterior = Gaussian(*(torch.cat(parts) for parts in zip(*both, strict=True)))
        logits = self.decode(posterior.sample(torch.randn_like(posterior.mean)))
        plain = vae_losses(self._reconstruction_loss(x.images, logits), posterior, beta=0.0)
        return penalized(plain, self.regularizer(compute_gaussian_kl(*posterior), None, None, None))


class GroupVAEBase(_Aggregating):
    """The group VAE (arXiv 1809.02383); gin binds `group_vae.beta`."""

    gin_name = family = "group_vae"
    average = staticmethod(arithmetic_average)


class MLVae(_Aggregating):
    """The ML-VAE (arXiv 1705.08841); gin binds `mlvae.beta`."""

    gin_name = family = "mlvae"
    average = staticmethod(geometric_average)
