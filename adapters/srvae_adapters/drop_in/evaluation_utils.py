"""`evaluation.metrics.utils`: points drawn and encoded, in the layout (num_codes, num_points)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.metrics.codes import RepresentationFunction, sample_codes_and_factors
from srvae_plugin.metrics.common.mutual_information import entropy, mutual_information

__all__ = [
    "Rows",
    "discrete_entropy",
    "discrete_mutual_info",
    "generate_batch_factor_code",
    "normalize_data",
    "obtain_representation",
    "split_train_test",
]

Rows = NDArray[Any]
"""(codes or factors, points)."""


def generate_batch_factor_code(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    num_points: int,
    random_state: np.random.RandomState,
    batch_size: int,
) -> tuple[Rows, Rows]:
    """Codes (num_codes, num_points) and factors (num_factors, num_points) of random points."""
    (sample,) = sample_codes_and_factors(
        ground_truth_data,
        representation_function,
        {"num_points": num_points},
        random_state,
        batch_size,
    )
    return np.transpose(sample.codes), np.transpose(sample.factors)


def split_train_test(observations: Rows, train_percentage: float) -> tuple[Rows, Rows]:
    """The first points, a share of them in spite of the name, and the others."""
    num_train = int(np.ceil(observations.shape[1] * train_percentage))
    return observations[:, :num_train], observations[:, num_train:]


def obtain_representation(
    observations: NDArray[Any], representation_function: RepresentationFunction, batch_size: int
) -> Rows:
    """Codes (num_codes, num_points) of observations, encoded `batch_size` at a time."""
    starts = range(0, len(observations), batch_size)
    codes = [representation_function(observations[i : i + batch_size]) for i in starts]
    return np.transpose(np.vstack(codes))


def discrete_mutual_info(mus: Rows, ys: Rows) -> NDArray[np.float64]:
    """Mutual information in nats of each row with each row: (rows of mus, rows of ys)."""
    return mutual_information(np.transpose(mus), np.transpose(ys))


def discrete_entropy(ys: Rows) -> NDArray[np.float64]:
    """Entropy in nats of each row."""
    return entropy(np.transpose(ys))


def normalize_data(
    data: Rows, mean: NDArray[Any] | None = None, stddev: NDArray[Any] | None = None
) -> tuple[Rows, NDArray[Any], NDArray[Any]]:
    """Rows of mean 0 and deviation 1, and the means and deviations that were used."""
    mean = np.mean(data, axis=1) if mean is None else mean
    stddev = np.std(data, axis=1) if stddev is None else stddev
    return (data - mean[:, np.newaxis]) / stddev[:, np.newaxis], mean, stddev
