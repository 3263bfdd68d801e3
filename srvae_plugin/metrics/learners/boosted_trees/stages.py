"""Gradient boosting around the trees: residuals, leaf values, predictions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.learners.boosted_trees.arrays import (
    INNER,
    NODES,
    Points,
    Workspace,
    entry_point,
    kernel,
)
from srvae_plugin.metrics.learners.boosted_trees.growth import grow_tree
from srvae_plugin.metrics.learners.exponential import exp_all

__all__ = ["LEARNING_RATE", "add_predictions", "fill_residuals", "fit_trees"]


LEARNING_RATE = 0.1
_BLOCK = 64
"""Points whose residuals are computed at once."""


@entry_point
def fill_residuals(
    raw: NDArray[np.float64], labels: NDArray[np.int64], residuals: NDArray[np.float64]
) -> None:
    """Label minus probability, from raw predictions; all (tree, point), labels (point,).

    One tree: two classes, logistic; else as many as classes, softmax. Terms are added as in
    scikit-learn.
    """
    num_trees, n = raw.shape
    if num_trees == 1:
        for i in range(n):
            label = float(labels[i])
            if raw[0, i] > -37.0:
                odds = math.exp(-raw[0, i])
                residuals[0, i] = -(((1.0 - label) - label * odds) / (1.0 + odds))
            else:
                residuals[0, i] = -(math.exp(raw[0, i]) - label)
        return
    largest, total = np.empty(_BLOCK), np.empty(_BLOCK)
    room = np.empty((4, num_trees * _BLOCK))
    bits = room[2].view(np.int64)
    for start in range(0, n, _BLOCK):
        m = min(_BLOCK, n - start)
        size = num_trees * m
        shifted, power = room[0, :size], room[1, :size]
        largest[:m] = raw[0, start : start + m]
        for k in range(1, num_trees):
            for i in range(m):
                largest[i] = max(largest[i], raw[k, start + i])
        for k in range(num_trees):
            for i in range(m):
                shifted[k * m + i] = raw[k, start + i] - largest[i]
        exp_all(shifted, power, room[2, :size], bits[:size], room[3, :size])
        total[:m] = 0.0
        for k in range(num_trees):
            for i in range(m):
                total[i] += power[k * m + i]
        for k in range(num_trees):
            for i in range(m):
                label = 1.0 if labels[start + i] == k else 0.0
                residuals[k, start + i] = -(power[k * m + i] / total[i] - label)


@kernel
def _block_sum(a: NDArray[np.float64], start: int, size: int) -> float:
    done, total = 0, 0.0
    if size >= 8:
        p0, p1, p2, p3 = a[start], a[start + 1], a[start + 2], a[start + 3]
        p4, p5, p6, p7 = a[start + 4], a[start + 5], a[start + 6], a[start + 7]
        done = size - size % 8
        for i in range(start + 8, start + done, 8):
            p0 += a[i]
            p1 += a[i + 1]
            p2 += a[i + 2]
            p3 += a[i + 3]
            p4 += a[i + 4]
            p5 += a[i + 5]
            p6 += a[i + 6]
            p7 += a[i + 7]
        total = ((p0 + p1) + (p2 + p3)) + ((p4 + p5) + (p6 + p7))
    for i in range(start + done, start + size):
        total += a[i]
    return total


@kernel
def _sum(a: NDArray[np.float64], size: int) -> float:
    """Sum of the first numbers in the order of `numpy.sum`: halved down to blocks of 128.

    A stack instead of recursion, which numba's cache does not survive (numba issue 6061).
    """
    starts, sizes, sums = np.empty(128, np.int64), np.empty(128, np.int64), np.empty(128)
    starts[0], sizes[0] = 0, size
    depth, num_sums = 1, 0
    while depth > 0:
        depth -= 1
        start, size = starts[depth], sizes[depth]
        if size < 0:
            num_sums -= 1
            sums[num_sums - 1] += sums[num_sums]
        elif size <= 128:
            sums[num_sums] = _block_sum(a, start, size)
            num_sums += 1
        else:
            half = size // 2 - size // 2 % 8
            sizes[depth] = -1
            starts[depth + 1], sizes[depth + 1] = start + half, size - half
            starts[depth + 2], sizes[depth + 2] = start, half
            depth += 3
    return sums[0]


@kernel
def _fill_leaves(
    work: Workspace,
    y: NDArray[np.float64],
    labels: NDArray[np.int64],
    label: int,
    shrink: float,
    buffer: NDArray[np.float64],
    leaves: NDArray[np.float64],
) -> None:
    """One Newton step of the loss in each leaf: mean residual over mean p (1 - p)."""
    reached = np.zeros(2 * NODES, dtype=np.bool_)
    reached[1] = True
    for node in range(1, NODES):
        if not reached[node]:
            continue
        if work.feature[node] >= 0:
            reached[2 * node] = reached[2 * node + 1] = True
            continue
        low, high = work.first[node], work.last[node]
        size = high - low
        for i in range(size):
            row = work.rows[low + i]
            p = (1.0 if labels[row] == label else 0.0) - y[row]
            buffer[0, i] = y[row]
            buffer[1, i] = p * (1.0 - p)
        slope = _sum(buffer[0], size) / size * shrink
        curvature = _sum(buffer[1], size) / size
        leaves[node] = 0.0 if abs(curvature) < 1e-150 else slope / curvature


@entry_point
def fit_trees(
    points: Points,
    work: Workspace,
    residuals: NDArray[np.float64],
    labels: NDArray[np.int64],
    seeds: NDArray[np.int64],
    raw: NDArray[np.float64],
    splits: NDArray[np.int16],
    thresholds: NDArray[np.float64],
    leaves: NDArray[np.float64],
    importances: NDArray[np.float64],
) -> None:
    """Fit the trees of one stage and add their predictions to `raw`.

    Args:
        residuals: (tree, point).
        labels: (point,) class of each point.
        seeds: (tree,) of the random order of latents.
        raw: (tree, point), changed.
        splits: (tree, node) latent or -1, filled, as are `thresholds` and `leaves`.
        importances: (tree, latent), added to.
    """
    num_trees, n = residuals.shape
    buffer = np.empty((2, n))
    shrink = 1.0 if num_trees == 1 else (num_trees - 1) / num_trees
    for k in range(num_trees):
        grow_tree(points, work, residuals[k], seeds[k], importances[k])
        label = k if num_trees > 1 else 1
        _fill_leaves(work, residuals[k], labels, label, shrink, buffer, leaves[k])
        for node in range(NODES):
            splits[k, node], thresholds[k, node] = work.feature[node], work.threshold[node]
        for i in range(n):
            raw[k, i] += LEARNING_RATE * leaves[k, work.node[i]]


@kernel
def _whole_tree(
    splits: NDArray[np.int16],
    thresholds: NDArray[np.float64],
    leaves: NDArray[np.float64],
    latents: NDArray[np.int64],
    cuts: NDArray[np.float32],
    steps: NDArray[np.float64],
) -> None:
    """The tree (node,) with all of its INNER - 1 splits: what is below a leaf is its equal.

    Fills `latents` and `cuts` (inner node,) and `steps` (leaf of the whole tree,).
    """
    for node in range(1, INNER):
        latents[node] = max(splits[node], 0)
        cut = np.float32(thresholds[node])
        # Above the threshold, for a float32, is above the next one not above it.
        cuts[node] = cut if cut <= thresholds[node] else np.nextafter(cut, np.float32(-np.inf))
    for leaf in range(INNER, NODES):
        depth = 3
        while depth > 0 and splits[leaf >> depth] >= 0:
            depth -= 1
        steps[leaf - INNER] = LEARNING_RATE * leaves[leaf >> depth]


@entry_point
def add_predictions(
    values: NDArray[np.float32],
    splits: NDArray[np.int16],
    thresholds: NDArray[np.float64],
    leaves: NDArray[np.float64],
    raw: NDArray[np.float64],
) -> None:
    """Add the predictions of trees (stage, tree, node) for codes (latent, point) to `raw`.

    Every point is compared with all of a tree's splits, which takes no branch.
    """
    latents, cuts = np.empty(INNER, np.int64), np.empty(INNER, np.float32)
    steps = np.empty(NODES - INNER)
    for stage in range(splits.shape[0]):
        for k in range(splits.shape[1]):
            _whole_tree(
                splits[stage, k], thresholds[stage, k], leaves[stage, k], latents, cuts, steps
            )
            c1, c2, c3 = cuts[1], cuts[2], cuts[3]
            c4, c5, c6, c7 = cuts[4], cuts[5], cuts[6], cuts[7]
            s0, s1, s2, s3, s4, s5, s6, s7 = steps
            x1, x2, x3 = values[latents[1]], values[latents[2]], values[latents[3]]
            x4, x5 = values[latents[4]], values[latents[5]]
            x6, x7 = values[latents[6]], values[latents[7]]
            out = raw[k]
            for i in range(out.size):
                left_left = s1 if x4[i] > c4 else s0
                left_right = s3 if x5[i] > c5 else s2
                right_left = s5 if x6[i] > c6 else s4
                right_right = s7 if x7[i] > c7 else s6
                left = left_right if x2[i] > c2 else left_left
                right = right_right if x3[i] > c3 else right_left
                out[i] += right if x1[i] > c1 else left
