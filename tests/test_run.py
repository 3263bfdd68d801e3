"""The whole command, from gin files to scores and pictures."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from trained_models import require_alive

from srvae_plugin import (
    evaluate_with_gin,
    load_model,
    postprocess_with_gin,
    representation_function,
    train_with_gin,
)
from srvae_plugin.cli.data import data_main
from srvae_plugin.cli.run import run_main
from srvae_plugin.config import gin_files
from srvae_plugin.config.text import gin_dict
from srvae_plugin.runs.directory import StepDirectory

TINY = Path(__file__).with_name("tiny.gin")
SCRIPT = Path(sys.executable).with_name("srvae-run")
METRICS = ("factor_vae_score", "dci", "mig", "sap_score")
ALL_METRICS = f"run.metrics = {list(METRICS)}"
TINY_METRICS = ("factor_vae_score", "mig", "sap_score")


def srvae_run(output, *bindings, gin=TINY, flags=()):
    """Run in this process; return the exit status."""
    arguments = ["--gin", str(gin), "--output", str(output), *flags]
    for binding in bindings:
        arguments += ["--bind", binding]
    try:
        run_main(arguments)
    except SystemExit as stop:
        return stop.code
    return 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "tiny"
    assert srvae_run(output, ALL_METRICS) == 0
    require_alive(load_model(output))
    return output


def scores_of(run):
    found = {}
    for metric in TINY_METRICS:
        scores = StepDirectory(run / "metrics" / "mean" / metric, "evaluation").read()
        found[metric] = {k: v for k, v in scores.items() if k not in ("uuid", "elapsed_time")}
    return found


def test_the_directory_is_dlibs(finished):
    steps = {"model": "train", "postprocessed/mean": "postprocess"}
    steps |= {f"metrics/mean/{metric}": "evaluation" for metric in METRICS}
    for folder, step in steps.items():
        for name in (f"gin/{step}.gin", f"json/{step}_config.json", f"aggregate/{step}.json"):
            assert (finished / folder / "results" / name).is_file()
    merged = json.loads(
        (finished / "metrics/mean/mig/results/aggregate/evaluation.json").read_text()
    )
    assert merged["train_config.sr_vae.beta"] == "1.0"
    assert merged["train_config.dataset.name"] == "'dsprites_full'"
    assert merged["postprocess_config.postprocess.postprocess_fn"] == "@mean_representation"
    assert merged["evaluation_config.evaluation.evaluation_fn"] == "@mig"
    assert isinstance(merged["evaluation_results.discrete_mig"], float)
    environment = json.loads((finished / "environment.json").read_text())
    assert environment["device"] == "cpu"
    assert environment["data_source"] == "re-rendered"


def test_the_importance_matrix_is_kept(finished):
    (path,) = (finished / "metrics/mean/dci/artifacts").iterdir()
    matrix = np.load(path)
    latents = load_model(finished).num_latent
    assert matrix.shape == (latents, 5)
    assert (matrix >= 0).all()
    assert matrix.any()
    pictures = {path.name for path in (finished / "visualizations").iterdir()}
    assert {"traversals.png", "traversals.gif", "decomposition.png"} <= pictures
    assert not list(finished.rglob("*.tmp*"))
    # Kept, so that the run can go on for more steps.
    assert [path.parent.name for path in finished.rglob("checkpoint.pt")] == ["model"]


def test_the_scores_are_those_of_the_saved_representation(finished):
    """Each metric alone, through the public functions, gives what the run wrote."""
    choice = ["evaluation.evaluation_fn = @mig", "evaluation.random_seed = 0"]
    again = evaluate_with_gin(
        finished / "postprocessed/mean", finished.parent / "again", True, [TINY], choice
    )
    assert again["discrete_mig"] == scores_of(finished)["mig"]["discrete_mig"]


def test_a_run_is_loaded_by_its_directory(finished):
    images = np.zeros((2, 64, 64, 1), np.float32)
    codes = representation_function(finished)(images)
    assert codes.shape == (2, 3)
    assert np.array_equal(codes, representation_function(load_model(finished / "model"))(images))
    with pytest.raises(ValueError, match="not the folder of a finished step"):
        load_model(finished.parent)


def test_steps_one_by_one_as_in_disentanglement_lib(finished, tmp_path):
    """Data set "auto" stands for the one of the step before, as in its gin files."""
    train_with_gin(tmp_path / "model", False, [TINY])
    with pytest.raises(ValueError, match="exists already"):
        train_with_gin(tmp_path / "model", False, [TINY])
    bindings = ["dataset.name = 'auto'", "postprocess.random_seed = 0"]
    bindings += ["postprocess.postprocess_fn = @mean_representation"]
    postprocess_with_gin(tmp_path / "model", tmp_path / "mean", gin_bindings=bindings)
    bindings = ["dataset.name = 'auto'", "evaluation.random_seed = 0", "mig.num_train = 60"]
    bindings += ["evaluation.evaluation_fn = @mig"]
    scores = evaluate_with_gin(tmp_path / "mean", tmp_path / "mig", gin_bindings=bindings)
    assert scores["discrete_mig"] == scores_of(finished)["mig"]["discrete_mig"]
    config = gin_dict((tmp_path / "mig/results/gin/evaluation.gin").read_text())
    assert config["dataset.name"] == "'dsprites_full'"


def test_the_operative_configurations_repeat_the_run(finished, tmp_path):
    """Each step from the file it saved, and nothing else: the same weights and scores."""
    train_with_gin(tmp_path / "model", False, [finished / "model/results/gin/train.gin"])
    first = load_file(finished / "model" / "model.safetensors")
    second = load_file(tmp_path / "model" / "model.safetensors")
    assert all(np.array_equal(first[name], second[name]) for name in first)
    saved = finished / "postprocessed/mean/results/gin/postprocess.gin"
    postprocess_with_gin(tmp_path / "model", tmp_path / "mean", False, [saved])
    for metric, scores in scores_of(finished).items():
        saved = finished / f"metrics/mean/{metric}/results/gin/evaluation.gin"
        again = evaluate_with_gin(tmp_path / "mean", tmp_path / metric, False, [saved])
        assert {key: again[key] for key in scores} == scores


def test_an_existing_run_is_kept_resumed_or_overwritten_on_request(finished, capsys):
    before = (finished / "environment.json").stat().st_mtime_ns
    assert srvae_run(finished, ALL_METRICS) == 2
    assert "--resume" in capsys.readouterr().err
    assert (finished / "environment.json").stat().st_mtime_ns == before
    assert srvae_run(finished, ALL_METRICS, "model.batch_size = 5", flags=["--resume"]) == 2
    assert "model.batch_size = 5" in capsys.readouterr().err
    assert srvae_run(finished, ALL_METRICS, flags=["--resume"]) == 0  # everything is there already
    assert "discrete_mig" in capsys.readouterr().out


def test_overwrite_deletes_runs_only(tmp_path, capsys):
    (tmp_path / "precious.txt").write_text("thesis")
    assert srvae_run(tmp_path, flags=["--overwrite"]) == 2
    assert "not a run directory" in capsys.readouterr().err
    assert (tmp_path / "precious.txt").is_file()


def damaged_npz(folder):
    path = folder / "dsprites.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("imgs.npy", b"\x93NUMPY\x01\x00 this is cut")
    return path


@pytest.mark.parametrize(
    ("binding", "part"),
    [
        ("sr_vea.beta = 1.0", "did you mean 'sr_vae'?"),
        ("sr_vae.bata = 1.0", "did you mean 'beta'?"),
        ("model.training_steps = 'all'", "model.training_steps = 'all': expected int"),
        ("dataset.name = 'dsprites_ful'", "did you mean 'dsprites_full'?"),
        ("encoder.num_latent = 0", "encoder.num_latent = 0"),
        ("run.metrics = ['mgi']", "unknown metric 'mgi'"),
        ("run.representations = ['median']", "unknown 'median'"),
        ("sr_vae.noise = 'reample'", "expected one of resample, shared"),
        ("sr_vae.reading = 'papers'", "sr_vae.reading = 'papers'"),
        ("vae/AdamOptimizer.learning_rate = 0.0", "learning_rate = 0.0"),
        ("model.random_seed = 5000000000", "model.random_seed = 5000000000"),
        ("dataset.path = 5", "dataset.path = 5"),
        ("model.device = 'abacus'", "model.device = 'abacus'"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, capsys, binding, part):
    assert srvae_run(tmp_path / "run", binding) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "srvae-run" in line]
    assert len(lines) == 1
    assert part in lines[0]
    assert not (tmp_path / "run").exists()


def test_tensorboard_is_looked_for_before_anything_is_made(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert srvae_run(tmp_path / "run", "model.tensorboard = True") == 2
    assert "srvae_plugin[tensorboard]" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_missing_gin_file_and_damaged_data_set(tmp_path, capsys):
    assert srvae_run(tmp_path / "run", gin="nowhere.gin") == 2
    assert "nowhere.gin" in capsys.readouterr().err
    path = damaged_npz(tmp_path)
    assert srvae_run(tmp_path / "run", f"dataset.path = '{path}'") == 2
    assert str(path) in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_diverging_run_stops_with_one_line(tmp_path, capsys):
    assert srvae_run(tmp_path / "run", "vae/AdamOptimizer.learning_rate = 1e6") == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "not finite" in message
    assert "step 1" in message


def test_model_without_parentheses_says_so(tmp_path):
    command = [SCRIPT, "--gin", TINY, "--bind", "model.model = @sr_vae"]
    done = subprocess.run([*command, "--output", tmp_path / "run"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "@sr_vae() with the parentheses" in done.stderr.splitlines()[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="limits are set by a POSIX shell")
@pytest.mark.parametrize(("blocks", "what"), [(20, "checkpoint"), (200, None)])
def test_a_full_disk_is_one_line_and_leaves_no_half_file(tmp_path, blocks, what):
    """Files may not grow over `blocks` KiB; the second case shows that the limit is what bites."""
    command = f"ulimit -f {blocks}; exec {SCRIPT} --gin {TINY} --output {tmp_path / 'run'}"
    done = subprocess.run(
        ["bash", "-c", f"{command} --bind run.pictures=False --bind run.metrics=[]"],
        capture_output=True,
        text=True,
    )
    if what is None:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 2
    assert f"{what}.pt cannot be written (disk full?)" in done.stderr.splitlines()[-1]
    assert not [path for path in tmp_path.rglob("*") if ".tmp" in path.name or path.suffix == ".pt"]


def test_help_names_everything():
    done = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True)
    for word in ("--gin", "--bind", "--output", "--resume", "--overwrite", "quick.gin"):
        assert word in done.stdout


def test_gin_state_is_left_as_it_was(finished, tmp_path):
    with gin_files.configured(bindings=["vae.beta = 7.0"]):
        load_model(finished)
        assert gin_files.bound("vae.beta") == 7.0
        assert gin_files.bound("model.batch_size") is None


def test_verify_counts_the_embedded_set(capsys):
    data_main(["verify", "dsprites_full"])
    out = capsys.readouterr().out
    assert "128,328,864 white pixels" in out
    assert "715,706 distinct" in out
    assert "0 differ" in out
