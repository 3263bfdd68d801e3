"""What lies in a run directory is of the weights that are there, or is said not to be."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_runs import bound, run_words

import srvae_plugin as sv
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.run import run_main
from srvae_plugin.data.sampling.labelled import LabelledData
from srvae_plugin.data.sampling.labellers import noisy_labeller, perfect_labeller
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.directory import RunDirectory, ScoresDirectory
from srvae_plugin.runs.replaced import replaced
from srvae_plugin.runs.scoring.tried import content_of
from srvae_plugin.runs.scoring.udr_groups import groups_of
from srvae_plugin.testing.building import Bars
from srvae_plugin.training.callbacks import Callback

QUICK = {"batch_size": 4, "eval_steps": 1, "log_every": 1, "learning_rate": 1e-2, "device": "cpu"}
FACTORS = np.argwhere(np.ones((6, 6)))
IMAGES = np.zeros((36, 6, 6), np.float32)
IMAGES[np.arange(36), FACTORS[:, 0], FACTORS[:, 1]] = 1


def vae():
    return sv.VAE(beta=1.0, num_latent=2)


def trained(folder, steps=2, model=None, data=(IMAGES, FACTORS), **how):
    return sv.train(model or vae(), data, folder, steps=steps, **QUICK, **how)


def small_run(tmp_path, name="run", *bindings, flags=()):
    words = [str(word) for word in run_words(tmp_path, tmp_path / name, *bindings)]
    run_main([*words, *bound("run.pictures = False"), *flags])
    return RunDirectory(tmp_path / name)


def test_a_model_that_was_trained_since_is_not_scored_as_the_run(tmp_path):
    short = trained(tmp_path / "a")
    trained(tmp_path / "a", 4, resume=True)
    with pytest.raises(ValueError, match="the model in memory differs from the one"):
        short.evaluate(["mig"])
    again = sv.load_run(tmp_path / "a")
    assert again.evaluate(["mig"], (IMAGES, FACTORS)) == again.scores()


def test_a_run_whose_model_another_run_took_is_scored_with_its_own_weights(tmp_path):
    model = vae()
    first = trained(tmp_path / "a", model=model)
    alone = first.codes(IMAGES)
    second = trained(tmp_path / "b", 4, model=model)
    assert np.array_equal(first.codes(IMAGES), alone)
    assert not np.array_equal(second.codes(IMAGES), alone)
    kept = sv.load_run(tmp_path / "a").evaluate(["mig"], (IMAGES, FACTORS), overwrite=True)
    assert first.evaluate(["mig"], overwrite=True) == kept


def test_a_representation_that_a_run_has_not_is_refused(tmp_path):
    run = trained(tmp_path / "a")
    for ask in (run.scores, lambda kind: run.evaluate(["mig"], kind=kind)):
        with pytest.raises(ValueError, match="has no representation 'sampled'; it has mean"):
            ask(kind="sampled")


def test_a_loaded_model_has_the_losses_that_its_run_was_trained_with(tmp_path):
    squared = small_run(tmp_path, "a", "reconstruction_loss.loss_fn = @l2_loss")
    model = sv.load_model(squared.path)
    x = torch.rand(4, 3, 7, 5)
    torch.manual_seed(0)
    logged = model.losses(x, 0).logs["reconstruction_loss"]
    torch.manual_seed(0)
    image = model.mean_image(model.decode(model.sample(x, torch.randn(4, 2))))
    torch.testing.assert_close(logged, (image - x).square().sum((1, 2, 3)).mean())


def test_a_finished_run_without_a_checkpoint_is_not_trained_anew(tmp_path):
    run = trained(tmp_path / "a", keep_checkpoint=False)
    before = load_file(run.directory.model.weights)
    assert not run.directory.model.files.checkpoint.exists()
    with pytest.raises(ValueError, match="finished and kept no checkpoint"):
        trained(tmp_path / "a", 4, resume=True)
    after = load_file(run.directory.model.weights)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_snapshots_of_a_training_that_begins_anew_are_its_own(tmp_path):
    class Stop(Callback):
        every = 3

        def on_interval(self, step, model):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "a", 4, keep_every=1, callbacks=[Stop()])
    run = trained(tmp_path / "a", 4, keep_every=4, resume=True)
    snapshots = run.directory.model.files.snapshots
    assert [path.name for path in snapshots.iterdir()] == ["step_4"]


def test_other_labels_are_another_training(tmp_path):
    def labelled(labeller):
        return LabelledData(Bars((1, 8, 8)), num_labelled_samples=20, labeller=labeller)

    def go(labeller, **how):
        model = sv.S2VAE(beta=1.0, gamma_sup=1.0, supervised_loss="l2", num_latent=4)
        return trained(tmp_path / "a", how.pop("steps"), model, labelled(labeller), **how)

    go(perfect_labeller, steps=2)
    with pytest.raises(ValueError, match="labels = "):
        go(noisy_labeller, steps=3, resume=True)
    assert go(perfect_labeller, steps=3, resume=True).directory.model.read()["global_step"] == 3


def test_scores_on_the_way_have_the_keys_of_scores(tmp_path):
    run = small_run(tmp_path, "run", "run.evaluate_every = 6", "run.metrics = ['mig']")
    last = sv.load_run(run.path)
    assert last.scores(step=12) == last.scores()


def test_a_diagnosis_is_kept_for_what_it_is_of(tmp_path, capsys):
    factors = np.argwhere(np.ones((15, 15)))
    images = np.zeros((225, 15, 15), np.uint8)
    images[np.arange(225), factors[:, 0], factors[:, 1]] = 255
    np.savez(tmp_path / "bars.npz", images=images, factors=factors)
    bars = f"dataset.path = '{tmp_path / 'bars.npz'}'"
    run = small_run(tmp_path, "run", "run.metrics = []", bars)
    words = [str(run.path), "--diagnose"]
    evaluate_main(words)
    record = json.loads(run.scores("mean").diagnosis.read_text())
    evaluate_main([*words, "--resume"])
    with pytest.raises(SystemExit):
        evaluate_main([*words, "--resume", *bound("evaluation.random_seed = 5")])
    assert "--overwrite replaces it" in capsys.readouterr().err
    evaluate_main([*words, "--overwrite", *bound("evaluation.random_seed = 5")])
    assert json.loads(run.scores("mean").diagnosis.read_text())["seed"] == 5 != record["seed"]


def test_a_diagnosis_of_other_codes_is_not_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    factors = np.argwhere(np.ones((15, 15)))
    words = ["--codes", "codes.npz", "--diagnose"]
    np.savez("codes.npz", codes=factors.astype(float), factors=factors)
    evaluate_main(words)
    evaluate_main([*words, "--resume"])
    np.savez("codes.npz", codes=factors @ [[1.0, 1.0], [1.0, -1.0]], factors=factors)
    with pytest.raises(SystemExit):
        evaluate_main([*words, "--resume"])
    assert "is for another representation" in capsys.readouterr().err


def test_a_training_step_that_is_overwritten_leaves_no_scores_on_the_way(tmp_path):
    run = small_run(tmp_path, "run", "run.evaluate_every = 6", "run.metrics = ['mig']")
    text = run.read_config()
    kept = [line for line in text.splitlines() if not line.startswith("run.")]
    (tmp_path / "other.gin").write_text("\n".join(kept))
    arguments = {"gin_bindings": ["model.random_seed = 7"]}
    assert run.evaluations.steps() == [6, 12]
    pipeline.train_with_gin(run.model.path, True, [str(tmp_path / "other.gin")], **arguments)
    assert run.evaluations.steps() == []


def test_weights_to_start_from_are_not_deleted_first(tmp_path):
    run = small_run(tmp_path, "run", "run.metrics = []")
    (tmp_path / "again.gin").write_text(run.read_config())
    before = run.model.weights.read_bytes()
    for source in (run.path, run.model.path, run.model.weights):
        with pytest.raises(ValueError, match="choose another output"):
            pipeline.train_with_gin(
                run.model.path, True, [str(tmp_path / "again.gin")],
                [f"model.init_from = '{source}'"],
            )  # fmt: skip
    assert run.model.weights.read_bytes() == before


def test_runs_are_compared_however_they_were_kept(tmp_path):
    for seed, how in enumerate([{"keep_every": 1}, {"keep_checkpoint": False}]):
        trained(tmp_path / str(seed), seed=seed, **how)
    assert len(groups_of([tmp_path])[0].runs) == 2
    semi = ["model.model = @s2_vae()", "s2_vae.beta = 1.0", "s2_vae.gamma_sup = 1.0"]
    semi += ["supervised_loss.loss_fn = @l2", "encoder.num_latent = 3"]
    for seed in (3, 4):
        of_seed = [*semi, "run.metrics = []", f"model.model_seed = {seed}"]
        small_run(tmp_path, f"semi/{seed}", *of_seed)
    assert len(groups_of([tmp_path / "semi"])[0].runs) == 2


def test_exports_of_former_weights_are_said_to_be_so(tmp_path, caplog):
    run = trained(tmp_path / "a")
    run.directory.export("mean", "torchscript").mkdir(parents=True)
    trained(tmp_path / "a", 3, resume=True)
    assert "was made from earlier weights" in caplog.text


def test_scores_from_python_follow_their_seed(tmp_path):
    run = trained(tmp_path / "a")
    few = {"unsupervised_metrics": {"num_train": 20}}
    one = run.evaluate(few, (IMAGES, FACTORS), seed=1)
    assert one == sv.score(run, (IMAGES, FACTORS), few, seed=1)
    assert one != sv.score(run, (IMAGES, FACTORS), few, seed=0)


def test_scores_that_replace_a_refusal_take_it_away(tmp_path):
    scores = ScoresDirectory(tmp_path / "metrics")
    scores.path.mkdir()
    scores.refusal("mig").write_text("{}")
    with replaced(scores) as new:
        (new.path / "mig").mkdir()
    assert (scores.path / "mig").is_dir()
    assert not scores.refusal("mig").exists()


def test_a_zero_with_a_sign_is_no_other_model():
    signed = np.array([[0.0, 1.0], [-0.0, 2.0]])
    assert content_of(None, signed) == content_of(None, np.abs(signed)) != ""
    assert content_of(None, signed) != content_of(None, signed + 1e-3)
