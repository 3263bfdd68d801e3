"""Every case of disentanglement_lib's udr_test, through our names and with its bounds.

Its package on PyPI lacks UDR, so that the test itself cannot be run from there.
"""

import numpy as np
import pytest

from srvae_plugin.data.dummy_data import DummyData
from srvae_plugin.metrics.udr import (
    compute_udr_sklearn,
    lasso_strengths,
    relative_strength,
    spearman_strengths,
)

BATCH, POINTS = 10, 1000


def scores_of(*models, **settings):
    found = compute_udr_sklearn(
        DummyData(), models, np.random.RandomState(0), BATCH, POINTS, **settings
    )
    return found["model_scores"]


@pytest.mark.parametrize("kind", ["spearman", "lasso"])
def test_latents_in_another_order_and_of_another_sign(kind):
    count = DummyData().num_factors
    random_state = np.random.RandomState(3)
    order = random_state.permutation(count)
    turned = random_state.choice(count, count // 2)

    def first(images):
        return images.reshape(BATCH, -1)[:, :count], np.ones(count)

    def second(images):
        codes = first(images)[0][:, order]
        codes[:, turned] *= -1
        return codes, np.ones(count)

    assert all(0.8 <= score <= 1 for score in scores_of(first, second, correlation_matrix=kind))


def test_latents_without_divergence_are_left_out_if_asked():
    count = DummyData().num_factors
    noise = np.random.RandomState(4)

    def model(images):
        codes = np.hstack([images.reshape(BATCH, -1)[:, :1], noise.rand(BATCH, count - 1)])
        return codes, np.eye(count)[0]

    assert all(0 <= score <= 0.2 for score in scores_of(model, model, filter_low_kl=False))
    assert all(0.8 <= score <= 1 for score in scores_of(model, model, filter_low_kl=True))


@pytest.mark.parametrize(
    ("matrix", "low", "high"),
    [
        (np.eye(3), 1.0, 1.0),
        ([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]], 0.6, 0.7),
        (np.ones((3, 3)), 0.3, 0.4),
        (np.zeros((3, 3)), 0.0, 0.0),
    ],
)
def test_relative_strength(matrix, low, high):
    assert low <= relative_strength(np.asarray(matrix)) <= high


@pytest.mark.parametrize(
    ("strengths", "scale", "tolerance"), [(spearman_strengths, 1, 0.1), (lasso_strengths, 10, 0.2)]
)
def test_strengths_of_equal_and_of_repeated_columns(strengths, scale, tolerance):
    random_state = np.random.RandomState(0)
    left = random_state.random_sample((1000, 3)) * scale
    np.testing.assert_allclose(strengths(left, left.copy()), np.eye(3), atol=tolerance)
    left = random_state.random_sample((1000, 3)) * scale
    right = left[:, [0, 0, 2]]
    expected = [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    np.testing.assert_allclose(strengths(left, right), expected, atol=tolerance)
