"""Codes looked up in many batches at once are those that the original draws one by one."""

import numpy as np
import pytest

from srvae_plugin.metrics import codes as codes_module
from srvae_plugin.metrics.beta_vae import compute_beta_vae_sklearn
from srvae_plugin.metrics.factor_vae import compute_factor_vae
from srvae_plugin.testing.representations import LookUp, Numbered, noisy

SIZES = (3, 1, 4, 5)
METRICS = {
    "factor_vae": (compute_factor_vae, {"num_variance_estimate": 50}),
    "beta_vae": (compute_beta_vae_sklearn, {}),
}


class SomeChosen(Numbered):
    """Two of the factors are known, the others drawn with each observation."""

    def __init__(self, sizes):
        super().__init__(sizes)
        self.latent_factor_indices, self._remaining = [3, 0], [1, 2]


class Skewed(Numbered):
    """Factors that are not drawn uniformly."""

    def sample_factors(self, num, random_state):
        return super().sample_factors(num, random_state) // 2


def scores_and_next(metric, data, offered):
    compute, settings = METRICS[metric]
    look_up = LookUp(noisy(SIZES), data)
    function = look_up if offered else look_up.__call__
    random_state = np.random.RandomState(1)
    scores = compute(
        data, function, random_state, num_train=23, num_eval=11, batch_size=8, **settings
    )
    return scores, random_state.randint(2**31)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("kind", "alone"), [(Numbered, True), (SomeChosen, False), (Skewed, False)]
)
def test_groups_drawn_at_once_are_those_drawn_one_by_one(monkeypatch, metric, kind, alone):
    monkeypatch.setattr(codes_module, "_GROUPS_AT_ONCE", 10)
    data = kind(SIZES)
    assert data.draws_factors_alone == alone
    assert scores_and_next(metric, data, True) == scores_and_next(metric, data, False)


def test_one_call_draws_what_a_call_for_each_group_draws():
    data = Numbered(SIZES)
    draws = codes_module.CodeDraws(data, LookUp(noisy(SIZES), data))
    states = [np.random.RandomState(2) for _ in range(2)]
    which, factors = draws._draw_groups(30, (2, 7), states[0])
    one_by_one = draws._draw_group_by_group(30, (2, 7), states[1])
    np.testing.assert_array_equal(which, one_by_one[0])
    np.testing.assert_array_equal(factors, one_by_one[1])
    assert len(set(which)) == 4
    assert factors.max(axis=(0, 1, 2)).tolist() == [2, 0, 3, 4]
