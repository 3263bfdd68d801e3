"""Scores of given observations and labels."""

import gin
import numpy as np
import pytest
from metric_cases import GRIDS, IndexGrid, LookUp, factors_themselves, noisy_factors

from srvae_plugin.metrics.common import fixed_data
from srvae_plugin.metrics.mig import mig
from srvae_plugin.metrics.sap_score import sap_score
from srvae_plugin.metrics.unified_scores import mutual_information_matrix

TINY = GRIDS["tiny"]
FUNCTIONS = {
    "mig_validation": fixed_data.compute_mig_on_fixed_data,
    "sap_score_validation": fixed_data.compute_sap_on_fixed_data,
    "dci_validation": fixed_data.compute_dci_on_fixed_data,
    "unified_score_validation": fixed_data.compute_unified_score_on_fixed_data,
}
FACTORS, OBSERVATIONS = IndexGrid(TINY).sample(100, np.random.RandomState(0))
CODES = LookUp(noisy_factors(TINY))


def test_they_are_the_scores_of_the_cores():
    codes = CODES(OBSERVATIONS)
    scores = FUNCTIONS["mig_validation"](OBSERVATIONS, FACTORS.T, CODES, batch_size=7)
    assert scores == mig(codes, FACTORS)
    scores = FUNCTIONS["sap_score_validation"](OBSERVATIONS, FACTORS.T, CODES, 0.795)
    assert scores == sap_score(codes[:80], FACTORS[:80], codes[80:], FACTORS[80:])
    scores = FUNCTIONS["unified_score_validation"](
        OBSERVATIONS, FACTORS.T, CODES, matrix_fns=[mutual_information_matrix]
    )
    assert scores["mutual_information_matrix.mig"] == pytest.approx(
        mig(codes[:90], FACTORS[:90])["discrete_mig"], abs=1e-12
    )


def test_the_trees_are_seeded():
    perfect = LookUp(factors_themselves(TINY))
    scores = [FUNCTIONS["dci_validation"](OBSERVATIONS, FACTORS.T, perfect) for _ in range(2)]
    assert scores[0] == scores[1]
    assert scores[0]["disentanglement"] > 0.95


@pytest.mark.parametrize("name", FUNCTIONS)
def test_settings_come_from_gin(name):
    gin.parse_config(f"{name}.batch_size = 0")
    with pytest.raises(ValueError, match="batch_size must be an integer"):
        gin.get_configurable(FUNCTIONS[name])(OBSERVATIONS, FACTORS.T, CODES)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_does_not_fit_is_refused(name):
    with pytest.raises(ValueError, match=r"labels must have shape \(factor, 100\)"):
        FUNCTIONS[name](OBSERVATIONS, FACTORS, CODES)
    with pytest.raises(ValueError, match="NaN or inf"):
        FUNCTIONS[name](OBSERVATIONS, FACTORS.T, lambda x: CODES(x) * np.nan)
    if name != "mig_validation":
        for share, message in ((1.5, "between 0 and 1"), (0.999, "leave a point for the test")):
            with pytest.raises(ValueError, match=message):
                FUNCTIONS[name](OBSERVATIONS, FACTORS.T, CODES, share)
