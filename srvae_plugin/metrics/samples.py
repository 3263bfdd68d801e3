"""Checks and scaling of the samples that predictors are fitted to and tested on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.checks import check_codes, check_factors
from srvae_plugin.metrics.codes import CodesAndFactors


def check_sample(sample: CodesAndFactors, name: str, discrete: bool = True) -> CodesAndFactors:
    """The sample's codes and factors after `check_codes` and `check_factors`."""
    codes = check_codes(sample.codes, name=f"{name}.codes")
    factors = check_factors(sample.factors, len(codes), discrete, name=f"{name}.factors")
    return CodesAndFactors(codes, factors)


def standardize(
    train: NDArray[Any], test: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both (points, column) arrays less the mean and over the deviation of `train`'s columns.

    Constant columns are only centred.
    """
    train, test = train.astype(np.float64), test.astype(np.float64)
    mean = train.mean(axis=0)
    # The deviation of equal numbers can be 1e-17 instead of 0.
    scale = np.where(np.ptp(train, axis=0) > 0, train.std(axis=0), 1.0)
    return (train - mean) / scale, (test - mean) / scale
