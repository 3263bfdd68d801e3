"""The gin files inside the original's package, unmodified, where that package is installed."""

import ast
import importlib
import importlib.util
import logging
from pathlib import Path

import pytest

from srvae_plugin import (
    evaluate_with_gin,
    load_model,
    postprocess_with_gin,
    train_with_gin,
    validate_with_gin,
)
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.config import gin_files
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.run import run
from srvae_plugin.training import tensorflow_optimizers

SPEC = importlib.util.find_spec("disentanglement_lib")
pytestmark = pytest.mark.skipif(SPEC is None, reason="disentanglement-lib is not installed")
STUDY = Path(SPEC.origin).parent / "config/unsupervised_study_v1" if SPEC else Path()
SHARED = STUDY / "model_configs/shared.gin"
CONFIGS = STUDY.parent
OTHER_PIPELINES = {
    "abstract_reasoning_study_v1/stage2",
    "tests/abstract_reasoning/from_scratch",
    "tests/abstract_reasoning/representation",
}
FEW = ["model.training_steps = 2", "model.eval_steps = 1", "model.batch_size = 4"]


def test_a_model_trains_is_represented_and_scored(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="srvae_plugin"):
        train_with_gin(tmp_path / "model", False, [SHARED], FEW)
    for kind in ("mean", "sampled"):
        folder = tmp_path / kind
        config = STUDY / f"postprocess_configs/{kind}.gin"
        postprocess_with_gin(tmp_path / "model", folder, False, [config])
        scores = evaluate_with_gin(
            folder, tmp_path / f"{kind}-mig", False, [STUDY / "metric_configs/mig.gin"],
            ["mig.num_train = 200"],
        )  # fmt: skip
        assert 0 <= scores["discrete_mig"] <= 1


def study_models():
    """The study's 36 models as lines of gin, from the original's own sweep."""
    sweep = importlib.import_module("disentanglement_lib.config.unsupervised_study_v1.sweep")
    return [sweep.h.to_bindings(config) for config in sweep.get_default_models()]


def test_every_model_of_the_study_takes_its_hyperparameters():
    models = study_models()
    assert len(models) == 36
    for bindings in models:
        with gin_files.only([SHARED], bindings):
            model = pipeline.training_settings().model
        values = dict(line.split(" = ") for line in bindings)
        for key in values.keys() - {"model.name", "model.model", "discriminator.discriminator_fn"}:
            assert getattr(model, key.partition(".")[2]) == ast.literal_eval(values[key])


def test_one_model_of_each_kind_of_the_study_trains(tmp_path):
    kinds = {bindings[0].partition("= ")[2].strip("'"): bindings for bindings in study_models()}
    assert set(kinds) == {"beta_vae", "annealed_vae", "factor_vae", "beta_tc_vae"} | {
        "dip_vae_i", "dip_vae_ii",
    }  # fmt: skip
    for kind, bindings in kinds.items():
        train_with_gin(tmp_path / kind, False, [SHARED], [*bindings, *FEW])
        assert (tmp_path / kind / "model.safetensors").is_file()


def test_every_file_is_read_but_those_of_other_pipelines():
    """Five files are of its abstract reasoning models, which take a representation as one of
    several inputs."""
    refused, read = {}, 0
    for path in sorted(CONFIGS.rglob("*.gin")):
        try:
            with gin_files.only([path]):
                read += 1
        except gin_files.ConfigError as error:
            refused[str(path.relative_to(CONFIGS))] = str(error)
    folders = {name.rpartition("/")[0] for name in refused}
    assert folders == OTHER_PIPELINES
    assert (read, len(refused)) == (60, 5)
    for name, message in refused.items():
        assert f"{name}, line " in message
        assert "abstract reasoning, which is not done here" in message


def test_what_only_tensorflow_needs_is_ignored_with_one_line_each(tmp_path, caplog):
    """Two optimizers bind `use_locking` and `name`."""
    tensorflow_optimizers._say_ignored.cache_clear()
    bindings = ["model.model = @factor_vae()", "factor_vae.gamma = 10.0", *FEW]
    bindings += ["discriminator.discriminator_fn = @fc_discriminator"]
    with caplog.at_level(logging.INFO, logger="srvae_plugin"):
        train_with_gin(tmp_path / "model", False, [SHARED], bindings)
    ignored = [r.message for r in caplog.records if "TensorFlow only" in r.message]
    assert sorted(ignored) == [
        f"AdamOptimizer.{key} concerns TensorFlow only: ignored" for key in ("name", "use_locking")
    ]


def test_its_files_for_trying_out_train_represent_and_score(tmp_path):
    tests = CONFIGS / "tests"
    train = tests / "methods/unsupervised/train_test.gin"
    train_with_gin(tmp_path / "model", False, [train], ["model.eval_steps = 1"])
    for kind in ("mean", "sampled"):
        config = tests / f"postprocessing/postprocess_test_configs/{kind}.gin"
        postprocess_with_gin(tmp_path / "model", tmp_path / kind, False, [config])
    files = sorted((tests / "evaluation/evaluate_test_configs").glob("*.gin"))
    assert len(files) == 12
    for path in files:
        if path.stem not in ("reduced_downstream_task", "fairness"):  # ten seconds of trees
            scores = evaluate_with_gin(tmp_path / "sampled", tmp_path / path.stem, False, [path])
            assert len(scores) > 1


def test_its_weakly_supervised_file_trains(tmp_path):
    file = CONFIGS / "tests/methods/weakly_supervised/train_test.gin"
    train_with_gin(tmp_path / "model", False, [file], ["model.eval_steps = 1"])
    model = load_model(tmp_path / "model")
    assert (type(model).__name__, model.beta) == ("AdaGVAE", 1.0)


def test_its_semi_supervised_files_train_and_validate(tmp_path):
    tests = CONFIGS / "tests"
    train = tests / "methods/semi_supervised/train_test.gin"
    train_with_gin(tmp_path / "model", False, [train], ["model.eval_steps = 1"])
    mean = tests / "postprocessing/postprocess_test_configs/mean.gin"
    postprocess_with_gin(tmp_path / "model", tmp_path / "mean", False, [mean])
    files = sorted((tests / "validation/validation_test_configs").glob("*.gin"))
    keys = {"dci": "disentanglement", "mig": "discrete_mig", "sap_score": "SAP_score"}
    assert [file.stem for file in files] == [*keys]
    for file in files:
        few = ["validation.num_labelled_samples = 60"] if file.stem == "dci" else []
        scores = validate_with_gin(tmp_path / "mean", tmp_path / file.stem, False, [file], few)
        assert 0 <= scores[keys[file.stem]] <= 1


@pytest.mark.parametrize("validation_first", [True, False])
def test_training_and_validation_files_go_on_one_command_line(tmp_path, validation_first):
    tests = CONFIGS / "tests"
    files = [
        tests / "validation/validation_test_configs/mig.gin",
        tests / "methods/semi_supervised/train_test.gin",
    ]
    files = files if validation_first else files[::-1]
    bindings = ["model.eval_steps = 1", "run.pictures = False"]
    summary = run(files, bindings, tmp_path / "run")
    assert list(summary.scores["mean"]) == ["validation"]
    assert "discrete_mig" in summary.scores["mean"]["validation"]


POINTS = {"num_train": 60, "num_test": 30, "num_eval": 10, "num_variance_estimate": 50,
          "num_test_points_per_class": 5, "num_labelled_samples": 60}  # fmt: skip


def small(path):
    """A file and what makes its numbers of points and steps small, nothing else."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    bindings = [*FEW, "run.pictures = False"]
    for name, _, value in (line.partition("=") for line in lines):
        number = POINTS.get(name.strip().rpartition(".")[2])
        if number and not name.startswith("model."):
            bindings.append(f"{name} = {[number] if '[' in value else number}")
    text = "\n".join(lines)
    if "evaluation_fn" not in text and "validation_fn" not in text:
        bindings.append("run.metrics = []")
    if path == SHARED or path.name == "shared.gin":
        bindings += ["dataset.name = 'dummy_data'", "encoder.encoder_fn = @test_encoder",
                     "decoder.decoder_fn = @test_decoder"]  # fmt: skip
    return text, bindings


@pytest.mark.slow
def test_every_file_does_its_work_on_either_side_of_a_training_file(tmp_path):
    """But for UDR's two, which rank several models, and abstract reasoning's five."""
    train, done = CONFIGS / "tests/methods/unsupervised/train_test.gin", 0
    for path in sorted(CONFIGS.rglob("*.gin")):
        folder = str(path.relative_to(CONFIGS).parent)
        if folder in OTHER_PIPELINES or path.stem.startswith("udr"):
            continue
        text, bindings = small(path)
        alone = "model.training_steps" in text
        for number, files in enumerate([[path]] if alone else [[train, path], [path, train]]):
            summary = run(files, bindings, tmp_path / f"{done}-{number}")
            asked = "run.metrics = []" not in bindings
            assert any(summary.scores.values()) == asked, path
        done += 1
    assert done == 58


@pytest.mark.slow
def test_its_udr_files_rank_models(tmp_path):
    train = CONFIGS / "tests/methods/unsupervised/train_test.gin"
    for seed in range(2):
        bindings = [*FEW, f"model.random_seed = {seed}", "run.metrics = []", "run.pictures = False"]
        run([train], bindings, tmp_path / "runs" / str(seed))
    for path in sorted((CONFIGS / "tests/methods/udr").glob("*.gin")):
        evaluate_main(
            ["--udr", str(tmp_path / "runs"), "--gin", str(path),
             "--output", str(tmp_path / path.stem)]
        )  # fmt: skip
    with pytest.raises(gin_files.ConfigError, match="ranks several trained models"):
        run([path, train], FEW, tmp_path / "run")


@pytest.mark.parametrize("path", sorted(STUDY.glob("metric_configs/*.gin")), ids=lambda p: p.stem)
def test_metric_files_name_a_metric_of_ours(path):
    with gin_files.configured([path]):
        (metric,) = pipeline.run_plan().metrics
        assert gin_files.bound("evaluation.random_seed") == 0
    assert metric.split("_")[0] == path.stem.split("_")[0]
