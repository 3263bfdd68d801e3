"""Page layout of a sequential model's steps (the SR-VAE paper's Fig. 3d)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from srvae_plugin.plots.tiles import (
    GAP,
    GROUP_GAP,
    TEXT,
    Page,
    enlarge,
    intensities,
    offsets,
    signed,
    signed_colormap,
)

__all__ = ["StepImages", "decomposition_page"]


StepImages = Float[np.ndarray, "chain step height width channel"]
_LEFT = 290
_HEAD = TEXT + 20
_FOOT = 112


def decomposition_page(
    decoder_outputs: StepImages,
    residuals: StepImages,
    finals: Float[np.ndarray, "chain height width channel"],
    labels: Sequence[str],
    max_steps: int = 12,
) -> Page:
    """Two rows a chain: decoder outputs X_i above residuals Y_i, the final output beside both.

    Args:
        decoder_outputs: intensities in [0, 1].
        residuals: any values; drawn on one scale centred at 0, which a bar below shows.
        finals: intensities in [0, 1].
        labels: one for each chain.
        max_steps: of more steps, this many are shown, evenly spread, first and last included.
    """
    steps = np.unique(np.linspace(0, residuals.shape[1] - 1, max_steps).round().astype(int))
    # Rounded up to a tenth, for the sake of the bar's ticks.
    limit = max(1.0, float(np.ceil(np.abs(residuals).max() * 10) / 10))
    upper = enlarge(intensities(decoder_outputs[:, steps]))
    lower = enlarge(signed(residuals[:, steps], limit))
    last = enlarge(intensities(finals))
    height, width = last.shape[1:3]
    xs = offsets(len(steps), width, _LEFT)
    x_last = xs[-1] + width + GROUP_GAP
    ys = offsets(len(labels), 2 * height + GAP, _HEAD, GROUP_GAP)
    page = Page(x_last + width + GAP, ys[-1] + 2 * height + GAP + _FOOT)
    for x, step in zip(xs, steps, strict=True):
        page.text(x + width / 2, _HEAD - 14, f"step {step + 1}", va="baseline")
    page.text(x_last + width / 2, _HEAD - 14, "output", va="baseline")
    for chain, y in enumerate(ys):
        middle = y + height + GAP / 2
        page.text(GAP, middle, labels[chain], ha="left")
        page.text(_LEFT - 16, y + height / 2, "decoder $X_i$", ha="right")
        page.text(_LEFT - 16, y + height * 1.5 + GAP, "residual $Y_i$", ha="right")
        for column, x in enumerate(xs):
            page.place(upper[chain, column], x, y)
            page.place(lower[chain, column], x, y + height + GAP)
        page.place(last[chain], x_last, int(middle - height / 2))
    foot = ys[-1] + 2 * height + GAP + GROUP_GAP
    page.colorbar(
        xs[0], foot + 8, max(2 * width, 260), 20, limit, signed_colormap(finals.shape[-1])
    )
    page.text(_LEFT - 16, foot + 18, "value of $Y_i$", ha="right")
    return page
