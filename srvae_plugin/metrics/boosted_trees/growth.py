"""Growth of one tree: fast search for splits, and scikit-learn's rounding where it decides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.boosted_trees.arrays import INNER, NODES, Points, Workspace, kernel
from srvae_plugin.metrics.boosted_trees.order import enter
from srvae_plugin.metrics.boosted_trees.search import (
    fill_children,
    fill_totals,
    find_varying,
    search,
)
from srvae_plugin.metrics.boosted_trees.ties import decide, draw_features, exact_split

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
def _take_back(work: Workspace, node: int) -> None:
    """Undo `_send_down`."""
    low, cut, high = work.first[node], work.last[2 * node], work.last[node]
    for p in range(low, high):
        work.spare[p] = work.rows[p]
    i, j = low, cut
    for p in range(low, high):
        if j == high or (i < cut and work.spare[i] < work.spare[j]):
            work.rows[p] = work.spare[i]
            i += 1
        else:
            work.rows[p] = work.spare[j]
            j += 1
        work.node[work.rows[p]] = node


@kernel
def _start(
    points: Points, work: Workspace, y: NDArray[np.float64], moments: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Put all points into the root; size of all residuals, the largest and the lowest of them."""
    for node in range(NODES):
        work.feature[node], work.known[node] = -1, node == 1
    total = squares = size = largest = lowest = 0.0
    for row in range(y.size):
        residual = y[row]
        work.rows[row] = work.entry[0, row] = row
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
def _split_exactly(
    points: Points,
    work: Workspace,
    y: NDArray[np.float64],
    node: int,
    retrace: bool,
    doubt: float,
    impurity: NDArray[np.float64],
    is_exact: NDArray[np.bool_],
) -> tuple[int, float]:
    """Latent and threshold as scikit-learn's rounding has them, and the children's impurities.

    The node's own impurity as well if the gain is in doubt, which then depends on its last bits.
    """
    feature, threshold, at = 0, 0.0, node
    while True:
        enter(points, work, at, retrace)
        at_feature, at_threshold, left, right = exact_split(points, work, y, at)
        impurity[2 * at], impurity[2 * at + 1] = left, right
        is_exact[2 * at] = is_exact[2 * at + 1] = True
        if at != node:
            return feature, threshold
        feature, threshold = at_feature, at_threshold
        size, num_left = work.last[node] - work.first[node], 0
        for p in range(work.first[node], work.last[node]):
            num_left += points.values[feature, work.rows[p]] <= threshold
        gain = size * impurity[node] - num_left * left - (size - num_left) * right
        if is_exact[node] or gain >= doubt:
            return feature, threshold
        at = node >> 1


@kernel
def grow_tree(
    points: Points,
    work: Workspace,
    y: NDArray[np.float64],
    seed: int,
    retrace: bool,
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
    # Of each node: sum of residuals and of their squares, impurity, whether to the last bit.
    moments, impurity = np.zeros((NODES, 2)), np.zeros(NODES)
    is_exact = np.zeros(NODES, dtype=np.bool_)
    num_constant = np.zeros(NODES, dtype=np.int64)
    size, largest, lowest = _start(points, work, y, moments)
    impurity[1] = moments[1, 1] / n - (moments[1, 0] / n) * (moments[1, 0] / n)
    is_exact[1] = True
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
        doubt = 16.0 * m * _ROUNDING * moments[node, 1]
        rivals = best - rounding - 64.0 * _ROUNDING * best
        close, gain = False, 0.0
        if second >= rivals:
            feature, threshold = decide(points, work, y, node, rivals, retrace)
            close = feature < 0
        if not close:
            _send_down(work, y, points.values[feature], node, threshold, moments)
            gain = m * impurity[node]
            for child in (left, right):
                size = work.last[child] - work.first[child]
                mean = moments[child, 0] / size
                impurity[child] = moments[child, 1] / size - mean * mean
                gain -= size * impurity[child]
                # Is it 0 up to rounding? Then rounding decides whether to go on.
                near_zero = abs(impurity[child] - _PURE) * size < doubt
                close = close or (child < INNER and size > 1 and near_zero)
            close = close or gain < doubt
            if close:
                _take_back(work, node)
        if close:
            feature, threshold = _split_exactly(
                points, work, y, node, retrace, doubt, impurity, is_exact
            )
            _send_down(work, y, points.values[feature], node, threshold, moments)
            n_left, n_right = work.last[left] - low, high - work.last[left]
            gained = impurity[node] - n_right / m * impurity[right] - n_left / m * impurity[left]
            if m / n * gained + _PURE < 0.0:
                _take_back(work, node)
                continue
            gain = m * impurity[node] - n_left * impurity[left] - n_right * impurity[right]
        work.feature[node], work.threshold[node] = feature, threshold
        importances[feature] += gain / n
        num_constant[left] = num_constant[right] = constant
        if left < INNER:
            fill_children(points, work, y, node)
        todo[depth], todo[depth + 1] = right, left
        depth += 2
