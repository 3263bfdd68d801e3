"""scikit-learn's own sums, for the nodes of a tree where rounding decides.

Where two splits are equal up to rounding, scikit-learn takes the one that its rounding favours, the
latent drawn first if they are equal to the last bit. Rounding depends on the order in which a
node's residuals are added: as its parent's last sort and partition left them. The functions here
add in that order. Points of equal codes are taken in their own order, where scikit-learn's
quicksort leaves them in another.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.learners.boosted_trees.arrays import (
    SAME_VALUE,
    Points,
    Workspace,
    kernel,
)

__all__ = ["best_split", "draw_features", "fill_impurities"]


@kernel
def draw_features(
    varies: NDArray[np.bool_],
    features: NDArray[np.int64],
    constants: NDArray[np.int64],
    num_known: int,
    state: NDArray[np.uint32],
    drawn: NDArray[np.int64],
) -> tuple[int, int]:
    """Draw the node's latents in random order, constant ones set aside.

    `features` and `constants` are lists that a tree's nodes hand on, changed in place, and `state`
    is the generator's. Returns how many latents are now known to be constant and how many were
    tried; these are the first of `drawn`.
    """
    remaining, found, skipped, tried, visits = features.size, 0, 0, 0, 0
    total = num_known
    while remaining > total and (visits < features.size or visits <= found + skipped):
        visits += 1
        word = state[0] if state[0] != 0 else np.uint32(1)
        word = np.uint32(word ^ np.uint32(word << np.uint32(13)))
        word = np.uint32(word ^ np.uint32(word >> np.uint32(17)))
        word = np.uint32(word ^ np.uint32(word << np.uint32(5)))
        state[0] = word
        j = skipped + np.int64(word & np.uint32(0x7FFFFFFF)) % (remaining - found - skipped)
        if j < num_known:
            features[skipped], features[j] = features[j], features[skipped]
            skipped += 1
            continue
        j += found
        feature = features[j]
        drawn[tried] = feature
        tried += 1
        if varies[feature]:
            remaining -= 1
            features[remaining], features[j] = features[j], features[remaining]
        else:
            features[j], features[total] = features[total], features[j]
            found += 1
            total += 1
    for i in range(num_known):
        features[i] = constants[i]
    for i in range(num_known, total):
        constants[i] = features[i]
    return total, tried


@kernel
def _sort(points: Points, work: Workspace, node: int, feature: int) -> None:
    """Fill `work.spare` with the node's points, in its place, by ascending code."""
    low, high, most = work.first[node], work.last[node], points.has_inside.shape[1]
    for p in range(low, high):
        work.mark[work.rows[p]] = True
    p = low
    for b in range(points.num_bins[feature]):
        if work.counts[node, feature * most + b] > 0.0:
            for q in range(points.bin_start[feature, b], points.bin_start[feature, b + 1]):
                row = points.order[feature, q]
                if work.mark[row]:
                    work.mark[row] = False
                    work.spare[p] = row
                    p += 1


@kernel
def _arrange(points: Points, work: Workspace, node: int) -> None:
    """Fill `work.spare` with a split node's points, in its place, as its children add them."""
    low, high = work.first[node], work.last[node]
    for i in range(work.num_drawn[node] - 1, -1, -1):
        feature = work.drawn[node, i]
        _sort(points, work, node, feature)
        if points.values[feature, work.spare[low]] < points.values[feature, work.spare[high - 1]]:
            break
    values, threshold = points.values[work.feature[node]], work.threshold[node]
    while low < high:
        row = work.spare[low]
        if values[row] <= threshold:
            low += 1
        else:
            high -= 1
            work.spare[low], work.spare[high] = work.spare[high], row


@kernel
def _sums(
    points: Points, work: Workspace, y: NDArray[np.float64], node: int
) -> tuple[float, float]:
    """Sum of a node's residuals and of their squares."""
    total = squares = 0.0
    if node > 1:
        _arrange(points, work, node >> 1)
    for p in range(work.first[node], work.last[node]):
        residual = y[work.spare[p]] if node > 1 else y[p]
        total += residual
        squares += residual * residual
    return total, squares


@kernel
def best_split(
    points: Points, work: Workspace, y: NDArray[np.float64], node: int, at_least: float
) -> tuple[int, float]:
    """Latent and threshold of the best split, of latents that can score `at_least`.

    Needs the scores and draws of the node in `work`.
    """
    low, high, rows = work.first[node], work.last[node], work.spare
    total, _ = _sums(points, work, y, node)
    best, best_feature, threshold = -np.inf, -1, 0.0
    for i in range(work.num_drawn[node]):
        feature = work.drawn[node, i]
        if not work.varies[node, feature] or work.score[feature] < at_least:
            continue
        _sort(points, work, node, feature)
        values = points.values[feature]
        done, left = low, 0.0
        for cut in range(low + 1, high):
            if values[rows[cut]] <= np.float32(values[rows[cut - 1]] + SAME_VALUE):
                continue
            if cut - done <= high - cut:
                for p in range(done, cut):
                    left += y[rows[p]]
            else:
                left = total
                for p in range(high - 1, cut - 1, -1):
                    left -= y[rows[p]]
            done = cut
            right = total - left
            score = left * left / (cut - low) + right * right / (high - cut)
            if score > best:
                best, best_feature = score, feature
                threshold = np.float64(values[rows[cut - 1]]) / 2.0
                threshold += np.float64(values[rows[cut]]) / 2.0
    return best_feature, threshold


@kernel
def fill_impurities(
    points: Points,
    work: Workspace,
    y: NDArray[np.float64],
    node: int,
    impurity: NDArray[np.float64],
) -> None:
    """Fill the impurities of a split node's children, to the last bit."""
    low, cut, high = work.first[node], work.last[2 * node], work.last[node]
    total, squares = _sums(points, work, y, node)
    left, left_squares, rows = 0.0, 0.0, work.spare
    _arrange(points, work, node)
    if cut - low <= high - cut:
        for p in range(low, cut):
            left += y[rows[p]]
    else:
        left = total
        for p in range(high - 1, cut - 1, -1):
            left -= y[rows[p]]
    for p in range(low, cut):
        left_squares += y[rows[p]] * y[rows[p]]
    left_mean, right_mean = left / (cut - low), (total - left) / (high - cut)
    impurity[2 * node] = left_squares / (cut - low) - left_mean * left_mean
    impurity[2 * node + 1] = (squares - left_squares) / (high - cut) - right_mean * right_mean
