"""Statistics over seeds: against scipy, cases worked by hand, and properties that must hold."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from srvae_plugin.report.comparison import bootstrap as b, statistics as s

NAN = float("nan")
CENTRES = [s.mean, s.median, s.interquartile_mean]
values = st.floats(-100, 100, allow_subnormal=False)
matrices = st.tuples(st.integers(2, 9), st.integers(1, 3)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=values)
)
vectors = st.integers(1, 12).flatmap(lambda n: arrays(np.float64, n, elements=values))


def test_by_hand():
    scores = [0.9, 0.1, 0.4, 0.6, 0.5, 0.8, 0.2, 0.7]  # 1, 2, 4, ..., 9 tenths
    assert s.mean(scores) == pytest.approx(4.2 / 8)
    assert s.median(scores) == pytest.approx(0.55)
    # Two of eight are cut at either end: .4, .5, .6, .7 are left.
    assert s.interquartile_mean(scores) == pytest.approx(0.55)
    assert s.interquartile_mean([0, 0, 1, 5, 9]) == pytest.approx(2)  # 0, 1, 5
    assert s.best_mean(scores, 3) == pytest.approx(0.8)
    assert s.worst_mean(scores, 3) == pytest.approx(0.7 / 3)
    assert s.median([1, 2, 9]) == 2


def test_two_tasks_by_hand():
    scores = [[1, 10], [2, 20], [6, 90]]
    assert s.mean(scores) == (3 + 40) / 2
    assert s.median(scores) == (2 + 20) / 2
    assert s.interquartile_mean(scores) == (2 + 6 + 10 + 20) / 4
    assert s.best_mean(scores, 2) == (4 + 55) / 2
    assert s.worst_mean(scores, 1) == (1 + 10) / 2


def test_the_papers_ten_of_thirty():
    scores = np.random.RandomState(0).permutation(30) / 30
    assert s.third(30) == 10
    done = b.summarize(scores)
    assert done.k == 10
    assert done.best == pytest.approx(np.mean(np.arange(20, 30)) / 30)
    assert done.worst == pytest.approx(np.mean(np.arange(10)) / 30)
    lower = b.summarize(scores, higher_is_better=False)
    assert (lower.best, lower.worst) == (done.worst, done.best)
    assert [s.third(n) for n in (1, 2, 3, 4, 5, 50)] == [1, 1, 1, 1, 2, 17]


@given(vectors)
def test_interquartile_mean_is_scipys(scores):
    expected = scipy.stats.trim_mean(scores, 0.25)
    assert s.interquartile_mean(scores) == pytest.approx(expected, abs=1e-9)


@given(matrices)
def test_the_tasks_are_pooled_for_the_interquartile_mean_as_in_rliable(scores):
    expected = scipy.stats.trim_mean(scores, proportiontocut=0.25, axis=None)
    assert s.interquartile_mean(scores) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (s.mean, np.mean),
        (s.median, np.median),
        (s.interquartile_mean, lambda x, axis: scipy.stats.trim_mean(x, 0.25, axis=axis)),
    ],
)
@pytest.mark.parametrize("confidence", [0.95, 0.5])
def test_the_interval_is_scipys(ours, theirs, confidence):
    scores = np.random.RandomState(3).beta(5, 2, 30)
    for seed in (0, 7):
        expected = scipy.stats.bootstrap(
            (scores,), theirs, n_resamples=500, method="percentile", confidence_level=confidence,
            rng=np.random.default_rng(seed), vectorized=True, axis=0,
        ).confidence_interval  # fmt: skip
        found = b.bootstrap_interval(ours, scores, confidence, 500, seed)
        assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_statistic_of_ones_own():
    scores = np.random.RandomState(1).rand(20)
    found = b.bootstrap_interval(lambda x: float(np.mean(x)), scores, resamples=300)
    assert found == pytest.approx(b.bootstrap_interval(s.mean, scores, resamples=300), abs=1e-12)


def test_each_task_is_drawn_apart():
    """By a plain loop: runs of one task never come from another, and keep no pairing."""
    scores = np.array([[0.0, 100.0], [1.0, 200.0], [2.0, 300.0]])
    generator = np.random.default_rng(5)
    choices = [generator.integers(0, 3, (400, 3)) for _ in range(2)]
    means = [
        np.mean([scores[choices[task][draw], task].mean() for task in range(2)])
        for draw in range(400)
    ]
    found = b.bootstrap_interval(s.mean, scores, 0.9, 400, 5)
    assert found == pytest.approx(tuple(np.percentile(means, [5, 95])))


def test_same_seed_same_interval_and_another_seed_another():
    scores = np.random.RandomState(2).rand(11, 2)
    for centre in CENTRES:
        one, again, other = (b.bootstrap_interval(centre, scores, seed=seed) for seed in (4, 4, 5))
        assert one == again
        assert one != other or centre is s.median  # which takes few values
    pair = np.random.RandomState(3).rand(9, 2)
    assert b.improvement_interval(scores, pair, seed=1) == b.improvement_interval(
        scores, pair, seed=1
    )


def test_the_interval_covers():
    """About 95 of 100 intervals of 30 seeds hold the true mean."""
    states = [np.random.RandomState(i) for i in range(300)]
    intervals = [
        b.bootstrap_interval(s.mean, r.normal(0.5, 0.1, 30), resamples=400) for r in states
    ]
    covered = np.mean([low <= 0.5 <= high for low, high in intervals])
    assert 0.9 < covered < 0.98


@given(matrices)
def test_properties_of_centres(scores):
    order = np.random.RandomState(0).permutation(len(scores))
    for centre in CENTRES:
        found = centre(scores)
        assert scores.min() - 1e-9 <= found <= scores.max() + 1e-9
        assert centre(scores[order]) == pytest.approx(found, abs=1e-9)
        assert centre(3 * scores + 2) == pytest.approx(3 * found + 2, abs=1e-6)
        assert centre(-scores) == pytest.approx(-found, abs=1e-9)
        low, high = b.bootstrap_interval(centre, scores, resamples=50)
        assert scores.min() - 1e-9 <= low <= high <= scores.max() + 1e-9


@given(matrices, st.data())
def test_properties_of_best_and_worst(scores, data):
    k = data.draw(st.integers(1, len(scores)))
    slack = 1e-9
    assert s.worst_mean(scores, k) <= s.mean(scores) + slack
    assert s.mean(scores) <= s.best_mean(scores, k) + slack
    assert s.worst_mean(-scores, k) == pytest.approx(-s.best_mean(scores, k))
    assert s.best_mean(scores, len(scores)) == pytest.approx(s.mean(scores), abs=1e-9)
    assert s.best_mean(scores, 1) == pytest.approx(scores.max(axis=0).mean(), abs=1e-9)


def test_failed_runs_are_left_out_and_counted():
    whole, with_failed = [0.2, 0.4, 0.9], [0.2, NAN, 0.4, float("inf"), 0.9]
    assert s.failed(with_failed) == 2
    for centre in CENTRES:
        assert centre(with_failed) == pytest.approx(centre(whole))
        assert b.bootstrap_interval(centre, with_failed) == b.bootstrap_interval(centre, whole)
    done = b.summarize(with_failed)
    assert (done.runs, done.failed, done.k) == (5, 2, 2)
    assert done.best == pytest.approx(0.65)
    assert np.isnan(s.best_mean(with_failed, 4))
    many = [[0.1, NAN], [0.2, 5.0], [0.3, 7.0]]
    assert s.mean(many) == pytest.approx((0.2 + 6) / 2)
    assert s.median(many) == pytest.approx((0.2 + 6) / 2)


def test_a_task_without_any_run_is_never_skipped():
    scores = [[0.1, NAN], [0.2, NAN], [0.3, NAN]]
    for centre in CENTRES:
        assert np.isnan(centre(scores))
        assert np.isnan(b.bootstrap_interval(centre, scores)).all()
    assert np.isnan(s.probability_of_improvement(scores, scores))
    assert np.isnan(b.summarize([NAN, NAN]).mean)


def test_one_run_has_no_interval_and_equal_runs_a_point():
    one = b.summarize([0.7])
    assert (one.mean, one.median, one.interquartile_mean, one.best, one.worst) == (0.7,) * 5
    assert np.isnan([one.mean_interval, one.median_interval, one.interquartile_mean_interval]).all()
    assert np.isnan(b.bootstrap_interval(s.mean, [[0.7, 0.1], [NAN, 0.2]])).all()
    equal = b.summarize([0.5] * 4)
    assert equal.mean_interval == equal.interquartile_mean_interval == (0.5, 0.5)


@given(vectors, vectors)
def test_probability_of_improvement_is_mann_whitneys(first, second):
    found = s.probability_of_improvement(first, second)
    u = scipy.stats.mannwhitneyu(first, second, method="asymptotic").statistic
    assert found == pytest.approx(u / (len(first) * len(second)))
    assert found + s.probability_of_improvement(second, first) == pytest.approx(1)


def test_probability_of_improvement_by_hand():
    # 2 beats 1, ties with 2, loses to 3; 5 beats all three.
    assert s.probability_of_improvement([2, 5], [1, 2, 3]) == pytest.approx((1.5 + 3) / 6)
    assert s.probability_of_improvement([[2, 0], [5, 0]], [[1, 1], [2, 2], [3, NAN]]) == (
        pytest.approx((0.75 + 0) / 2)
    )
    with pytest.raises(ValueError, match="same tasks"):
        s.probability_of_improvement([[1, 2]], [[1], [2]])


def test_improvement_interval_is_a_plain_loops():
    first, second = np.random.RandomState(0).rand(7), np.random.RandomState(1).rand(5)
    generator = np.random.default_rng(9)
    one, two = generator.integers(0, 7, (200, 7)), generator.integers(0, 5, (200, 5))
    found = b.improvement_interval(first, second, 0.9, 200, 9)
    chances = [
        s.probability_of_improvement(first[a], second[b]) for a, b in zip(one, two, strict=True)
    ]
    assert found == pytest.approx(tuple(np.percentile(chances, [5, 95])))
    assert np.isnan(b.improvement_interval([1], [1, 2])).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: s.mean([]), r"with one run at least, got \(0,\)"),
        (lambda: s.mean(np.zeros((2, 2, 2))), r"got \(2, 2, 2\)"),
        (lambda: s.mean(["a"]), "must be real numbers"),
        (lambda: s.best_mean([1, 2], 3), "k must be an integer from 1 to the number of runs 2"),
        (lambda: s.worst_mean([1, 2], 0), "k must be an integer"),
        (lambda: b.bootstrap_interval(s.mean, [1, 2], confidence=95), "confidence.*got 95"),
        (lambda: b.bootstrap_interval(s.mean, [1, 2], resamples=0), "resamples.*got 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
