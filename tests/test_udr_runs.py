"""UDR over run directories: disentanglement_lib's own test of it, and what is refused."""

import json

import numpy as np
import pytest
import torch
from finished_runs import SHORT, TINY, finished_run
from safetensors.torch import load_file, safe_open, save_file
from test_evaluate import scores_in

from srvae_plugin import load_dataset, load_model, representation_function
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.report import report_main
from srvae_plugin.metrics import compute_udr_sklearn
from srvae_plugin.runs.directory import last_step_in
from srvae_plugin.runs.run import run
from srvae_plugin.runs.scoring.udr import gaussian_function, groups_of

# What disentanglement_lib's config/tests/methods/udr/{udr,udr_spearman}.gin bind.
DLIB = """
evaluation.evaluation_fn = @udr_sklearn
dataset.name = "auto"
evaluation.random_seed = 0
udr_sklearn.batch_size = 10
udr_sklearn.num_data_points = 1000
udr_sklearn.correlation_matrix = "{kind}"
udr_sklearn.filter_low_kl = True
udr_sklearn.include_raw_correlations = True
udr_sklearn.kl_filter_threshold = 0.01
"""
VAE = ["model.model = @vae()", "vae.beta = 1.0", "run.metrics = []"]


def evaluate(*arguments):
    try:
        evaluate_main(list(map(str, arguments)))
    except SystemExit as stop:
        return stop.code
    return 0


def inform(folder):
    """Make the weights of a run so large that its codes tell of the images."""
    for path in folder.rglob("model.safetensors"):
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
        grown = {name: w * (2 if w.ndim > 1 else 1) for name, w in load_file(path).items()}
        save_file(grown, path, metadata)
        last_step_in(path.parent).seal()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Three seeds of a VAE, and a VAE of another beta."""
    folder = tmp_path_factory.mktemp("study")
    for seed in (0, 1, 10):
        inform(finished_run(folder / f"vae-{seed}", [*VAE, f"model.random_seed = {seed}"]))
    run([TINY], [*SHORT, *VAE, "vae.beta = 4.0"], folder / "other")
    return folder


@pytest.mark.parametrize("kind", ["lasso", "spearman"])
def test_disentanglement_libs_configurations_rank_runs(study, tmp_path, capsys, caplog, kind):
    (tmp_path / "udr.gin").write_text(DLIB.format(kind=kind))
    command = ["--udr", study, "--gin", tmp_path / "udr.gin", "--output", tmp_path / "out"]
    assert evaluate(*command) == 0
    capsys.readouterr()
    assert "other is the only run of its model and settings" in caplog.text
    runs = [study / f"vae-{seed}" for seed in (0, 1, 10)]
    found = json.loads(
        (tmp_path / "out/vae/results/json/evaluation_results.json").read_text(encoding="utf-8")
    )
    assert found["model_dirs"] == [str(path) for path in runs]
    # The metric itself, on the models as they are loaded one by one.
    expected = compute_udr_sklearn(
        load_dataset("dsprites_full"),
        [gaussian_function(load_model(path)) for path in runs],
        np.random.RandomState(0),
        correlation_matrix=kind,
    )
    np.testing.assert_equal({key: found[key] for key in expected}, expected)  # NaNs, too
    for path, score in zip(runs, expected["model_scores"], strict=True):
        scored = scores_in(path / "metrics" / "mean", f"udr_{kind}")
        assert (scored["udr"], scored["num_models"]) == (score, 3)
    assert min(expected["model_scores"]) > 0
    # Kept as they are; refused; replaced.
    uuid = scores_in(runs[0] / "metrics" / "mean", f"udr_{kind}")["uuid"]
    assert evaluate(*command) == 2
    assert "--resume keeps it, --overwrite replaces it" in capsys.readouterr().err
    assert evaluate(*command, "--resume") == 0
    assert scores_in(runs[0] / "metrics" / "mean", f"udr_{kind}")["uuid"] == uuid
    assert evaluate(*command, "--resume", "--bind", "udr_sklearn.num_data_points = 500") == 2
    assert "with other settings" in capsys.readouterr().err
    assert evaluate("--udr", *runs[:2], "--gin", tmp_path / "udr.gin", "--resume") == 2
    assert "was compared with other runs" in capsys.readouterr().err
    assert evaluate(*command, "--overwrite") == 0
    assert scores_in(runs[0] / "metrics" / "mean", f"udr_{kind}")["uuid"] != uuid


def test_codes_and_divergences_are_the_models(study):
    model = load_model(study / "vae-1")
    images = load_dataset("dsprites_full").sample_observations(6, np.random.RandomState(0))
    codes, divergences = gaussian_function(model)(images)
    np.testing.assert_allclose(codes, representation_function(study / "vae-1")(images), atol=1e-6)
    posterior = model.encode(torch.from_numpy(images).permute(0, 3, 1, 2))
    prior = torch.distributions.Normal(0.0, 1.0)
    normal = torch.distributions.Normal(posterior.mean, (posterior.logvar / 2).exp())
    expected = torch.distributions.kl_divergence(normal, prior).mean(0)
    np.testing.assert_allclose(divergences, expected.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_the_report_shows_a_column_of_each_kind(study, tmp_path, capsys):
    small = ["--bind", "udr_sklearn.num_data_points = 50", "--overwrite"]
    spearman = ["--bind", 'udr_sklearn.correlation_matrix = "spearman"']
    assert evaluate("--udr", study, *small) == 0
    assert evaluate("--udr", study, *small, *spearman) == 0
    report_main([str(study), "--output", str(tmp_path / "r.html")])
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "UDR (Lasso)" in page
    assert "UDR (Spearman)" in page
    rows = (tmp_path / "r.csv").read_text(encoding="utf-8").splitlines()
    assert sum(",udr_lasso,udr," in row for row in rows) == 3


def test_what_cannot_be_compared_is_refused(study, tmp_path, capsys):
    for arguments, message in (
        ([study / "none"], "it does not exist"),
        ([tmp_path], "contains no finished run"),
        ([study / "other", study / "vae-0"], "no two of 2 runs differ in their seed only"),
        ([study, "--bind", "evaluation.evaluation_fn = @mig"], "--udr computes @udr_sklearn"),
        ([study, "--bind", "mig.num_train = 3"], "mig.num_train"),
        (
            [study, "--bind", 'udr_sklearn.correlation_matrix = "x"'],
            "expected one of ['lasso', 'spearman']",
        ),
    ):
        assert evaluate("--udr", *arguments) == 2, message
        (*_, line) = capsys.readouterr().err.splitlines()
        assert message in line


def test_runs_in_one_group_differ_in_their_seed_only(study):
    (group,) = groups_of([study, study / "vae-1"])
    assert group.name == "vae"
    assert [path.name for path in group.runs] == ["vae-0", "vae-1", "vae-10"]
