"""Aggregates of a matrix that relates latents to factors, for the unified scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.common.mutual_information import entropy
from srvae_plugin.metrics.dci import disentanglement, disentanglement_per_row
from srvae_plugin.metrics.modularity_explicitness import modularity_per_latent

__all__ = ["aggregate", "groups", "merges", "precision_curve"]


def aggregate(
    matrix: NDArray[np.float64], factors: NDArray[Any], names: NDArray[Any]
) -> dict[str, float]:
    """Every aggregate of a matrix (latent, factor) of numbers >= 0, at least 2 x 2.

    Args:
        matrix: how much each latent has to do with each factor.
        factors: (points, factor) discrete values, none constant, for their entropies.
        names: (factor,) what the factors are called in the keys.

    Returns:
        `dci_disentanglement`, the same again as `dci`, `dci_completeness`, `mig`, `sap` and
        `modularity`: what these metrics do with their own matrix, done with this one. Their terms:
        `dci_disentanglement.code_I`, `dci_completeness.code_K` (of factor K, in spite of the
        name), `mig.factor_K`, `sap.factor_K`, `modularity.code_I`. `max_precision` and
        `area_precision`: see `precision_curve`. `merge_A_B`: see `merges`.
        In [0, 1] only where the matrix is the metric's own; mig divides by the factor's entropy.
    """
    second, best = np.sort(matrix, axis=0)[-2:]
    gaps = best - second
    relative = gaps / entropy(factors)
    modularity = modularity_per_latent(matrix)
    scores = {
        "dci_disentanglement": disentanglement(matrix),
        "dci_completeness": disentanglement(matrix.T),
        "dci": disentanglement(matrix),
        "mig": float(np.mean(relative)),
        "sap": float(np.mean(gaps)),
        "modularity": float(np.mean(modularity)),
    }
    terms: dict[str, tuple[Any, NDArray[np.float64]]] = {
        "dci_disentanglement.code": (range(len(matrix)), disentanglement_per_row(matrix)),
        "dci_completeness.code": (names, disentanglement_per_row(matrix.T)),
        "mig.factor": (names, relative),
        "sap.factor": (names, gaps),
        "modularity.code": (range(len(matrix)), modularity),
    }
    for key, (of, values) in terms.items():
        scores |= {f"{key}_{k}": float(value) for k, value in zip(of, values, strict=True)}
    return scores | precision_curve(matrix) | merges(matrix, names)


def precision_curve(matrix: NDArray[np.float64]) -> dict[str, float]:
    """How many groups of latents and factors stay apart, by the threshold of what connects them.

    A latent and a factor whose entry reaches the threshold are connected; the precision at a
    threshold is the number of connected groups of two or more.

    Returns:
        `max_precision`, the largest over all thresholds, and `area_precision`, the area under
        precisions as a function of the threshold.
    """
    thresholds = np.sort(matrix, axis=None)[::-1]
    precisions = np.array([groups(matrix, threshold) for threshold in thresholds], dtype=float)
    areas = (precisions[:-1] + precisions[1:]) * (thresholds[:-1] - thresholds[1:]) * 0.5
    return {"area_precision": float(np.sum(areas)), "max_precision": float(precisions.max())}


def merges(matrix: NDArray[np.float64], names: NDArray[Any]) -> dict[str, float]:
    """When factors end up in one group as entries are added in order, the largest first.

    Returns:
        `merge_A_B` for each pair of factors: how many entries had been added before the one that
        brought them together. A is the one whose group the entry's factor belonged to. The
        original reports these only where it also draws them.
    """
    num_latents, num_factors = matrix.shape
    # As objects, since the original sorts a table of mixed columns: it decides the order of ties.
    order = matrix.reshape(-1).astype(object).argsort()[::-1]
    group = {k: [k] for k in range(num_factors)}  # by its first factor
    root = np.arange(num_factors + num_latents)  # latents come after the factors
    scores: dict[str, float] = {}
    for count, entry in enumerate(order):
        latent, factor = divmod(int(entry), num_factors)
        left, right = int(root[factor]), int(root[num_factors + latent])
        if left == right:
            continue
        if right < num_factors:
            for a in group[left]:
                scores |= {f"merge_{names[a]}_{names[b]}": float(count) for b in group[right]}
            group[min(left, right)] = group[left] + group[right]
        root[(root == left) | (root == right)] = min(left, right)
    return scores


def groups(matrix: NDArray[np.float64], threshold: float) -> int:
    """Number of groups of two or more latents and factors that entries from it on connect."""
    from scipy.sparse.csgraph import connected_components

    num_latents, num_factors = matrix.shape
    edges = (matrix >= threshold) & (matrix != 0)
    graph = np.zeros((num_latents + num_factors,) * 2, dtype=bool)
    graph[:num_latents, num_latents:] = edges
    _, labels = connected_components(graph, directed=False)
    return int(np.sum(np.bincount(labels) > 1))
