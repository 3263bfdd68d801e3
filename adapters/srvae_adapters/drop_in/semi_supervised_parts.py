"""`methods.semi_supervised`: labelled observations and the losses of their codes, in torch."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gin
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srvae_plugin.data.sampling.labelled import sample_labelled
from srvae_plugin.models import supervised_losses as losses
from srvae_plugin.models.mine import MutualInformation
from srvae_plugin.models.semi_supervised import make_labels

__all__ = [
    "Rows",
    "Sizes",
    "Stream",
    "filter_factors",
    "make_supervised_loss",
    "mine",
    "normalize_labels",
    "permute",
    "sample_from_latent_distribution",
    "sample_supervised_data",
    "semi_supervised_dataset_from_ground_truth_data",
    "supervised_regularizer_cov",
    "supervised_regularizer_embed",
    "supervised_regularizer_l2",
    "supervised_regularizer_xent",
    "train_test_split",
]

Rows = NDArray[Any]
Sizes = Sequence[int] | None
Stream = np.random.RandomState
_MINE_RATE = 0.01


def sample_supervised_data(
    supervised_seed: int, ground_truth_data: Any, num_labelled_samples: int
) -> tuple[Rows, Rows, list[int]]:
    """Observations, their labels by the labeller that gin binds, and the labels' sizes."""
    labeller = gin.get_configurable(make_labels)
    return sample_labelled(ground_truth_data, num_labelled_samples, supervised_seed, labeller)[:3]


def train_test_split(
    observations: Rows, labels: Rows, num_labelled_samples: int, train_percentage: float
) -> tuple[Rows, Rows, Rows, Rows]:
    """Observations and labels of the first rows, then those of the rest.

    Raises:
        ValueError: not as many observations as that.
    """
    if len(observations) != num_labelled_samples:
        raise ValueError(f"expected {num_labelled_samples} observations, got {len(observations)}")
    number = math.ceil(num_labelled_samples * train_percentage)
    return observations[:number], labels[:number], observations[number:], labels[number:]


def permute(factor: Rows, num_values: int, random_state: Stream) -> Rows:
    """Rename a factor's values at random, in place."""
    factor[:] = random_state.permutation(num_values)[factor]
    return factor


def filter_factors(
    labels: Rows, num_observed_factors: int, random_state: Stream
) -> tuple[Rows, Rows]:
    """Some columns, drawn at random, and which.

    Raises:
        ValueError: more than there are, or less than one.
    """
    if not 1 <= num_observed_factors <= labels.shape[1]:
        raise ValueError(
            f"num_observed_factors = {num_observed_factors}: expected 1 to {labels.shape[1]}"
        )
    kept = random_state.choice(labels.shape[1], size=num_observed_factors, replace=False)
    return labels[:, kept], kept


def semi_supervised_dataset_from_ground_truth_data(
    ground_truth_data: Any,
    num_labelled_samples: int,
    unsupervised_data_seed: int,
    sampled_observations: Rows,
    sampled_factors: Rows,
    train_percentage: float = 1.0,
    validation: bool = False,
) -> Any:
    """An endless torch IterableDataset of (observation, (labelled observation, its labels))."""
    from torch.utils.data import IterableDataset

    parts = train_test_split(
        sampled_observations, sampled_factors, num_labelled_samples, train_percentage
    )
    chosen = parts[2:] if validation else parts[:2]
    images, labels = (np.asarray(part, dtype=np.float32) for part in chosen)

    class Labelled(IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            random_state, row = Stream(unsupervised_data_seed), 0
            while len(images):
                image = ground_truth_data.sample_observations(1, random_state)[0]
                yield image, (images[row], labels[row])
                row = (row + 1) % len(images)

    return Labelled()


def sample_from_latent_distribution(z_mean: Tensor, z_logvar: Tensor) -> Tensor:
    """A draw of each posterior."""
    return z_mean + torch.exp(z_logvar / 2) * torch.randn_like(z_mean)


def normalize_labels(labels: Any, factors_num_values: Sequence[int]) -> Any:
    """Labels over the number of their values."""
    sizes = np.asarray(factors_num_values, dtype=np.float32)
    return labels / (torch.from_numpy(sizes) if isinstance(labels, Tensor) else sizes)


def make_supervised_loss(
    representation: Tensor,
    labels: Tensor,
    factor_sizes: Sizes = None,
    loss_fn: Callable[..., Any] | None = None,
) -> Tensor:
    """The loss that gin binds to `supervised_loss.loss_fn`, or that is given."""
    if loss_fn is not None:
        return loss_fn(representation, labels, factor_sizes)
    return _applied(losses.make_supervised_loss, representation, labels, factor_sizes)


def _applied(make: Any, codes: Tensor, labels: Tensor, sizes: Sizes, **settings: Any) -> Tensor:
    """A loss that is made anew, with what it learns as it begins, of one batch."""
    sizes = [1] * labels.shape[1] if sizes is None else [int(size) for size in sizes]
    return gin.get_configurable(make)(codes.shape[1], sizes, **settings)(codes, labels)


def supervised_regularizer_l2(
    representation: Tensor, labels: Tensor, factor_sizes: Sizes = None, **settings: Any
) -> Tensor:
    """See `srvae_plugin.models.supervised_losses.SquaredLoss`; `learn_scale` is its setting."""
    return _applied(losses.SquaredLoss, representation, labels, factor_sizes, **settings)


def supervised_regularizer_xent(
    representation: Tensor, labels: Tensor, factor_sizes: Sizes = None
) -> Tensor:
    """See `srvae_plugin.models.supervised_losses.CrossEntropyLoss`."""
    return _applied(losses.CrossEntropyLoss, representation, labels, factor_sizes)


def supervised_regularizer_cov(
    representation: Tensor, labels: Tensor, factor_sizes: Sizes = None
) -> Tensor:
    """See `srvae_plugin.models.supervised_losses.CovarianceLoss`."""
    return _applied(losses.CovarianceLoss, representation, labels, factor_sizes)


def supervised_regularizer_embed(
    representation: Tensor, labels: Tensor, factor_sizes: Sequence[int], **settings: Any
) -> Tensor:
    """See `srvae_plugin.models.supervised_losses.EmbeddingLoss`: `sigma`, `use_order`."""
    return _applied(losses.EmbeddingLoss, representation, labels, factor_sizes, **settings)


@functools.cache
def _estimator(name: str) -> tuple[MutualInformation, torch.optim.Optimizer]:
    network = MutualInformation(1, 1)
    return network, torch.optim.Adam(network.parameters(), lr=_MINE_RATE)


def mine(
    x: Tensor, z: Tensor, name_net: str = "estimator_network"
) -> tuple[Tensor, Callable[[], None]]:
    """Mutual information of two columns (batch, 1), and a function that trains its network once.

    As in a graph, the network stays under its name.
    """
    network, optimizer = _estimator(name_net)
    estimate = network(x, z.detach())[0, 0]

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        (-network(x.detach(), z.detach()).sum()).backward()
        optimizer.step()

    return estimate, step
