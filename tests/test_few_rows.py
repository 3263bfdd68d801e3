"""Tables in which few rows share a value, or that have few rows: said, left out, or refused."""

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.metrics import compute_dci, compute_factor_vae, compute_mig, compute_sap
from srvae_plugin.metrics.beta_vae import compute_beta_vae_sklearn
from srvae_plugin.metrics.downstream_task import compute_downstream_task
from srvae_plugin.metrics.fairness import compute_fairness
from srvae_plugin.metrics.med import compute_med
from srvae_plugin.metrics.strong_downstream_task import compute_strong_downstream_task
from srvae_plugin.metrics.unsupervised_metrics import unsupervised_metrics
from srvae_plugin.runs.representation import TabulatedCodes

RNG = np.random.RandomState
FIXED = {
    compute_factor_vae: {"num_train": 300, "num_eval": 200, "num_variance_estimate": 300},
    compute_beta_vae_sklearn: {"num_train": 300, "num_eval": 200},
}


def tabulated(codes, factors, names=None):
    table = FactorTable(factors, names)
    return table, TabulatedCodes(codes, table)


def one_class_and_positions(num_classes=1, num=400):
    random_state = RNG(0)
    classes = random_state.randint(4, size=(num, num_classes))
    factors = np.concatenate([classes, random_state.rand(num, 2)], axis=1)
    names = [*["shape", "color"][:num_classes], "x", "y"]
    return factors + 0.01 * random_state.normal(size=factors.shape), factors, names


@pytest.mark.parametrize("compute", FIXED)
def test_one_factor_that_can_be_fixed_is_no_score(compute):
    with pytest.raises(ValueError, match=r"at least 2 that vary .* got 1 of 3 whose values enough"):
        compute(*tabulated(*one_class_and_positions()), RNG(0), **FIXED[compute])
    codes, factors, names = one_class_and_positions()
    factors[:, 1] = 7  # can be fixed, and tells nothing
    with pytest.raises(ValueError, match=r"at least 2 that vary .* got 1 of 3"):
        compute(*tabulated(codes, factors, names), RNG(0), **FIXED[compute])
    grid = np.arange(4)[:, None]
    with pytest.raises(ValueError, match=r"at least 2 that vary .* got 1 of 1: .* Use a data set"):
        compute(*tabulated(grid * 1.0, grid), RNG(0), **FIXED[compute])


@pytest.mark.parametrize("compute", FIXED)
def test_the_score_is_over_the_factors_that_can_be_fixed(compute, caplog):
    table = tabulated(*one_class_and_positions(2))
    scores = compute(*table, RNG(0), **FIXED[compute])
    assert scores["num_factors_scored"] == 2
    assert "x: all of its 400 values are left out" in caplog.text
    assert scores["eval_accuracy"] > 0.95
    caplog.clear()
    classes = one_class_and_positions(2)[1][:, :2]
    alone = compute(*tabulated(classes, classes), RNG(0), **FIXED[compute])
    assert "num_factors_scored" not in alone
    assert "left out" not in caplog.text


def rounded_positions(num=2000):
    """Four classes, and two positions of three decimals, that are classes of about two rows."""
    random_state = RNG(0)
    shape = random_state.randint(4, size=num)
    places = np.round(random_state.rand(num, 2) * 1000)
    color = random_state.randint(3, size=num)
    factors = np.column_stack([shape, color, places]).astype(int)
    codes = factors / [4, 3, 1000, 1000] + 1e-4 * random_state.normal(size=(num, 4))
    return codes, factors, ["shape", "color", "x", "y"]


@pytest.mark.parametrize("compute", FIXED)
def test_values_of_a_few_rows_are_not_held_fixed(compute, caplog):
    scores = compute(*tabulated(*rounded_positions()), RNG(0), **FIXED[compute])
    assert scores["eval_accuracy"] == 1.0
    assert scores["num_factors_scored"] == 2
    assert "x: all of its" in caplog.text
    assert "because fewer than 10 different rows have them" in caplog.text


def test_copies_are_no_different_rows(caplog):
    codes, factors, names = rounded_positions(200)
    factors[:, 0] = np.where(np.arange(200) < 2, 9, factors[:, 0])
    order = np.concatenate([np.arange(200), np.repeat([0, 1], 20)])
    table, function = tabulated(codes[order], factors[order], names)
    assert function.table_rows.holders(0).counts[-1] == 0
    compute_factor_vae(table, function, RNG(0), **FIXED[compute_factor_vae])
    assert "shape: 1 of its 5 values are left out" in caplog.text


def test_small_tables_are_scored_with_a_word(caplog):
    """24 rows of 4 x 3 values, that are no grid: six rows or so for each."""
    random_state = RNG(0)
    factors = np.column_stack([random_state.randint(4, size=24), random_state.randint(3, size=24)])
    scores = compute_factor_vae(
        *tabulated(factors * 1.0, factors), RNG(0), **FIXED[compute_factor_vae]
    )
    assert scores["eval_accuracy"] > 0.95
    assert "the table is small: values that as few as" in caplog.text
    assert "left out" not in caplog.text


CLASSIFIERS = {
    compute_fairness: {"num_train": 200, "num_test_points_per_class": 50},
    compute_strong_downstream_task: {"num_train": [200], "num_test": 100},
}


@pytest.mark.parametrize("compute", CLASSIFIERS)
def test_interventions_leave_continuous_factors_out(compute, caplog):
    codes, factors, names = one_class_and_positions(2)
    settings = CLASSIFIERS[compute] | {"predictor_fn": GaussianNB, "n_jobs": 1}
    scores = compute(*tabulated(codes, factors, names), RNG(0), **settings)
    assert "left out because continuous: 'x', 'y'" in caplog.text
    assert "single value" not in caplog.text
    assert all(np.isfinite(value) for value in scores.values())
    alone = compute(*tabulated(codes, factors[:, :2], names[:2]), RNG(0), **settings)
    for key in scores:
        if key.endswith("num_factors_scored"):
            assert scores[key] == alone[key] == 2
        else:
            assert scores[key] == pytest.approx(alone[key], abs=0.12)
    assert set(scores) == set(alone)
    with pytest.raises(ValueError, match=r"at least 2 that vary .* got 1 of 3, 2 of them left out"):
        compute(*tabulated(*one_class_and_positions(1)), RNG(0), **settings)
    with pytest.raises(ValueError, match=r"all factors are continuous \('x', 'y'\), none is left"):
        compute(*tabulated(codes, factors[:, 2:], names[2:]), RNG(0), **settings)


def test_fairness_leaves_out_a_factor_without_two_values(caplog):
    codes, factors, names = rounded_positions()
    table = tabulated(codes, factors[:, :3], names[:3])
    settings = CLASSIFIERS[compute_fairness] | {"predictor_fn": GaussianNB, "n_jobs": 1}
    scores = compute_fairness(*table, RNG(0), **settings)
    assert "fairness: left out: 'x', which has fewer than 2 values" in caplog.text
    assert scores["num_factors_scored"] == 2
    assert not any("2:" in key or key.endswith("2") for key in scores)
    with pytest.raises(ValueError, match="got 1 of 2, 1 of them left out"):
        compute_fairness(*tabulated(codes, factors[:, 1:3], names[1:3]), RNG(0), **settings)


def few(num):
    factors = np.column_stack([np.arange(num) % 2, np.arange(num) // 2 % 2, np.arange(num) % 3])
    return tabulated(factors + 0.1 * RNG(0).normal(size=factors.shape), factors)


@pytest.mark.parametrize("compute", [compute_sap, compute_dci, compute_med])
def test_three_rows_have_no_score(compute):
    settings = {"num_train": 10_000, "num_test": 5_000}
    with pytest.raises(ValueError, match=r"has 3 rows, .* leaves 2 \+ 1: expected at least 5 in"):
        compute(*few(3), RNG(0), **settings)
    with pytest.raises(ValueError, match=r"has 13 rows, .* leaves 8 \+ 4: expected at least 5 in"):
        compute(*few(13), RNG(0), **settings)


def test_small_samples_are_scored_with_a_word(caplog):
    scores = compute_sap(*few(20), RNG(0), num_train=10_000, num_test=5_000)
    assert (scores["num_train"], scores["num_test"]) == (13, 6)
    assert "using 13 + 6; scores of so few points are rough" in caplog.text
    caplog.clear()
    assert compute_mig(*few(200), RNG(0), num_train=10_000)["num_train"] == 200
    assert "points were asked for: using 200" in caplog.text
    assert "rough" not in caplog.text


def test_classifiers_are_tested_on_five_rows_at_least():
    settings = {"num_test": 5_000, "predictor_fn": GaussianNB, "n_jobs": 1}
    for compute in (compute_downstream_task, compute_strong_downstream_task):
        with pytest.raises(ValueError, match=r"at least 5 are to test on: bind num_train = \[9\]"):
            compute(*few(14), RNG(0), num_train=[10], **settings)
    held_out = FactorTable(few(60)[0].factors, held_out=3)
    function = TabulatedCodes(held_out.factors.astype(float), held_out)
    with pytest.raises(ValueError, match="3 rows are held out to test on; expected at least 5"):
        compute_downstream_task(held_out, function, RNG(0), num_train=[10], **settings)


def test_a_total_correlation_that_is_no_number_is_said(caplog):
    codes = RNG(0).normal(size=(500, 3))
    unsupervised_metrics(codes)
    assert not caplog.text
    dependent = np.column_stack([codes, codes @ [1.0, 2.0, 3.0]])
    for some in (dependent, dependent.astype(np.float32), codes[:, [0, 0]]):
        caplog.clear()
        unsupervised_metrics(some)
        assert "latents that vary are linearly dependent" in caplog.text
    caplog.clear()
    dead = np.column_stack([codes, np.zeros(500)])
    scores = unsupervised_metrics(dead)
    assert not np.isfinite(scores["gaussian_total_correlation"])
    assert "1 of 4 latents are constant: gaussian_total_correlation is nan" in caplog.text
    assert scores["gaussian_total_correlation_active"] == pytest.approx(0, abs=0.02)


def test_a_score_that_is_no_number_is_said_when_it_is_written(tmp_path, caplog):
    codes = RNG(0).normal(size=(300, 2))
    np.savez(tmp_path / "codes.npz", codes=np.column_stack([codes, np.zeros(300)]))
    arguments = ["--codes", str(tmp_path / "codes.npz"), "--output", str(tmp_path / "s")]
    evaluate_main([*arguments, "--bind", "run.metrics = ['unsupervised_metrics']"])
    assert "scores that are not numbers: gaussian_total_correlation = nan" in caplog.text
