"""The drop-in for disentanglement_lib's module names beside the original's own functions."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import gin
import numpy as np
import oracle
import original_package
import pytest
import torch
from metric_cases import IndexGrid, LookUp
from srvae_adapters import drop_in
from srvae_adapters.drop_in import table

from srvae_plugin.registry import gin_names

needs_dlib = pytest.mark.skipif(bool(oracle.MISSING), reason=f"needs {', '.join(oracle.MISSING)}")
SCRIPTS = Path(__file__).parent / "drop_in_scripts"
SIZES = (3, 4, 5)
BINS = ["discretizer.discretizer_fn = @histogram_discretizer", "discretizer.num_bins = 10"]
TREES = ["predictor.predictor_fn = @gradient_boosting_classifier"]
SETTINGS = {
    "factor_vae_score": [
        "factor_vae_score.batch_size = 16", "factor_vae_score.num_train = 60",
        "factor_vae_score.num_eval = 40", "factor_vae_score.num_variance_estimate = 100",
        "prune_dims.threshold = 0.05",
    ],
    "beta_vae_sklearn": [
        "beta_vae_sklearn.batch_size = 16", "beta_vae_sklearn.num_train = 100",
        "beta_vae_sklearn.num_eval = 50",
    ],
    "dci": ["dci.num_train = 100", "dci.num_test = 50"],
    "mig": ["mig.num_train = 100", *BINS],
    "sap_score": [
        "sap_score.num_train = 60", "sap_score.num_test = 40",
        "sap_score.continuous_factors = False",
    ],
    "modularity_explicitness": [
        "modularity_explicitness.num_train = 100", "modularity_explicitness.num_test = 80", *BINS,
    ],
    "irs": ["irs.num_train = 100", "irs.batch_size = 16", *BINS],
    "unsupervised_metrics": ["unsupervised_metrics.num_train = 100", *BINS],
    "downstream_task": [
        "downstream_task.num_train = [40]", "downstream_task.num_test = 20", *TREES,
    ],
    "reduced_downstream_task": [
        "reduced_downstream_task.num_train = [40]", "reduced_downstream_task.num_test = 20",
        "reduced_downstream_task.num_factors_to_remove = 1",
        "reduced_representation.correlation_measure = @factorwise_dci", *TREES,
    ],
    "strong_downstream_task": [
        "strong_downstream_task.num_train = [40]", "strong_downstream_task.num_test = 20",
        "strong_downstream_task.n_experiment = 1", *TREES,
    ],
    "fairness": ["fairness.num_train = 60", "fairness.num_test_points_per_class = 10", *TREES],
    "unified_scores": [
        "unified_scores.num_train = 60", "unified_scores.num_test = 30",
        "unified_scores.matrix_fns = [@mutual_information_matrix]", *BINS,
    ],
}  # fmt: skip
TREE_METRICS = {"dci", "downstream_task"}
UNSEEDED = {"reduced_downstream_task", "strong_downstream_task", "fairness"}
"""The original's trees take their seeds from numpy's global state: keys are compared alone."""


@pytest.fixture(scope="module")
def codes():
    stream = np.random.RandomState(0)
    table = np.argwhere(np.ones(SIZES)) + 0.3 * stream.normal(size=(60, 3))
    return np.hstack([table, stream.normal(size=(60, 2))])


@pytest.fixture(scope="module")
def theirs(codes):
    """The original's scores by metric."""
    runs = [
        {"metric": name, "seed": 0, "bindings": lines, "seed_trees": name in TREE_METRICS}
        for name, lines in SETTINGS.items()
    ]
    found = dict(zip(SETTINGS, oracle.scores(codes, SIZES, runs), strict=True))
    for scores in found.values():
        del scores["seconds"]
    return found


def test_every_module_of_the_table_is_made(installed):
    for module, content in table.MODULES.items():
        made = importlib.import_module(".".join(filter(None, ("disentanglement_lib", module))))
        assert {name for name, _ in table.objects(content)} <= set(vars(made)), module


@needs_dlib
def test_metrics_give_the_originals_scores_under_its_keys(installed, codes, theirs):
    for name, lines in SETTINGS.items():
        module, function = oracle.FUNCTIONS[name]
        compute = getattr(
            importlib.import_module(f"disentanglement_lib.evaluation.metrics.{module}"), function
        )
        gin.clear_config()
        gin.parse_config(lines)
        scores = compute(IndexGrid(SIZES), LookUp(codes), np.random.RandomState(0))
        # The original reports merges where it draws them, which the other side does.
        expected = {key: v for key, v in theirs[name].items() if ".merge_" not in key}
        assert scores.keys() == expected.keys(), name
        if name not in UNSEEDED:
            assert scores == pytest.approx(expected, rel=1e-12, abs=1e-12), name


def test_functions_take_and_give_codes_by_rows(installed):
    """(num_codes, num_points) everywhere; a helper's number is the metric's."""
    from disentanglement_lib.evaluation.metrics import dci, mig, sap_score, utils

    grid = IndexGrid(SIZES)
    function = LookUp(np.argwhere(np.ones(SIZES)).astype(float))
    mus, ys = utils.generate_batch_factor_code(grid, function, 50, np.random.RandomState(0), 7)
    assert mus.shape == ys.shape == (3, 50)
    np.testing.assert_array_equal(mus, ys)
    assert mig._compute_mig(mus, ys) == {"discrete_mig": pytest.approx(1.0, abs=0.2)}
    matrix = sap_score.compute_score_matrix(mus[:2], ys, mus[:2], ys, True)
    assert matrix.shape == (2, 3)
    np.testing.assert_allclose(
        matrix, [[np.corrcoef(code, factor)[0, 1] ** 2 for factor in ys] for code in mus[:2]]
    )
    importance, train, test = dci.compute_importance_gbt(mus, ys, mus, ys)
    assert importance.shape == (3, 3)
    assert train == test == 1.0
    assert dci.completeness(importance) == dci.disentanglement(importance.T)


def test_full_gin_names_mean_ours(installed):
    from disentanglement_lib.evaluation.metrics import mig, utils  # noqa: F401

    for name in ("disentanglement_lib.evaluation.metrics.mig.mig", "mig.mig", "mig"):
        gin.parse_config([f"{name}.num_train = 7"])
        assert gin.query_parameter("srvae_plugin.mig.num_train") == 7
        gin.clear_config()
    full = "disentanglement_lib.evaluation.metrics.utils.discretizer.num_bins"
    gin.bind_parameter(full, 3)
    assert gin.query_parameter("discretizer.num_bins") == 3
    target = np.linspace(0, 1, 30)[np.newaxis]
    assert len(np.unique(utils.make_discretizer(target))) == 3


def test_what_is_not_there_is_said(installed):
    with pytest.raises(ImportError) as said:
        importlib.import_module("disentanglement_lib.evaluation.abstract_reasoning.reason")
    assert "disentanglement_lib.evaluation.abstract_reasoning is not in" in str(said.value)
    assert "it needs TensorFlow 1 and the original itself" in str(said.value)
    with pytest.raises(ImportError, match=r"metrics\.nmig is not in .*put your own file beside"):
        importlib.import_module("disentanglement_lib.evaluation.metrics.nmig")
    with pytest.raises(ImportError, match=r"In evaluation\.metrics: beta_vae, dci, "):
        from disentanglement_lib.evaluation.metrics import nmig  # noqa: F401


def test_names_that_are_no_folder_of_it_are_refused():
    with pytest.raises(ValueError, match=r"'evaluations'.*config, data, evaluation, methods"):
        drop_in.install("evaluations")


def test_what_was_imported_before_is_not_replaced(monkeypatch):
    monkeypatch.setitem(sys.modules, "evaluation.metrics", sys.modules["json"])
    with pytest.raises(ImportError, match=r"evaluation\.metrics was imported before, from .*json"):
        drop_in.install("evaluation")


def test_an_optimizer_trains_what_each_loss_is_of(installed):
    from disentanglement_lib.methods.shared import optimizers

    one, two = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))
    optimizer = optimizers.make_vae_optimizer(learning_rate=0.1)
    assert optimizer._learning_rate_tensor == pytest.approx(0.1)  # before it trains anything
    first = optimizer.minimize(lambda: one.square().sum())
    second = optimizer.minimize(lambda: (one * two).sum(), var_list=[two])
    first()
    assert one.item() == pytest.approx(0.9)
    second()
    assert (one.item(), two.item()) == (pytest.approx(0.9), pytest.approx(0.9))


def test_uninstall_leaves_gin_as_it_was(no_original):
    before = gin.configurable
    drop_in.install()
    full = "disentanglement_lib.evaluation.metrics.mig.mig"
    assert gin.config._REGISTRY.aliases.get_all_matches(full)
    gin.configurable("drop_in_probe", module="tests", blacklist=["x"])(lambda x, y=1: y)
    drop_in.uninstall()
    assert not gin.config._REGISTRY.aliases.get_all_matches(full)
    assert gin.configurable is before
    assert not [name for name in sys.modules if name.startswith("disentanglement_lib")]
    with pytest.raises(TypeError):
        gin.configurable("other_probe", blacklist=["x"])
    assert gin_names.Names is type(gin.config._REGISTRY)


def test_a_users_own_model_trains_and_is_scored(installed, tmp_path):
    """A subclass as written for the original: it does not call its base's `__init__`."""
    from disentanglement_lib.evaluation import evaluate
    from disentanglement_lib.methods.unsupervised import train, vae
    from disentanglement_lib.postprocessing import postprocess
    from disentanglement_lib.utils import results

    @gin.configurable("bottleneck_probe", module="tests")
    class BottleneckVAE(vae.BaseVAE):
        def __init__(self, gamma=gin.REQUIRED, target=gin.REQUIRED):
            self.gamma, self.target = gamma, target

        def regularizer(self, kl_loss, z_mean, z_logvar, z_sampled):
            assert z_mean.shape == z_logvar.shape == z_sampled.shape == (4, 3)
            return self.gamma * (kl_loss - self.target).abs()

    @gin.configurable("metric_probe", module="tests", blacklist=["random_state"])
    def compute(ground_truth_data, representation_function, random_state, num=gin.REQUIRED):
        observed = ground_truth_data.sample_observations(num, random_state)
        return {"latents": representation_function(observed).shape[1]}

    model = ["model.model = @bottleneck_probe()", "bottleneck_probe.gamma = 4.0"]
    model += ["bottleneck_probe.target = 10.0", "model.training_steps = 2", "model.batch_size = 4"]
    model += ["model.random_seed = 0", "dataset.name = 'dummy_data'", "encoder.num_latent = 3"]
    model += ["encoder.encoder_fn = @test_encoder", "decoder.decoder_fn = @test_decoder"]
    model += ["reconstruction_loss.loss_fn = @bernoulli_loss"]
    model += ["vae_optimizer.optimizer_fn = @AdamOptimizer", "AdamOptimizer.learning_rate = 0.001"]
    train.train_with_gin(str(tmp_path / "model"), True, [], [*model, "model.eval_steps = 1"])
    trained = results.gin_dict(tmp_path / "model/results/gin/train.gin")
    assert trained["bottleneck_probe.gamma"] == "4.0"
    mean = ["dataset.name = 'auto'", "postprocess.random_seed = 0"]
    mean += ["postprocess.postprocess_fn = @mean_representation"]
    postprocess.postprocess_with_gin(
        str(tmp_path / "model"), str(tmp_path / "mean"), True, [], mean
    )
    asked = ["dataset.name = 'auto'", "evaluation.random_seed = 0", "metric_probe.num = 5"]
    asked += ["evaluation.evaluation_fn = @metric_probe"]
    evaluate.evaluate_with_gin(str(tmp_path / "mean"), str(tmp_path / "probe"), True, [], asked)
    scores = json.loads((tmp_path / "probe/results/json/evaluation_results.json").read_text())
    assert scores["latents"] == 3
    assert gin.config_str() == ""


@needs_dlib
def test_pictures_are_made_of_the_originals_numbers():
    """Cycles, grids, groups and merges of random matrices."""
    from srvae_adapters.drop_in import pictures, score_pictures

    from srvae_plugin.plots import cycles, score_matrices

    theirs = original_package.run("picture_numbers", seed=0)
    for indices, expected in theirs["cycle_factor"]:
        np.testing.assert_array_equal(cycles.cycle_factor(*indices), expected)
    for name in ("cycle_gaussian", "cycle_interval"):
        for arguments, expected in theirs[name]:
            found = getattr(cycles, name)(*arguments)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert [pictures.best_num_rows(n) for n in range(1, 60)] == theirs["best_num_rows"]
    image = np.asarray(theirs["images"])
    np.testing.assert_array_equal(
        pictures.pad_around(pictures.padded_grid(list(image), padding_px=2), 1),
        np.asarray(theirs["padded"]),
    )
    for expected in theirs["matrices"]:
        matrix = np.asarray(expected["matrix"])
        merges = score_matrices.merges_of(matrix)
        assert score_pictures.report_merges(merges.linkage, len(matrix)) == expected["merges"]
        for threshold, groups, found in expected["at"]:
            assert score_pictures.precision(matrix, threshold) == groups
            assert score_pictures.recall(matrix, threshold) == found


@needs_dlib
def test_points_of_the_voting_metrics_are_the_originals(installed, codes):
    from disentanglement_lib.evaluation.metrics import beta_vae, factor_vae

    theirs = original_package.run("training_batches", codes=codes.tolist(), sizes=SIZES)
    variances = np.var(codes, axis=0, ddof=1)
    data, function = IndexGrid(SIZES), LookUp(codes)
    votes = factor_vae._generate_training_batch(
        data, function, 8, 20, np.random.RandomState(0), variances, variances >= 0.0
    )
    points, labels = beta_vae._generate_training_batch(
        data, function, 8, 20, np.random.RandomState(0)
    )
    assert votes.tolist() == theirs[0]
    np.testing.assert_allclose(points, theirs[1], rtol=1e-12)
    assert labels.tolist() == theirs[2]


def test_unified_scores_are_drawn_where_the_original_draws_them(installed, codes, tmp_path):
    from disentanglement_lib.evaluation.metrics import unified_scores
    from PIL import Image

    gin.parse_config(SETTINGS["unified_scores"])
    scores = unified_scores.compute_unified_scores(
        IndexGrid(SIZES), LookUp(codes), np.random.RandomState(0), str(tmp_path)
    )
    assert [key for key in scores if ".merge_" in key]
    name = "mutual_information_matrix"
    drawn = {f"{kind}{name}{part}" for kind in ("", "normalized_")
             for part in ("", "_pr", "_dendrogram")}  # fmt: skip
    assert {file.stem for file in tmp_path.glob("*.png")} == drawn
    for file in tmp_path.glob("*.png"):
        with Image.open(file) as picture:
            assert len(picture.convert("L").getcolors()) > 10
    with np.load(tmp_path / f"matrices/normalized_{name}.npz") as saved:
        matrix = saved["matrix"]
        assert len(saved["names"]) == len(SIZES)
    assert matrix.shape == (5, 3)
    assert 0.5 < matrix.max() <= 1  # a code with little noise knows most of its factor


def run_script(script, *arguments, names, path):
    command = [sys.executable, "-m", "srvae_adapters.drop_in"]
    command += [f"--name={name}" for name in names]
    done = subprocess.run(
        [*command, str(SCRIPTS / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(path)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def saved(codes, folder):
    np.save(folder / "codes.npy", codes)
    return str(folder / "codes.npy"), json.dumps(SIZES)


@needs_dlib
def test_a_script_with_a_copied_folder(codes, theirs, tmp_path):
    """The copy's files are not looked at, but for those that disentanglement_lib does not have."""
    metrics = tmp_path / "path" / "evaluation" / "metrics"
    metrics.mkdir(parents=True)
    for name in ("mig", "utils", "dci"):
        (metrics / f"{name}.py").write_text("import tensorflow.compat.v1 as tf\n")
    (metrics / "own_metric.py").write_text(
        "import gin.tf\n"
        "from evaluation.metrics import utils\n"
        "@gin.configurable('own_metric', blacklist=['random_state'])\n"
        "def compute_own_metric(data, function, random_state, num=10):\n"
        "    mus, ys = utils.generate_batch_factor_code(data, function, num, random_state, 4)\n"
        "    return {'shapes': [list(mus.shape), list(ys.shape)]}\n"
    )
    found = run_script(
        "copied_folder.py", *saved(codes, tmp_path), names=["evaluation"], path=tmp_path / "path"
    )
    assert found.pop("tensorflow") is False
    assert found.pop("own_metric") == {"shapes": [[5, 10], [3, 10]]}
    assert found.keys() == {"beta_vae_sklearn", "dci", "mig", "factor_vae_score"}
    for name, scores in found.items():
        assert scores == pytest.approx(theirs[name], rel=1e-12, abs=1e-12), name


@needs_dlib
def test_a_script_that_imports_the_library(codes, theirs, tmp_path):
    """Its own functions keep the gin names that ours have too; a fork's own file is found."""
    fork = tmp_path / "path" / "disentanglement_lib" / "evaluation" / "metrics"
    fork.mkdir(parents=True)
    for folder in (fork, fork.parent, fork.parent.parent):
        (folder / "__init__.py").write_text("")
    (fork / "own_fork_metric.py").write_text(
        "from disentanglement_lib.evaluation.metrics import utils\nVALUE = len(dir(utils)) > 5\n"
    )
    package = Path(importlib.util.find_spec("disentanglement_lib").origin).parent
    (fork.parent.parent / "config").symlink_to(package / "config")
    configs = tmp_path / "metric_configs"
    configs.mkdir()
    names = (
        "beta_vae_sklearn", "dci", "factor_vae_score", "mig", "modularity_explicitness", "sap_score"
    )  # fmt: skip
    for name in names:
        lines = [f"evaluation.evaluation_fn = @{name}", *SETTINGS[name]]
        (configs / f"{name}.gin").write_text("\n".join(lines))
    (configs / "mcc.gin").write_text("evaluation.evaluation_fn = @mcc\nmcc.num_train = 20\n")
    found = run_script(
        "whole_library.py", *saved(codes, tmp_path), str(tmp_path),
        names=["disentanglement_lib"], path=tmp_path / "path",
    )  # fmt: skip
    assert found.pop("tensorflow") is False
    assert found.pop("mcc")["points"] == 40
    assert found.pop("udr") == pytest.approx([1, 1], abs=0.2)
    assert found.pop("own file") is True
    assert {"dci.gin", "mig.gin", "sap_score.gin"} <= set(found.pop("files"))
    assert found.keys() == set(names)
    for name, scores in found.items():
        # By its gin name a metric is ours, which reports more.
        common = {key: scores[key] for key in theirs[name]}
        assert common == pytest.approx(theirs[name], rel=1e-12, abs=1e-12), name
