"""What each latent carries of each factor, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["told_figure"]

_CELL = 0.42
_WRITTEN = 0.05
"""Shares from here on are written into their cell."""


def told_figure(
    shares: NDArray[np.float64],
    told: Sequence[float],
    latents: Sequence[str],
    factors: Sequence[str],
    said: Sequence[str],
) -> Figure:
    """Share of each factor (column) that each latent (row) carries, and all of them together.

    Args:
        shares: (latent, factor), 0 to 1.
        told: (factor,) what a large probe predicts from all latents.
        latents: names of the rows.
        factors: names of the columns.
        said: (factor,) what was found, below each column.
    """
    table = np.vstack([shares, np.asarray(told)[np.newaxis]])
    rows = [*latents, "all"]
    figure = Figure(figsize=(1.6 + 2.2 * _CELL * len(factors), 1.8 + _CELL * len(rows)))
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_yticks(range(len(rows)), rows)
    labels = [f"{name}\n{text}" for name, text in zip(factors, said, strict=True)]
    axes.set_xticks(range(len(factors)), labels, rotation=30, ha="right", fontsize=8)
    axes.axhline(len(latents) - 0.5, color="black", linewidth=1)
    for (row, column), share in np.ndenumerate(table):
        if share >= _WRITTEN:
            shade = "white" if share > 0.6 else "black"
            axes.text(
                column, row, f"{share:.2f}", ha="center", va="center", color=shade, fontsize=8
            )
    axes.set_title("share of each factor's entropy that a latent carries", fontsize=9)
    figure.tight_layout()
    return figure
