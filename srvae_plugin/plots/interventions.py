"""How each latent follows a factor, with the factor that it knows most of held fixed.

Suter et al., "Robustly Disentangled Causal Mechanisms" (arXiv 1811.00007), figure 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["draw_effect", "interventional_effects"]

_COLORS = "bygrcmk"


def interventional_effects(
    factors: NDArray[Any], codes: NDArray[Any], parents: NDArray[Any], scores: NDArray[Any]
) -> Figure:
    """A picture for each latent and factor: the latent's mean by the factor's value.

    Args:
        factors: (points, factor) discrete values.
        codes: (points, latent).
        parents: (latent,) the factor that each latent knows most of; its mean, median and
            deviation are drawn. For other factors there is a line for each value of the parent.
        scores: (latent,) robustness of each latent.
    """
    shape = codes.shape[1], factors.shape[1]
    figure = Figure(figsize=(3.0 * shape[1], 3.0 * shape[0]), layout="constrained")
    axes: Any = figure.subplots(*shape, squeeze=False, sharex="col", sharey="row")
    for latent, factor in np.ndindex(*shape):
        place, parent = axes[latent, factor], int(parents[latent])
        place.set_xlabel(f"g_{factor}")
        known = None if factor == parent else factors[:, parent]
        draw_effect(place, factors[:, factor], codes[:, latent], known)
        if factor == parent:
            place.legend()
            place.set_title(f"Parent={parent}, IRS = {scores[latent]:1.2}")
            place.set_ylabel(f"E[z_{latent}|g_{factor}]")
        else:
            place.set_ylabel(f"E[z_{latent}|g_{parent}, g_{factor}]")
    return figure


def draw_effect(
    axes: Any, values: NDArray[Any], latent: NDArray[Any], known: NDArray[Any] | None = None
) -> None:
    """Draw a latent's mean by a factor's value, in axes of matplotlib.

    Args:
        axes: where.
        values: (points,) the factor.
        latent: (points,) the latent.
        known: (points,) another factor, for each value of which there is a line; None: mean,
            median and deviation.
    """
    if known is None:
        _draw_alone(axes, values, latent)
        return
    for count, value in enumerate(np.unique(known)):
        chosen = known == value
        present = np.unique(values[chosen])
        means = [latent[chosen & (values == each)].mean() for each in present]
        color = _COLORS[count % len(_COLORS)]
        style: Any = {"color": color, "linewidth": 1.5, "markersize": 3, "label": f"{value}"}
        axes.plot(present, means, "o--", **style)


def _draw_alone(axes: Any, values: NDArray[Any], latent: NDArray[Any]) -> None:
    present = np.unique(values)
    groups = [latent[values == value] for value in present]
    mean, deviation = (np.array([f(group) for group in groups]) for f in (np.mean, np.std))
    axes.plot(present, mean, linewidth=2, label="mean")
    axes.plot(present, [np.median(group) for group in groups], linewidth=2, label="median")
    for side in (-1, 1):
        axes.plot(present, mean + side * deviation, "b--", linewidth=1)
