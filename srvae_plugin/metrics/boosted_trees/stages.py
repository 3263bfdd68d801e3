"""Gradient boosting around the trees: residuals, leaf values, predictions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.boosted_trees.arrays import (
    NODES,
    Points,
    Workspace,
    entry_point,
    kernel,
)
from srvae_plugin.metrics.boosted_trees.growth import grow_tree

LEARNING_RATE = 0.1


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
    power = np.empty(num_trees)
    for i in range(n):
        largest, total = raw[0, i], 0.0
        for k in range(num_trees):
            if largest < raw[k, i]:
                largest = raw[k, i]
        for k in range(num_trees):
            power[k] = math.exp(raw[k, i] - largest)
            total += power[k]
        for k in range(num_trees):
            residuals[k, i] = -(power[k] / total - (1.0 if labels[i] == k else 0.0))


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
    first: int,
    step: int,
    retrace: bool,
    raw: NDArray[np.float64],
    splits: NDArray[np.int8],
    thresholds: NDArray[np.float64],
    leaves: NDArray[np.float64],
    importances: NDArray[np.float64],
) -> None:
    """Fit these trees of one stage and add their predictions to `raw`.

    Args:
        residuals: (tree, point).
        labels: (point,) class of each point.
        seeds: (tree,) of the random order of latents.
        first, step: which trees to fit: `range(first, None, step)`.
        retrace: whether to settle ties as `enter` does with it.
        raw: (tree, point), changed.
        splits: (tree, node) latent or -1, filled, as are `thresholds` and `leaves`.
        importances: (tree, latent), added to.
    """
    num_trees, n = residuals.shape
    buffer = np.empty((2, n))
    shrink = 1.0 if num_trees == 1 else (num_trees - 1) / num_trees
    for k in range(first, num_trees, step):
        grow_tree(points, work, residuals[k], seeds[k], retrace, importances[k])
        label = k if num_trees > 1 else 1
        _fill_leaves(work, residuals[k], labels, label, shrink, buffer, leaves[k])
        for node in range(NODES):
            splits[k, node], thresholds[k, node] = work.feature[node], work.threshold[node]
        for i in range(n):
            raw[k, i] += LEARNING_RATE * leaves[k, work.node[i]]


@entry_point
def add_predictions(
    values: NDArray[np.float32],
    splits: NDArray[np.int8],
    thresholds: NDArray[np.float64],
    leaves: NDArray[np.float64],
    raw: NDArray[np.float64],
) -> None:
    """Add the predictions of trees (stage, tree, node) for codes (point, latent) to `raw`."""
    for stage in range(splits.shape[0]):
        for k in range(splits.shape[1]):
            for i in range(values.shape[0]):
                node = 1
                while splits[stage, k, node] >= 0:
                    goes_right = values[i, splits[stage, k, node]] > thresholds[stage, k, node]
                    node = 2 * node + int(goes_right)
                raw[k, i] += LEARNING_RATE * leaves[stage, k, node]
