"""The newer metrics on cases worked by hand, on closed forms, and against plain loops."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy.integrate import quad
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.preprocessing import StandardScaler

from srvae_plugin.metrics.codes import CodesAndFactors
from srvae_plugin.metrics.dci_es import (
    LossCapacity,
    Probing,
    dci_es_scores,
    explicitness,
    loss_capacity,
)
from srvae_plugin.metrics.dci_regressors import (
    Regression,
    Regressor,
    regression,
    regression_scores,
)
from srvae_plugin.metrics.dcimig import dcimig
from srvae_plugin.metrics.infomec import (
    concentration,
    infomec,
    linear_information,
    normalized_information,
)
from srvae_plugin.metrics.jemmig import jemmig
from srvae_plugin.metrics.learners import probes
from srvae_plugin.metrics.med import med, med_importance, top_latents
from srvae_plugin.metrics.mig_sup import mig_sup

LOG2, LOG3, LOG6, LOG20 = np.log([2, 3, 6, 20])

# Factors a of 2 and b of 3 values, every pair once. Latents: a; both at once, as 3 a + b; nothing.
A, B = np.divmod(np.arange(6), 3)
FACTORS = np.stack([A, B], axis=1)
CODES = np.stack([A, 3 * A + B, np.zeros(6)], axis=1)


def test_mig_sup_of_a_latent_with_one_factor_one_with_two_and_a_dead_one():
    # I / H is (1, 0), (1, 1), (0, 0): gaps 1, 0, 0.
    scores = mig_sup(CODES, FACTORS)
    assert scores["mig_sup"] == pytest.approx(1 / 2)
    assert scores["mig_sup_all_latents"] == pytest.approx(1 / 3)
    assert scores["num_active_latents"] == 2


def test_mig_sup_of_codes_that_are_all_below_the_threshold():
    # As above, a hundredth as large: nothing is active, and all that is held is held still.
    scores = mig_sup(CODES / 100, FACTORS)
    assert (scores["mig_sup"], scores["num_active_latents"]) == (0, 0)
    assert scores["mig_sup_all_latents"] == pytest.approx(1 / 3)
    assert mig_sup(0 * CODES, FACTORS)["mig_sup_all_latents"] == 0


def test_dead_latents_leave_med_and_raise_its_completeness():
    # Latent 0 knows a, latent 1 both: R is (1/2, 0), (1/2, 1). Of factor a, in two latents alike,
    # the entropy is log 2, whose share of log(number of latents) falls as dead ones are added.
    for dead in (0, 1, 5):
        codes = np.hstack([CODES[:, :2], np.zeros((6, dead))])
        scores = med(codes, FACTORS, test=(codes, FACTORS))
        # rho is 1/4 and 3/4; the second row is (1/3, 2/3).
        entropy = (LOG3 - 2 / 3 * LOG2) / LOG2
        assert scores["disentanglement"] == pytest.approx(1 / 4 + 3 / 4 * (1 - entropy))
        expected = 1 / 2 * (1 - LOG2 / np.log(2 + dead)) + 1 / 2
        assert scores["completeness"] == pytest.approx(expected)


def test_dcimig_gives_each_latent_to_one_factor():
    # Latent 0: log 2 for a. Latent 1 knows log 2 of a and log 3 of b: log 3 - log 2 for b.
    expected = (LOG2 + (LOG3 - LOG2)) / (LOG2 + LOG3)
    assert dcimig(CODES, FACTORS)["dcimig"] == pytest.approx(expected)
    # A second latent for the same factor costs nothing, one that does better replaces it.
    doubled = np.hstack([CODES, A[:, np.newaxis], 2 * A[:, np.newaxis]])
    assert dcimig(doubled, FACTORS)["dcimig"] == pytest.approx(expected)


def test_jemmig_charges_what_else_the_best_latent_holds():
    # a: latents 0 and 1 know all of it, 0 holds nothing else: log 2 - log 2 + log 2.
    # b: only latent 1, which also holds a: log 6 - log 3 + 0.
    scores = jemmig(CODES, FACTORS)
    assert scores["jemmig"] == pytest.approx(LOG2)
    expected = np.mean([1 - LOG2 / (LOG2 + LOG20), 1 - LOG2 / (LOG3 + LOG20)])
    assert scores["normalized_jemmig"] == pytest.approx(expected)
    # One latent for each factor and nothing else: the best there is.
    assert jemmig(FACTORS, FACTORS)["jemmig"] == pytest.approx(0, abs=1e-12)
    assert jemmig(FACTORS, FACTORS)["normalized_jemmig"] == pytest.approx(1)


def test_jemmig_gives_a_factor_that_no_latent_knows_the_bound():
    codes = np.stack([A, np.zeros(6)], axis=1)
    assert jemmig(codes, FACTORS)["jemmig"] == pytest.approx((0 + LOG3 + LOG20) / 2)
    assert jemmig(codes, FACTORS)["normalized_jemmig"] == pytest.approx(1 / 2)


def test_jemmig_is_normalised_by_the_bins_in_use():
    expected = np.mean([1 - LOG2 / (LOG2 + LOG6), 1 - LOG2 / (LOG3 + LOG6)])
    assert jemmig(CODES, FACTORS, num_bins=6)["normalized_jemmig"] == pytest.approx(expected)
    own = jemmig(CODES, FACTORS, num_bins=2, discretizer_fn=lambda target, num_bins: target)
    assert own["normalized_jemmig"] == pytest.approx(expected)


def test_med_by_hand():
    importance = med_importance(CODES, FACTORS)
    np.testing.assert_allclose(importance, [[0.5, 0], [0.5, 1], [0, 0]], atol=1e-12)
    scores = med(CODES, FACTORS, test=(CODES, FACTORS), topk=1)
    # Rows weigh 1/4 and 3/4; row 1 is (1/3, 2/3), of entropy log 3 - 2/3 log 2.
    second = 1 - (LOG3 - LOG2 * 2 / 3) / LOG2
    assert scores["disentanglement"] == pytest.approx(1 / 4 + 3 / 4 * second)
    assert scores["completeness"] == pytest.approx((1 - LOG2 / LOG3 + 1) / 2)
    # The dead latent is not kept: of two latents, column (1/2, 1/2) has the largest entropy.
    assert scores["top1_disentanglement"] == pytest.approx(1 / 4 + 3 / 4 * second)
    assert scores["top1_completeness"] == pytest.approx(1 / 2)


def test_top_latents_are_the_most_disentangled_of_each_factor():
    importance = np.array([[0.2, 0.1], [0.3, 0.0], [0.5, 0.2], [0.0, 0.7], [0, 0]])
    assert top_latents(importance, 1).tolist() == [1, 3]
    assert top_latents(importance, 2).tolist() == [1, 2, 3]
    assert top_latents(importance, 9).tolist() == [0, 1, 2, 3]
    assert top_latents(importance[:3], 1).tolist() == [1]


def test_completeness_of_a_single_kept_latent_is_zero():
    codes = CODES[:, 1:]
    assert med(codes, FACTORS, test=(codes, FACTORS), topk=1)["top1_completeness"] == 0


def plain_entropy(values):
    counts, total = Counter(values), len(values)
    return -sum(n / total * math.log(n / total) for n in counts.values())


def plain_information(left, right):
    joint = plain_entropy(list(zip(left, right, strict=True)))
    return plain_entropy(left) + plain_entropy(right) - joint


def plain_scores(codes, factors, num_bins):
    """MIG-sup, DCIMIG, raw JEMMIG and MED of integer codes, one loop for each sum."""
    z, v = codes.T.tolist(), factors.T.tolist()
    table = [[plain_information(left, right) for right in v] for left in z]
    sup, per_factor = 0.0, [0.0] * len(v)
    for row in table:
        normed = sorted(row[k] / plain_entropy(v[k]) for k in range(len(v)))
        sup += (normed[-1] - normed[-2]) / len(z)
        k = row.index(max(row))
        per_factor[k] = max(per_factor[k], max(row) - sorted(row)[-2])
    raw = 0.0
    for k in range(len(v)):
        column = [row[k] for row in table]
        i = column.index(max(column))
        joint = plain_entropy(list(zip(z[i], v[k], strict=True)))
        raw += (joint - column[i] + sorted(column)[-2]) / len(v)
    share = [[row[k] / sum(other[k] for other in table) for k in range(len(v))] for row in table]
    total = 0.0
    for row in share:
        surprise = -sum(x / sum(row) * math.log(x / sum(row), len(v)) for x in row)
        total += sum(row) / len(v) * (1 - surprise)
    return sup, sum(per_factor) / sum(map(plain_entropy, v)), raw, total


@pytest.mark.parametrize("seed", range(5))
def test_metrics_of_binned_information_are_what_plain_loops_find(seed):
    random = np.random.RandomState(seed)
    factors = np.stack([random.randint(size, size=300) for size in (2, 4, 3)], axis=1)
    weights = random.randint(-2, 3, size=(3, 4))
    codes = (factors @ weights + random.randint(2, size=(300, 4))) % 7
    sup, gaps, raw, total = plain_scores(codes, factors, 7)
    assert mig_sup(codes, factors, num_bins=7)["mig_sup"] == pytest.approx(sup)
    assert dcimig(codes, factors, num_bins=7)["dcimig"] == pytest.approx(gaps)
    assert jemmig(codes, factors, num_bins=7)["jemmig"] == pytest.approx(raw)
    scores = med(codes, factors, test=(codes, factors), num_bins=7)
    assert scores["disentanglement"] == pytest.approx(total, abs=1e-8)


def test_infomec_by_hand():
    # N is (1, 0), (1, 1): max / sum 1 and 1/2 over factors, 1/2 and 1 over latents.
    scores = infomec(CODES, FACTORS, seed=0, discrete_latents=True)
    assert scores["infom"] == pytest.approx(0.5)
    assert scores["infoc"] == pytest.approx(0.5)
    assert scores["infoe"] == pytest.approx(1, abs=0.01)
    assert (scores["num_active_latents"], scores["num_uninformative_latents"]) == (2, 0)


def test_an_active_latent_without_information_counts_as_zero_modular(caplog):
    noise = np.arange(12) // 6
    factors = np.tile(FACTORS, (2, 1))
    codes = np.column_stack([factors, noise])
    scores = infomec(codes, factors, seed=0, discrete_latents=True)
    assert scores["infom"] == pytest.approx(2 / 3)
    assert scores["infoc"] == pytest.approx(1)
    assert scores["num_uninformative_latents"] == 1
    assert "1 of 3 active latents have no information" in caplog.text
    # A factor that nobody knows counts as 0 in compactness.
    scores = infomec(codes[:, [0, 2]], factors, seed=0, discrete_latents=True)
    assert scores["infom"] == scores["infoc"] == pytest.approx(1 / 2)


def test_concentration_of_one_column_no_row_and_nothing_is_zero():
    for matrix in (np.ones((3, 1)), np.ones((0, 3)), np.zeros((2, 3)), np.ones((2, 3))):
        assert concentration(matrix) == pytest.approx(0, abs=1e-12)
    assert concentration(np.eye(3)) == pytest.approx(1)


def test_a_binary_channel_has_its_linear_information():
    # 400, 100 / 100, 400: flipped with probability 1/5.
    s = np.repeat([0, 0, 1, 1], [400, 100, 100, 400])
    z = np.repeat([0, 1, 0, 1], [400, 100, 100, 400])
    flip = -(0.2 * np.log(0.2) + 0.8 * np.log(0.8))
    for discrete in (True, False):
        information = linear_information(z[:, np.newaxis], s[:, np.newaxis], discrete)
        assert information == pytest.approx(1 - flip / LOG2, abs=1e-4)
    useless = linear_information(np.zeros((1000, 1)), np.stack([s, s > 2], 1)[:, :1])
    assert useless == pytest.approx(0, abs=1e-9)


def test_a_mixture_of_two_gaussians_has_its_information():
    # s = +-1, z = s + N(0, 1): log-odds 2 z are linear, so both estimates aim at one integral.
    def missing(z):
        return math.exp(-((z - 1) ** 2) / 2) / math.sqrt(2 * math.pi) * math.log1p(math.exp(-2 * z))

    expected = 1 - quad(missing, -8, 10)[0] / LOG2
    random = np.random.RandomState(0)
    s = random.randint(2, size=(20_000, 2))
    z = 2 * s - 1 + random.normal(size=s.shape)
    nearest = normalized_information(z, s, seed=0)
    np.testing.assert_allclose(nearest, expected * np.eye(2), atol=0.02)
    np.testing.assert_allclose(linear_information(z, s), expected, atol=0.01)
    scores = infomec(z, s, seed=0)
    assert min(scores["infom"], scores["infoc"]) > 0.95
    # Both factors in each latent alike.
    assert infomec(z @ [[1, 1], [1, -1]], s, seed=0)["infom"] < 0.1


def test_latents_of_a_small_range_are_inactive():
    random = np.random.RandomState(0)
    s = random.randint(3, size=(200, 2))
    codes = np.column_stack([s, 0.01 * random.normal(size=200)])
    assert infomec(codes, s, seed=0)["num_active_latents"] == 2
    assert infomec(codes, s, seed=0, active_range=0.0)["num_active_latents"] == 3


def test_nearest_neighbours_need_values_that_repeat():
    codes = np.random.RandomState(0).normal(size=(6, 2))
    with pytest.raises(ValueError, match="factors must repeat their values"):
        infomec(codes, np.stack([np.arange(6), B], axis=1), seed=0)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ([0.2, 0.2, 0.2], 1),  # the smallest probe does as well as any
        ([1, 0.5, 0], 0),  # a straight line
        ([1, 1, 0], -0.5),  # area 1 + 1/2 of a normaliser of 1
        ([0.5, 0.7, 0], 0.25),  # the larger probe may be the smaller one: area 1/2 + 1/4
        ([3, 0.5, 0], 0),  # and may guess
        ([1, 0.99, 0.97], 0),  # read by no probe
    ],
)
def test_explicitness_by_hand(loss, expected):
    assert explicitness(np.arange(3.0), np.array(loss)) == pytest.approx(expected)


def test_explicitness_of_an_exponential_curve_is_its_integral():
    capacity = np.linspace(0, 5, 2001)
    loss = np.exp(-capacity)
    area = 1 - math.exp(-5) - 5 * math.exp(-5)
    assert explicitness(capacity, loss) == pytest.approx(
        1 - area / (5 / 2 * (1 - math.exp(-5))), abs=1e-6
    )
    # The authors' tables: the lowest loss in the normaliser is 0.
    assert explicitness(capacity, loss, lowest_loss=0.0) == pytest.approx(
        1 - area / (5 / 2), abs=1e-6
    )


def test_dci_es_means_over_the_factors_that_vary():
    capacity = np.tile(np.arange(3.0), (4, 1))
    loss = np.array([[1, 0.5, 0], [0.2, 0.2, 0.2], [np.nan] * 3, [1, 1, 1]])
    assert dci_es_scores(LossCapacity(capacity, loss), num_latents=6) == {
        "explicitness": pytest.approx(1 / 3),
        # With a lowest loss of 0: as the first, 1, and 1 for what no probe reads.
        "explicitness_authors": pytest.approx((0 + 1 + 1) / 3),
        "size": 0.5,
        "informativeness": pytest.approx((1 + 0.8 + 0) / 3),
        "num_factors_unread": 1,
        "num_factors_scored": 3,
    }


def continuous(num, seed):
    """Two uniform factors; latents: the first, and the second in noise of a tenth its variance."""
    random = np.random.RandomState(seed)
    factors = random.uniform(size=(num, 2))
    noise = random.normal(size=num) * math.sqrt(1 / 12 / 10)
    return CodesAndFactors(factors + np.stack([np.zeros(num), noise], axis=1), factors)


def test_forests_quarter_the_error_at_each_depth():
    # A uniform number in 2^d intervals of equal width keeps 4^-d of its variance; a little less,
    # as the trees of a forest cut at different places.
    curves = loss_capacity(
        continuous(3000, 0), continuous(1000, 1), np.arange(2), Probing(sizes=(1, 2))
    )
    np.testing.assert_allclose(curves.loss[0], [1 / 4, 1 / 16], rtol=0.15)
    assert curves.capacity[0].tolist() == [1, 2]


def test_a_forest_cut_at_a_depth_is_one_grown_to_it():
    train, test = continuous(500, 0), continuous(300, 1)
    curves = loss_capacity(train, test, np.arange(2), Probing(sizes=(1, 2, 4, 7)))
    for k in range(2):
        for depth, loss in zip((1, 2, 4, 7), curves.loss[k], strict=True):
            forest = RandomForestRegressor(probes.NUM_TREES, max_depth=depth, random_state=k)
            forest.fit(train.codes, train.factors[:, k])
            assert loss == pytest.approx(1 - forest.score(test.codes, test.factors[:, k]), abs=5e-3)


def test_a_factor_that_no_probe_reads():
    flat = np.arange(3.0), np.ones(3)
    assert explicitness(*flat) == explicitness(*flat, min_gain=0.0) == 0
    assert explicitness(*flat, lowest_loss=0.0, min_gain=0.0) == 1
    assert explicitness(np.arange(3.0), np.array([1, 0.9, 0.8]), min_gain=0.3) == 0


@pytest.mark.parametrize(
    ("settings", "trees", "features"),
    [({}, 100, "sqrt"), ({"num_trees": 7, "max_features": 1.0}, 7, 1.0)],
)
def test_categories_are_read_by_the_forests_asked_for(settings, trees, features):
    """As scikit-learn grows them, the uncut one exactly; loss relative to the commonest class."""
    random = np.random.RandomState(3)
    codes = random.normal(size=(500, 5))
    label = (codes[:, :3].sum(axis=1) > 0).astype(int) + (codes[:, 3] > 1)
    train = CodesAndFactors(codes[:300], label[:300, np.newaxis])
    test = CodesAndFactors(codes[300:], label[300:, np.newaxis])
    forest = probes.Forest(**settings)
    depths = (1, 3, 6)
    curves = loss_capacity(
        train, test, np.array([4]), Probing("random_forest", depths, [0], forest)
    )
    scale = StandardScaler().fit(train.codes)
    commonest = np.bincount(label[:300]).argmax()
    for depth, loss in zip(depths, curves.loss[0], strict=True):
        other = RandomForestClassifier(
            trees, max_depth=depth, max_features=features, random_state=4
        )
        other.fit(scale.transform(train.codes), label[:300])
        wrong = 1 - other.score(scale.transform(test.codes), label[300:])
        tolerance = 1e-9 if depth == depths[-1] else 0.1
        assert loss == pytest.approx(wrong / np.mean(label[300:] != commonest), abs=tolerance)


@pytest.mark.parametrize("probe", ["mlp", "rff"])
def test_probes_find_what_the_noise_leaves(probe):
    sizes = {"mlp": (0, 16), "rff": (16, 64)}[probe]
    train, test = continuous(1000, 0), continuous(1000, 1)
    curves = loss_capacity(train, test, np.arange(2), Probing(probe, sizes))
    # The best linear prediction of the second factor leaves .1 / 1.1 of its variance.
    assert (curves.loss[0] < 0.01).all()
    assert curves.loss[1].min() == pytest.approx(0.1 / 1.1, abs=0.015)


def test_the_capacity_of_networks_is_their_number_of_parameters():
    sample = continuous(50, 0)
    curves = loss_capacity(sample, sample, np.arange(2), Probing("mlp", (0, 5)))
    np.testing.assert_allclose(np.exp(curves.capacity[0]), [2 + 1, (2 + 1) * 5 + 5 + 1])


@pytest.mark.parametrize("probe", ["random_forest", "mlp", "rff"])
def test_categories_are_told_apart_without_an_order(probe):
    random = np.random.RandomState(0)
    label = random.randint(3, size=(600, 1))
    # Around a circle, and named so that the number says nothing of the place.
    angle = 2 * np.pi * label[:, 0] / 3 + 0.2 * random.normal(size=600)
    sample = CodesAndFactors(np.stack([np.cos(angle), np.sin(angle)], axis=1), label)
    sizes = {"random_forest": (1, 2, 3, 4), "mlp": (0, 8), "rff": (8, 32)}[probe]
    curves = loss_capacity(sample, sample, np.arange(1), Probing(probe, sizes, [0]))
    assert curves.loss[0, -1] < 0.02


# Two factors of three values, every pair once: their standardised codes are orthogonal, so a lasso
# shrinks each least-squares coefficient by alpha, on its own.
GRID = np.argwhere(np.ones((3, 3))).astype(float)
LASSO = Regressor("lasso", alpha=0.1)


def test_a_lasso_on_the_factors_themselves_loses_alpha():
    sample = CodesAndFactors(GRID, GRID)
    result = regression(sample, sample, np.arange(2), LASSO)
    np.testing.assert_allclose(result.matrix, 0.9 * np.eye(2), atol=1e-9)
    scores = regression_scores(result)
    assert scores["disentanglement"] == pytest.approx(1)
    assert scores["completeness"] == pytest.approx(1)
    assert scores["nrmse_test"] == pytest.approx(0.1)
    assert scores["nrmse_test_factor_1"] == pytest.approx(0.1)
    assert scores["informativeness_test"] == pytest.approx(0.9)


def test_a_lasso_on_rotated_factors_finds_every_latent_alike():
    rotated = CodesAndFactors(GRID @ [[1, 1], [1, -1]], GRID)
    result = regression(rotated, rotated, np.arange(2), LASSO)
    np.testing.assert_allclose(result.matrix, 1 / math.sqrt(2) - 0.1, atol=1e-9)
    scores = regression_scores(result)
    assert scores["disentanglement"] == pytest.approx(0, abs=1e-9)
    assert scores["completeness"] == pytest.approx(0, abs=1e-9)
    # (1 / sqrt 2 - alpha) sqrt 2 of the factor is predicted.
    assert scores["nrmse_train"] == pytest.approx(0.1 * math.sqrt(2))


def test_disentanglement_weighs_latents_and_completeness_no_factor():
    matrix = np.array([[3.0, 1.0], [0.0, 1.0]])
    scores = regression_scores(Regression(matrix, np.array([0.1, 0.2]), np.array([0.3, 0.5])))
    quarter = 1 - (2 - 0.75 * math.log2(3))
    assert scores["disentanglement"] == pytest.approx(4 / 5 * quarter + 1 / 5)
    assert scores["completeness"] == pytest.approx((1 + 0) / 2)
    assert scores["nrmse_train"] == pytest.approx(0.15)
    assert scores["informativeness_test"] == pytest.approx(0.6)


def test_a_penalty_that_leaves_nothing_scores_zero(caplog):
    sample = CodesAndFactors(GRID, GRID)
    scores = regression_scores(regression(sample, sample, np.arange(2), Regressor("lasso", 2.0)))
    assert scores["disentanglement"] == scores["completeness"] == 0
    assert scores["nrmse_test"] == pytest.approx(1)
    assert "no latent is of use" in caplog.text


def test_forests_use_the_depth_of_each_factor():
    train, test = continuous(2000, 0), continuous(1000, 1)
    shallow = Regressor(max_depths=[1, 12])
    result = regression(train, test, np.arange(2), shallow)
    # Halved once, a uniform number keeps half its deviation.
    assert result.test_nrmse[0] == pytest.approx(0.5, rel=0.05)
    assert result.test_nrmse[1] == pytest.approx(math.sqrt(0.1 / 1.1), rel=0.3)
    assert result.matrix[0, 0] == pytest.approx(1)
    assert regression_scores(result)["disentanglement"] > 0.5
