"""A small data set without images and representations of it, good and bad, to check metrics on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import FactorGrid


class Numbered(FactorGrid):
    """All combinations of factors; an observation is a picture of one pixel, its own index."""

    def __init__(self, sizes: Sequence[int]) -> None:
        names = [f"factor {i}" for i in range(len(sizes))]
        super().__init__(sizes, names, (1, 1, 1))

    def _load_observations(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        # Not in [0, 1], but exact.
        return indices.astype(np.float32).reshape(-1, 1, 1, 1)


class LookUp:
    """A representation function that knows the code of each observation of `Numbered`.

    It offers `codes_at` and `data`, as the cache of a trained model does.
    """

    def __init__(self, codes: NDArray[Any], data: Numbered) -> None:
        self.codes, self.data = codes, data

    def codes_at(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Codes (len(indices), latent) of these observations."""
        return self.codes[indices]

    def __call__(self, observations: NDArray[np.float32]) -> NDArray[Any]:
        """Codes (batch, latent) of observations (batch, 1, 1, 1)."""
        return self.codes[observations[:, 0, 0, 0].astype(np.int64)]


def perfect(sizes: Sequence[int]) -> NDArray[np.float32]:
    """Codes (observation, factor) that are the factors, in [0, 1)."""
    factors = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)
    return (factors / np.array(sizes)).astype(np.float32)


def noise(sizes: Sequence[int]) -> NDArray[np.float32]:
    """Codes that know nothing of the factors, two latents more than these."""
    shape = (int(np.prod(sizes)), len(sizes) + 2)
    return RandomState(5).normal(size=shape).astype(np.float32)


def noisy(sizes: Sequence[int]) -> NDArray[np.float32]:
    """The factors in noise, then two latents of noise alone."""
    codes = 0.2 * noise(sizes)
    codes[:, : len(sizes)] += perfect(sizes)
    return codes
