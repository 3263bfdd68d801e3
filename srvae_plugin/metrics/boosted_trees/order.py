"""The order in which scikit-learn's splitter leaves the points of a node.

Every sort of a node starts from the order that the sort before left, and its quicksort does not
keep tied points in order; a child's points come as the parent's last sort and partition leave them.
Source of the algorithms: scikit-learn 1.9, three-way introsort and dense partitioner.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.boosted_trees.arrays import Points, Workspace, kernel

_INSERTION = 15
_ROW = np.int64(0xFFFFFFFF)


@kernel
def depth_of(node: int) -> int:
    """Depth of a node, 0 for the root."""
    depth = 0
    while node >> (depth + 1) > 0:
        depth += 1
    return depth


@kernel
def _sift_down(keys: NDArray[np.int64], low: int, root: int, end: int) -> None:
    while True:
        top = root
        for child in (2 * root + 1, 2 * root + 2):
            if child < end and keys[low + top] >> 32 < keys[low + child] >> 32:
                top = child
        if top == root:
            return
        keys[low + root], keys[low + top] = keys[low + top], keys[low + root]
        root = top


@kernel
def _heap_sort(keys: NDArray[np.int64], low: int, size: int) -> None:
    for root in range((size - 2) // 2, -1, -1):
        _sift_down(keys, low, root, size)
    for end in range(size - 1, 0, -1):
        keys[low], keys[low + end] = keys[low + end], keys[low]
        _sift_down(keys, low, 0, end)


@kernel
def _sort(keys: NDArray[np.int64], low: int, size: int) -> None:
    """Sort by the upper half of each key, equal ones left in scikit-learn's order."""
    # Parts still to sort: start, size, how often they may yet be divided.
    todo, num_todo = np.empty((128, 3), dtype=np.int64), 1
    todo[0, 0], todo[0, 1], todo[0, 2] = low, size, 2 * int(math.log2(size))
    while num_todo > 0:
        num_todo -= 1
        low, size, levels = todo[num_todo]
        while size > _INSERTION:
            if levels <= 0:
                _heap_sort(keys, low, size)
                size = 0
                break
            levels -= 1
            a, b, c = keys[low] >> 32, keys[low + size // 2] >> 32, keys[low + size - 1] >> 32
            pivot = max(min(a, b), min(max(a, b), c))
            i = left = low
            right = end = low + size
            while i < right:
                # Without branches, which would be mispredicted half of the time.
                key = keys[i]
                less = int(key >> 32 < pivot)
                more = int(key >> 32 > pivot)
                j = i + less * (left - i) + more * (right - 1 - i)
                keys[i] = keys[j]
                keys[j] = key
                i += 1 - more
                left += less
                right -= more
            todo[num_todo, 0], todo[num_todo, 1], todo[num_todo, 2] = low, left - low, levels
            num_todo += 1
            low, size = right, end - right
        for i in range(low + 1, low + size):
            key = keys[i]
            j = i
            while j > low and keys[j - 1] >> 32 > key >> 32:
                keys[j] = keys[j - 1]
                j -= 1
            keys[j] = key


@kernel
def sort_rows(
    rows: NDArray[np.int32],
    low: int,
    high: int,
    rank: NDArray[np.int32],
    keys: NDArray[np.int64],
) -> None:
    """Sort rows[low:high] by rank, ties in scikit-learn's order; `keys` is scratch memory."""
    for p in range(low, high):
        keys[p] = np.int64(rank[rows[p]]) << 32 | np.int64(rows[p])
    _sort(keys, low, high - low)
    for p in range(low, high):
        rows[p] = np.int32(keys[p] & _ROW)


@kernel
def partition(
    rows: NDArray[np.int32], low: int, high: int, values: NDArray[np.float32], threshold: float
) -> None:
    """Move rows with values up to the threshold to the front, in scikit-learn's order."""
    while low < high:
        row = rows[low]
        if values[row] <= threshold:
            low += 1
        else:
            high -= 1
            rows[low], rows[high] = rows[high], row


@kernel
def copy(source: NDArray[np.int32], out: NDArray[np.int32], low: int, high: int) -> None:
    """Copy source[low:high]."""
    # A loop: numba takes seconds to compile an assignment to a slice.
    for p in range(low, high):
        out[p] = source[p]


@kernel
def ascending(
    points: Points, work: Workspace, node: int, feature: int, out: NDArray[np.int32]
) -> bool:
    """Fill `out` with the node's points by ascending code; True if the order is the only one."""
    low, high = work.first[node], work.last[node]
    size = points.order.shape[1]
    if (high - low) * 16 < size:
        copy(work.rows, out, low, high)
        sort_rows(out, low, high, points.rank[feature], work.keys)
    else:
        for p in range(low, high):
            work.mark[work.rows[p]] = 1
        p = low
        for q in range(size):
            row = points.order[feature, q]
            if work.mark[row] == 1:
                work.mark[row] = 0
                out[p] = row
                p += 1
    rank, only = points.rank[feature], True
    for p in range(low + 1, high):
        a, b = out[p - 1], out[p]
        if rank[a] == rank[b] and points.twin[a] != points.twin[b]:
            only = False
    return only


@kernel
def _settled(points: Points, work: Workspace, node: int, rows: NDArray[np.int32]) -> bool:
    """Try to get the order of `node` from its parent's last sort alone, ties or not.

    Marks whatever the order of tied points of the parent may move, and says whether the node has
    none of it. Swaps of the partition hand marks on, to the swap after as well.
    """
    parent = node >> 1
    low, high = work.first[parent], work.last[parent]
    feature = work.drawn[parent, work.num_drawn[parent] - 1]
    if ascending(points, work, parent, feature, rows):
        partition(rows, low, high, points.values[work.feature[parent]], work.threshold[parent])
        return True
    rank, mark = points.rank[feature], work.mark
    for p in range(low + 1, high):
        a, b = rows[p - 1], rows[p]
        if rank[a] == rank[b]:
            mark[a] = mark[b] = 1
    values, threshold = points.values[work.feature[parent]], work.threshold[parent]
    a, b, carry = low, high, False
    while a < b:
        row = rows[a]
        if values[row] <= threshold:
            a += 1
        else:
            b -= 1
            touched = mark[row] == 1 or mark[rows[b]] == 1
            if touched or carry:
                mark[row] = mark[rows[b]] = 1
            carry = touched
            rows[a], rows[b] = rows[b], row
    clean = True
    for p in range(low, high):
        if mark[rows[p]] == 1:
            mark[rows[p]] = 0
            if work.first[node] <= p < work.last[node]:
                clean = False
    return clean


@kernel
def _retrace(points: Points, work: Workspace, node: int, depth: int) -> bool:
    """Get the order of a node's children by sorting as scikit-learn does, into `entry[depth]`.

    Returns False if that takes the order of the node itself and it is not known.
    """
    low, high = work.first[node], work.last[node]
    rows = work.entry[depth]
    j = work.num_drawn[node] - 1
    while j >= 0 and not ascending(points, work, node, work.drawn[node, j], rows):
        j -= 1
    if j < 0:
        if not work.known[node]:
            return False
        copy(work.entry[depth - 1], rows, low, high)
    for i in range(j + 1, work.num_drawn[node]):
        feature = work.drawn[node, i]
        sort_rows(rows, low, high, points.rank[feature], work.keys)
    partition(rows, low, high, points.values[work.feature[node]], work.threshold[node])
    work.known[2 * node] = work.known[2 * node + 1] = True
    return True


@kernel
def enter(points: Points, work: Workspace, node: int, retrace: bool) -> None:
    """Make `work.entry` right for a node whose ancestors have been split.

    The root's order must be known. Without `retrace`, points that tie in the parent may come out
    in another order than scikit-learn's.
    """
    depth = depth_of(node)
    # From the node upwards until an order can be told, then back down.
    level = depth
    while not work.known[node >> (depth - level)]:
        at = node >> (depth - level)
        if _settled(points, work, at, work.entry[level]) or not retrace:
            work.known[at] = True
        elif not _retrace(points, work, at >> 1, level):
            level -= 1
    for below in range(level + 1, depth + 1):
        _retrace(points, work, node >> (depth - below + 1), below)
