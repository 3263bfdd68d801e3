"""Labels of observations as somebody would give them: disentanglement_lib's labellers.

Each takes factors (observation, factor), the data set and a random state, and returns labels,
float32 (observation, label), and the number of values of each. Draws are in its order.

Source: Locatello et al., "Disentangling Factors of Variation Using Few Labels", ICLR 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LABELLERS",
    "Labeller",
    "Labels",
    "bin_labeller",
    "noisy_labeller",
    "partial_labeller",
    "perfect_labeller",
    "permuted_labeller",
]

Labels = tuple[NDArray[np.float32], list[int]]
Labeller = Callable[..., Labels]


def perfect_labeller(
    labels: NDArray[Any], dataset: Any, random_state: np.random.RandomState
) -> Labels:
    """The factors themselves.

    Example:
        >>> from types import SimpleNamespace
        >>> data = SimpleNamespace(factors_num_values=[2, 9])
        >>> perfect_labeller(np.array([[1, 8]]), data, np.random.RandomState(0))
        (array([[1., 8.]], dtype=float32), [2, 9])
    """
    return labels.astype(np.float32), [int(size) for size in dataset.factors_num_values]


def bin_labeller(
    labels: NDArray[Any],
    dataset: Any,
    random_state: np.random.RandomState,
    num_bins: int = 5,
) -> Labels:
    """Factors in at most `num_bins` bins of the same width.

    Example:
        >>> from types import SimpleNamespace
        >>> data = SimpleNamespace(factors_num_values=[2, 9])
        >>> bin_labeller(np.array([[1, 8], [0, 4]]), data, np.random.RandomState(0), num_bins=3)
        (array([[1., 2.],
               [0., 1.]], dtype=float32), [2, 3])
    """
    binned = labels.astype(np.float32)
    sizes = np.array(dataset.factors_num_values)
    for column in np.flatnonzero(sizes > num_bins):
        width = sizes[column] / num_bins
        binned[:, column] = np.minimum(binned[:, column] // width, num_bins - 1)
    return binned, np.minimum(sizes, num_bins).tolist()


def noisy_labeller(
    labels: NDArray[Any],
    dataset: Any,
    random_state: np.random.RandomState,
    prob_random: float = 0.1,
) -> Labels:
    """Factors each of which is drawn uniformly from its values with probability `prob_random`."""
    noisy = labels.astype(np.float32)
    sizes = [int(size) for size in dataset.factors_num_values]
    for row in noisy:
        for column, size in enumerate(sizes):
            if random_state.rand() < prob_random:
                row[column] = random_state.randint(size)
    return noisy, sizes


def permuted_labeller(
    labels: NDArray[Any], dataset: Any, random_state: np.random.RandomState
) -> Labels:
    """Factors whose values are renamed at random, so that their order means nothing."""
    sizes = [int(size) for size in dataset.factors_num_values]
    columns = [
        random_state.permutation(size)[column] for column, size in zip(labels.T, sizes, strict=True)
    ]
    return np.stack(columns, axis=1).astype(np.float32), sizes


def partial_labeller(
    labels: NDArray[Any],
    dataset: Any,
    random_state: np.random.RandomState,
    num_observed_factors: int = 2,
) -> Labels:
    """A few factors, drawn at random and the same for all observations.

    Raises:
        ValueError: `num_observed_factors` is not 1 .. the number of factors.
    """
    if not 1 <= num_observed_factors <= labels.shape[1]:
        raise ValueError(
            f"partial_labeller.num_observed_factors = {num_observed_factors}: expected 1 .. "
            f"{labels.shape[1]}, the number of factors"
        )
    kept = random_state.choice(labels.shape[1], size=num_observed_factors, replace=False)
    return labels[:, kept].astype(np.float32), [int(dataset.factors_num_values[k]) for k in kept]


LABELLERS: dict[str, Labeller] = {
    "perfect_labeller": perfect_labeller,
    "bin_labeller": bin_labeller,
    "noisy_labeller": noisy_labeller,
    "permuted_labeller": permuted_labeller,
    "partial_labeller": partial_labeller,
}
"""By disentanglement_lib's names."""
