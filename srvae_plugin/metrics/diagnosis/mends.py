"""Mended codes: latents that are left out, put together, or turned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.diagnosis.points import Factor

__all__ = ["Latents", "Turn", "mended", "turn_of"]

Latents = dict[str, NDArray[np.float64]]
"""Columns of codes by the latents' names, in their order."""
_FLAT = 1e-10
"""Part of the largest variance below which a direction of the codes is none."""
_SAME = 1e-6
"""Length of what sets a direction apart from others, below which it is one of them."""
_WEAKEST = 0.1
"""Part of a direction's variance that the means of a factor's classes have at least: with less the
factor has no direction, and what looks like one is chance."""
_SECOND = 0.5
"""A factor takes a second direction if it is so strong beside its first."""


def mended(
    latents: Latents, out: Sequence[str], new: Mapping[str, NDArray[np.float64]] = {}
) -> Latents:
    """Latents without some, and with others at the end."""
    return {name: column for name, column in latents.items() if name not in out} | dict(new)


class Turn(NamedTuple):
    """A linear map of codes that puts factors on axes."""

    mean: NDArray[np.float64]
    matrix: NDArray[np.float64]
    """(latent, new latent)"""
    owners: list[int]
    """Places of the factors that the first new latents are for."""

    def __call__(self, codes: NDArray[np.float64]) -> NDArray[np.float64]:
        """The codes on the new axes."""
        return (codes - self.mean) @ self.matrix

    def weights(self, spread: NDArray[np.float64]) -> NDArray[np.float64]:
        """(latent, new latent) part of each latent in the length of each new one's direction."""
        length = np.abs(self.matrix) * spread[:, np.newaxis]
        return length / np.maximum(np.linalg.norm(length, axis=0), 1e-300)


def turn_of(codes: NDArray[np.float64], factors: Sequence[Factor]) -> Turn:
    """The linear map of codes in which each factor lies on an axis of its own, as far as it can.

    Each factor's axis is the direction in which the means of its classes lie farthest apart (linear
    discriminant analysis), in whitened codes, so that scales do not count; what is left is any
    basis of the rest. The axes are not made orthogonal: in a sample factors are never quite
    uncorrelated, and each direction is known better than that.
    """
    mean = codes.mean(axis=0)
    centred = codes - mean
    variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(centred.T)))
    kept = variances > _FLAT * max(float(variances.max()), 1e-300)
    white = axes[:, kept] / np.sqrt(variances[kept])
    wanted, owners = [], []
    for place, factor in enumerate(factors):
        directions = _directions(centred @ white, factor)
        wanted += directions
        owners += [place] * len(directions)
    wanted, owners = wanted[: white.shape[1]], owners[: white.shape[1]]
    if not wanted:
        return Turn(mean, white, [])
    _, strengths, basis = np.linalg.svd(np.array(wanted), full_matrices=True)
    rest = basis[int(np.sum(strengths > _SAME)) :]
    return Turn(mean, white @ np.vstack([*wanted, rest]).T, owners)


def _directions(white: NDArray[np.float64], factor: Factor) -> list[NDArray[np.float64]]:
    """The one or two directions in which the means of the classes lie farthest apart, if any."""
    several = int(factor.classes.max()) + 1
    counts = np.bincount(factor.classes, minlength=several)
    sums = np.zeros((several, white.shape[1]))
    np.add.at(sums, factor.classes, white)
    scaled = sums / np.sqrt(np.maximum(counts, 1))[:, np.newaxis]
    strengths, vectors = np.linalg.eigh(scaled.T @ scaled / len(white))
    found = [vectors[:, -1]] if strengths[-1] >= _WEAKEST else []
    if len(strengths) > 1 and not factor.ordered and strengths[-2] >= _SECOND * strengths[-1]:
        found += [vectors[:, -2]] * len(found)
    return found
