"""What the newer metrics promise beside what all do: settings, gin files, and single promises."""

import ast
import inspect
from pathlib import Path

import gin
import numpy as np
import pytest
from metric_cases import factors_themselves, noisy_factors, perfect_with_dead
from metric_promises import METRICS
from metric_scores import TINY, HiddenFactor, headline, pure_noise, rotated, score, standard

from srvae_plugin.metrics.dci_regressors import IMPORTANCE_FILE

NEWER = ["infomec", "med", "dci_es", "jemmig", "dcimig", "mig_sup", "mcc", "r2", "dci_regression"]
GIN_FILES = Path(__file__).parents[1] / "gin" / "metrics"


@pytest.fixture(autouse=True)
def _no_gin_bindings():
    gin.clear_config()
    yield
    gin.clear_config()


def test_a_rotation_takes_nothing_from_what_all_latents_predict_together():
    assert (headline("compute_r2", rotated) > 0.95).all()


def test_codes_without_information_are_not_explicit():
    # Far more observations than are drawn: no point can be known by heart.
    sizes = (*TINY, 200)
    data = HiddenFactor(sizes, (0, 1, 2))
    assert score("compute_infomec", pure_noise(sizes), data=data)["infoe"] < 0.2


def test_dead_latents_leave_meds_disentanglement_and_most_of_its_completeness():
    perfect, completeness = headline("compute_med", factors_themselves)
    found = headline("compute_med", perfect_with_dead)
    assert found[0] >= perfect - 0.01
    assert 0.89 <= found[1] <= completeness + 0.01


def test_a_constant_factor_makes_its_latent_inactive():
    scores = score("compute_mig_sup", factors_themselves((1, *TINY)), sizes=(1, *TINY))
    assert scores["num_active_latents"] == 3


def test_a_single_latent_is_not_compact():
    assert score("compute_infomec", factors_themselves(TINY)[:, :1])["infoc"] == 0


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("compute_infomec", {"num_neighbors": 0}, "num_neighbors must be an integer of at least 1"),
        ("compute_infomec", {"active_range": 1.0}, "active_range must be in"),
        ("compute_med", {"topk": 0}, "topk must be an integer of at least 1"),
        ("compute_mig_sup", {"active_variance": -1}, "active_variance must be at least 0"),
        ("compute_dci_es", {"probe": "knn"}, "probe must be one of"),
        ("compute_dci_es", {"probe_sizes": (4,)}, "probe_sizes must be two or more, ascending"),
        ("compute_dci_es", {"probe_sizes": (4, 2)}, "probe_sizes must be two or more, ascending"),
        ("compute_dci_es", {"probe_sizes": (0, 2)}, "probe_sizes must be an integer of at least 1"),
        (
            "compute_dci_es",
            {"probe": "rff", "probe_sizes": (2, 3)},
            "probe_sizes must be even for rff",
        ),
        (
            "compute_dci_es",
            {"categorical_factors": [3]},
            "categorical_factors must be indices of 3",
        ),
        ("compute_dci_es", {"lowest_loss": 1.0}, "lowest_loss must be in"),
        ("compute_dci_es", {"min_gain": 1.0}, "min_gain must be in"),
        ("compute_dci_es", {"num_trees": 0}, "num_trees must be an integer"),
        ("compute_dci_es", {"max_features": "all"}, "max_features must be None, 'sqrt'"),
        ("compute_dci_es", {"num_test": 1}, "factors must vary among the test points"),
        ("compute_r2", {"num_kernel": 2}, "num_kernel must be an integer of at least 3"),
        ("compute_r2", {"num_train": 2}, "num_train must be an integer of at least 3"),
        ("compute_r2", {"alphas": (0.0,)}, "alphas must be above 0"),
        ("compute_r2", {"gammas": ()}, "gammas must be above 0"),
        ("compute_r2", {"num_test": 1}, "factors must vary among the test points"),
        (
            "compute_dci_regression",
            {"regressor": "svm"},
            "regressor must be 'lasso' or 'random_forest'",
        ),
        ("compute_dci_regression", {"alpha": 0.0}, "alpha must be above 0"),
        ("compute_dci_regression", {"num_trees": 0}, "num_trees must be an integer"),
        ("compute_dci_regression", {"max_depths": [3, 3]}, "a number or one for each of 3 factors"),
        ("compute_dci_regression", {"max_depths": [3, 3, 0]}, "max_depths must be an integer"),
    ],
)
def test_settings_out_of_range_are_refused(name, changes, message):
    with pytest.raises(ValueError, match=message):
        score(name, noisy_factors(TINY), **changes)


@pytest.mark.parametrize(
    "name", [f"compute_{name}" for name in ("jemmig", "dcimig", "mig_sup", "med")]
)
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
        scores = score("compute_dci_es", codes(TINY), probe=probe, probe_sizes=sizes)
        assert scores["informativeness"] > 0.99
        assert probe == "rff" or scores["explicitness"] > 0.99


@pytest.mark.parametrize("name", ["compute_dci_es", "compute_dci_regression"])
def test_scores_do_not_depend_on_the_number_of_processes(name):
    assert score(name, noisy_factors(TINY), n_jobs=2) == standard(name, noisy_factors)


def test_the_importance_matrix_is_saved_whole(tmp_path):
    folder = tmp_path / "new"
    scores = score("compute_dci_regression", noisy_factors(TINY), artifact_dir=str(folder))
    assert scores == standard("compute_dci_regression", noisy_factors)
    assert [path.name for path in folder.iterdir()] == [IMPORTANCE_FILE]
    assert np.load(folder / IMPORTANCE_FILE, allow_pickle=False).shape == (5, 3)


def test_a_lasso_finds_the_linear_part():
    scores = score("compute_dci_regression", noisy_factors(TINY), regressor="lasso", alpha=0.1)
    assert (
        scores["disentanglement"]
        > standard("compute_dci_regression", noisy_factors)["disentanglement"]
    )
    assert 0 < scores["nrmse_test"] < 1


@pytest.mark.parametrize("name", NEWER)
def test_the_gin_file_holds_the_default_settings(name):
    defaults = inspect.signature(METRICS[f"compute_{name}"].compute).parameters
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
