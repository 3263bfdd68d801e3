"""Logistic regression: scikit-learn's weights to the last bit, since its path depends on it."""

import warnings

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_cases import GRIDS, REPRESENTATIONS, IndexGrid
from sklearn._loss.loss import HalfMultinomialLoss
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

from srvae_plugin.metrics.logistic_regression import SoftmaxRegressionCV
from srvae_plugin.metrics.softmax_kernel import exp_all, losses_and_gradients

same_steps = pytest.mark.skipif(
    tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9),
    reason="scikit-learn before 1.9 may sum in another order",
)


def scikit_learn(codes, labels):
    model = LogisticRegressionCV(Cs=10, cv=KFold(n_splits=5), scoring="accuracy")
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return model.fit(codes, labels)


def ours(codes, labels):
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return SoftmaxRegressionCV().fit(codes, labels)


def exponentials(x):
    result, steps, unsure = np.empty((3, x.size)).copy()
    exp_all(x, result, steps, steps.view(np.int64), unsure)
    return result


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1e-3, 0.1, 1.0, 5.0, 30.0, 200.0, 900.0])
def test_exponentials_are_the_c_librarys(scale):
    x = -np.abs(np.random.RandomState(0).normal(size=100_000)) * scale
    np.testing.assert_array_equal(exponentials(x), np.exp(x))


def test_exponentials_at_the_edges():
    x = -np.array([0.0, np.log(2), 699.9999, 700.0, 708.5, 745.0, 745.2, 746.0, 746.1, 1e5, 1e300])
    np.testing.assert_array_equal(exponentials(x), np.exp(x))
    assert exponentials(np.array([0.0]))[0] == 1.0


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 50),
    st.integers(2, 45),
    st.floats(1e-3, 1e3),
    st.integers(0, 2**32 - 1),
)
def test_losses_and_gradients_are_scikit_learns(points, classes, scale, seed):
    random_state = np.random.RandomState(seed)
    logits = random_state.normal(size=(points, classes)) * scale
    labels = random_state.randint(classes, size=points)
    expected = HalfMultinomialLoss(n_classes=classes).loss_gradient(labels.astype(float), logits)
    losses = np.empty(points)
    losses_and_gradients(logits, labels, losses)
    np.testing.assert_array_equal(losses, expected[0])
    np.testing.assert_array_equal(logits, expected[1])


def test_gradient_is_the_derivative_of_the_loss():
    random_state = np.random.RandomState(0)
    logits, labels = random_state.normal(size=(20, 5)), random_state.randint(5, size=20)

    def loss(shift):
        losses = np.empty(20)
        losses_and_gradients(logits + shift, labels, losses)
        return losses.sum()

    gradient = logits.copy()
    losses_and_gradients(gradient, labels, np.empty(20))
    for i, k in [(0, 0), (3, labels[3]), (19, 4)]:
        shift = np.zeros((20, 5))
        shift[i, k] = 1e-6
        assert (loss(shift) - loss(-shift)) / 2e-6 == pytest.approx(gradient[i, k], abs=1e-8)


@same_steps
@pytest.mark.parametrize("name", sorted(REPRESENTATIONS))
@pytest.mark.parametrize("points", [10, 300])
def test_weights_are_scikit_learns(name, points):
    # Most of these stop at the hundredth step, where any difference would have grown.
    codes, grid = REPRESENTATIONS[name](GRIDS["tiny"]), IndexGrid(GRIDS["tiny"])
    random_state = np.random.RandomState(0)
    factors = grid.sample_factors(points, random_state)
    x = codes[grid.observation_indices(factors, random_state)]
    for labels in factors.T:
        expected, model = scikit_learn(x, labels), ours(x, labels)
        np.testing.assert_array_equal(model.coef_, expected.coef_)
        np.testing.assert_array_equal(model.intercept_, expected.intercept_)
        np.testing.assert_array_equal(model.predict(codes), expected.predict(codes))


@same_steps
def test_many_classes_on_a_linear_mix():
    sizes = GRIDS["dsprites"]
    grid, random_state = IndexGrid(sizes), np.random.RandomState(1)
    factors = grid.sample_factors(400, random_state)
    codes = REPRESENTATIONS["linear_mix"](sizes)[grid.observation_indices(factors, random_state)]
    expected, model = scikit_learn(codes, factors[:, 2]), ours(codes, factors[:, 2])
    np.testing.assert_array_equal(model.coef_, expected.coef_)


def test_labels_of_any_kind_and_two_classes():
    random_state = np.random.RandomState(0)
    codes = random_state.normal(size=(60, 3))
    words = np.array(["b", "c", "a"])[np.argmax(codes, axis=1)]
    assert np.mean(ours(codes, words).predict(codes) == words) > 0.9
    two = codes[:, 0] > 0
    model, expected = ours(codes, two), scikit_learn(codes, two)
    np.testing.assert_array_equal(model.coef_, expected.coef_)
    np.testing.assert_array_equal(model.predict(codes), expected.predict(codes))


def test_refuses_what_it_cannot_fit():
    codes = np.random.RandomState(0).normal(size=(20, 2))
    with pytest.raises(ValueError, match="NaN"):
        SoftmaxRegressionCV().fit(np.where(codes > 1, np.nan, codes), np.arange(20) % 3)
    with pytest.raises(ValueError, match="n_splits=5"):
        SoftmaxRegressionCV().fit(codes[:4], [0, 1, 2, 0])
    with pytest.raises(ValueError, match="class"):
        SoftmaxRegressionCV().fit(codes, np.zeros(20))
