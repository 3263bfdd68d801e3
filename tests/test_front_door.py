"""What a newcomer meets: messages that say what to type, progress, notes once, kept scores."""

import logging
import random
import subprocess
import sys
import warnings

import numpy as np
import pandas
import pytest
import torch
from torch import nn

import srvae_plugin as sv
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.config import gin_reach
from srvae_plugin.config.gin_config import Config
from srvae_plugin.config.gin_files import Choice
from srvae_plugin.metrics.common.arrays import as_array
from srvae_plugin.progress import Progress
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.scoring.identity import USUAL_BINDINGS, _says_nothing
from srvae_plugin.runs.scoring.tried import seeded
from srvae_plugin.training.interrupts import InterruptedTrainingError

FACTORS = np.argwhere(np.ones((8, 8)))
IMAGES = np.zeros((64, 8, 8), np.float32)
IMAGES[np.arange(64), FACTORS[:, 0], FACTORS[:, 1]] = 1
QUICK = {"steps": 1, "batch_size": 4, "eval_steps": 1}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A run on a file of one's own, which both Python and the commands can read."""
    folder = tmp_path_factory.mktemp("own")
    np.savez(folder / "own.npz", images=IMAGES, factors=FACTORS)
    data = sv.load_dataset("npz", path=str(folder / "own.npz"))
    return sv.train(sv.VAE(beta=1.0, num_latent=3), data, folder / "run", **QUICK)


def encoder(pixels):
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, 3))


class ReturnsDict(nn.Module):
    def forward(self, x):
        return {"mean": x.flatten(1)}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: encoder(32 * 32 * 3), r"tensors \(batch, 1, 8, 8\); it takes 32 x 32 x 3: score"),
        (lambda: encoder(8 * 8 * 3), r"it takes 8 x 8 x 3: score it on data of that size"),
        (lambda: encoder(17), r"given as tensors \(batch, 1, 8, 8\): RuntimeError: (addmm: )?mat1"),
        (
            lambda: lambda images: images.reshape(len(images), 784)[:, :3],
            r"arrays \(batch, 8, 8, 1\); it takes 28 x 28 x 1",
        ),
        (ReturnsDict, "it returns a dict; expected a tensor"),
        (lambda: sv.VAE(beta=1.0, num_latent=2), "the VAE has no weights yet: train it"),
        (lambda: "nowhere", "nowhere is not a run directory: there is no such folder"),
    ],
)
def test_what_cannot_encode_the_data_is_told_what_it_takes(made, message):
    with pytest.raises(ValueError, match=message):
        sv.score(made(), (IMAGES, FACTORS), ["mig"])


def test_a_run_on_images_of_another_size_names_both(own):
    larger = (np.zeros((64, 16, 16), np.float32), FACTORS)
    for score in (lambda: sv.score(own, larger), lambda: own.evaluate(["mig"], larger)):
        with pytest.raises(ValueError, match=r"takes images of 8 x 8 x 1 .* are 16 x 16 x 1: sc"):
            score()


def test_codes_of_another_size_of_a_model_file(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.script(encoder(28 * 28)).save(tmp_path / "m.pt")
    with pytest.raises(ValueError, match=r"images of 8 x 8 x 1 .* it takes 28 x 28 x 1: score it"):
        sv.score(tmp_path / "m.pt", (IMAGES, FACTORS), ["mig"])


def test_a_file_of_codes_scores_as_its_arrays(tmp_path):
    codes = FACTORS + np.random.default_rng(0).normal(size=(64, 2))
    expected = sv.score_codes(codes, FACTORS, ["mig", "sap_score"])
    np.savez(tmp_path / "c.npz", codes=codes, factors=FACTORS)
    np.save(tmp_path / "c.npy", codes)
    frame = pandas.DataFrame({"latent_0": codes[:, 0], "latent_1": codes[:, 1]})
    frame[["row", "column"]] = FACTORS
    frame.to_csv(tmp_path / "c.csv", index=False)
    frame[["row", "column"]].to_csv(tmp_path / "f.csv", index=False)
    for given in (("c.npz",), ("c.csv",), ("c.npy", "f.csv")):
        files = [tmp_path / name for name in given]
        assert sv.score_codes(*files, metrics=["mig", "sap_score"]) == expected
    assert sv.score_codes(codes.tolist(), FACTORS.tolist(), ["mig", "sap_score"]) == expected
    with pytest.raises(ValueError, match=r"factors: got ndarray beside the file"):
        sv.score_codes(tmp_path / "c.npy", FACTORS)
    with pytest.raises(ValueError, match=r"codes: got dict; expected an array"):
        sv.score_codes({"codes": codes}, FACTORS)


def test_a_table_without_latent_0_is_told_its_own_columns(tmp_path):
    table = pandas.DataFrame(np.zeros((4, 5)), columns=["c1", "c2", "c3", "shape", "size"])
    table.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match=r"--code-columns 'c\*' --factor-columns 'shape,size'"):
        sv.score_codes(tmp_path / "t.csv")
    table.rename(columns={"shape": "colour"}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match=r"--code-columns 'c1,c2,c3' --factor-columns 'colour,si"):
        sv.score_codes(tmp_path / "t.csv")


def test_one_reason_is_said_once_for_all_metrics(caplog):
    with pytest.raises(ValueError, match=r"^not scored: mig, sap_score: .* no factors") as caught:
        sv.score_codes(np.zeros((20, 2)), None, ["mig", "sap_score"])
    assert str(caught.value).count("no factors of variation") == 1
    codes = FACTORS + np.random.default_rng(0).normal(size=(64, 2))
    caplog.clear()
    sv.score_codes(codes, FACTORS, {"mig": {}, "jemmig": {}, "mig_sup": {}})
    notes = [each.getMessage() for each in caplog.records if "points were asked" in each.message]
    assert notes == ["the table has 64 rows, 10000 points were asked for: using 64"]
    sv.score_codes(codes, FACTORS, {"mig": {}})  # another table may be another matter
    assert caplog.text.count("points were asked for") == 2


def test_scores_kept_by_python_and_by_the_command_are_one(own, capsys, caplog):
    settings = {"mig": {"num_train": 60}, "modularity_explicitness": {}, "irs": {"num_train": 60}}
    scores = own.evaluate(settings)
    place = own.directory.scores("mean")
    written = [place.of(name).results.stat().st_mtime_ns for name in settings]
    words = ["--gin", "metrics/all.gin", "--bind", f"run.metrics = {list(settings)}"]
    words += ["--bind", "mig.num_train = 60", "--bind", "irs.num_train = 60", "--resume"]
    evaluate_main([str(own.path), *words])
    assert own.evaluate(settings) == scores
    assert [place.of(name).results.stat().st_mtime_ns for name in settings] == written
    capsys.readouterr()
    evaluate_main([str(own.path), *words[:-1], "--overwrite"])
    assert own.evaluate(settings) == scores  # not refused: recognised
    bins = [*words[:-1], "--bind", "discretizer.num_bins = 10", "--resume"]
    with pytest.raises(SystemExit):
        evaluate_main([str(own.path), *bins])
    assert "discretizer.num_bins = 10" in capsys.readouterr().err


def test_packaged_settings_are_those_of_python():
    """Of every metric but the two that are told apart by a scope, which Python has not."""
    packaged = Config(["metrics/all.gin"], ["dataset.name = 'dummy_data'"])
    python = [*USUAL_BINDINGS, "evaluation.random_seed = 0", "dataset.name = 'dummy_data'"]
    with packaged.active():
        metrics = [name for name in pipeline.run_plan().metrics if "/" not in name]
    assert len(metrics) == 22
    for metric in metrics:
        texts = []
        for config in (packaged, Config((), python)):
            with config.choosing("evaluation.evaluation_fn", Choice(metric)):
                lines = gin_reach.text_of(gin_reach.steps_of_metric()).splitlines()
                texts.append({line for line in lines if not _says_nothing(line)})
        assert texts[0] == texts[1], metric


def test_progress_in_a_plain_script_goes_to_standard_error(tmp_path):
    script = (
        "import sys, time, logging\n"
        "from srvae_plugin import progress\n"
        "progress._LINE_SECONDS = 0.05\n"
        "if sys.argv[1:]: logging.getLogger('srvae_plugin').setLevel(logging.WARNING)\n"
        "with progress.Progress('training', 4) as bar:\n"
        "    for values in ({'loss': 2.0}, {}, {}, {}):\n"
        "        time.sleep(0.06); bar.advance(values=values)\n"
    )
    (tmp_path / "s.py").write_text(script)
    words = [sys.executable, str(tmp_path / "s.py")]
    said = subprocess.run(words, capture_output=True, text=True, check=True)
    first = said.stderr.splitlines()[0]
    assert first.startswith("training: 1 of 4 steps, loss 2, ")
    assert "ETA 0:00" in first
    assert "training: 4 of 4 steps, loss 2" in said.stderr
    quiet = subprocess.run([*words, "quiet"], capture_output=True, text=True, check=True)
    assert said.stdout == quiet.stdout == quiet.stderr == ""


def test_a_program_that_configured_logging_gets_progress_there(caplog, capsys):
    with caplog.at_level(logging.INFO, "srvae_plugin"), Progress("encoding", 2) as bar:
        bar.advance(2)
    assert "encoding: 2 of 2 steps" in caplog.text
    assert capsys.readouterr().err == ""


def test_a_frame_lies_in_memory_as_its_array_does():
    codes = np.random.default_rng(0).normal(size=(50, 3))
    for frame in (pandas.DataFrame(codes), pandas.DataFrame(dict(enumerate(codes.T)))):
        made = as_array(frame)
        assert made.flags.c_contiguous
        assert np.array_equal(made, codes)


def test_an_interruption_says_how_to_go_on_in_python_and_the_command_in_its_words(tmp_path):
    error = InterruptedTrainingError(2, 5, tmp_path / "checkpoint.pt")
    assert str(error).endswith("checkpoint.pt; the same call with resume=True continues from there")
    assert "resume" not in error.what


def test_numbers_that_are_no_whole_numbers_are_named(tmp_path):
    for wrong in ({"steps": 1e3}, {"seed": "0"}, {"batch_size": 2.0}, {"log_every": True}):
        name, options = next(iter(wrong)), {**QUICK, **wrong}
        with pytest.raises(ValueError, match=f"{name} .*(expected|must be) a whole number"):
            sv.train(sv.VAE(beta=1.0, num_latent=2), IMAGES, tmp_path / "a", **options)
    assert not (tmp_path / "a").exists()


def test_what_is_typed_for_a_data_set_is_understood(tmp_path, own):
    with pytest.raises(ValueError, match=r"of yours is load_dataset\('npz', path='a\.npz'\)"):
        sv.load_dataset("a.npz")
    with pytest.raises(ValueError, match=r"load_dataset\('image_folder', path="):
        sv.train(sv.VAE(beta=1.0, num_latent=2), tmp_path, tmp_path / "a", steps=1)
    with pytest.raises(ValueError, match="did you mean 'mig'"):
        sv.score_codes(np.zeros((20, 2)), np.zeros((20, 1), int), "MIG")
    with pytest.raises(ValueError, match=r"has runs in it \(run\): load_runs\("):
        sv.load_run(own.path.parent)


def test_a_frame_of_what_differs(tmp_path):
    for beta in (1.0, 4.0):
        model = sv.VAE(beta=beta, num_latent=2)
        sv.train(model, (IMAGES, FACTORS), tmp_path / f"b{beta:g}", **QUICK).evaluate(["mig"])
    frame = sv.load_runs(tmp_path).to_frame(differing=True)
    assert list(frame) == ["path", "vae.beta", "MIG"]


def test_scoring_leaves_the_global_generators_as_they_were():
    def draws():
        return random.random(), np.random.rand(), torch.rand(()).item()

    def seed():
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)

    seed()
    expected = draws()
    seed()
    with seeded(7):
        other = draws()
    assert draws() == expected
    assert all(a != b for a, b in zip(other, expected, strict=True))
