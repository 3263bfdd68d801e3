"""Tables in which few rows share a value, or that have few rows: said, left out, or refused."""

import numpy as np
import pytest

from srvae_plugin.data.table import FactorTable
from srvae_plugin.metrics import compute_factor_vae
from srvae_plugin.metrics.beta_vae import compute_beta_vae_sklearn
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
    names = ["shape", "color"][:num_classes] + ["x", "y"]
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
    assert "x: all of its 400 values left out" in caplog.text
    assert scores["eval_accuracy"] > 0.95
    caplog.clear()
    classes = one_class_and_positions(2)[1][:, :2]
    alone = compute(*tabulated(classes, classes), RNG(0), **FIXED[compute])
    assert "num_factors_scored" not in alone
    assert "left out" not in caplog.text
