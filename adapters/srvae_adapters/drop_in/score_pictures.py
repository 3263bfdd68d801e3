"""`visualize.visualize_scores` and `visualize.dendrogram`: pictures of score matrices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_adapters.drop_in.pictures import save_figure
from srvae_plugin.plots import score_matrices

__all__ = [
    "Matrix",
    "Node",
    "bfs",
    "dendrogram_plot",
    "heat_square",
    "plot_bar_palette",
    "plot_matrix_squares",
    "plot_recovery_vs_independent",
    "precision",
    "recall",
    "report_merges",
]

Matrix = NDArray[Any]
Node = tuple[int, int]
"""Row or column, and 0 or 1 for which."""


def heat_square(
    matrix: Matrix,
    output_dir: str,
    name: str,
    xlabel: str,
    ylabel: str,
    max_val: float | None = None,
    factor_names: Sequence[str] | None = None,
) -> None:
    """Write `<output_dir>/<name>.png`: see `plots.score_matrices.squares`."""
    figure = score_matrices.squares(matrix, xlabel, ylabel, max_val, factor_names)
    save_figure(figure, Path(output_dir) / f"{name}.png")


def plot_matrix_squares(
    matrix: Matrix, max_val: float, palette: Sequence[Any], size_scale: float, ax: Any
) -> None:
    """Draw a square for each entry, of `size_scale` square points and the last colour at most."""
    rows, columns = np.indices(matrix.shape)
    shares = (np.asarray(matrix) / max_val).ravel()
    colors = [palette[int(share * 255)] for share in shares]
    ax.scatter(rows.ravel(), columns.ravel(), s=size_scale * shares, marker="s", c=colors)
    for axis, number in zip((ax.xaxis, ax.yaxis), matrix.shape, strict=True):
        axis.set_ticks(np.arange(number) + 0.5, minor=True)
    ax.grid(visible=False, which="major")
    ax.grid(visible=True, which="minor")
    ax.set(xlim=(-0.5, matrix.shape[0] - 0.5), ylim=(-0.5, matrix.shape[1] - 0.5), aspect=1.0)
    ax.tick_params(right=False, top=False, left=False, bottom=False)


def plot_bar_palette(palette: Sequence[Any], max_val: float, ax: Any) -> None:
    """Draw colours as a bar from 0 to `max_val`."""
    heights = np.linspace(0, max_val, len(palette))
    ax.barh(heights, 5, height=heights[1] - heights[0], color=palette, linewidth=0)
    ax.grid(visible=False)
    ax.set(xlim=(1, 2), ylim=(0, max_val), xticks=[], yticks=np.linspace(0, max_val, 3))
    ax.yaxis.tick_right()


def plot_recovery_vs_independent(matrix: Matrix, output_dir: str, name: str) -> None:
    """Write `<output_dir>/<name>.png`: factors found by threshold, of a matrix (factor, code)."""
    thresholds = np.sort(matrix, axis=None)[::-1]
    groups = [precision(matrix, threshold) for threshold in thresholds]
    found = [recall(matrix, threshold) for threshold in thresholds]
    figure = score_matrices.recovery_curve(thresholds, groups, found)
    save_figure(figure, Path(output_dir) / f"{name}.png")


def precision(matrix: Matrix, th: float) -> int:
    """Number of groups of two or more that entries of at least `th` connect."""
    kept = np.where(matrix < th, 0, matrix)
    factors, codes, groups = np.zeros(len(kept)), np.zeros(kept.shape[1]), 0
    for factor in range(len(kept)):
        if not factors[factor]:
            factors, codes, size = bfs(kept, [(factor, 0)], factors, codes, 1)
            groups += size > 1
    return int(groups)


def recall(matrix: Matrix, th: float) -> int:
    """Number of rows that have an entry of at least `th`."""
    return int(np.count_nonzero(np.where(matrix < th, 0, matrix).sum(axis=1)))


def bfs(
    matrix: Matrix, to_visit: list[Node], factors: Matrix, codes: Matrix, size: int
) -> tuple[Matrix, Matrix, int]:
    """Mark, in place, what entries connect with the last node of `to_visit`, which is taken off.

    Returns:
        Rows and columns that were visited, 1 for each, and `size` and the number of new ones.
    """
    waiting, visited, lines = [to_visit.pop()], (factors, codes), (matrix, matrix.T)
    visited[waiting[0][1]][waiting[0][0]] = 1
    while waiting:
        node, side = waiting.pop()
        other = visited[1 - side]
        for neighbour in np.flatnonzero((lines[side][node] != 0) & (other == 0)).tolist():
            other[neighbour] = 1
            size += 1
            waiting.append((neighbour, 1 - side))
    return factors, codes, size


def dendrogram_plot(
    matrix: Matrix, output_dir: str, factor_names: Sequence[str]
) -> dict[str, float]:
    """Write `<output_dir>.png`: where factors merge, of a matrix (factor, code); return that."""
    merges = score_matrices.merges_of(matrix)
    save_figure(score_matrices.dendrogram(merges, factor_names), Path(f"{output_dir}.png"))
    return report_merges(merges.linkage, len(matrix))


def report_merges(z: Matrix, num_factors: int) -> dict[str, float]:
    """`merge_A_B` for each pair of factors: the third column where their clusters are joined."""
    members = {k: [k] for k in range(num_factors)}
    scores: dict[str, float] = {}
    for count, (one, other, threshold, _) in enumerate(z):
        left, right = members.pop(int(one)), members.pop(int(other))
        scores |= {f"merge_{a}_{b}": float(threshold) for a in left for b in right}
        members[num_factors + count] = left + right
    return scores


def _find(nodes: Any, i: int) -> int:
    while nodes[i] != i:
        nodes[i] = nodes[nodes[i]]
        i = nodes[i]
    return i


def _union(
    nodes: Any,
    idx: int,
    idy: int,
    val: float,
    z: Matrix,
    cluster_id: dict[int, int],
    size: dict[int, int],
    matrix: Matrix,
    n_clusters: int,
    idx_found: int,
) -> tuple[Matrix, dict[int, int], dict[int, int], int, int]:
    """Join the trees of two nodes; one of two factors is written to row `idx_found` of `z`."""
    roots = _find(nodes, idx), _find(nodes, idy)
    if roots[0] != roots[1]:
        nodes[max(roots)] = min(roots)
        if max(roots) < len(matrix):
            pair = [cluster_id[root] for root in roots]
            n_clusters += 1
            size[n_clusters] = sum(size[cluster] for cluster in pair)
            z[idx_found] = [*pair, val, size[n_clusters]]
            idx_found += 1
            cluster_id |= dict.fromkeys(roots, n_clusters)
    return z, cluster_id, size, n_clusters, idx_found
