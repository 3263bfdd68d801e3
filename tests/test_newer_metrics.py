"""What every newer metric promises: ranges, invariances, what is refused and what is returned."""

import ast
import functools
import inspect
import logging
from pathlib import Path

import gin
import numpy as np
import pytest
from metric_cases import (
    GRIDS,
    CachedLookUp,
    IndexGrid,
    LookUp,
    collapsed,
    factors_themselves,
    noisy_factors,
    perfect_with_dead,
)

from srvae_plugin.data.ground_truth import FactorGrid
from srvae_plugin.metrics.dci_es import compute_dci_es
from srvae_plugin.metrics.dci_regressors import IMPORTANCE_FILE, compute_dci_regression
from srvae_plugin.metrics.dcimig import compute_dcimig
from srvae_plugin.metrics.infomec import compute_infomec
from srvae_plugin.metrics.jemmig import compute_jemmig
from srvae_plugin.metrics.mcc import compute_mcc
from srvae_plugin.metrics.med import compute_med
from srvae_plugin.metrics.mig_sup import compute_mig_sup
from srvae_plugin.metrics.r2 import compute_r2
from srvae_plugin.testing.metrics import CHECKS

TINY = GRIDS["tiny"]
FEW = {"num_train": 200, "num_test": 100}
MANY = {"num_train": 1000}
# function, small settings, the scores that tell good codes from bad ones
METRICS = {
    "infomec": (compute_infomec, {"num_train": 300}, ["infom", "infoc"]),
    "med": (compute_med, MANY | {"num_test": 50, "topk": 1}, ["disentanglement", "completeness"]),
    "dci_es": (compute_dci_es, FEW | {"probe_sizes": (1, 2, 3, 4)}, ["explicitness"]),
    "jemmig": (compute_jemmig, MANY, ["normalized_jemmig"]),
    "dcimig": (compute_dcimig, MANY, ["dcimig"]),
    "mig_sup": (compute_mig_sup, MANY, ["mig_sup"]),
    "mcc": (compute_mcc, MANY, ["mcc_pearson", "mcc_spearman"]),
    "r2": (compute_r2, FEW, ["r2_linear", "r2_kernel_ridge"]),
    "dci_regression": (compute_dci_regression, FEW, ["disentanglement", "completeness"]),
}
every_metric = pytest.mark.parametrize("name", list(METRICS))
GIN_FILES = Path(__file__).parents[1] / "gin" / "metrics"


@pytest.fixture(autouse=True)
def _no_gin_bindings():
    gin.clear_config()
    yield
    gin.clear_config()


class HiddenFactor(FactorGrid):
    """A grid with a factor that is not ground truth."""

    def __init__(self, sizes, ground_truth):
        super().__init__(sizes, "abcd", (1, 1, 1), latent_factor_indices=ground_truth)

    def _load_observations(self, indices):
        return indices.astype(np.float32).reshape(-1, 1, 1, 1)


def score(name, codes, sizes=TINY, data=None, function=None, seed=0, **changes):
    compute, few, _ = METRICS[name]
    data = data or IndexGrid(sizes)
    function = function or CachedLookUp(codes, data)
    return compute(data, function, np.random.RandomState(seed), **(few | changes))


@functools.cache
def standard(name, representation):
    """The scores of a representation of TINY at the small settings."""
    return score(name, representation(TINY))


def headline(name, scores):
    return np.array([scores[key] for key in METRICS[name][2]])


def rotated(sizes):
    size = len(sizes)
    rotation = np.linalg.qr(np.random.RandomState(3).normal(size=(size, size)))[0]
    return (factors_themselves(sizes) @ rotation).astype(np.float32)


@every_metric
def test_perfect_codes_score_near_one_and_above_rotated_ones(name):
    perfect = headline(name, standard(name, factors_themselves))
    # Few points leave MED's many small entries, and a forest of depth 1 a quarter to read.
    assert (perfect > {"med": 0.9, "dci_es": 0.7}.get(name, 0.95)).all()
    if name == "r2":  # of all latents together, which a rotation loses nothing of
        assert (headline(name, standard(name, rotated)) > 0.95).all()
    else:
        assert (perfect > headline(name, standard(name, rotated)) + 0.1).all()


@every_metric
def test_codes_without_information_score_near_zero(name):
    # Far more observations than are drawn: no point can be known by heart.
    sizes = (*TINY, 200)
    noise = np.random.RandomState(5).normal(size=(np.prod(sizes), 5)).astype(np.float32)
    scores = score(name, noise, data=HiddenFactor(sizes, (0, 1, 2)))
    # InfoM and InfoC compare noise with noise, which is not even; explicitness tells.
    checked = [scores["infoe"]] if name == "infomec" else headline(name, scores)
    assert (np.array(checked) < 0.2).all()


@every_metric
@pytest.mark.parametrize("codes", [factors_themselves, rotated, noisy_factors, collapsed])
def test_scores_lie_between_zero_and_one(name, codes):
    scores = headline(name, standard(name, codes))
    assert (scores >= (-1 if name in ("dci_es", "r2") else 0)).all()
    assert (scores <= 1 + 1e-12).all()


@every_metric
def test_the_order_of_latents_does_not_matter(name):
    codes = noisy_factors(TINY)
    order = np.random.RandomState(0).permutation(codes.shape[1])
    # Trees choose at random between equally good latents, neighbours are sought in other noise.
    tolerance = {"dci_es": 0.02, "dci_regression": 0.05, "infomec": 1e-6, "r2": 1e-8}.get(
        name, 1e-12
    )
    mixed = headline(name, score(name, codes[:, order]))
    assert mixed == pytest.approx(headline(name, standard(name, noisy_factors)), abs=tolerance)


@every_metric
def test_the_scale_of_latents_does_not_matter(name):
    # Where no latent becomes inactive. Powers of two, so that no code is rounded.
    codes = noisy_factors(TINY)
    scaled = codes * 2.0 ** (np.arange(codes.shape[1]) % 3).astype(np.float32)
    larger = headline(name, score(name, scaled))
    assert larger == pytest.approx(headline(name, standard(name, noisy_factors)), abs=1e-9)


@every_metric
def test_collapsed_codes_score_zero_with_a_warning(name, caplog):
    with caplog.at_level(logging.WARNING, logger="srvae_plugin.metrics"):
        scores = score(name, collapsed(TINY))
    assert headline(name, scores) == pytest.approx(0, abs=1e-9)
    assert "collapsed" in caplog.text


@every_metric
def test_dead_latents_beside_perfect_ones_take_nothing_away(name):
    perfect = headline(name, standard(name, factors_themselves))
    if name == "med":
        # Completeness is in units of the entropy over all latents, dead ones included.
        perfect = perfect * [1, 0] + [0, 0.9]
    # Some splits of a forest are between dead latents only where nothing is left to split.
    assert (headline(name, standard(name, perfect_with_dead)) >= perfect - 0.01).all()


@every_metric
def test_a_constant_factor_is_left_out_with_a_warning(name, caplog):
    sizes = (1, *TINY)
    with caplog.at_level(logging.WARNING, logger="srvae_plugin.metrics"):
        scores = score(name, factors_themselves(sizes), sizes=sizes)
    assert scores["num_factors_scored"] == 3
    assert "factors [0] have a single value" in caplog.text
    assert (headline(name, scores) > 0.7).all() or name == "mig_sup"
    if name == "mig_sup":
        assert (scores["num_active_latents"], scores["mig_sup"] > 0.9) == (3, True)


@every_metric
def test_no_varying_factor_is_refused(name):
    with pytest.raises(ValueError, match=r"factors must have at least . that vary"):
        score(name, np.zeros((1, 3)), sizes=(1, 1))


@pytest.mark.parametrize("name", ["med", "jemmig", "dci_regression"])
def test_a_single_latent_is_refused_where_latents_are_compared(name):
    with pytest.raises(ValueError, match="at least 2 latents"):
        score(name, factors_themselves(TINY)[:, :1])


@pytest.mark.parametrize("name", ["infomec", "dci_es", "dcimig", "mig_sup", "mcc", "r2"])
def test_a_single_latent_is_scored_where_factors_are_compared(name):
    scores = score(name, factors_themselves(TINY)[:, :1])
    assert scores[METRICS[name][2][0]] > 0
    assert name != "infomec" or scores["infoc"] == 0


@every_metric
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("cached", [True, False])
def test_codes_that_are_not_finite_are_refused(name, bad, cached):
    codes = noisy_factors(TINY)
    codes[:, 3] = bad
    function = None if cached else LookUp(codes)
    with pytest.raises(ValueError, match=r"NaN or inf among \d+ points in latent 3: \d+\."):
        score(name, codes, function=function)


@every_metric
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_every_plug_in_is_checked_for(name, check):
    compute, few, _ = METRICS[name]
    check(functools.partial(compute, **few))


@every_metric
def test_cached_codes_give_the_scores_and_the_random_stream_of_plain_ones(name):
    compute, few, _ = METRICS[name]
    data, codes = IndexGrid((3, 2, 4)), noisy_factors((3, 2, 4))
    states = [np.random.RandomState(1), np.random.RandomState(1)]
    cached = compute(data, CachedLookUp(codes, data), states[0], **few)
    assert cached == compute(data, LookUp(codes), states[1], **few)
    assert states[0].randint(2**31) == states[1].randint(2**31)


@every_metric
def test_the_same_seed_gives_the_same_score_and_another_a_near_one(name):
    scores = standard(name, noisy_factors)
    assert score(name, noisy_factors(TINY)) == scores
    other = score(name, noisy_factors(TINY), seed=1)
    assert other != scores
    assert headline(name, other) == pytest.approx(headline(name, scores), abs=0.2)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        *[(name, {"num_train": 0}, "num_train must be an integer") for name in METRICS],
        *[(name, {"batch_size": True}, "batch_size must be an integer") for name in METRICS],
        ("infomec", {"num_neighbors": 0}, "num_neighbors must be an integer of at least 1"),
        ("infomec", {"active_range": 1.0}, "active_range must be in"),
        ("med", {"topk": 0}, "topk must be an integer of at least 1"),
        ("mig_sup", {"active_variance": -1}, "active_variance must be at least 0"),
        ("dci_es", {"probe": "knn"}, "probe must be one of"),
        ("dci_es", {"probe_sizes": (4,)}, "probe_sizes must be two or more, ascending"),
        ("dci_es", {"probe_sizes": (4, 2)}, "probe_sizes must be two or more, ascending"),
        ("dci_es", {"probe_sizes": (0, 2)}, "probe_sizes must be an integer of at least 1"),
        ("dci_es", {"probe": "rff", "probe_sizes": (2, 3)}, "probe_sizes must be even for rff"),
        ("dci_es", {"categorical_factors": [3]}, "categorical_factors must be indices of 3"),
        ("dci_es", {"lowest_loss": 1.0}, "lowest_loss must be in"),
        ("dci_es", {"min_gain": 1.0}, "min_gain must be in"),
        ("dci_es", {"num_trees": 0}, "num_trees must be an integer"),
        ("dci_es", {"max_features": "all"}, "max_features must be None, 'sqrt'"),
        ("dci_es", {"num_test": 1}, "factors must vary among the test points"),
        ("r2", {"num_kernel": 2}, "num_kernel must be an integer of at least 3"),
        ("r2", {"num_train": 2}, "num_train must be an integer of at least 3"),
        ("r2", {"alphas": (0.0,)}, "alphas must be above 0"),
        ("r2", {"gammas": ()}, "gammas must be above 0"),
        ("r2", {"num_test": 1}, "factors must vary among the test points"),
        ("dci_regression", {"regressor": "svm"}, "regressor must be 'lasso' or 'random_forest'"),
        ("dci_regression", {"alpha": 0.0}, "alpha must be above 0"),
        ("dci_regression", {"num_trees": 0}, "num_trees must be an integer"),
        ("dci_regression", {"max_depths": [3, 3]}, "a number or one for each of 3 factors"),
        ("dci_regression", {"max_depths": [3, 3, 0]}, "max_depths must be an integer"),
    ],
)
def test_settings_out_of_range_are_refused(name, changes, message):
    with pytest.raises(ValueError, match=message):
        score(name, noisy_factors(TINY), **changes)


@pytest.mark.parametrize("name", ["jemmig", "dcimig", "mig_sup", "med"])
def test_bins_are_what_gin_binds_and_an_argument_wins_over_it(name):
    codes = noisy_factors(TINY)
    default, coarse = score(name, codes), score(name, codes, num_bins=3)
    assert coarse != default == score(name, codes, num_bins=20)
    gin.parse_config("discretizer.num_bins = 3")
    assert score(name, codes) == coarse
    assert score(name, codes, num_bins=20) == default


@pytest.mark.parametrize("probe", ["mlp", "rff"])
def test_other_probes_read_rotated_codes_as_well_as_perfect_ones(probe):
    sizes = {"mlp": (0, 4), "rff": (16, 64)}[probe]
    for codes in (factors_themselves, rotated):
        scores = score("dci_es", codes(TINY), probe=probe, probe_sizes=sizes)
        assert scores["informativeness"] > 0.99
        assert probe == "rff" or scores["explicitness"] > 0.99


@pytest.mark.parametrize("name", ["dci_es", "dci_regression"])
def test_scores_do_not_depend_on_the_number_of_processes(name):
    assert score(name, noisy_factors(TINY), n_jobs=2) == standard(name, noisy_factors)


def test_the_importance_matrix_is_saved_whole(tmp_path):
    folder = tmp_path / "new"
    scores = score("dci_regression", noisy_factors(TINY), artifact_dir=str(folder))
    assert scores == standard("dci_regression", noisy_factors)
    assert [path.name for path in folder.iterdir()] == [IMPORTANCE_FILE]
    assert np.load(folder / IMPORTANCE_FILE, allow_pickle=False).shape == (5, 3)


def test_a_lasso_finds_the_linear_part():
    scores = score("dci_regression", noisy_factors(TINY), regressor="lasso", alpha=0.1)
    assert scores["disentanglement"] > standard("dci_regression", noisy_factors)["disentanglement"]
    assert 0 < scores["nrmse_test"] < 1


@every_metric
def test_the_gin_file_holds_the_default_settings(name):
    defaults = inspect.signature(METRICS[name][0]).parameters
    lines = (GIN_FILES / f"{name}.gin").read_text().splitlines()
    bound = [line.split("=", 1) for line in lines if line.startswith(f"{name}.")]
    values = {left.strip().split(".")[1]: right.split("#")[0].strip() for left, right in bound}
    assert values.keys() <= defaults.keys()
    for setting, value in values.items():
        value = ast.literal_eval(value)
        assert (tuple(value) if isinstance(value, list) else value) == defaults[setting].default
    others = {"artifact_dir", "n_jobs", "num_bins", "discretizer_fn"}
    required = {k for k, p in defaults.items() if p.default is not p.empty} - others
    assert set(values) == required
    assert f'run.metrics = ["{name}"]' in lines
