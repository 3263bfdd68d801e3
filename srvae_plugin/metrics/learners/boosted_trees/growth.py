"""Growth of one tree: fast search for splits, and scikit-learn's rounding where it decides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.learners.boosted_trees.arrays import (
    INNER,
    NODES,
    Points,
    Workspace,
    kernel,
)
from srvae_plugin.metrics.learners.boosted_trees.rounding import (
    best_split,
    draw_features,
    fill_impurities,
)
from srvae_plugin.metrics.learners.boosted_trees.search import (
    fill_children,
    fill_totals,
    find_varying,
    search,
)

__all__ = ["grow_tree"]


_PURE = float(np.finfo(np.float64).eps)
_ROUNDING = _PURE / 2


@kernel
def _send_down(
    work: Workspace,
    y: NDArray[np.float64],
    values: NDArray[np.float32],
    node: int,
    threshold: float,
    moments: NDArray[np.float64],
) -> None:
    """Move a node's points to its children, with their `moments`."""
    low, high = work.first[node], work.last[node]
    cut, num_right = low, 0
    total = squares = 0.0
    for p in range(low, high):
        row = work.rows[p]
        goes_right = int(values[row] > threshold)
        work.rows[cut] = row
        work.spare[num_right] = row
        cut += 1 - goes_right
        num_right += goes_right
        work.node[row] = 2 * node + goes_right
        residual = y[row] if goes_right == 0 else 0.0
        total += residual
        squares += residual * residual
    for p in range(num_right):
        work.rows[cut + p] = work.spare[p]
    work.first[2 * node], work.last[2 * node] = low, cut
    work.first[2 * node + 1], work.last[2 * node + 1] = cut, high
    moments[2 * node, 0], moments[2 * node, 1] = total, squares
    moments[2 * node + 1, 0] = moments[node, 0] - total
    moments[2 * node + 1, 1] = moments[node, 1] - squares


@kernel
def _start(
    points: Points, work: Workspace, y: NDArray[np.float64], moments: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Put all points into the root; size of all residuals, the largest and the lowest of them."""
    for node in range(NODES):
        work.feature[node] = -1
    total = squares = size = largest = lowest = 0.0
    for row in range(y.size):
        residual = y[row]
        work.rows[row] = row
        work.node[row] = 1
        total += residual
        squares += residual * residual
        size += abs(residual)
        if residual > largest:
            largest = residual
        if residual < lowest:
            lowest = residual
    work.first[1], work.last[1] = 0, y.size
    moments[1, 0], moments[1, 1] = total, squares
    for j in range(points.num_bins.size):
        for b in range(points.num_bins[j]):
            work.counts[1, j * points.has_inside.shape[1] + b] = (
                points.bin_start[j, b + 1] - points.bin_start[j, b]
            )
    fill_totals(points, work, 0, y.size, y, 1)
    return size, largest, lowest


@kernel
def grow_tree(
    points: Points,
    work: Workspace,
    y: NDArray[np.float64],
    seed: int,
    importances: NDArray[np.float64],
) -> None:
    """Grow one tree on the residuals y; leaves its splits and leaves in `work`.

    Adds the decrease of impurity, in units of squared residuals a point, to `importances`
    (latent,).
    """
    n = y.size
    state = np.array([seed], dtype=np.uint32)
    features = np.arange(points.num_bins.size)
    constants = np.empty_like(features)
    # Of each node: sum of residuals and of their squares, impurity.
    moments, impurity = np.zeros((NODES, 2)), np.zeros(NODES)
    num_constant = np.zeros(NODES, dtype=np.int64)
    size, largest, lowest = _start(points, work, y, moments)
    impurity[1] = moments[1, 1] / n - (moments[1, 0] / n) * (moments[1, 0] / n)
    # Twice the most that rounding can do to a score, whatever the order of summation: sums over
    # at most n terms, three histograms deep, weighted by twice the largest possible mean.
    rounding = 64.0 * n * _ROUNDING * size * max(largest, -lowest)
    todo, depth = np.empty(NODES, dtype=np.int64), 1
    todo[0] = 1
    while depth > 0:
        depth -= 1
        node = todo[depth]
        low, high = work.first[node], work.last[node]
        if node >= INNER or high - low < 2 or impurity[node] <= _PURE:
            continue
        find_varying(points, work, node)
        constant, work.num_drawn[node] = draw_features(
            work.varies[node], features, constants, num_constant[node], state, work.drawn[node]
        )
        if constant == features.size:
            continue
        left, right, m = 2 * node, 2 * node + 1, high - low
        feature, threshold, best, second = search(
            points, work, y, node, moments[node, 0], largest, lowest, rounding
        )
        rivals = best - rounding - 64.0 * _ROUNDING * best
        if second >= rivals:
            feature, threshold = best_split(points, work, y, node, rivals)
        _send_down(work, y, points.values[feature], node, threshold, moments)
        work.feature[node], work.threshold[node] = feature, threshold
        doubt = 16.0 * m * _ROUNDING * moments[node, 1]
        gain, close = m * impurity[node], False
        for child in (left, right):
            size = work.last[child] - work.first[child]
            mean = moments[child, 0] / size
            impurity[child] = moments[child, 1] / size - mean * mean
            gain -= size * impurity[child]
            # Is it 0 up to rounding? Then rounding decides whether to go on.
            near_zero = abs(impurity[child] - _PURE) * size < doubt
            close = close or (child < INNER and size > 1 and near_zero)
        if close or gain < doubt:
            fill_impurities(points, work, y, node, impurity)
            n_left, n_right = work.last[left] - low, high - work.last[left]
            gain = m * impurity[node] - n_left * impurity[left] - n_right * impurity[right]
        importances[feature] += gain / n
        num_constant[left] = num_constant[right] = constant
        if left < INNER:
            fill_children(points, work, y, node)
        todo[depth], todo[depth + 1] = right, left
        depth += 2
