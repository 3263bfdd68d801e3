"""Tables of any kind: scores are those of the file's rows, however the file writes them down."""

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import mutual_info_score
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from srvae_plugin.data.image_table import ImageTable
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.metrics import (
    compute_dci,
    compute_factor_vae,
    compute_mig,
    compute_sap,
)
from srvae_plugin.metrics.beta_vae import compute_beta_vae_sklearn
from srvae_plugin.metrics.codes import sample_codes_and_factors
from srvae_plugin.metrics.downstream_task import compute_downstream_task
from srvae_plugin.metrics.fairness import compute_fairness
from srvae_plugin.metrics.modularity_explicitness import compute_modularity_explicitness
from srvae_plugin.metrics.strong_downstream_task import compute_strong_downstream_task
from srvae_plugin.runs.codes.files import load_codes
from srvae_plugin.runs.representation import CachedRepresentation, TabulatedCodes

RNG = np.random.RandomState


def random_table(seed):
    """Codes and factors: a full grid, its noisy copies, correlated, unbalanced, or with holes."""
    random_state = RNG(seed)
    sizes = random_state.randint(2, 5, size=random_state.randint(2, 4))
    every = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)
    kind = seed % 4
    if kind == 0:
        factors = np.repeat(every, random_state.randint(2, 5), axis=0)
    else:
        factors = np.stack([random_state.randint(size, size=150) for size in sizes], axis=1)
    if kind == 1:  # every combination, but two factors go together
        together = random_state.rand(150) < 0.8
        factors[together, 1] = factors[together, 0] % sizes[1]
        factors = np.concatenate([every, factors])
    if kind == 2:  # unbalanced
        factors = np.concatenate([factors, np.repeat(factors[:5], 7, axis=0)])
    if kind == 3:
        factors = factors[(factors[:, 0] > 0) | (factors[:, 1] > 0)]
    mixing = random_state.normal(size=(len(sizes), 4)) * (random_state.rand(len(sizes), 4) < 0.5)
    codes = factors @ mixing + 0.4 * random_state.normal(size=(len(factors), 4))
    return codes.astype(np.float32), factors


def written_otherwise(codes, factors):
    """The same rows in other words."""
    order = RNG(5).permutation(len(codes))
    twice = np.concatenate([order, order[::-1]])
    yield "permuted", codes[order], factors[order]
    yield "twice", codes[twice], factors[twice]
    yield "three times", np.repeat(codes, 3, axis=0), np.repeat(factors, 3, axis=0)
    yield "float", codes, factors.astype(float)
    yield "int8", codes, factors.astype(np.int8)
    if factors.max() == 1:
        yield "bool", codes, factors.astype(bool)


def tabulated(codes, factors):
    table = FactorTable(factors)
    return table, TabulatedCodes(codes, table)


def binned(codes, num_bins=20):
    edges = [np.histogram_bin_edges(column, num_bins)[:-1] for column in codes.T]
    return np.stack([np.digitize(c, e) for c, e in zip(codes.T, edges, strict=True)], axis=1)


def information(codes, factors):
    return np.array(
        [[mutual_info_score(f, z) for f in factors.T] for z in binned(codes).T]
    )  # (latent, factor)


def mig_of_all_rows(codes, factors):
    known = np.sort(information(codes, factors), axis=0)
    entropies = [mutual_info_score(column, column) for column in factors.T]
    return np.mean((known[-1] - known[-2]) / entropies)


def modularity_of(codes, factors):
    squares = information(codes, factors) ** 2
    scores = []
    for row in squares:
        largest = row.max()
        rest = (row.sum() - largest) / (largest * (len(row) - 1)) if largest > 0 else 1.0
        scores.append(1 - rest)
    return np.mean(scores)


def sap_of(train, test):
    accuracy = np.zeros((train.codes.shape[1], train.factors.shape[1]))
    for latent, factor in np.ndindex(*accuracy.shape):
        model = LinearSVC(C=0.01, class_weight="balanced", dual=False)
        model.fit(train.codes[:, [latent]], train.factors[:, factor])
        found = model.predict(test.codes[:, [latent]])
        accuracy[latent, factor] = np.mean(found == test.factors[:, factor])
    ordered = np.sort(accuracy, axis=0)
    return np.mean(ordered[-1] - ordered[-2])


def rows_in(codes, factors):
    return sorted(map(tuple, np.column_stack([codes, factors]).tolist()))


def drawn_rows(table, function, **num_points):
    """The points that a metric with these settings is scored on, checked against the file."""
    samples = sample_codes_and_factors(table, function, num_points, RNG(0), 16)
    file = rows_in(function.codes_at(np.arange(len(table.factors))), table.factors)
    drawn = [rows_in(*sample) for sample in samples]
    for rows in drawn:
        assert all(row in file for row in rows)
    return samples, drawn


@pytest.mark.parametrize("seed", range(12))
def test_scores_are_those_of_the_rows(seed):
    codes, factors = random_table(seed)
    table, function = tabulated(codes, factors)
    num = len(codes)
    scores = compute_mig(table, function, RNG(0), num_train=num)
    assert scores["discrete_mig"] == pytest.approx(mig_of_all_rows(codes, factors), abs=1e-12)
    assert scores["num_train"] == scores["num_train_asked"] == num

    settings = {"num_train": 2 * num // 3, "num_test": num // 3}
    (train, test), (train_rows, test_rows) = drawn_rows(table, function, **settings)
    assert not set(train_rows) & set(test_rows)
    assert len(train_rows) == len(set(train_rows)) == settings["num_train"]
    scores = compute_modularity_explicitness(table, function, RNG(0), **settings)
    expected = modularity_of(train.codes, train.factors)
    assert scores["modularity_score"] == pytest.approx(expected, abs=1e-12)
    scores = compute_sap(table, function, RNG(0), n_jobs=1, **settings)
    assert scores["SAP_score"] == pytest.approx(sap_of(train, test), abs=1e-12)


@pytest.mark.parametrize("seed", [1, 2])
def test_dci_is_that_of_the_rows(seed):
    """Up to what other seeds of the same trees change: importances of three digits."""
    codes, factors = random_table(seed)
    table, function = tabulated(codes, factors)
    settings = {"num_train": 100, "num_test": 50}
    (train, test), _ = drawn_rows(table, function, **settings)
    scores = compute_dci(table, function, RNG(0), n_jobs=1, **settings)
    matrix, accuracy = [], []
    for column, asked in zip(train.factors.T, test.factors.T, strict=True):
        model = GradientBoostingClassifier(random_state=0).fit(train.codes, column)
        matrix.append(model.feature_importances_)
        accuracy.append(np.mean(model.predict(test.codes) == asked))
    importance = np.array(matrix).T
    shares = importance / importance.sum(axis=1, keepdims=True)
    entropy = -np.sum(shares * np.log(np.maximum(shares, 1e-300)), axis=1)
    per_latent = 1 - entropy / np.log(importance.shape[1])
    expected = np.average(per_latent, weights=importance.sum(axis=1))
    assert scores["disentanglement"] == pytest.approx(expected, abs=0.02)
    assert scores["informativeness_test"] == pytest.approx(np.mean(accuracy), abs=0.03)


def all_scores(table, function):
    num = 90
    few = {"num_train": 60, "num_test": 30}
    votes = {"num_train": 40, "num_eval": 20, "batch_size": 8}
    return {
        "mig": compute_mig(table, function, RNG(0), num_train=num),
        "sap": compute_sap(table, function, RNG(0), n_jobs=1, **few),
        "modularity": compute_modularity_explicitness(table, function, RNG(0), **few),
        "factor_vae": compute_factor_vae(
            table, function, RNG(0), num_variance_estimate=num, **votes
        ),
        "beta_vae": compute_beta_vae_sklearn(table, function, RNG(0), **votes),
    }


@pytest.mark.parametrize("seed", range(8))
def test_scores_do_not_depend_on_how_the_rows_are_written(seed):
    codes, factors = random_table(seed)
    expected = all_scores(*tabulated(codes, factors))
    for way, *table in written_otherwise(codes, factors):
        assert all_scores(*tabulated(*table)) == expected, way


def test_dci_does_not_depend_on_how_the_rows_are_written():
    codes, factors = random_table(1)
    settings = {"num_train": 100, "num_test": 50, "n_jobs": 1}
    expected = compute_dci(*tabulated(codes, factors), RNG(0), **settings)
    for way, *table in written_otherwise(codes, factors):
        assert compute_dci(*tabulated(*table), RNG(0), **settings) == expected, way


@pytest.mark.parametrize("seed", range(4))
def test_words_score_as_the_numbers_they_stand_for(tmp_path, seed):
    codes, factors = random_table(seed)
    words = np.char.add("value ", factors.astype(str))
    for name, labels in (("words", words), ("bytes", words.astype("S")), ("numbers", factors)):
        np.savez(tmp_path / f"{name}.npz", codes=codes, factors=labels)
    tables = {n: load_codes(tmp_path / f"{n}.npz") for n in ("words", "bytes", "numbers")}
    scores = {name: all_scores(table.data, table) for name, table in tables.items()}
    assert scores["words"] == scores["bytes"] == scores["numbers"]


def test_scores_of_images_do_not_depend_on_order_or_copies():
    codes, factors = random_table(1)
    images = np.clip(codes / 20 + 0.5, 0, 1).astype(np.float32)[:, None, :, None]

    def scores(rows):
        data = ImageTable(factors[rows], lambda i: images[rows][i], (1, 4, 1))
        return all_scores(data, CachedRepresentation(lambda x: 20 * x[:, 0, :, 0], data))

    straight = np.arange(len(codes))
    expected = scores(straight)
    assert scores(straight[::-1]) == expected
    assert scores(np.repeat(straight, 2)) == expected


def together(num=2000):
    """Every combination occurs, and the factors of 19 in 20 rows are equal."""
    random_state = RNG(0)
    first = random_state.randint(5, size=num)
    second = np.where(random_state.rand(num) < 0.95, first, random_state.randint(5, size=num))
    factors = np.stack([first, second], axis=1)
    factors[:25] = np.stack(np.unravel_index(np.arange(25), (5, 5)), axis=1)
    noise = random_state.randn(num, 3)
    codes = np.concatenate([factors + 0.1 * noise[:, :2], noise[:, 2:]], axis=1)
    return codes, factors


@pytest.mark.parametrize("kind", [int, float])
def test_training_sees_what_goes_together_in_the_table(kind):
    _, factors = together()
    images = (factors / 4).astype(np.float32)[:, None, :, None]
    data = ImageTable(factors.astype(kind), lambda rows: images[rows], (1, 2, 1))
    seen = data.sample_observations(5000, RNG(0))[:, 0, :, 0]
    share = np.mean(factors[:, 0] == factors[:, 1])
    assert share > 0.9
    # 5,000 draws: four standard errors are .014.
    assert np.mean(seen[:, 0] == seen[:, 1]) == pytest.approx(share, abs=0.015)
    assert not data.is_grid


@pytest.mark.parametrize("num", [20_000, 3_000])
def test_many_rows_are_still_rows(num):
    """However few of the rows a metric asks for."""
    codes, factors = together(num)
    expected = mig_of_all_rows(codes, factors)
    for kind in (int, float):
        scores = compute_mig(*tabulated(codes, factors.astype(kind)), RNG(0), num_train=1_500)
        assert scores["discrete_mig"] == pytest.approx(expected, abs=0.04)
        assert scores["num_train"] == 1_500


def test_copies_of_a_row_are_not_both_trained_and_tested_on():
    codes, factors = random_table(1)
    copies = RNG(0).randint(1, 4, size=len(codes))
    table, function = tabulated(
        np.repeat(codes, copies, axis=0), np.repeat(factors, copies, axis=0)
    )
    num = copies.sum()
    _, (train, test) = drawn_rows(table, function, num_train=int(num), num_test=int(num // 2))
    assert not set(train) & set(test)
    assert len(train) + len(test) > num - 3
    assert len(train) > 1.9 * len(test)


def votes_by_hand(codes, factors, seed, num, batch):
    """FactorVAE's accuracy on rows: a batch shares the value that a random row has."""
    random_state = RNG(seed)
    counts = np.zeros((2, factors.shape[1], codes.shape[1]))
    for vote in range(2 * num):
        k = random_state.randint(factors.shape[1])
        value = factors[random_state.randint(len(factors)), k]
        rows = random_state.choice(np.flatnonzero(factors[:, k] == value), size=batch)
        spread = codes[rows].var(axis=0, ddof=1) / codes.var(axis=0, ddof=1)
        counts[vote // num, k, spread.argmin()] += 1
    chosen = counts[0].argmax(axis=0)
    return counts[1][chosen, np.arange(codes.shape[1])].sum() / num


def test_a_fixed_factor_is_that_of_rows_that_share_its_value():
    codes, factors = together()
    codes = codes + RNG(3).normal(size=codes.shape)
    settings = {"num_train": 800, "num_eval": 800, "batch_size": 16, "num_variance_estimate": 2000}
    ours = compute_factor_vae(*tabulated(codes, factors), RNG(0), **settings)["eval_accuracy"]
    by_hand = [votes_by_hand(codes, factors, seed, 800, 16) for seed in range(3)]
    # A share of 800 votes has a standard error of .018.
    assert ours == pytest.approx(np.mean(by_hand), abs=0.07)


def test_values_that_too_few_rows_have_are_left_out_and_said(caplog):
    codes, factors = together()
    factors[0, 0] = 9
    settings = {"num_train": 20, "num_eval": 20, "num_variance_estimate": 100}
    compute_factor_vae(*tabulated(codes, factors), RNG(0), **settings)
    said = "factor 0: 1 of its 6 values are left out because fewer than 10 different rows have"
    assert said in caplog.text


def tree():
    return DecisionTreeClassifier(random_state=0)


def test_training_sizes_that_do_not_fit_are_left_out(caplog):
    table = tabulated(*together())
    settings = {"num_test": 5000, "predictor_fn": tree, "n_jobs": 1}
    for compute in (compute_downstream_task, compute_strong_downstream_task):
        scores = compute(*table, RNG(0), num_train=[10, 1000, 10_000], **settings)
        assert {key.partition(":")[0] for key in scores} == {"10", "1000"}
        assert (scores["1000:num_train"], scores["1000:num_test"]) == (1000, 1000)
        assert scores["1000:num_test_asked"] == 5000
        assert "num_train = [10000]: the table has 2000 rows" in caplog.text
        caplog.clear()
        with pytest.raises(ValueError, match=r"bind num_train = \[1800\] or less"):
            compute(*table, RNG(0), num_train=[10_000], **settings)


def test_a_shift_trains_on_rows_of_one_value_and_tests_on_the_others():
    """A latent that is the factor itself is read under any shift; one that is another, is not."""
    random_state = RNG(0)
    factors = random_state.randint(4, size=(3000, 2))
    factors = factors[(factors != 0).any(axis=1)]
    settings = {"num_train": [500], "num_test": 300, "predictor_fn": tree, "n_jobs": 1}
    noise = 0.05 * random_state.normal(size=factors.shape)
    plain = compute_strong_downstream_task(*tabulated(factors + noise, factors), RNG(0), **settings)
    assert plain["500:mean_strong_test_accuracy"] > 0.9
    mixed = factors @ np.array([[1.0, 1.0], [1.0, -1.0]]) + noise
    mixed = compute_strong_downstream_task(*tabulated(mixed, factors), RNG(0), **settings)
    assert mixed["500:mean_test_accuracy"] > 0.6
    assert mixed["500:mean_strong_test_accuracy"] < 0.5
    assert mixed["500:num_strong_train"] == 500


def test_fairness_is_the_distance_of_predictions_given_a_value():
    codes, factors = together()
    settings = {"num_train": 1500, "num_test_points_per_class": 400, "n_jobs": 1}
    scores = compute_fairness(
        *tabulated(codes, factors * 3.0), RNG(0), predictor_fn=tree, **settings
    )
    # Predictions are the target itself; each value of the sensitive factor counts the same.
    given = [np.bincount(factors[factors[:, 1] == v, 0], minlength=5) for v in range(5)]
    given = np.array([row / row.sum() for row in given])
    expected = np.mean(np.abs(given - given.mean(axis=0)).sum(axis=1) / 2)
    assert scores["mean_fairness:pred0:sens1"] == pytest.approx(expected, abs=0.03)
    assert scores["num_test_points_per_class_asked"] == 400


@pytest.mark.parametrize("kind", ["rows", "grid"])
def test_a_constant_factor_is_said_and_the_score_without_it_stands_beside(caplog, kind):
    factors = np.stack(np.unravel_index(np.arange(60), (3, 4, 5)), axis=1)
    if kind == "rows":
        factors = factors[RNG(0).randint(60, size=400)]
    with_constant = np.insert(factors, 1, 7, axis=1)
    settings = {"num_train": 300, "num_eval": 200, "num_variance_estimate": 300}
    scores = compute_factor_vae(*tabulated(factors * 1.0, with_constant), RNG(0), **settings)
    assert "FactorVAE score: 'factor 1': a single value" in caplog.text
    assert scores["eval_accuracy"] < 0.95
    assert scores["eval_accuracy_varying_factors"] == 1.0
    assert scores["num_factors_scored"] == 3
    plain = compute_factor_vae(*tabulated(factors * 1.0, factors), RNG(0), **settings)
    assert "eval_accuracy_varying_factors" not in plain
    one = with_constant[:, :2]
    with pytest.raises(ValueError, match=r"at least 2 that vary for the FactorVAE score, got 1 of"):
        compute_factor_vae(*tabulated(factors * 1.0, one), RNG(0), **settings)


def test_small_codes_are_not_called_collapsed(caplog):
    codes, factors = together()
    settings = {"num_train": 300, "num_eval": 200, "num_variance_estimate": 1000}
    small = compute_factor_vae(*tabulated(codes * 1e-3, factors), RNG(0), **settings)
    assert "collapsed (" not in caplog.text
    assert "0 of 3 latents are active and vote" in caplog.text
    largest = f"the largest is {small['largest_deviation']:.3g}"
    assert f"prune_dims.threshold = 0.05 or more; {largest}" in caplog.text
    assert (small["eval_accuracy"], small["active_latents"]) == (0.0, 0)
    bound = caplog.text.partition("bind prune_dims.threshold = ")[2].split()[0]
    caplog.clear()
    mended = compute_factor_vae(
        *tabulated(codes * 1e-3, factors), RNG(0), prune_threshold=float(bound), **settings
    )
    usual = compute_factor_vae(*tabulated(codes, factors), RNG(0), **settings)
    assert mended["eval_accuracy"] == usual["eval_accuracy"]
    assert mended["prune_threshold"] == float(bound)
    assert usual["prune_threshold"] == 0.05
    assert usual["largest_deviation"] == pytest.approx(codes.std(axis=0).max(), rel=0.05)
    assert not caplog.text or "active and vote" not in caplog.text
    compute_factor_vae(*tabulated(codes * 0, factors), RNG(0), **settings)
    assert "collapsed (every latent is constant)" in caplog.text
