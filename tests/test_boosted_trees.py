"""Boosted trees: the same as scikit-learn's for the same seed, whatever the codes."""

import functools
import itertools

import numpy as np
import pytest
import sklearn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from metric_cases import GRIDS, REPRESENTATIONS, IndexGrid
from sklearn.ensemble import GradientBoostingClassifier

from srvae_plugin.metrics.boosted_trees.histogram import fit_histogram
from srvae_plugin.metrics.boosted_trees.learner import BoostedTrees

# Before 1.9 the score of a split was another formula, equal but for rounding, so that splits that
# tie could come out the other way.
same_rounding = pytest.mark.skipif(
    tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9),
    reason="scikit-learn before 1.9 rounds the score of a split differently",
)


def noise(points, latents, seed=0):
    return np.random.RandomState(seed).normal(size=(points, latents))


def classes(points, num, seed=1):
    return np.concatenate([np.arange(num), np.random.RandomState(seed).randint(num, size=points)])[
        :points
    ]


def informative(points, latents, labels):
    codes = noise(points, latents)
    codes[:, : latents // 2] += 3.0 * labels[:, None] / labels.max()
    return codes


def with_copies(points):
    codes = noise(points, 3)
    return np.hstack([codes, codes, -codes, np.ones((points, 2))])


CASES = {
    "two classes": (informative(300, 4, classes(300, 2)), classes(300, 2)),
    "three classes": (informative(300, 4, classes(300, 3)), classes(300, 3)),
    "forty classes": (informative(160, 4, classes(160, 40)), classes(160, 40)),
    "noise": (noise(200, 6), classes(200, 4)),
    "float32": (informative(200, 4, classes(200, 3)).astype(np.float32), classes(200, 3)),
    "labels are words": (noise(60, 3), np.array(["b", "c", "a"])[classes(60, 3)]),
    "integer codes": (np.random.RandomState(3).randint(4, size=(300, 5)), classes(300, 3)),
    "the labels themselves": (np.stack([classes(400, 6), classes(400, 5, 2)], 1), classes(400, 6)),
    "rounded": (informative(500, 6, classes(500, 5)).round(1), classes(500, 5)),
    "half rounded": (
        np.hstack([noise(600, 3).round(1), noise(600, 3, 5)]),
        (noise(600, 3)[:, 0] > 0) + classes(600, 2),
    ),
    "closer than 1e-7": (1e-7 * noise(200, 4) + noise(200, 4, 9).round(1), classes(200, 3)),
    "one latent varies": (np.hstack([np.zeros((90, 2)), noise(90, 1)]), classes(90, 3)),
    "columns that tie": (with_copies(150), classes(150, 3)),
    "rows twice": (np.repeat(noise(80, 4), 2, axis=0), np.repeat(classes(80, 3), 2)),
    "rows twice, labels differ": (np.repeat(noise(50, 3), 3, axis=0), classes(150, 4)),
    "huge and tiny": (noise(100, 3) * [1e30, 1e-30, 1.0], classes(100, 3)),
    "one latent": (noise(100, 1), classes(100, 3)),
    "two points": (np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1])),
    "ten points": (noise(10, 10), classes(10, 6)),
    "two hundred latents": (noise(80, 200), (noise(80, 200)[:, -1] > 0).astype(int)),
    "a rare class": (noise(120, 4), np.r_[np.zeros(119, int), 1]),
}


def assert_same(codes, labels, seed):
    ours = BoostedTrees.fit(codes, labels, seed)
    theirs = GradientBoostingClassifier(random_state=seed).fit(codes, labels)
    np.testing.assert_allclose(ours.feature_importances, theirs.feature_importances_, atol=1e-11)
    unseen = np.asarray(codes)[np.random.RandomState(4).randint(len(codes), size=400)]
    unseen = unseen + noise(*unseen.shape, seed=6) * unseen.std(axis=0)
    for points in (codes, unseen):
        np.testing.assert_array_equal(ours.predict(points), theirs.predict(points))


@same_rounding
@pytest.mark.parametrize("case", CASES)
def test_same_as_scikit_learn(case):
    assert_same(*CASES[case], seed=7)


@same_rounding
@pytest.mark.parametrize("seed", range(3))
def test_same_as_scikit_learn_for_every_seed(seed):
    assert_same(*CASES["columns that tie"], seed)


@same_rounding
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_same_as_scikit_learn_on_anything(data):
    points, latents = data.draw(st.integers(2, 60)), data.draw(st.integers(1, 4))
    random_state = np.random.RandomState(data.draw(st.integers(0, 2**32 - 1)))
    digits = data.draw(st.sampled_from([0, 1, 8]))
    labels = classes(points, data.draw(st.integers(2, min(points, 5))), random_state.randint(99))
    assert_same(random_state.normal(size=(points, latents)).round(digits), labels, seed=points)


def test_sums_in_any_order_are_those_of_all_orders():
    y = np.random.RandomState(0).normal(size=9) * 10.0 ** np.arange(-4, 5)
    for num in range(2, 7):
        rows, sums = np.random.RandomState(num).permutation(9).astype(np.int32), np.empty(999)
        count = ties._sums_in_any_order.py_func(rows, 1, 1 + num, y, sums)
        orders = itertools.permutations(y[rows[1 : 1 + num]].tolist())
        assert sorted(sums[:count]) == sorted({functools.reduce(float.__add__, o) for o in orders})


def test_sums_near_a_total_are_all_that_rounding_can_make_or_none():
    near, sums = ties._sums_near.py_func, np.empty(129)
    y = np.random.RandomState(0).normal(size=12) + 1.0
    count = near(y.sum(), np.abs(y).sum(), 12, sums)
    for seed in range(200):
        total = functools.reduce(float.__add__, np.random.RandomState(seed).permutation(y).tolist())
        assert total in sums[:count]
    spread = 2.0 * 20 * 2.0**-53 * 8.0
    for total in (0.0, spread, spread * (1 + 2.0**-50), spread * (1 + 2.0**-20), 2 * spread):
        assert near(total, 8.0, 20, sums) == 0


def sampled(representation, points, factor):
    grid = IndexGrid(GRIDS["dsprites"])
    factors = grid.sample_factors(points, np.random.RandomState(0))
    table = REPRESENTATIONS[representation](GRIDS["dsprites"])
    return table[grid.observation_indices(factors, None)], factors[:, factor]


@same_rounding
@pytest.mark.parametrize("representation", ["linear_mix", "noisy_factors"])
def test_same_as_scikit_learn_with_many_equal_codes(representation):
    # Here near ties come up in nodes of hundreds of points with equal codes among them.
    assert_same(*sampled(representation, 1200, factor=0), seed=3)


@same_rounding
@pytest.mark.slow
@pytest.mark.parametrize("factor", [0, 1])
@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_same_as_scikit_learn_at_the_size_of_dci(representation, factor):
    assert_same(*sampled(representation, 10_000, factor), seed=3)


def test_result_does_not_depend_on_threads_and_repeats():
    codes, labels = CASES["forty classes"]
    one, again, three = (BoostedTrees.fit(codes, labels, 5, n_jobs=n) for n in (1, 1, 3))
    for other in (again, three):
        np.testing.assert_array_equal(one.feature_importances, other.feature_importances)
        np.testing.assert_array_equal(one._leaves, other._leaves)


def test_without_retracing_ties_come_out_as_with_another_seed():
    codes, labels = CASES["rounded"]
    exact = np.stack([BoostedTrees.fit(codes, labels, s).feature_importances for s in range(8)])
    loose = np.stack(
        [BoostedTrees.fit(codes, labels, s, retrace=False).feature_importances for s in range(8)]
    )
    # Standard error of a difference of two means of eight, four times.
    assert (np.abs(exact.mean(0) - loose.mean(0)) < 2.0 * exact.std(0, ddof=1) + 1e-12).all()


def test_collapsed_codes_have_no_importance():
    trees = BoostedTrees.fit(np.ones((30, 3)), classes(30, 3), 0)
    np.testing.assert_array_equal(trees.feature_importances, 0.0)
    assert len(set(trees.predict(np.ones((5, 3))))) == 1


@pytest.mark.parametrize("fit", [BoostedTrees.fit, fit_histogram])
def test_refusals(fit):
    codes, labels = noise(20, 2), classes(20, 2)
    for bad in (np.nan, np.inf, 1e39):
        with pytest.raises(ValueError, match="finite"):
            fit(np.where(codes > 1.0, bad, codes), labels, 0)
    with pytest.raises(ValueError, match="two classes"):
        fit(codes, np.zeros(20), 0)
    with pytest.raises(ValueError, match="labels must have shape"):
        fit(codes, labels[:-1], 0)
    with pytest.raises(ValueError, match="codes must be"):
        fit(codes[0], labels, 0)
    with pytest.raises(ValueError, match=r"latents|features"):
        fit(codes, labels, 0).predict(codes[:, :1])


def test_refuses_no_threads():
    with pytest.raises(ValueError, match="n_jobs"):
        BoostedTrees.fit(noise(20, 2), classes(20, 2), 0, n_jobs=0)


@pytest.mark.parametrize("num_classes", [2, 4])
def test_histogram_trees_find_the_same_latents(num_classes):
    labels = classes(500, num_classes)
    codes = informative(500, 4, labels)
    exact, binned = BoostedTrees.fit(codes, labels, 0), fit_histogram(codes, labels, 0)
    assert binned.feature_importances.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(binned.feature_importances, exact.feature_importances, atol=0.15)
    assert np.mean(binned.predict(codes) == exact.predict(codes)) > 0.9
