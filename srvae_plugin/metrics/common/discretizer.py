"""Binning of continuous codes, under the original's gin names `discretizer` and
`histogram_discretizer`.

Functions here take codes as (latent, points), not (points, latent) as everywhere else: this is
where users of disentanglement_lib plug in functions of their own
(`discretizer.discretizer_fn = @my_discretizer`), and those are written for its layout.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gin
import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.common.checks import check_count

__all__ = ["DiscretizerFn", "discretize_codes", "discretizer", "histogram_discretizer"]

logger = logging.getLogger(__name__)

DiscretizerFn = Callable[[NDArray[Any], int], NDArray[Any]]
"""(latent, points) codes and a number of bins to (latent, points) bins."""


@gin.register("histogram_discretizer", module="srvae_plugin", denylist=["target"])
def histogram_discretizer(target: NDArray[Any], num_bins: int = 20) -> NDArray[Any]:
    """Bin each row of `target` (latent, points) into `num_bins` bins of equal width.

    The bins span the row's own range and are numbered from 1; the result has target's dtype, as in
    the original. A row whose range is too narrow for `num_bins` distinct numbers of its dtype
    falls into bin 1 altogether, where today's numpy would refuse it.
    """
    check_count("num_bins", num_bins)
    bins = np.ones_like(target)
    for k, row in enumerate(target):
        try:
            edges = np.histogram_bin_edges(row, num_bins)
        except ValueError:
            logger.warning(
                "latent %d only ranges over %g to %g, too little for %d bins of %s: treated as "
                "constant.",
                k,
                row.min(),
                row.max(),
                num_bins,
                row.dtype,
            )
            continue
        bins[k] = np.digitize(row, edges[:-1])
    return bins


@gin.register("discretizer", module="srvae_plugin", denylist=["target"])
def discretizer(
    target: NDArray[Any], num_bins: int = 20, discretizer_fn: DiscretizerFn | None = None
) -> NDArray[Any]:
    """`discretizer_fn(target, num_bins)`, by default the histogram; (latent, points)."""
    if discretizer_fn is None:
        discretizer_fn = gin.get_configurable(histogram_discretizer)
    return discretizer_fn(target, num_bins)


def discretize_codes(
    codes: NDArray[Any],
    num_bins: int | None = None,
    discretizer_fn: DiscretizerFn | None = None,
) -> NDArray[Any]:
    """Bins of `codes`, both (points, latent).

    An argument that is None is what gin binds to `discretizer.num_bins` or
    `discretizer.discretizer_fn`, or else 20 and the histogram; any other value wins over gin.

    Raises:
        ValueError: the discretizer returned another shape than it was given.
    """
    given = {"num_bins": num_bins, "discretizer_fn": discretizer_fn}
    given = {name: value for name, value in given.items() if value is not None}
    bins = np.asarray(gin.get_configurable(discretizer)(codes.T, **given))
    if bins.shape != codes.T.shape:
        raise ValueError(
            f"discretizer_fn must return the shape it is given, (latent, points) = "
            f"{codes.T.shape}, got {bins.shape}."
        )
    return bins.T
