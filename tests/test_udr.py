"""Unsupervised disentanglement ranking, on cases worked by hand: its original is in no package."""

import json
import logging

import numpy as np
import pytest
import scipy.stats
from metric_cases import GRIDS, IndexGrid, factors_themselves, linear_mix, noisy_factors

from srvae_plugin.metrics.udr import (
    compute_udr_sklearn,
    lasso_strengths,
    relative_strength,
    spearman_strengths,
    udr,
)

TINY = GRIDS["tiny"]
both = pytest.mark.parametrize("kind", ["lasso", "spearman"])


class Model:
    """Codes by index, each latent with a divergence of its own."""

    def __init__(self, codes, divergences=None):
        self.codes = codes
        self.divergences = np.ones(codes.shape[1]) if divergences is None else divergences

    def __call__(self, observations):
        codes = self.codes[observations.reshape(len(observations)).astype(np.int64)]
        return codes, self.divergences


def scores(*models, **settings):
    return compute_udr_sklearn(IndexGrid(TINY), models, np.random.RandomState(0), **settings)


def test_relative_strength_by_hand():
    assert relative_strength(np.eye(3)) == 1
    assert relative_strength(np.ones((3, 3))) == pytest.approx(1 / 3)
    assert relative_strength(np.zeros((2, 2))) == 0
    # Columns: 1 / 1, 1 / 2. Rows: 1 / 2 and 1 / 1, 0.
    matrix = np.array([[1.0, 1.0], [0, 1], [0, 0]])
    assert relative_strength(matrix) == pytest.approx(((1 + 1 / 2) / 2 + (1 / 2 + 1 + 0) / 3) / 2)
    # A column, and a row, with a NaN count as 0.
    assert relative_strength(np.array([[1.0, 0], [0, np.nan]])) == 0.5


def test_lasso_of_one_orthogonal_predictor_shrinks_by_alpha():
    left = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    right = np.stack([left[:, 1], 0.5 * left[:, 0]], axis=1)
    assert lasso_strengths(left, right) == pytest.approx(np.array([[0, 0.4], [0.9, 0]]), abs=1e-6)


def test_rank_correlations_are_scipys():
    codes = noisy_factors(TINY)
    ours = spearman_strengths(codes[:, :2], codes[:, 2:])
    expected = np.abs(scipy.stats.spearmanr(codes).statistic[:2, 2:])
    np.testing.assert_allclose(ours, expected, atol=1e-12)


@both
def test_the_same_latents_in_another_order_and_sign_match(kind):
    codes = factors_themselves(TINY)
    result = scores(Model(codes), Model(-codes[:, ::-1]), correlation_matrix=kind)
    # Lasso shrinks by .1; factors drawn at random are not quite uncorrelated in rank.
    assert result["model_scores"] == pytest.approx([0.9, 0.9], abs=0.06)
    assert np.shape(result["raw_correlations"]) == (2, 2, 3, 3)
    assert np.shape(result["pairwise_disentanglement_scores"]) == (2, 2, 1)
    assert json.loads(json.dumps(result)) == result


@both
def test_mixed_latents_match_worse(kind):
    codes = np.hstack([factors_themselves(TINY)] * 2)[:, :5]
    result = scores(
        Model(noisy_factors(TINY)),
        Model(linear_mix(TINY)[:, :5]),
        Model(codes),
        correlation_matrix=kind,
        include_raw_correlations=False,
    )
    assert set(result) == {"pairwise_disentanglement_scores", "model_scores"}
    assert max(result["model_scores"]) < 0.7
    pairs = np.array(result["pairwise_disentanglement_scores"])[..., 0]
    # The median over the other models, down each column.
    assert result["model_scores"][0] == np.median(pairs[1:, 0])


def test_latents_without_information_are_left_out():
    codes = np.hstack([factors_themselves(TINY), np.random.RandomState(0).normal(size=(60, 2))])
    divergences = np.array([1, 1, 1, 0, 0.005])
    one, other = Model(codes, divergences), Model(codes[:, ::-1], divergences[::-1])
    filtered = scores(one, other)["model_scores"]
    assert filtered == pytest.approx([0.9, 0.9], abs=0.06)
    assert max(scores(one, other, filter_low_kl=False)["model_scores"]) < 0.6


def test_a_collapsed_model_scores_zero_with_a_warning(caplog):
    models = [Model(factors_themselves(TINY)), Model(np.zeros((60, 3)), np.zeros(3))]
    with caplog.at_level(logging.WARNING, logger="srvae_plugin.metrics"):
        for kind in ("lasso", "spearman"):
            assert scores(*models, correlation_matrix=kind)["model_scores"] == [0, 0]
    assert "models [1] have collapsed" in caplog.text


def test_what_does_not_fit_is_refused():
    model = Model(factors_themselves(TINY))
    with pytest.raises(ValueError, match="num_data_points must be a multiple of batch_size = 10"):
        scores(model, model, num_data_points=105)
    with pytest.raises(ValueError, match="at least 2 models"):
        scores(model)
    with pytest.raises(ValueError, match="must have 3 latents, like model 0"):
        scores(model, Model(noisy_factors(TINY)))
    with pytest.raises(ValueError, match="'lasso' or 'spearman', got 'pearson'"):
        scores(model, model, correlation_matrix="pearson")
    with pytest.raises(ValueError, match="NaN or inf"):
        scores(model, Model(factors_themselves(TINY) * np.nan))
    with pytest.raises(ValueError, match="a finite divergence"):
        udr([np.eye(3)] * 2, [np.ones(3), np.full(3, np.nan)])
