"""Learning curves from the scalars that training writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from srvae_plugin.files import read_scalars

__all__ = ["Column", "learning_curves", "running_mean"]


Column = Float[np.ndarray, " row"]

_PANELS = {"reconstruction_loss": "reconstruction loss", "kl_loss": "KL, all latents"}
_LATENTS = "KL of each latent"
_FONT = 8.0
_COLORED = 10
"""As many lines as tab10 has colours are told apart; the others are grey."""


def running_mean(values: Column, window: int) -> Column:
    """Mean of each value and its neighbours up to `window` // 2 rows away, fewer at the ends."""
    ones = np.ones(window)
    counts = np.convolve(np.ones(len(values)), ones, "same")
    return np.convolve(values, ones, "same") / counts


def learning_curves(scalars_csv: Path) -> Figure | None:
    """Reconstruction loss, KL and KL of each latent over the training steps.

    The first two panels show every row in pale and its running mean in full colour; the third
    shows running means, the latents sorted by their last value. All are in nats per image.

    Args:
        scalars_csv: a file with the column step and any of reconstruction_loss, kl_loss, kl_0,
            kl_1, ...; others are ignored, and what a model does not log has no panel.

    Returns None if no step was logged, or nothing that is shown.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged or lacks the column step.
    """
    scalars = read_scalars(scalars_csv)
    if not scalars or not len(next(iter(scalars.values()))):
        return None
    panels = [name for name in _PANELS if name in scalars]
    if any(_is_of_latent(name) for name in scalars):
        panels.append(_LATENTS)
    if not panels:
        return None
    step = scalars["step"]
    window = max(1, len(step) // 50) // 2 * 2 + 1
    figure = Figure(figsize=(8 / 3 * len(panels), 2.4), dpi=200, facecolor="white",
                    layout="constrained")  # fmt: skip
    FigureCanvasAgg(figure)
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, name in zip(all_axes, panels, strict=True):
        if name == _LATENTS:
            _latent_lines(axes, step, scalars, window)
        else:
            _noisy_line(axes, step, scalars[name], window)
        _style(axes, _PANELS.get(name, name))
    all_axes[0].set_ylabel("nats per image", fontsize=_FONT)
    if window > 1:
        middle = all_axes[len(panels) // 2]
        middle.set_xlabel(f"step (lines: mean of {window} logged values)", fontsize=_FONT)
    return figure


def _noisy_line(axes: Axes, step: Column, values: Column, window: int) -> None:
    marker = "o" if len(step) == 1 else None
    if window > 1:
        axes.plot(step, values, color="C0", alpha=0.25, linewidth=0.8)
    axes.plot(step, running_mean(values, window), marker=marker, color="C0", linewidth=1.4, ms=3)


def _is_of_latent(name: str) -> bool:
    return name.startswith("kl_") and name[3:].isdigit()


def _latent_lines(axes: Axes, step: Column, scalars: dict[str, Column], window: int) -> None:
    names = [name for name in scalars if _is_of_latent(name)]
    means = {name: running_mean(scalars[name], window) for name in names}
    names.sort(key=lambda name: -means[name][-1])
    marker = "o" if len(step) == 1 else None
    # The largest last, so that they lie on top.
    for rank, name in reversed(list(enumerate(names))):
        style: dict[str, Any] = {"color": "0.75", "linewidth": 0.8}
        if rank < _COLORED:
            style = {"color": f"C{rank}", "linewidth": 1.4, "label": f"z{name[3:]}"}
        elif rank == _COLORED:
            style["label"] = "others"
        axes.plot(step, means[name], marker=marker, ms=3, **style)
    if names:
        handles, labels = axes.get_legend_handles_labels()
        by_rank = handles[::-1], labels[::-1]
        if len(names) > _COLORED:
            by_rank = handles[:0:-1] + handles[:1], labels[:0:-1] + labels[:1]
        axes.legend(
            *by_rank,
            fontsize=_FONT - 1,
            frameon=False,
            loc="center left",
            bbox_to_anchor=(1, 0.5),
            handlelength=1,
            labelspacing=0.25,
            borderaxespad=0.3,
        )


def _style(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=_FONT + 1)
    axes.set_xlabel("step", fontsize=_FONT)
    axes.tick_params(labelsize=_FONT)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
