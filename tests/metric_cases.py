"""A data set without images, and representations of it, to compare metrics on.

Only numpy is imported, so that the process that runs the original can use it as well. Every code is
made by element-wise arithmetic from factor values and a frozen random stream: the same on every
machine, whatever its linear algebra library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

GRIDS = {"dsprites": (3, 6, 40, 32, 32), "cars3d": (4, 24, 183), "tiny": (3, 4, 5)}


class IndexGrid:
    """All combinations of factors; an observation is a 1 x 1 picture of its own index."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.factors_num_values = list(sizes)
        self.num_factors = len(sizes)
        self.observation_shape = [1, 1, 1]
        self.size = math.prod(sizes)

    def sample_factors(self, num, random_state):
        columns = [random_state.randint(size, size=num) for size in self.factors_num_values]
        return np.stack(columns, axis=1)

    def observation_indices(self, factors, random_state):
        return np.ravel_multi_index(tuple(np.asarray(factors).T), self.factors_num_values)

    def observations_at(self, indices):
        return np.asarray(indices, dtype=np.float32).reshape(-1, 1, 1, 1)

    def sample_observations_from_factors(self, factors, random_state):
        return self.observations_at(self.observation_indices(factors, random_state))

    def sample(self, num, random_state):
        factors = self.sample_factors(num, random_state)
        return factors, self.sample_observations_from_factors(factors, random_state)

    def sample_observations(self, num, random_state):
        return self.sample(num, random_state)[1]


class LookUp:
    """A representation function that knows the code of each observation by its index."""

    def __init__(self, codes):
        self.codes = codes

    def __call__(self, observations):
        return self.codes[observations.reshape(len(observations)).astype(np.int64)]


class CachedLookUp(LookUp):
    """The same, with the codes offered by index; encoding pictures is an error."""

    def __init__(self, codes, data):
        super().__init__(codes)
        self.data = data

    def codes_at(self, indices):
        return self.codes[indices]

    def __call__(self, observations):
        raise RuntimeError("a picture was encoded although all codes are cached")


def factor_values(sizes: Sequence[int]):
    """(observation, factor) value of each factor in [-1, 1], 0 for a factor of size 1."""
    classes = np.stack(np.unravel_index(np.arange(math.prod(sizes)), sizes), axis=1)
    return np.where(np.array(sizes) > 1, 2.0 * classes / np.maximum(np.array(sizes) - 1, 1) - 1, 0)


def _noise(rows: int, columns: int):
    # Rounded, so that the last bit of the C library's logarithm does not matter.
    return np.round(np.random.RandomState(1234).normal(size=(rows, columns)) * 1024) / 1024


def factors_themselves(sizes):
    return factor_values(sizes).astype(np.float32)


def linear_mix(sizes):
    values = factor_values(sizes)
    weights = np.round(np.random.RandomState(7).normal(size=(10, len(sizes))) * 64) / 64
    codes = np.zeros((len(values), len(weights)))
    for k, row in enumerate(weights):
        for weight, column in zip(row, values.T, strict=True):
            codes[:, k] += weight * column
    return codes.astype(np.float32)


def noisy_factors(sizes):
    """Each factor in noise, then two latents that are noise alone."""
    values = factor_values(sizes)
    codes = _noise(len(values), len(sizes) + 2) * 0.5
    codes[:, : len(sizes)] += values
    return codes.astype(np.float32)


def dead_latents(sizes):
    """Noisy factors between a constant latent and one whose deviation is about .01."""
    noisy = noisy_factors(sizes)[:, : len(sizes)]
    constant = np.full((len(noisy), 1), 0.25, dtype=np.float32)
    return np.hstack([constant, noisy, (_noise(len(noisy), 1) / 100).astype(np.float32)])


def perfect_with_dead(sizes):
    """The factors and two constant latents."""
    return np.hstack([factors_themselves(sizes), np.ones((math.prod(sizes), 2), np.float32)])


def collapsed(sizes):
    return np.full((math.prod(sizes), 4), 0.1, dtype=np.float32)


REPRESENTATIONS: dict[str, Callable] = {
    function.__name__: function
    for function in (
        factors_themselves,
        linear_mix,
        noisy_factors,
        dead_latents,
        perfect_with_dead,
        collapsed,
    )
}

SETTINGS: dict[str, dict[str, Any]] = {
    "factor_vae_score": {
        "batch_size": 64,
        "num_train": 500,
        "num_eval": 300,
        "num_variance_estimate": 1000,
        "prune_threshold": 0.05,
    },
    "mig": {"num_train": 1000, "num_bins": 20},
    "sap_score": {"num_train": 1000, "num_test": 500, "continuous_factors": False},
    "dci": {"num_train": 300, "num_test": 150},
}
"""Small settings of each metric, as our keyword arguments."""

PAPER_SETTINGS: dict[str, dict[str, Any]] = {
    "factor_vae_score": {
        "batch_size": 64,
        "num_train": 10000,
        "num_eval": 5000,
        "num_variance_estimate": 10000,
        "prune_threshold": 0.05,
    },
    "mig": {"num_train": 10000, "num_bins": 20},
    "sap_score": {"num_train": 10000, "num_test": 5000, "continuous_factors": False},
    "dci": {"num_train": 10000, "num_test": 5000},
}
"""The published study's settings."""

_ELSEWHERE = {"prune_threshold": "prune_dims.threshold", "num_bins": "discretizer.num_bins"}


def original_run(metric: str, seed: int, settings: dict) -> dict:
    """What to ask the original for, to compare with our `metric` at these settings."""
    bindings = [
        f"{_ELSEWHERE.get(name, f'{metric}.{name}')} = {value}" for name, value in settings.items()
    ]
    if metric == "mig":
        bindings.append("discretizer.discretizer_fn = @histogram_discretizer")
    return {"metric": metric, "seed": seed, "bindings": bindings, "seed_trees": metric == "dci"}


def cases(seed: int, dci: bool) -> list[tuple[str, int, dict]]:
    """(metric, seed, settings) that both sides are asked for on each representation."""
    variants: list[tuple[str, dict[str, Any]]] = [
        ("factor_vae_score", {}),
        ("factor_vae_score", {"prune_threshold": 0.0, "batch_size": 10}),
        ("mig", {}),
        ("mig", {"num_bins": 7, "batch_size": 100}),
        ("sap_score", {}),
        ("sap_score", {"continuous_factors": True}),
    ]
    if dci:
        variants.append(("dci", {}))
    return [(metric, seed, SETTINGS[metric] | changes) for metric, changes in variants]
