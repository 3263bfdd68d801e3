"""Figures of a matrix that relates latents to factors: squares, recovered factors, a dendrogram."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from srvae_plugin.files import write_bytes
from srvae_plugin.metrics.common.aggregation import groups
from srvae_plugin.metrics.unified_scores import MATRICES_FOLDER

__all__ = [
    "Merges",
    "dendrogram",
    "draw",
    "draw_saved",
    "merges_of",
    "recovery_curve",
    "squares",
]

_EVERY = 10
"""Every so many thresholds one is written below the axis."""


def squares(
    matrix: NDArray[Any],
    xlabel: str,
    ylabel: str,
    max_val: float | None = None,
    factor_names: Sequence[str] | None = None,
) -> Figure:
    """A square for each entry of a matrix (latent, factor), the larger and darker the larger it is.

    Args:
        matrix: numbers from 0 to `max_val`.
        xlabel: what its rows are.
        ylabel: what its columns are.
        max_val: the number that fills a square. None: the largest entry.
        factor_names: labels of the columns.

    Raises:
        ValueError: an entry above `max_val`.
    """
    largest = float(np.max(matrix)) or 1.0
    if max_val is None:
        max_val = largest
    elif max_val < np.max(matrix):
        raise ValueError(f"max_val = {max_val}: the matrix has {np.max(matrix)}")
    rows, columns = matrix.shape
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.add_subplot()
    width = 0.65 * min(figure.get_size_inches()) * 72 / max(rows, columns)
    x, y = np.indices(matrix.shape)
    drawn = axes.scatter(
        x.ravel(), y.ravel(), s=width**2 * (matrix / max_val).ravel(), c=matrix.ravel(),
        marker="s", cmap="Blues", vmin=0, vmax=max_val,
    )  # fmt: skip
    axes.set(xlim=(-0.5, rows - 0.5), ylim=(-0.5, columns - 0.5), xlabel=xlabel, ylabel=ylabel)
    axes.set_xticks(range(rows))
    axes.set_yticks(range(columns), factor_names)
    axes.set_xticks(np.arange(rows - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(columns - 1) + 0.5, minor=True)
    axes.grid(visible=True, which="minor")
    axes.set_aspect(1)
    figure.colorbar(drawn, ax=axes, ticks=np.linspace(0, max_val, 3))
    return figure


def recovery_curve(thresholds: NDArray[Any], groups: Sequence[int], found: Sequence[int]) -> Figure:
    """How many factors are found, and in how many groups apart, by the threshold of what counts.

    Args:
        thresholds: every entry of the matrix, the largest first.
        groups: at each threshold, groups of factors and latents that nothing connects.
        found: at each threshold, factors that are connected to a latent.
    """
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(groups, label="Independent groups", linewidth=3)
    axes.plot(found, "--", label="Discovered", linewidth=3)
    axes.set(xlabel="Threshold", ylabel="Number of factors", ylim=(0, None))
    _label(axes, thresholds)
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def _label(axes: Any, thresholds: NDArray[Any]) -> None:
    places = range(0, len(thresholds), _EVERY)
    axes.set_xticks(places, [f"{thresholds[i]:.2f}" for i in places])


class Merges(NamedTuple):
    """In which order factors end up in one group as entries are added, the largest first."""

    linkage: NDArray[np.float64]
    """(factor - 1, 4), as scipy's `linkage`; the distance is how many entries came before."""
    discovered: dict[int, int]
    """How many entries came before a factor's first one."""
    thresholds: NDArray[np.float64]
    """Every entry, the largest first."""


def merges_of(matrix: NDArray[Any]) -> Merges:
    """Merges of a matrix (factor, latent)."""
    num_factors, num_latents = matrix.shape
    # Column after column, as objects: the original sorts a table of mixed columns, and that
    # decides the order of ties.
    values = matrix.T.ravel()
    order = values.astype(object).argsort()[::-1]
    group = {k: (k, 1) for k in range(num_factors)}  # cluster and its size, by its first factor
    root = np.arange(num_factors + num_latents)  # latents come after the factors
    rows: list[list[float]] = []
    discovered: dict[int, int] = {}
    for count, entry in enumerate(order):
        latent, factor = divmod(int(entry), num_factors)
        discovered.setdefault(factor, count)
        left, right = int(root[factor]), int(root[num_factors + latent])
        if left == right:
            continue
        if right < num_factors:
            (one, size), (other, more) = group[left], group[right]
            rows.append([one, other, count, size + more])
            group[min(left, right)] = (num_factors + len(rows) - 1, size + more)
        root[(root == left) | (root == right)] = min(left, right)
    return Merges(np.array(rows, dtype=np.float64), discovered, values[order].astype(np.float64))


def dendrogram(merges: Merges, factor_names: Sequence[str]) -> Figure:
    """A line for each factor from where it is found to where it joins others."""
    from scipy.cluster import hierarchy

    plan = hierarchy.dendrogram(merges.linkage, no_plot=True)
    places = {5 + 10 * i: leaf for i, leaf in enumerate(plan["leaves"])}
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.add_subplot()
    for heights, ends in zip(plan["dcoord"], plan["icoord"], strict=True):
        along = [
            merges.discovered[places[int(end)]] if height == 0 and int(end) in places else height
            for height, end in zip(heights, ends, strict=True)
        ]
        axes.plot(along, ends, color="b")
    axes.set_yticks(list(places), [str(factor_names[leaf]) for leaf in places.values()])
    axes.set(xlabel="Threshold", ylabel="Factor")
    _label(axes, merges.thresholds)
    return figure


def draw(matrix: NDArray[Any], folder: Path, name: str, factor_names: Sequence[str]) -> None:
    """Write `squares`, `recovery_curve` and `dendrogram` of a matrix (latent, factor).

    They are `<name>.png`, `<name>_pr.png` and `<name>_dendrogram.png`.
    """
    thresholds = np.sort(matrix, axis=None)[::-1]
    apart = [groups(matrix, threshold) for threshold in thresholds]
    reached = [(matrix >= threshold) & (matrix != 0) for threshold in thresholds]
    found = [int(entries.any(axis=0).sum()) for entries in reached]
    figures = {
        name: squares(matrix, "Latent codes", "Factors of variation", None, factor_names),
        f"{name}_pr": recovery_curve(thresholds, apart, found),
        f"{name}_dendrogram": dendrogram(merges_of(matrix.T), factor_names),
    }
    for file, figure in figures.items():
        content = io.BytesIO()
        figure.savefig(content, format="png", metadata={"Software": None})
        write_bytes(folder / f"{file}.png", content.getvalue())


def draw_saved(folder: Path) -> None:
    """Draw, in a folder of artifacts, the matrices that the unified scores saved there, if any."""
    for path in sorted((folder / MATRICES_FOLDER).glob("*.npz")):
        with np.load(path) as saved:
            draw(saved["matrix"], folder, path.stem, [str(name) for name in saved["names"]])
