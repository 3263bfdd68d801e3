"""The fast search for a node's best split.

The codes are the same for all trees, so they are sorted once. A node's residuals are summed in up
to `MAX_BINS` bins a latent; the score of a split is a convex function of the cut's point count and
residual sum, so that the corners of the region that cuts inside a bin can reach bound their scores,
and only the few bins whose bound reaches the best score are gone through point by point.
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

__all__ = ["MAX_BINS", "fill_children", "fill_totals", "find_varying", "search"]


MAX_BINS = 128


@kernel
def fill_totals(
    points: Points, work: Workspace, low: int, high: int, y: NDArray[np.float64], node: int
) -> None:
    """Fill a node's `totals` and `ups` from work.rows[low:high]."""
    cells, rows = points.cells, work.rows
    totals, ups = work.totals[node], work.ups[node]
    for cell in range(totals.size):
        totals[cell] = ups[cell] = 0.0
    for p in range(low, high):
        row = rows[p]
        residual = y[row]
        for j in range(cells.shape[1]):
            totals[cells[row, j]] += residual
        if residual > 0.0:
            for j in range(cells.shape[1]):
                ups[cells[row, j]] += residual


@kernel
def fill_children(points: Points, work: Workspace, y: NDArray[np.float64], node: int) -> None:
    """Histograms of a node's children: one is summed, the other is the rest of the node's."""
    small = 2 * node
    if work.last[small] - work.first[small] > work.last[small + 1] - work.first[small + 1]:
        small += 1
    low, high = work.first[small], work.last[small]
    cells, rows, counts = points.cells, work.rows, work.counts[small]
    for cell in range(counts.size):
        counts[cell] = 0.0
    for p in range(low, high):
        row = rows[p]
        for j in range(cells.shape[1]):
            counts[cells[row, j]] += 1.0
    fill_totals(points, work, low, high, y, small)
    for part in (work.counts, work.totals, work.ups):
        whole, one, other = part[node], part[small], part[small ^ 1]
        for cell in range(whole.size):
            other[cell] = whole[cell] - one[cell]


@kernel
def find_varying(points: Points, work: Workspace, node: int) -> None:
    """Fill `work.varies`: a latent varies if its codes differ by more than `SAME_VALUE`."""
    most = points.has_inside.shape[1]
    for j in range(points.num_bins.size):
        filled, bin_ = 0, 0
        for b in range(points.num_bins[j]):
            if work.counts[node, j * most + b] > 0.0:
                filled += 1
                bin_ = b
                if filled > 1:
                    break
        work.varies[node, j] = filled > 1
        if filled == 1 and points.has_inside[j, bin_]:
            low = _member(points, work, node, j, points.bin_start[j, bin_], 1)
            high = _member(points, work, node, j, points.bin_start[j, bin_ + 1] - 1, -1)
            work.varies[node, j] = high > np.float32(low + SAME_VALUE)


@kernel
def _member(points: Points, work: Workspace, node: int, j: int, p: int, step: int) -> np.float32:
    """Code of the node's next point from position p on."""
    while work.node[points.order[j, p]] != node:
        p += step
    return points.ascending[j, p]


@kernel
def _reaches(
    count: float, total: float, num_points: float, node_total: float, score: float
) -> bool:
    """Whether a cut with `count` points and sum `total` on the left scores `score` or more."""
    other, rest = num_points - count, node_total - total
    return (
        count > 0.0
        and other > 0.0
        and total * total * other + rest * rest * count >= score * count * other
    )


@kernel
def search(
    points: Points,
    work: Workspace,
    y: NDArray[np.float64],
    node: int,
    node_total: float,
    largest: float,
    lowest: float,
    slack: float,
) -> tuple[int, float, float, float]:
    """Best latent and threshold, its score and the second best score.

    `largest` and `lowest` are the node's extreme residuals, >= 0 and <= 0. The second best score is
    exact only if within `slack` of the best. Fills `work.score`.
    """
    counts, totals, ups, before = work.counts[node], work.totals[node], work.ups[node], work.before
    num_points = float(work.last[node] - work.first[node])
    best = second = -np.inf
    feature, bin_, most = -1, -1, points.has_inside.shape[1]
    for j in range(points.num_bins.size):
        work.score[j] = -np.inf
        if not work.varies[node, j]:
            continue
        count = total = 0.0
        for b in range(points.num_bins[j]):
            cell = j * most + b
            before[cell, 0], before[cell, 1] = count, total
            if counts[cell] == 0.0:
                continue
            count += counts[cell]
            total += totals[cell]
            if count == num_points:
                break
            if _reaches(count, total, num_points, node_total, best - slack):
                rest, other = node_total - total, num_points - count
                score = (total * total * other + rest * rest * count) / (count * other)
                work.score[j] = max(work.score[j], score)
                if score > best:
                    best, second, feature, bin_ = score, best, j, b
                elif score > second:
                    second = score
    inside = False
    below = above = np.float32(0.0)
    # Residuals of 1 / per_up points at least make up a sum of 1, likewise below 0.
    per_up = 1.0 / largest if largest > 0.0 else 0.0
    per_down = 1.0 / lowest if lowest < 0.0 else 0.0
    for j in range(points.num_bins.size):
        if not work.varies[node, j]:
            continue
        for b in range(points.num_bins[j]):
            cell = j * most + b
            inside_count = counts[cell]
            if inside_count < 2.0 or not points.has_inside[j, b]:
                continue
            count, total = before[cell, 0], before[cell, 1]
            up = ups[cell]
            down = totals[cell] - up
            end = count + inside_count
            high, low = total + up, total + down
            bound = best - slack
            if not (
                _reaches(count + up * per_up, high, num_points, node_total, bound)
                or _reaches(end - down * per_down, high, num_points, node_total, bound)
                or _reaches(count + down * per_down, low, num_points, node_total, bound)
                or _reaches(end - up * per_up, low, num_points, node_total, bound)
            ):
                continue
            begun = False
            previous = np.float32(0.0)
            for p in range(points.bin_start[j, b], points.bin_start[j, b + 1]):
                row = points.order[j, p]
                if work.node[row] != node:
                    continue
                value = points.ascending[j, p]
                if (
                    begun
                    and value > np.float32(previous + SAME_VALUE)
                    and _reaches(count, total, num_points, node_total, best - slack)
                ):
                    rest, other = node_total - total, num_points - count
                    score = (total * total * other + rest * rest * count) / (count * other)
                    work.score[j] = max(work.score[j], score)
                    if score > best:
                        best, second, feature, inside = score, best, j, True
                        below, above = previous, value
                    elif score > second:
                        second = score
                begun = True
                previous = value
                total += y[row]
                count += 1.0
    if not inside:
        below = _member(points, work, node, feature, points.bin_start[feature, bin_ + 1] - 1, -1)
        above = _member(points, work, node, feature, points.bin_start[feature, bin_ + 1], 1)
    return feature, np.float64(below) / 2.0 + np.float64(above) / 2.0, best, second
