"""What every metric promises: its range, its invariances, what it refuses and what it returns."""

import functools
import inspect
import json
import logging

import gin
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from metric_cases import (
    CachedLookUp,
    IndexGrid,
    LookUp,
    collapsed,
    dead_latents,
    factors_themselves,
    noisy_factors,
    perfect_with_dead,
)
from metric_promises import METRICS
from metric_scores import TINY, HiddenFactor, headline, pure_noise, rotated, score, standard
from sklearn.metrics import mutual_info_score

from srvae_plugin import metrics
from srvae_plugin.metrics.codes import CodesAndFactors
from srvae_plugin.metrics.common.discretizer import discretize_codes, histogram_discretizer
from srvae_plugin.metrics.common.mutual_information import entropy, mutual_information
from srvae_plugin.metrics.dci import IMPORTANCE_FILE, importance_matrix
from srvae_plugin.metrics.factor_vae import prune_dims
from srvae_plugin.metrics.mig import mig
from srvae_plugin.metrics.sap_score import sap_score
from srvae_plugin.runs.representation import CachedRepresentation
from srvae_plugin.testing.metrics import CHECKS

every_metric = pytest.mark.parametrize("name", list(METRICS))


def metrics_that(promise):
    names = [name for name, metric in METRICS.items() if promise(metric)]
    return pytest.mark.parametrize("name", names)


@pytest.fixture(autouse=True)
def _no_gin_bindings():
    gin.clear_config()
    yield
    gin.clear_config()


def test_no_exported_metric_escapes_this_suite():
    exported = {name: getattr(metrics, name) for name in metrics.__all__}
    # Those of several models or of fixed data take other arguments and have tests of their own.
    first = ("ground_truth_data", "representation_function", "random_state")
    found = {
        name for name, f in exported.items() if tuple(inspect.signature(f).parameters)[:3] == first
    }
    assert found == set(METRICS)


@metrics_that(lambda metric: metric.sees_rotation)
def test_perfect_codes_score_better_than_rotated_ones(name):
    better, worse = headline(name, factors_themselves), headline(name, rotated)
    if METRICS[name].low_is_good:
        better, worse = -better, -worse
    assert (better > worse + 0.1).all()


@every_metric
def test_perfect_codes_have_a_perfect_score(name):
    perfect = headline(name, factors_themselves)
    if METRICS[name].low_is_good:
        assert (perfect <= METRICS[name].perfect).all()
    else:
        assert (perfect >= METRICS[name].perfect).all()


@metrics_that(lambda metric: metric.noise is not None)
def test_codes_without_information_score_near_chance(name):
    # Far more observations than are drawn: no point can be known by heart.
    sizes = (*TINY, 200)
    data = HiddenFactor(sizes, (0, 1, 2))
    assert (headline(name, pure_noise(sizes), data=data) < METRICS[name].noise).all()


@every_metric
def test_scores_lie_in_their_range(name):
    for codes in (factors_themselves, rotated, noisy_factors, pure_noise, collapsed):
        assert (headline(name, codes) >= METRICS[name].lowest).all()
        assert (headline(name, codes) <= METRICS[name].highest).all()


@every_metric
def test_the_order_of_latents_does_not_matter(name):
    codes = noisy_factors(TINY)
    order = np.random.RandomState(0).permutation(codes.shape[1])
    assert headline(name, codes[:, order]) == pytest.approx(
        headline(name, noisy_factors), abs=METRICS[name].order
    )


@metrics_that(lambda metric: metric.scale is not None)
def test_the_scale_of_latents_does_not_matter(name):
    # Powers of two, so that no code is rounded.
    codes = noisy_factors(TINY)
    powers = np.arange(codes.shape[1], dtype=np.float32) % METRICS[name].octaves
    assert headline(name, codes * 2.0**powers) == pytest.approx(
        headline(name, noisy_factors), abs=METRICS[name].scale
    )


def test_the_scale_and_place_of_latents_do_not_matter_to_continuous_sap():
    codes = noisy_factors(TINY).astype(np.float64)
    plain = headline("compute_sap", codes, continuous_factors=True)
    moved = headline("compute_sap", codes * [1, 2, 0.1, 5, 7] - 3, continuous_factors=True)
    assert moved == pytest.approx(plain, abs=1e-12)


@every_metric
def test_collapsed_codes_score_what_nothing_scores(name):
    expected = METRICS[name].collapsed
    # What guessing scores depends on which points were drawn.
    tolerance = 0.15 if expected else 1e-9
    assert headline(name, collapsed(TINY)) == pytest.approx(expected, abs=tolerance)


@metrics_that(lambda m: (m.collapsed == 0 and not m.low_is_good) or "beta" in m.compute.__name__)
def test_collapsed_codes_are_reported(name, caplog):
    with caplog.at_level(logging.WARNING, logger="srvae_plugin.metrics"):
        score(name, collapsed(TINY))
    assert "collapsed" in caplog.text


@metrics_that(lambda metric: metric.dead is not None)
def test_dead_latents_beside_perfect_ones_take_nothing_away(name):
    # Not for SAP: always guessing the same value can beat what the second-best latent predicts.
    # Not for modularity: a latent without information counts as one that is not modular.
    perfect = headline(name, factors_themselves)
    assert headline(name, perfect_with_dead) == pytest.approx(perfect, abs=METRICS[name].dead)


def test_factor_vae_counts_active_latents_beside_the_originals_number():
    scores = score("compute_factor_vae", dead_latents(TINY))
    assert (scores["num_active_dims"], scores["active_latents"]) == (5, 3)
    unpruned = score("compute_factor_vae", perfect_with_dead(TINY), prune_threshold=0.0)
    assert unpruned["eval_accuracy"] < 0.5
    assert unpruned["active_latents"] == 5


@metrics_that(lambda metric: metric.scored)
def test_a_constant_factor_is_left_out_with_a_warning(name, caplog):
    sizes = (1, *TINY)
    with caplog.at_level(logging.WARNING, logger="srvae_plugin.metrics"):
        scores = score(name, factors_themselves(sizes), sizes=sizes)
    metric = METRICS[name]
    assert scores[metric.scored] == 3
    assert "factors [0] have a single value" in caplog.text
    assert all((scores[key] > metric.constant) != metric.low_is_good for key in metric.headline)
    assert not any("factor_0" in key or "pred0" in key for key in scores)


def test_a_constant_factor_is_noise_in_the_factor_vae_score_as_in_the_original():
    sizes = (1, *TINY)
    assert 0.7 < headline("compute_factor_vae", factors_themselves(sizes), sizes=sizes)[0] < 0.9


@pytest.mark.parametrize("name", ["compute_irs", "compute_beta_vae_sklearn"])
def test_a_constant_factor_takes_nothing_away(name):
    sizes = (1, *TINY)
    assert headline(name, factors_themselves(sizes), sizes=sizes)[0] > 0.95


@metrics_that(lambda metric: metric.scored)
def test_no_varying_factor_is_refused(name):
    with pytest.raises(ValueError, match=r"factors must have at least . that vary"):
        score(name, np.zeros((1, 3)), sizes=(1, 1))


@metrics_that(lambda metric: metric.compares_latents)
def test_a_single_latent_is_refused_where_latents_are_compared(name):
    with pytest.raises(ValueError, match=r"at least 2 latents|below the number of latents, 1"):
        score(name, factors_themselves(TINY)[:, :1])


@metrics_that(lambda metric: not metric.compares_latents)
def test_a_single_latent_has_a_score_where_they_are_not(name):
    found = headline(name, factors_themselves(TINY)[:, :1])
    assert np.isfinite(found).all()
    assert found[0] > 0 or METRICS[name].low_is_good


@every_metric
@pytest.mark.parametrize(
    ("bad", "what"),
    [(np.nan, "NaN or inf"), (np.inf, "NaN or inf"), (1e30, r"codes beyond 1e\+19")],
)
@pytest.mark.parametrize("cached", [True, False])
def test_codes_that_are_not_finite_are_refused(name, bad, what, cached):
    codes = noisy_factors(TINY)
    codes[:, 3] = bad
    function = None if cached else LookUp(codes)
    with pytest.raises(ValueError, match=what + r" among \d+ points in latent 3: \d+\."):
        score(name, codes, function=function)


@every_metric
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: np.zeros(len(x)), r"must have shape \(\d+, latent\)"),
        (lambda x: np.zeros((len(x), 4, 2)), r"must have shape \(\d+, latent\)"),
        (lambda x: np.zeros((len(x) + 1, 4)), r"must have shape \(\d+, latent\)"),
        (lambda x: np.zeros((len(x), 0)), r"must have shape \(\d+, latent\)"),
        (lambda x: np.zeros((len(x), 4), complex), "real numbers"),
        (lambda x: None, "real numbers"),
        (lambda x: [[1.0], [1.0, 2.0]], "must be a numeric numpy array"),
        (lambda x: np.zeros((len(x), 2 + int(x.flat[0]) % 2)), "the same number of latents"),
    ],
)
def test_functions_that_return_something_else_are_refused(name, function, message):
    with pytest.raises(ValueError, match=message):
        score(name, None, function=function)


@every_metric
def test_settings_out_of_range_are_refused(name):
    settings = inspect.signature(METRICS[name].compute).parameters
    for setting in {"num_train", "batch_size", "num_test", "n_experiment"} & set(settings):
        for value in (0, -1, True):
            with pytest.raises(ValueError, match=f"{setting} must be an integer of at least"):
                score(name, factors_themselves(TINY), **{setting: value})


@every_metric
def test_results_have_the_originals_keys(name):
    scores = standard(name, noisy_factors)
    assert set(scores) >= METRICS[name].keys
    assert json.loads(json.dumps(scores)) == scores


@every_metric
def test_cached_codes_give_the_scores_and_the_random_stream_of_plain_ones(name):
    compute, few = METRICS[name][:2]
    data, codes = HiddenFactor((3, 2, 4, 5), (3, 0, 2)), noisy_factors((3, 2, 4, 5))
    states = [np.random.RandomState(1), np.random.RandomState(1)]
    cached = compute(data, CachedLookUp(codes, data), states[0], **few)
    assert cached == compute(data, LookUp(codes), states[1], **few)
    assert states[0].randint(2**31) == states[1].randint(2**31)


@every_metric
def test_the_same_seed_gives_the_same_score_and_another_a_near_one(name):
    scores = standard(name, noisy_factors)
    assert score(name, noisy_factors(TINY)) == scores
    other = score(name, noisy_factors(TINY), seed=1)
    # BetaVAE's classifier errs on none of these codes, whichever are drawn.
    assert other != scores or name == "compute_beta_vae_sklearn"
    found = [other[key] for key in METRICS[name].headline]
    assert found == pytest.approx(headline(name, noisy_factors), abs=0.2)


@every_metric
def test_a_cache_of_another_data_set_is_not_used(name):
    class Elsewhere(CachedLookUp):
        __call__ = LookUp.__call__

        def codes_at(self, indices):
            raise AssertionError("indices of one data set used in another")

    codes = noisy_factors(TINY)
    function = Elsewhere(codes, data=IndexGrid(TINY))
    assert score(name, codes, function=function) == standard(name, noisy_factors)


@every_metric
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_every_plug_in_is_checked_for(name, check):
    compute, few = METRICS[name][:2]
    check(functools.partial(compute, **few))


def test_dci_does_not_depend_on_the_number_of_processes(tmp_path):
    scores = score("compute_dci", noisy_factors(TINY), n_jobs=2, artifact_dir=str(tmp_path / "new"))
    assert scores == standard("compute_dci", noisy_factors)
    assert np.load(tmp_path / "new" / IMPORTANCE_FILE, allow_pickle=False).shape == (5, 3)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [IMPORTANCE_FILE]


def test_importance_names_the_latent_of_each_factor():
    codes, factors = factors_themselves(TINY)[:, ::-1], np.argwhere(np.ones(TINY))
    sample = CodesAndFactors(codes, factors)
    importance = importance_matrix(sample, sample, np.arange(3))
    np.testing.assert_allclose(importance.matrix, np.eye(3)[::-1], atol=1e-9)
    assert importance.test_accuracy.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="seeds must have shape"):
        importance_matrix(sample, sample, np.arange(2))


def test_cores_refuse_factors_that_do_not_fit():
    codes = noisy_factors(TINY)
    factors = np.argwhere(np.ones(TINY))
    with pytest.raises(ValueError, match=r"factors must have shape \(60, factor\)"):
        mig(codes, factors.T)
    with pytest.raises(ValueError, match="Bin continuous factors first"):
        mig(codes, factors + 0.5)
    with pytest.raises(ValueError, match="factors_train must be finite"):
        sap_score(codes, factors * np.nan, codes, factors, continuous_factors=True)


def test_mig_uses_what_gin_binds_and_an_argument_wins_over_it():
    codes = noisy_factors(TINY)
    default, coarse = score("compute_mig", codes), score("compute_mig", codes, num_bins=3)
    assert coarse != default == score("compute_mig", codes, num_bins=20)
    gin.parse_config(
        """
        discretizer.discretizer_fn = @histogram_discretizer
        discretizer.num_bins = 3
        """
    )
    assert score("compute_mig", codes) == coarse
    assert score("compute_mig", codes, num_bins=20) == default
    gin.parse_config("discretizer.num_bins = 20")
    assert score("compute_mig", codes) == default


@gin.register(module="tests")
def two_halves(target, num_bins):
    """A user's own discretizer, in the original's (latent, points) layout."""
    return (target > np.median(target, axis=1, keepdims=True)).astype(int) + 0 * num_bins


def test_a_users_own_discretizer_is_used():
    codes = noisy_factors(TINY)
    given = score("compute_mig", codes, discretizer_fn=two_halves)
    gin.parse_config("discretizer.discretizer_fn = @two_halves")
    assert score("compute_mig", codes) == given
    assert score("compute_mig", codes, discretizer_fn=histogram_discretizer) != given
    with pytest.raises(ValueError, match="discretizer_fn must return the shape"):
        discretize_codes(codes, discretizer_fn=lambda target, num_bins: target[0])


def test_pruning_uses_what_gin_binds_and_an_argument_wins_over_it():
    codes = perfect_with_dead(TINY)
    assert prune_dims(np.array([0.0024, 0.0026])).tolist() == [False, True]
    default = score("compute_factor_vae", codes)
    gin.parse_config("prune_dims.threshold = 0.")
    assert score("compute_factor_vae", codes)["eval_accuracy"] < 0.5
    assert score("compute_factor_vae", codes, prune_threshold=0.05) == default


def test_latents_too_narrow_to_bin_are_constant(caplog):
    narrow = np.array([[1.0, np.nextafter(np.float32(1), np.float32(2))]], np.float32)
    assert histogram_discretizer(narrow, 20).tolist() == [[1, 1]]
    assert "treated as constant" in caplog.text
    assert histogram_discretizer(np.array([[0.0, 0.5, 1.0]]), 2).tolist() == [[1, 2, 2]]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 4)), min_size=1, max_size=60))
def test_mutual_information_is_scikit_learns(pairs):
    left, right = np.array(pairs).T[:, :, np.newaxis]
    expected = mutual_info_score(left[:, 0], right[:, 0])
    assert mutual_information(left, right)[0, 0] == pytest.approx(expected, abs=1e-12)
    own = mutual_info_score(left[:, 0], left[:, 0])
    assert entropy(left)[0] == pytest.approx(own, abs=1e-12)


def test_all_metrics_share_one_cache_and_encode_no_observation_twice():
    data, codes, seen = HiddenFactor((3, 4, 5, 1), [0, 1, 2]), noisy_factors(TINY), []

    def encode(observations):
        seen.extend(observations.ravel().tolist())
        return codes[observations.ravel().astype(int)]

    cached = CachedRepresentation(encode, data, batch_size=7)
    for name in METRICS:
        if "on_fixed_data" not in name and "udr" not in name:
            score(name, codes, data=data, function=cached)
    assert len(seen) == len(set(seen)) == cached.num_encoded <= data.num_observations
