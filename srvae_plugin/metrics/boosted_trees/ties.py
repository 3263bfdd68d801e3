"""scikit-learn's own arithmetic for the nodes of a tree where it matters.

Where two candidate splits are equal up to rounding, scikit-learn takes the one that its rounding
favours, and that depends on the order in which it adds: points sorted by a latent, ties in whatever
order its quicksort leaves them, latents drawn at random. The functions here add in that order, so
that the same candidate wins. Source of the algorithm: scikit-learn 1.9, best splitter and mean
squared error criterion.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.boosted_trees.arrays import SAME_VALUE, Points, Workspace, kernel
from srvae_plugin.metrics.boosted_trees.order import (
    ascending,
    copy,
    depth_of,
    enter,
    partition,
    sort_rows,
)

_MAX_TOTALS = 129
"""Sums of a node's residuals that are tried before scikit-learn's order is looked for."""
_FEW = 8
"""Points whose sums in all orders are enumerated."""


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
def _scan(
    rows: NDArray[np.int32],
    low: int,
    high: int,
    values: NDArray[np.float32],
    y: NDArray[np.float64],
    total: float,
    best: float,
) -> tuple[float, int]:
    """Best score above `best` of a cut of the sorted rows[low:high], and its place or -1."""
    place, done, left = -1, low, 0.0
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
            best, place = score, cut
    return best, place


@kernel
def _between(values: NDArray[np.float32], below: int, above: int) -> float:
    return np.float64(values[below]) / 2.0 + np.float64(values[above]) / 2.0


@kernel
def _decide(
    points: Points,
    work: Workspace,
    y: NDArray[np.float64],
    node: int,
    at_least: float,
    total: float,
) -> tuple[int, float]:
    """As `decide`, with the node's sum of residuals given."""
    low, high = work.first[node], work.last[node]
    rows, best, best_feature, threshold = work.scratch, -np.inf, -1, 0.0
    for i in range(work.num_drawn[node]):
        feature = work.drawn[node, i]
        if not work.varies[node, feature] or work.score[feature] < at_least:
            continue
        if not ascending(points, work, node, feature, rows):
            return -1, 0.0
        values = points.values[feature]
        best, cut = _scan(rows, low, high, values, y, total, best)
        if cut >= 0:
            best_feature, threshold = feature, _between(values, rows[cut - 1], rows[cut])
    return best_feature, threshold


@kernel
def _sums_in_any_order(
    rows: NDArray[np.int32], low: int, high: int, y: NDArray[np.float64], sums: NDArray[np.float64]
) -> int:
    """Fill `sums` with the different sums that _FEW or fewer residuals have in some order.

    Returns how many there are, 0 if more than `sums` holds.
    """
    num = high - low
    partial = np.empty((1 << num, sums.size))
    found = np.zeros(1 << num, dtype=np.int64)
    partial[0, 0], found[0] = 0.0, 1
    for some in range(1, 1 << num):
        for last in range(num):
            if not some >> last & 1:
                continue
            before = some ^ (1 << last)
            for i in range(found[before]):
                total = partial[before, i] + y[rows[low + last]]
                is_new = True
                for j in range(found[some]):
                    is_new = is_new and partial[some, j] != total
                if is_new:
                    if found[some] == sums.size:
                        return 0
                    partial[some, found[some]] = total
                    found[some] += 1
    count = found[(1 << num) - 1]
    for i in range(count):
        sums[i] = partial[(1 << num) - 1, i]
    return count


@kernel
def _sums_near(total: float, size: float, num: int, sums: NDArray[np.float64]) -> int:
    """Fill `sums` with the numbers that rounding can make of a sum of `num` numbers.

    `total` is their sum in one order, `size` that of their absolute values. Returns how many there
    are, 0 if more than `sums` holds or if they reach 0.
    """
    spread = 2.0 * num * 2.0**-53 * size
    if abs(total) <= spread:
        return 0
    unit = 2.0 ** (math.frexp(abs(total) - spread)[1] - 53)
    if spread / unit >= sums.size // 2:
        return 0
    steps = int(spread / unit) + 1
    for i in range(2 * steps + 1):
        sums[i] = total + (i - steps) * unit
    return 2 * steps + 1


@kernel
def decide(
    points: Points,
    work: Workspace,
    y: NDArray[np.float64],
    node: int,
    at_least: float,
    retrace: bool,
) -> tuple[int, float]:
    """Latent and threshold of the best split, of latents that can score `at_least`.

    Needs `work.drawn` and `work.score`. Returns -1 if the order of tied points matters, which only
    `exact_split` knows.
    """
    total = size = 0.0
    low, high = work.first[node], work.last[node]
    if not work.known[node]:
        # The sum in the order that is not known is one of these. Mostly they all decide alike.
        sums = np.empty(_MAX_TOTALS)
        if high - low <= _FEW:
            count = _sums_in_any_order(work.rows, low, high, y, sums)
        else:
            for p in range(low, high):
                total += y[work.rows[p]]
                size += abs(y[work.rows[p]])
            count = _sums_near(total, size, high - low, sums)
        feature, threshold, alike = 0, 0.0, count > 0
        for i in range(count):
            other = _decide(points, work, y, node, at_least, sums[i])
            if i == 0:
                feature, threshold = other
            if feature < 0:
                return -1, 0.0
            alike = alike and other[0] == feature and other[1] == threshold
            if not alike:
                break
        if alike:
            return feature, threshold
    enter(points, work, node, retrace)
    depth, total = depth_of(node), 0.0
    for p in range(low, high):
        total += y[work.entry[depth, p]]
    return _decide(points, work, y, node, at_least, total)


@kernel
def exact_split(
    points: Points, work: Workspace, y: NDArray[np.float64], node: int
) -> tuple[int, float, float, float]:
    """Latent and threshold of the best split and the children's impurities, to the last bit.

    Needs `work.entry` for the node (see `enter`) and `work.drawn`; leaves it for the children.
    """
    depth = depth_of(node)
    low, high = work.first[node], work.last[node]
    rows = work.entry[depth + 1]
    copy(work.entry[depth], rows, low, high)
    total = squares = 0.0
    for p in range(low, high):
        total += y[rows[p]]
        squares += y[rows[p]] * y[rows[p]]
    best, best_feature, threshold, best_cut = -np.inf, -1, 0.0, high
    for i in range(work.num_drawn[node]):
        feature = work.drawn[node, i]
        sort_rows(rows, low, high, points.rank[feature], work.keys)
        if not work.varies[node, feature]:
            continue
        values = points.values[feature]
        best, cut = _scan(rows, low, high, values, y, total, best)
        if cut >= 0:
            best_feature, best_cut = feature, cut
            threshold = _between(values, rows[cut - 1], rows[cut])
    partition(rows, low, high, points.values[best_feature], threshold)
    work.known[2 * node] = work.known[2 * node + 1] = True
    left, left_squares = 0.0, 0.0
    if best_cut - low <= high - best_cut:
        for p in range(low, best_cut):
            left += y[rows[p]]
    else:
        left = total
        for p in range(high - 1, best_cut - 1, -1):
            left -= y[rows[p]]
    for p in range(low, best_cut):
        left_squares += y[rows[p]] * y[rows[p]]
    n_left, n_right = best_cut - low, high - best_cut
    left_mean, right_mean = left / n_left, (total - left) / n_right
    return (
        best_feature,
        threshold,
        left_squares / n_left - left_mean * left_mean,
        (squares - left_squares) / n_right - right_mean * right_mean,
    )
