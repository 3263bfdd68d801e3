"""Logistic regression: scikit-learn's weights to the last bit, since its path depends on it."""

import math
import warnings

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings, strategies as st
from metric_cases import GRIDS, REPRESENTATIONS, IndexGrid
from sklearn._loss.loss import HalfMultinomialLoss
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

from srvae_plugin.metrics.codes import CodesAndFactors
from srvae_plugin.metrics.downstream_task import downstream_task_of
from srvae_plugin.metrics.learners.exponential import exp_all
from srvae_plugin.metrics.learners.logistic_regression import SoftmaxRegressionCV
from srvae_plugin.metrics.learners.predictors import logistic_regression_cv
from srvae_plugin.metrics.learners.softmax_kernel import losses_and_gradients

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


def ours(codes, labels, *paths):
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return SoftmaxRegressionCV().fit(codes, labels, *paths)


def exponentials(x):
    result, steps, unsure = np.empty((3, x.size)).copy()
    exp_all(x, result, steps, steps.view(np.int64), unsure)
    return result


def library(x):
    """The C library's; numpy has its own on processors with AVX-512."""
    return np.array([math.exp(value) for value in x])


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1e-3, 0.1, 1.0, 5.0, 30.0, 200.0, 900.0])
def test_exponentials_are_the_c_librarys(scale):
    x = -np.abs(np.random.RandomState(0).normal(size=100_000)) * scale
    np.testing.assert_array_equal(exponentials(x), library(x))


def test_exponentials_at_the_edges():
    x = -np.array([0.0, np.log(2), 699.9999, 700.0, 708.5, 745.0, 745.2, 746.0, 746.1, 1e5, 1e300])
    np.testing.assert_array_equal(exponentials(x), library(x))
    assert exponentials(np.array([0.0]))[0] == 1.0


@settings(max_examples=40)
@given(
    st.integers(1, 50),
    st.integers(2, 45),
    st.floats(1e-3, 1e3),
    st.integers(0, 2**32 - 1),
)
def test_losses_and_gradients_are_scikit_learns(points, classes, scale, seed):
    random_state = np.random.RandomState(seed)
    products = random_state.normal(size=(points, classes)) * scale
    intercepts = random_state.normal(size=classes)
    labels = random_state.randint(classes, size=points)
    expected_losses, expected = HalfMultinomialLoss(n_classes=classes).loss_gradient(
        labels.astype(float), products + intercepts
    )
    expected /= points
    losses, sums = np.empty(points), np.empty(classes)
    losses_and_gradients(products, intercepts, labels, losses, sums)
    np.testing.assert_array_equal(losses, expected_losses)
    np.testing.assert_array_equal(products, expected)
    np.testing.assert_array_equal(sums, expected.sum(axis=0))


def test_gradient_is_the_derivative_of_the_loss():
    random_state = np.random.RandomState(0)
    products, labels = random_state.normal(size=(20, 5)), random_state.randint(5, size=20)
    intercepts = random_state.normal(size=5)

    def loss_and_gradient(shift, shift_all):
        losses, sums, gradient = np.empty(20), np.empty(5), products + shift
        losses_and_gradients(gradient, intercepts + shift_all, labels, losses, sums)
        return losses.mean(), gradient, sums

    _, gradient, sums = loss_and_gradient(0.0, 0.0)
    for i, k in [(0, 0), (3, labels[3]), (19, 4)]:
        one, everywhere = np.zeros((20, 5)), np.zeros(5)
        one[i, k] = everywhere[k] = 1e-6
        up, down = loss_and_gradient(one, 0.0)[0], loss_and_gradient(-one, 0.0)[0]
        assert (up - down) / 2e-6 == pytest.approx(gradient[i, k], abs=1e-8)
        up, down = loss_and_gradient(0.0, everywhere)[0], loss_and_gradient(0.0, -everywhere)[0]
        assert (up - down) / 2e-6 == pytest.approx(sums[k], abs=1e-8)


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


@pytest.mark.parametrize("classes", [2, 7])
def test_paths_known_before_change_nothing(classes):
    random_state = np.random.RandomState(0)
    codes, labels = random_state.normal(size=(50, 3)), random_state.randint(classes, size=50)
    alone = ours(codes, labels)
    paths = [SoftmaxRegressionCV().path(codes, labels, fold) for fold in range(5)]
    model = ours(codes, labels, paths)
    np.testing.assert_array_equal(model.coef_, alone.coef_)
    np.testing.assert_array_equal(model.intercept_, alone.intercept_)


def test_the_downstream_task_is_that_of_single_fits():
    # 40 points are fitted with the short ones, 2000 on their own.
    codes, grid = REPRESENTATIONS["noisy_factors"](GRIDS["dsprites"]), IndexGrid(GRIDS["dsprites"])
    random_state = np.random.RandomState(0)
    samples = {}
    for size in (40, 2000):
        factors = grid.sample_factors(size, random_state)
        sample = CodesAndFactors(codes[grid.observation_indices(factors, random_state)], factors)
        samples[size] = (sample, sample)
    scores = downstream_task_of(samples, np.zeros(5, int), logistic_regression_cv, n_jobs=2)
    for size, (sample, _) in samples.items():
        for k in (0, 4):
            model = ours(sample.codes, sample.factors[:, k])
            accuracy = np.mean(model.predict(sample.codes) == sample.factors[:, k])
            assert scores[f"{size}:train_accuracy_factor_{k}"] == accuracy


def test_refuses_what_it_cannot_fit():
    codes = np.random.RandomState(0).normal(size=(20, 2))
    with pytest.raises(ValueError, match="NaN"):
        SoftmaxRegressionCV().fit(np.where(codes > 1, np.nan, codes), np.arange(20) % 3)
    with pytest.raises(ValueError, match="n_splits=5"):
        SoftmaxRegressionCV().fit(codes[:4], [0, 1, 2, 0])
    with pytest.raises(ValueError, match="class"):
        SoftmaxRegressionCV().fit(codes, np.zeros(20))
