"""Values that go once up and down a range, and frames of images that follow them.

disentanglement_lib's animations show each latent on five such ways: through the quantiles of the
prior and of a Gaussian fitted to the codes, along [-2, 2], two deviations around the codes' mean,
and from their smallest to their largest value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CYCLES", "Cycle", "cycle_factor", "cycle_gaussian", "cycle_interval", "frames_of"]

_RAREST = 0.001
"""Quantile where a cycle through a Gaussian turns round."""


def cycle_factor(starting_index: int, num_indices: int, num_frames: int) -> NDArray[np.int64]:
    """Indices of a factor's values: up from the first, down and back; both ends come twice.

    Example:
        >>> cycle_factor(1, 3, 6)
        array([1, 2, 2, 1, 0, 0])
    """
    steps = np.linspace(
        starting_index, starting_index + 2 * num_indices, num_frames, endpoint=False
    )
    way = np.ceil(steps).astype(np.int64)
    way = np.where(way >= num_indices, 2 * num_indices - 1 - way, way)
    return np.where(way < 0, -way - 1, way)


def _way(start: float, num_frames: int) -> NDArray[np.float64]:
    """From `start` in [0, 1] up to 1, down to 0 and back."""
    way = np.linspace(start, start + 2, num_frames, endpoint=False)
    return np.abs(np.where(way > 1, 2 - way, way))


def cycle_gaussian(
    starting_value: float, num_frames: int, loc: float = 0.0, scale: float = 1.0
) -> NDArray[np.float64]:
    """Values through the quantiles of a Gaussian, from the value's own."""
    from scipy.stats import norm

    way = _way(norm.cdf(starting_value, loc=loc, scale=scale), num_frames)
    return norm.ppf(np.clip(way, _RAREST, 1 - _RAREST), loc=loc, scale=scale)


def cycle_interval(
    starting_value: float, num_frames: int, min_val: float, max_val: float
) -> NDArray[np.float64]:
    """Values from the first up to the largest, down to the smallest and back.

    Example:
        >>> cycle_interval(1.0, 4, 0.0, 2.0)
        array([1., 2., 1., 0.])
    """
    way = _way((starting_value - min_val) / (max_val - min_val), num_frames)
    return way * (max_val - min_val) + min_val


def _fitted(means: NDArray[Any], logvars: NDArray[Any]) -> tuple[float, float]:
    return float(means.mean()), float(np.sqrt(np.exp(logvars).mean() + means.var()))


def _confidence(start: float, num: int, means: NDArray[Any], logvars: NDArray[Any]) -> Any:
    centre, deviation = _fitted(means, logvars)
    return cycle_interval(start, num, centre - 2 * deviation, centre + 2 * deviation)


Cycle = Callable[[float, int, NDArray[Any], NDArray[Any]], Any]
CYCLES: dict[str, Cycle] = {
    "std_gaussian_cycle": lambda start, num, means, logvars: cycle_gaussian(start, num),
    "fitted_gaussian_cycle": lambda start, num, means, logvars: cycle_gaussian(
        start, num, *_fitted(means, logvars)
    ),
    "fixed_interval_cycle": lambda start, num, means, logvars: cycle_interval(
        start, num, -2.0, 2.0
    ),
    "conf_interval_cycle": _confidence,
    "minmax_interval_cycle": lambda start, num, means, logvars: cycle_interval(
        start, num, means.min(), means.max()
    ),
}
"""By the original's names: start, number of frames, and one latent's means and log variances of
many images, (image,) each, to the latent's values."""


def frames_of(
    decode: Callable[[NDArray[Any]], NDArray[Any]],
    cycle: Cycle,
    base: NDArray[Any],
    posterior: tuple[NDArray[Any], NDArray[Any]],
    num_frames: int,
) -> Iterator[NDArray[Any]]:
    """For each latent, images (frame, ...) while it goes through a cycle and the others stay.

    Args:
        decode: codes (num, latent) to images.
        cycle: one of `CYCLES`.
        base: (latent,) the code that is varied.
        posterior: means and log variances (image, latent) of many images.
        num_frames: number of images.
    """
    for latent, start in enumerate(base):
        codes = np.repeat(base[np.newaxis], num_frames, axis=0)
        codes[:, latent] = cycle(start, num_frames, *(part[:, latent] for part in posterior))
        yield decode(codes)
