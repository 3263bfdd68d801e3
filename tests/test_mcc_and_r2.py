"""MCC and R2 on cases worked by hand, and against scipy and scikit-learn."""

import itertools
import logging

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from metric_cases import GRIDS, CachedLookUp, IndexGrid, noisy_factors
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from srvae_plugin.data.own.factor_kinds import FactorKinds
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.metrics.codes import CodesAndFactors
from srvae_plugin.metrics.mcc import compute_mcc, mcc
from srvae_plugin.metrics.r2 import ALPHAS, GAMMAS, compute_r2, r2, r2_scores
from srvae_plugin.runs.representation import TabulatedCodes


def sample(num=300, latents=4, factors=3, seed=0):
    random_state = np.random.RandomState(seed)
    truth = random_state.uniform(size=(num, factors))
    mixed = np.tanh(truth @ random_state.normal(size=(factors, latents)))
    return mixed + 0.1 * random_state.normal(size=mixed.shape), truth


@pytest.mark.parametrize("latents", [3, 5])
def test_mcc_is_the_best_assignment_of_scipys_correlations(latents):
    codes, truth = sample(latents=latents)
    codes[:, 0] = np.round(codes[:, 0], 1)  # with ties
    scores = mcc(codes, truth)
    for kind, correlation in (
        ("pearson", scipy.stats.pearsonr),
        ("spearman", scipy.stats.spearmanr),
    ):
        matrix = np.array([[abs(correlation(z, v)[0]) for v in truth.T] for z in codes.T])
        every = itertools.permutations(range(latents), 3)
        best = max(np.mean([matrix[z, v] for v, z in enumerate(order)]) for order in every)
        assert scores[f"mcc_{kind}"] == pytest.approx(best, abs=1e-12)


def test_mcc_by_hand():
    # Correlations of columns with values -1, 1: 1 with itself, 0 with each other, 1 / sqrt(2)
    # of their sum with each.
    one, other = np.array([[-1.0, -1, 1, 1], [-1, 1, -1, 1]])
    truth = np.stack([one, other], axis=1)
    half = 1 / np.sqrt(2)
    scores = mcc(np.stack([one + other, -5 * one], axis=1), truth)
    # The sum may have one of them: the other latent is worth more with the first.
    assert scores["pearson_factor_0"] == pytest.approx(1)
    assert scores["pearson_factor_1"] == pytest.approx(half)
    assert scores["mcc_pearson"] == pytest.approx((1 + half) / 2)
    # One latent serves one factor: the greedy choice, a maximum for each factor, would be .707.
    assert mcc((one + other)[:, np.newaxis], truth)["mcc_pearson"] == pytest.approx(half / 2)
    # Ranks see through any monotone function.
    values = np.random.RandomState(0).normal(size=(50, 2))
    scores = mcc(np.exp(5 * values), values)
    assert scores["mcc_spearman"] == pytest.approx(1)
    assert scores["mcc_pearson"] < 0.8


def test_fewer_latents_than_factors_are_said(caplog):
    codes, truth = sample(latents=2)
    with caplog.at_level(logging.WARNING, logger="srvae_plugin.metrics"):
        scores = mcc(codes, truth)
    assert "MCC: 2 latents for 3 factors" in caplog.text
    alone = [scores[f"pearson_factor_{k}"] for k in range(3)]
    assert (min(alone), np.mean(alone)) == (0, scores["mcc_pearson"])


def by_scikit_learn(model, train, test, factor):
    """What the authors' code does for one factor."""
    of_codes, of_factor = StandardScaler(), StandardScaler()
    inputs = of_codes.fit_transform(train[0])
    labels = of_factor.fit_transform(train[1][:, [factor]]).ravel()
    model.fit(inputs, labels)
    expected = of_factor.transform(test[1][:, [factor]])
    return r2_score(expected, model.predict(of_codes.transform(test[0])))


def test_r2_is_scikit_learns():
    train, test = sample(200), sample(90, seed=1)
    scores = r2_scores(CodesAndFactors(*train), CodesAndFactors(*test), num_kernel=150)
    few = train[0][:150], train[1][:150]
    for k in range(3):
        linear = by_scikit_learn(LinearRegression(), train, test, k)
        assert scores[f"r2_linear_factor_{k}"] == pytest.approx(linear, abs=1e-12)
        grid = {"alpha": ALPHAS, "gamma": GAMMAS}
        search = GridSearchCV(KernelRidge(kernel="rbf"), grid, cv=3)
        kernel = by_scikit_learn(search, few, test, k)
        assert scores[f"r2_kernel_ridge_factor_{k}"] == pytest.approx(kernel, abs=1e-9)
    of_factors = [scores[f"r2_linear_factor_{k}"] for k in range(3)]
    assert scores["r2_linear"] == pytest.approx(np.mean(of_factors))


def test_r2_by_hand():
    # A line through (0, 0), (1, 1), (2, 2) predicts 3 where 5 is and 4 where 4 is: of 1/2 around
    # their mean 4.5, 4 are left.
    train = CodesAndFactors(np.array([[0.0], [1], [2]]), np.array([[0.0], [1], [2]]))
    test = CodesAndFactors(np.array([[3.0], [4]]), np.array([[5.0], [4]]))
    assert r2_scores(train, test)["r2_linear"] == pytest.approx(1 - 4 / 0.5)


def test_variances_are_in_the_units_of_the_factors():
    # The kernel ridge is fitted on the first points alone, whose factor varies less.
    codes = np.random.RandomState(0).normal(size=(300, 1))
    codes[:100] *= 0.3
    factors = codes + 0.1 * np.random.RandomState(1).normal(size=codes.shape)
    train = CodesAndFactors(codes[:200], factors[:200])
    test = CodesAndFactors(0.3 * codes[200:], 0.3 * factors[200:])
    given = r2_scores(train, test, num_kernel=100, variances=test.factors.var(axis=0))
    assert given == pytest.approx(r2_scores(train, test, num_kernel=100))


def test_a_parabola_is_seen_by_the_kernel_alone():
    codes = np.random.RandomState(0).uniform(-1, 1, size=(600, 1))
    scores = r2(codes, codes**2)
    assert scores["r2_linear"] < 0.1
    assert scores["r2_kernel_ridge"] > 0.99


def test_the_seed_draws_the_split():
    codes, truth = sample()
    assert r2(codes, truth, seed=3) == r2(codes, truth, seed=3) != r2(codes, truth, seed=4)
    with pytest.raises(ValueError, match="test must be a share between 0 and 1"):
        r2(codes, truth, test=1)


@pytest.mark.parametrize(("compute", "name"), [(compute_mcc, "MCC"), (compute_r2, "R2")])
def test_classes_without_order_are_left_out_with_a_word(compute, name, caplog):
    codes, truth = sample()
    classes = np.random.RandomState(0).randint(3, size=300)
    kinds = FactorKinds(("class", "continuous", "continuous", "continuous"), {}, frozenset({0}))
    table = FactorTable(
        np.column_stack([classes, truth]), ["kind", "a", "b", "c"], factor_kinds=kinds
    )
    function = TabulatedCodes(codes, table)
    few = {"num_train": 200}
    with caplog.at_level(logging.WARNING, logger="srvae_plugin.metrics"):
        scores = compute(table, function, np.random.RandomState(0), **few)
    assert f"{name}: left out because classes without order: 'kind'" in caplog.text
    assert scores["num_factors_scored"] == 3
    assert not any(key.endswith("factor_0") for key in scores)
    only = FactorTable(classes[:, None], ["kind"], factor_kinds=FactorKinds(("class",), {}, {0}))
    with pytest.raises(ValueError, match="all factors are classes without order"):
        compute(only, TabulatedCodes(codes, only), np.random.RandomState(0), **few)


def test_names_of_columns_stand_in_the_keys():
    codes, truth = sample()
    frame = pd.DataFrame(truth, columns=["a", "b", "c"])
    assert mcc(codes, frame)["pearson_factor_b"] == mcc(codes, truth)["pearson_factor_1"]
    assert r2(codes, frame)["r2_linear_factor_b"] == r2(codes, truth)["r2_linear_factor_1"]


def test_cores_and_metrics_agree():
    data = IndexGrid(GRIDS["tiny"])
    codes = noisy_factors(GRIDS["tiny"])
    function, state = CachedLookUp(codes, data), np.random.RandomState
    factors = data.sample_factors(16, state(0))
    assert compute_mcc(data, function, state(0), num_train=16) == mcc(
        codes[data.observation_indices(factors, None)], factors
    )
