"""What single latents tell of factors, as MIG counts it, with the bias of counting taken off."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.common.discretizer import discretize_codes
from srvae_plugin.metrics.common.mutual_information import entropy, mutual_information
from srvae_plugin.metrics.diagnosis.points import Factor

__all__ = ["Known", "gaps", "known", "shares"]

_TIMES = 20


class Known(NamedTuple):
    """What each latent tells of each factor."""

    shares: NDArray[np.float64]
    """(latent, factor) of the factor's entropy, 0 to 1."""
    chance: NDArray[np.float64]
    """(factor,) the most that any latent told of 20 shuffles of the factor's values."""


def known(
    codes: NDArray[np.float64], factors: list[Factor], random_state: np.random.RandomState
) -> Known:
    """Shares of latents (points, latent), and what chance gives."""
    bins = discretize_codes(codes)
    classes = np.stack([factor.classes for factor in factors], axis=1)
    of_chance = []
    for _ in range(_TIMES):
        order = random_state.permutation(len(classes))
        of_chance.append(_shares(bins, classes[order]))
    return Known(_shares(bins, classes), np.max(of_chance, axis=(0, 1)))


def shares(codes: NDArray[np.float64], factors: list[Factor]) -> NDArray[np.float64]:
    """(latent, factor) share of the factor's entropy that the latent tells."""
    classes = np.stack([factor.classes for factor in factors], axis=1)
    return _shares(discretize_codes(codes), classes)


def gaps(codes: NDArray[np.float64], factors: list[Factor]) -> NDArray[np.float64]:
    """(factor,) share of the best latent less that of the second best."""
    table = np.sort(np.vstack([shares(codes, factors), np.zeros(len(factors))]), axis=0)
    return table[-1] - table[-2]


def _shares(bins: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shares less the bias of counting, (bins - 1) (classes - 1) / (2 points) nats."""
    filled = np.array([len(np.unique(column)) for column in bins.T])
    several = np.array([len(np.unique(column)) for column in classes.T])
    bias = np.outer(filled - 1, several - 1) / (2 * len(bins))
    informed = mutual_information(bins, classes) - bias
    return np.clip(informed / entropy(classes), 0.0, 1.0)
