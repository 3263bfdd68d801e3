"""The arrays that the functions of boosted trees work on, and how these are compiled."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["INNER", "NODES", "SAME_VALUE", "Points", "Workspace", "entry_point", "kernel"]


SAME_VALUE = np.float32(1e-7)
"""Values no further apart are not told apart by a split."""
NODES = 16
"""Nodes of a tree of depth 3, counted from 1; the children of node i are 2i and 2i + 1."""
INNER = NODES // 2
"""The nodes before it can be split."""
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
entry_point = njit(**_OPTIONS)
"""Compiles a function that Python calls."""
_INTERNAL = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
kernel = njit(**_INTERNAL)
"""Compiles a function that only compiled ones call; it takes less time without the wrapper."""


class Points(NamedTuple):
    """The points to learn from, sorted and binned once for all trees."""

    values: NDArray[np.float32]
    """(latent, point) codes."""
    order: NDArray[np.int32]
    """(latent, position) points in ascending order of the code."""
    ascending: NDArray[np.float32]
    """(latent, position) codes in that order."""
    cells: NDArray[np.uint16]
    """(point, latent) bin of the code, counted through all latents; bins are position ranges."""
    num_bins: NDArray[np.int64]
    """(latent,)"""
    bin_start: NDArray[np.int64]
    """(latent, bin + 1) first position of each bin."""
    has_inside: NDArray[np.bool_]
    """(latent, bin) whether codes differ within the bin."""


class Workspace(NamedTuple):
    """Scratch memory of one tree, reused by the next."""

    rows: NDArray[np.int32]
    """(point,) points grouped by node, ascending in each."""
    spare: NDArray[np.int32]
    """(point,)"""
    node: NDArray[np.uint8]
    """(point,) node that the point has got to."""
    first: NDArray[np.int64]
    """(node + 1,) where a node's points begin in `rows`."""
    last: NDArray[np.int64]
    """(node,) where they end."""
    feature: NDArray[np.int64]
    """(node,) latent that the node is split by, -1 for a leaf."""
    threshold: NDArray[np.float64]
    """(node,) codes up to it go to the left child."""
    drawn: NDArray[np.int64]
    """(node, latent) latents in the order in which they were tried."""
    num_drawn: NDArray[np.int64]
    """(node,)"""
    varies: NDArray[np.bool_]
    """(node, latent) whether the latent can split the node."""
    mark: NDArray[np.bool_]
    """(point,) False between calls."""
    counts: NDArray[np.float64]
    """(node, cell) points of each bin, counted through all latents."""
    totals: NDArray[np.float64]
    """(node, cell) sum of their residuals."""
    ups: NDArray[np.float64]
    """(node, cell) sum of the positive residuals."""
    before: NDArray[np.float64]
    """(cell, 2) points and sum of residuals in the latent's bins before."""
    score: NDArray[np.float64]
    """(latent,) best score of each latent, if it is close to the best of all."""
