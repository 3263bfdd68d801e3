"""What the user binds counts, for a run, its scores and its exports, or is named."""

import contextlib
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from finished_runs import SIZES, TINY, colour_images, colour_run

from srvae_plugin import train_with_gin
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.export import export
from srvae_plugin.config import gin_files
from srvae_plugin.config.gin_files import ConfigError
from srvae_plugin.config.text import dataset_bindings
from srvae_plugin.runs.directory import StepDirectory
from srvae_plugin.runs.run import check, run
from srvae_plugin.study.config import configurations
from srvae_plugin.study.definition import Study, read_study
from srvae_plugin.study.plan import plan

MIG = ["run.metrics = ['mig']", "mig.num_train = 50"]


def refused(*bindings, files=(TINY,)):
    with pytest.raises(ConfigError) as caught:
        check(files, bindings)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("binding", "part"),
    [
        ("vae.beta = 4.0", "did you mean sr_vae.beta?"),
        ("dip_vae.lambda_od = 4.0", "the model is sr_vae, which has beta"),
        ("dci_regression.num_train = 10", "has no 'dci_regression'"),
        ("discriminator/AdamOptimizer.beta1 = 0.1", "did you mean vae/AdamOptimizer.beta1?"),
        ("AdamOptimizer.learning_rate = 0.1", "vae/AdamOptimizer.learning_rate is bound, too"),
        ("conv_encoder.initializer = 'pytorch'", "has no effect"),
        ("reconstruction_loss.loss_fn = @l2_loss", "has no effect"),
        ("trees/mig.num_train = 10", "did you mean mig.num_train?"),
        ("predictor.predictor_fn = @logistic_regression_cv", "has no effect"),
        ("fc_discriminator.width = 10", "has no effect"),
    ],
)
def test_a_binding_that_nothing_reads_is_an_error(binding, part):
    message = refused(binding)
    assert f"binding {binding!r} has no effect" in message
    assert part in message


@pytest.mark.parametrize(
    "bindings",
    [
        ["sr_vae.beta = 4.0", "reconstruction_loss.activation = 'logits'"],
        ["BETA = 4.0", "sr_vae.beta = %BETA"],
        ["model.model = @factor_vae()", "factor_vae.gamma = 1.0", "fc_discriminator.width = 10",
         "discriminator_optimizer.optimizer_fn = @d/AdamOptimizer", "d/AdamOptimizer.beta1 = 0.5"],
        ["run.metrics = ['trees/downstream_task']", "trees/downstream_task.num_train = [10]",
         "trees/predictor.predictor_fn = @logistic_regression_cv"],
        ["evaluation.random_seed = 3", "postprocess.random_seed = 3", "run.pictures = False"],
        ["encoder.encoder_fn = @small/conv_encoder", "small/conv_encoder.initializer = 'pytorch'"],
        ["discretizer.num_bins = 5", "histogram_discretizer.num_bins = 5"],
        ["vae_optimizer.learning_rate = 0.1"],
    ],
)  # fmt: skip
def test_a_binding_that_something_reads_is_none(bindings, caplog):
    check([TINY], bindings)
    assert all(binding.partition(" ")[0] not in caplog.text for binding in bindings)


def test_a_users_file_is_warned_of_in_one_line_and_packaged_ones_are_not(tmp_path, caplog):
    mine = tmp_path / "mine.gin"
    mine.write_text("include 'srvae_dsprites.gin'\nvae.beta = 4.0\ndci_es.num_train = 10\n")
    with caplog.at_level(logging.WARNING, logger="srvae_plugin"):
        checked = check([mine, "presets/quick.gin"], [])
    (said,) = [r.message for r in caplog.records if "have no effect" in r.message]
    assert f"{mine}: dci_es.num_train, vae.beta" in said
    caplog.clear()
    recorded = tmp_path / "config.gin"
    recorded.write_text(checked.config)
    check([recorded], [])
    check(["factor_vae_dsprites.gin", "presets/quick.gin"], [])
    assert "have no effect" not in caplog.text


def test_a_study_refuses_what_none_of_the_runs_it_is_meant_for_reads():
    models = {"SR": ["srvae_dsprites.gin"], "VAE": ["vae_dsprites.gin"]}
    configurations(plan(Study(models=models, every_run=["vae.beta = 4.0"])))
    wrong = [
        (Study(models=models | {"SR": ["srvae_dsprites.gin", "vae.beta = 4.0"]}), "runs of SR"),
        (Study(models=models, every_run=["dip_vae.lambda_od = 4.0"]), "any run of the study"),
        (Study(models=models, grid={"SR": {"vae.beta": [1.0, 2.0]}}), "runs of SR"),
    ]
    for study, part in wrong:
        with pytest.raises(ConfigError, match=part):
            configurations(plan(study))


def test_the_packaged_studies_bind_nothing_in_vain():
    for path in (gin_files.packaged_configs() / "studies").glob("*.gin"):
        if "study.numbered" not in (text := path.read_text()) and "study." in text:
            configurations(plan(read_study([path], ["study.seeds = 1"])))


def test_a_name_that_a_study_cannot_bind_is_no_misspelling(tmp_path):
    path = tmp_path / "mine.gin"
    path.write_text("sr_vae.beta = 4.0\n")
    with pytest.raises(ConfigError) as caught:
        read_study([path])
    assert "did you mean 'sr_vae'" not in str(caught.value)


def representations(*bindings, files=(TINY,)):
    checked = check(files, [*bindings, "run.metrics = []"])
    return list(checked.plan.representations), dict(checked.functions), checked.config


def test_of_representations_and_a_function_the_later_counts(tmp_path):
    sampled = "postprocess.postprocess_fn = @sampled_representation"
    kinds, functions, config = representations(sampled)
    assert (kinds, functions) == (["sampled"], {"sampled": "sampled_representation"})
    recorded = tmp_path / "config.gin"  # without the order of what made it
    recorded.write_text(config)
    assert representations(files=[recorded])[0] == ["sampled"]
    both = "run.representations = ['mean', 'sampled']"
    assert representations(sampled, both)[0] == ["mean", "sampled"]
    assert "contradict" in refused(sampled, "run.representations = ['mean']")
    mine = tmp_path / "mine.gin"
    mine.write_text(f"{sampled}\ninclude '{TINY}'\n")
    assert representations(files=[mine])[0] == ["mean"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return colour_run(folder, "vae", [*MIG, "postprocess.postprocess_fn = @sampled_representation"])


def scored(finished, output, *bindings):
    flags = [flag for b in (*MIG, *bindings) for flag in ("--bind", b)]
    try:
        evaluate_main([str(finished), "--overwrite", *flags])
    except SystemExit as stop:
        return stop.code
    return 0


def recorded(finished):
    folder = finished / "metrics" / "sampled" / "mig"
    return StepDirectory(folder, "evaluation").read(), dataset_bindings(
        StepDirectory(folder, "evaluation").gin_file()
    )


def test_the_function_that_a_run_binds_makes_its_codes(finished):
    assert [path.name for path in (finished / "postprocessed").iterdir()] == ["sampled"]
    text = (
        StepDirectory(finished / "postprocessed" / "sampled", "postprocess").gin_file().read_text()
    )
    assert "postprocess.postprocess_fn = @sampled_representation" in text


def test_a_run_is_scored_on_the_data_that_is_bound(finished, tmp_path, caplog):
    source = colour_images(finished.parent)[1].partition('"')[2].rstrip('"')
    arrays = dict(np.load(source))
    other = tmp_path / "one.npz"
    np.savez(other, images=arrays["images"], factors=arrays["factors"][:, :1])
    path = f"dataset.path = '{other}'"
    for bindings in ([path], ["dataset.name = 'npz'", path], ["dataset.name = 'auto'", path]):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="srvae_plugin"):
            assert scored(finished, tmp_path, *bindings) == 0
        scores, data = recorded(finished)
        assert scores["num_factors_scored"] == 1
        assert data == {"name": "npz", "path": str(other)}
        (said,) = [r.message for r in caplog.records if r.message.startswith("scored on")]
        assert str(other) in said.partition("trained on")[0]
        assert source in said.partition("trained on")[2]
    caplog.clear()
    assert scored(finished, tmp_path) == 0
    assert recorded(finished)[0]["num_factors_scored"] == len(SIZES)
    assert recorded(finished)[1] == {"name": "npz", "path": source}
    assert "trained on" not in caplog.text


def test_rows_held_out_that_were_trained_on_are_said(finished, tmp_path, caplog):
    assert scored(finished, tmp_path, "dataset.held_out = .5") == 0
    (said,) = [r.message for r in caplog.records if "held_out = 0.5, but" in r.message]
    assert "all of the rows that it is scored on were trained on" in said
    caplog.clear()
    assert scored(finished, tmp_path) == 0
    assert "trained on" not in caplog.text


def test_options_of_the_runs_data_do_not_leak_into_another(finished, tmp_path, capsys):
    assert scored(finished, tmp_path, "dataset.name = 'dummy_data'") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "takes images of 7 x 5 x 3" in line
    assert "no such option" not in line
    assert "those of dummy_data are 64 x 64 x 1" in line


def test_scores_of_a_run_are_resumed_when_a_metric_is_added(tmp_path, capsys):
    seeded = "evaluation.random_seed = 0"  # the default, and other metrics, change no identity
    made = colour_run(tmp_path, "vae", ["run.metrics = ['mig']", "mig.num_train = 50", seeded])
    mig = made / "metrics" / "mean" / "mig"
    before = StepDirectory(mig, "evaluation").read()

    def resumed(*bindings):
        flags = [flag for b in bindings for flag in ("--bind", b)]
        with contextlib.suppress(SystemExit):
            evaluate_main([str(made), "--resume", *flags])
        return capsys.readouterr().err.strip().splitlines()[-1:]

    both = "run.metrics = ['modularity_explicitness', 'mig']"
    resumed(both, "mig.num_train = 50", "modularity_explicitness.num_train = 40",
            "modularity_explicitness.num_test = 10")  # fmt: skip
    assert StepDirectory(mig, "evaluation").read() == before
    assert StepDirectory(mig.with_name("modularity_explicitness"), "evaluation").is_complete()
    for changed in ("mig.num_train = 40", "discretizer.num_bins = 5", "evaluation.random_seed = 1"):
        (line,) = resumed("run.metrics = ['mig']", "mig.num_train = 50", changed)
        assert changed in line
        assert line.endswith("--overwrite scores it again")
    (mig / "manifest.sha256").unlink()  # older versions wrote none
    saved = mig / "identity.txt"
    text = saved.read_text().replace("# what this metric reads:", "model.batch_size = 2")
    saved.write_text(text)
    (line,) = resumed("run.metrics = ['mig']", "mig.num_train = 50")
    assert "older version" in line
    assert line.endswith("--overwrite scores it again")


def test_an_export_is_of_the_data_that_is_bound_and_refuses_what_it_does_not_read(
    finished, tmp_path
):
    source = colour_images(finished.parent)[1].partition('"')[2].rstrip('"')
    moved = tmp_path / "moved.npz"
    arrays = dict(np.load(source))
    np.savez(moved, images=arrays["images"][:30], factors=arrays["factors"][:30])
    bindings = [f"dataset.path = '{moved}'", "export_npz.importance = False"]
    done = export(finished, "npz", tmp_path / "out", representation="sampled", bindings=bindings)
    assert len(np.load(done.file)["codes"]) == 30
    with pytest.raises(ConfigError, match="has no effect"):
        export(finished, "npz", tmp_path / "x", representation="sampled", bindings="vae.beta = 1.0")


def test_nothing_is_overwritten_from_python_without_being_asked(tmp_path):
    bindings = ["model.training_steps = 1", "model.checkpoint_every = 1"]
    train_with_gin(tmp_path / "model", gin_config_files=str(TINY), gin_bindings=bindings)
    with pytest.raises(ValueError, match="exists already"):
        train_with_gin(tmp_path / "model", gin_config_files=TINY, gin_bindings=bindings)
    train_with_gin(tmp_path / "model", True, TINY, bindings)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    for given in ({"overwrite": True}, {"resume": True}, {}):
        with pytest.raises(ValueError, match=r"thesis"):
            train_with_gin(
                tmp_path / "thesis", gin_config_files=TINY, gin_bindings=bindings, **given
            )
    assert (tmp_path / "thesis" / "chapter.tex").exists()


OWN_NETWORK = """
import gin
from torch import nn
from srvae_plugin.models.networks import GaussianEncoder
@gin.register
def own_encoder(observation_shape, num_latent):
    return GaussianEncoder(nn.Flatten(), 105, num_latent)
"""


def test_a_run_with_a_module_of_ones_own_is_read_with_import(tmp_path):
    """In processes of their own: what is imported stays imported."""
    (tmp_path / "own_network.py").write_text(OWN_NETWORK)
    mine = tmp_path / "mine.gin"
    lines = [*colour_images(tmp_path), *MIG, "model.training_steps = 1", "run.pictures = False"]
    lines += ["encoder.encoder_fn = @own_encoder", "decoder.decoder_fn = @fc_decoder"]
    mine.write_text("\n".join(["import own_network", f'include "{TINY}"', *lines]))

    def command(name, *arguments):
        script = Path(sys.executable).with_name(name)
        return subprocess.run(
            [script, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    done = command("srvae-run", "--gin", "mine.gin", "--output", "run")
    assert done.returncode == 0, done.stderr
    score = ["run", "--bind", "run.metrics = ['mig']", "--overwrite"]
    done = command("srvae-evaluate", *score)
    assert done.returncode == 2
    assert "add --import own_network" in done.stderr.splitlines()[-1]
    done = command("srvae-evaluate", *score, "--import", "own_network")
    assert done.returncode == 0, done.stderr


def test_run_takes_a_plain_string_for_a_file_and_for_a_binding(tmp_path):
    mine = tmp_path / "mine.gin"
    mine.write_text(f"include '{TINY}'\nrun.metrics = []\nrun.pictures = False\n")
    run(str(mine), "model.training_steps = 1", tmp_path / "run")
    trained = StepDirectory(tmp_path / "run" / "model", "train").gin_file().read_text()
    assert "model.training_steps = 1\n" in trained
