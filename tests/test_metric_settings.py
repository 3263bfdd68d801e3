"""Settings and results of the newer metrics, against scikit-learn or by what they must change."""

import numpy as np
import pandas
import pytest
from sklearn.feature_selection import mutual_info_classif
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

import srvae_plugin as sv
from srvae_plugin.metrics.infomec import linear_information
from srvae_plugin.metrics.learners.probes import PROBES, RFF_GAIN, Task, mlp, rff

RNG = np.random.default_rng(0)
FACTORS = RNG.integers(4, size=(600, 2))
CODES = FACTORS @ [[1.0, 0.3], [0.2, 1.0]] + RNG.normal(size=(600, 2))


def test_med_is_informative_on_points_that_it_was_not_fitted_on():
    train, test = (CODES[:300], FACTORS[:300]), (CODES[300:], FACTORS[300:])
    found = sv.metrics.med(*train, test=test)
    scale = StandardScaler().fit(train[0])
    for key, (codes, factors) in {"train": train, "test": test}.items():
        right = [
            LogisticRegression(max_iter=1000)
            .fit(scale.transform(train[0]), train[1][:, k])
            .score(scale.transform(codes), factors[:, k])
            for k in range(2)
        ]
        assert found[f"informativeness_{key}"] == pytest.approx(np.mean(right), abs=0.01)
    assert found["informativeness_train"] != found["informativeness_test"]


def test_explicitness_is_of_balanced_classes():
    factor = (RNG.random((600, 1)) < 0.1).astype(int)
    codes = factor + RNG.normal(size=(600, 2))
    model = LogisticRegression(C=np.inf, class_weight="balanced", max_iter=100)
    inputs = StandardScaler().fit_transform(codes)
    loss = log_loss(factor[:, 0], model.fit(inputs, factor[:, 0]).predict_proba(inputs))
    expected = max(0.0, 1 - loss / np.log(2))
    assert linear_information(codes, factor)[0] == pytest.approx(expected, abs=1e-6)


def test_neighbours_of_infomec_are_scikit_learns():
    scaled = StandardScaler().fit_transform(CODES)
    for neighbours in (3, 20):
        columns = [
            mutual_info_classif(scaled, column, n_neighbors=neighbours, random_state=0) / np.log(4)
            for column in FACTORS.T
        ]
        information = np.stack(columns, axis=1)
        share = information.max(axis=1) / information.sum(axis=1)
        found = sv.metrics.infomec(CODES, FACTORS, num_neighbors=neighbours)["infom"]
        assert found == pytest.approx((share.mean() - 0.5) / 0.5, abs=0.01)


def test_a_penalty_of_the_kernel_ridge_is_the_one_that_is_asked_for():
    train, test = (CODES[:300], FACTORS[:300]), (CODES[300:], FACTORS[300:])
    scales = [StandardScaler().fit(part) for part in train]
    (x, y), (x_test, y_test) = (
        [scale.transform(part) for scale, part in zip(scales, pair, strict=True)]
        for pair in (train, test)
    )
    for alpha, gamma in ((1e3, 0.1), (1.0, 5.0)):
        model = KernelRidge(kernel="rbf", alpha=alpha, gamma=gamma).fit(x, y)
        wrong = ((model.predict(x_test) - y_test) ** 2).sum(axis=0)
        expected = (1 - wrong / ((y_test - y_test.mean(axis=0)) ** 2).sum(axis=0)).mean()
        found = sv.metrics.r2(*train, test=test, alphas=[alpha], gammas=[gamma])
        assert found["r2_kernel_ridge"] == pytest.approx(expected, abs=1e-6)


def test_the_variance_of_an_active_latent_of_mig_sup():
    codes = np.column_stack(
        [FACTORS * 2.0, 0.5**0.5 * StandardScaler().fit_transform(CODES[:, :1])]
    )
    active = sv.metrics.mig_sup(codes, FACTORS, active_variance=1)
    assert active["num_active_latents"] == 2
    assert active["mig_sup"] == pytest.approx(sv.metrics.mig_sup(codes[:, :2], FACTORS)["mig_sup"])
    assert sv.metrics.mig_sup(codes, FACTORS, active_variance=0.4)["num_active_latents"] == 3


def test_a_divergence_below_the_threshold_of_udr_is_no_latent():
    tables = [FACTORS + RNG.normal(size=(600, 2)) * 0.1 for _ in range(3)]
    wide = [np.column_stack([table, RNG.normal(size=600)]) for table in tables]
    narrow = sv.metrics.udr(tables, [np.full(2, 3.0)] * 3)
    three = [np.array([3.0, 3.0, 0.5])] * 3
    found = sv.metrics.udr(wide, three, kl_filter_threshold=1.0)["model_scores"]
    assert found == pytest.approx(narrow["model_scores"], abs=0.02)
    assert sv.metrics.udr(wide, three)["model_scores"] != pytest.approx(found, abs=0.02)


def test_dci_es_takes_words_as_categories():
    words = pandas.DataFrame({"shape": np.array(["a", "b", "c", "d"])[FACTORS[:, 0]]})
    words["size"] = FACTORS[:, 1]
    own = {"probe": "rff", "probe_sizes": [16, 64]}
    found = sv.score_codes(CODES, words, {"dci_es": own})["dci_es"]
    said = {"categorical_factors": [0], **own}
    assert found == sv.score_codes(CODES, FACTORS, {"dci_es": said})["dci_es"]
    said["categorical_factors"] = []
    assert found != sv.score_codes(CODES, FACTORS, {"dci_es": said})["dci_es"]


def test_a_factor_without_order_is_not_judged_by_its_order():
    values = np.repeat(np.arange(8), 60)
    codes = np.column_stack([np.random.default_rng(1).permutation(8)[values], RNG.normal(size=480)])
    codes = codes + RNG.normal(size=(480, 2)) * 0.01
    factors = np.column_stack([values, RNG.integers(4, size=480)])
    found = [
        sv.diagnose(codes, factors, names=["shape", "other"], unordered=unordered, metrics=["mig"])
        for unordered in ([], ["shape"])
    ]
    of_shape = [[one for one in each.findings if "shape" in one["factors"]] for each in found]
    assert of_shape[0] != of_shape[1]


def test_probes_are_the_authors():
    assert PROBES["random_forest"][1] == (1, 2, 3, 4, 8, 10, 12, 14, 16, 18, 20, 32)
    assert RFF_GAIN == 0.08
    target = np.repeat(np.arange(3), 20)
    codes = StandardScaler().fit_transform(np.column_stack([target, target % 2]) + 0.0)
    task = Task(codes, target, codes, target, categorical=True)
    capacity = mlp(task, [0, 5], seed=0)[0]
    # weights and biases: 2 latents to 3 classes, and through 5 hidden units
    np.testing.assert_allclose(np.exp(capacity), [2 * 3 + 3, 2 * 5 + 5 + 5 * 3 + 3])
    np.testing.assert_allclose(np.exp(rff(task, [16, 64], seed=0)[0]), [16, 64])


def test_random_features_are_cosines_and_sines_of_the_gain():
    x = RNG.normal(size=(200, 2))
    y = np.sin(x[:, 0])
    task = Task(x[:100], y[:100], x[100:], y[100:], categorical=False)
    waves = x @ (np.random.RandomState(0).normal(size=(8, 2)) * 2 * np.pi * 0.08).T
    features = np.hstack([np.cos(waves), np.sin(waves)])
    predicted = Ridge(alpha=1.0).fit(features[:100], y[:100]).predict(features[100:])
    expected = np.mean((predicted - y[100:]) ** 2) / np.var(y[100:])
    assert rff(task, [16], seed=0)[1][0] == pytest.approx(expected)
