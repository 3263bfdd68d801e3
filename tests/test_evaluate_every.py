"""Scores on the way: those of a run that stopped there, and a training that does not notice."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

import srvae_plugin as sv
from srvae_plugin.cli.report import report_main
from srvae_plugin.cli.run import run_main
from srvae_plugin.config.text import gin_dict
from srvae_plugin.plots.pictures import save_all
from srvae_plugin.runs.directory import RunDirectory
from srvae_plugin.testing.complete_run import Bars
from srvae_plugin.training.callbacks import Callback

TINY = Path(__file__).with_name("tiny.gin")
BINDINGS = ["run.metrics = ['mig', 'factor_vae_score']", "model.training_steps = 8"]
BINDINGS += ["srvae_encoder.base_channels = 2", "srvae_decoder.base_channels = 2"]
BINDINGS += ["run.pictures = False"]
EVERY = "run.evaluate_every = 4"


def go(output, *bindings, flags=()):
    arguments = ["--gin", str(TINY), "--output", str(output), *flags]
    for binding in [*BINDINGS, *bindings]:
        arguments += ["--bind", binding]
    run_main(arguments)
    return RunDirectory(output)


def timeless(scores):
    return {
        metric: {k: v for k, v in of.items() if k not in ("elapsed_time", "uuid")}
        for metric, of in scores.items()
    }


def weights(run):
    return load_file(run.model.weights)


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    return go(tmp_path_factory.mktemp("runs") / "watched", EVERY, "run.keep_every = 4")


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    return go(tmp_path_factory.mktemp("runs") / "short", "model.training_steps = 4")


def test_scores_at_a_step_are_those_of_a_run_that_stopped_there(watched, short):
    assert watched.evaluations.steps() == [4, 8]
    for step, run in ((4, short), (8, watched)):
        found = watched.evaluations.read(step)
        assert timeless(found["scores"]["mean"]) == timeless(run.scores("mean").read_all())
        assert found["failed"] == {}
    settings = found["settings"]["mean"]["mig"].splitlines()
    assert "mig.num_train = 60" in settings
    assert not [line for line in settings if line.startswith(("dataset.", "evaluation."))]


def test_the_training_does_not_notice(watched, tmp_path):
    plain = go(tmp_path / "plain")
    assert same(weights(plain), weights(watched))
    assert plain.model.files.scalars.read_bytes() == watched.model.files.scalars.read_bytes()
    assert not plain.evaluations.path.exists()
    # Defaults of a data set are recorded by the run that loads it, not by one that finds it loaded.
    recorded = [gin_dict(run.model.gin_file().read_text()) for run in (plain, watched)]
    ours = [{k: v for k, v in of.items() if k != "dsprites_full.path"} for of in recorded]
    assert ours[0] == ours[1]


def test_keep_every_has_two_names(watched, short, tmp_path, capsys):
    kept = watched.model.files.snapshot(4)
    assert same(load_file(kept), weights(short))
    with pytest.raises(SystemExit):
        go(tmp_path / "two", "run.keep_every = 4", "model.keep_every = 2")
    assert "are two names of one number" in capsys.readouterr().err
    assert not (tmp_path / "two").exists()


def test_a_finished_run_goes_on_and_keeps_what_it_found(watched, tmp_path):
    longer = tmp_path / "longer"
    go(longer, "model.training_steps = 4", EVERY)
    first = RunDirectory(longer).evaluations.scores_in(longer / "evaluations/step_4")
    before = first.stat().st_mtime_ns
    run = go(longer, EVERY, flags=["--resume"])
    assert first.stat().st_mtime_ns == before
    assert same(weights(run), weights(watched))
    for step in (4, 8):
        scores = [timeless(r.evaluations.read(step)["scores"]["mean"]) for r in (run, watched)]
        assert scores[0] == scores[1]
    assert timeless(run.scores("mean").read_all()) == timeless(watched.scores("mean").read_all())


def test_what_comes_too_late_for_a_finished_run_is_said(short, capsys, caplog):
    same_steps = "model.training_steps = 4"
    before = weights(short)
    with pytest.raises(SystemExit):
        go(short.path, "model.training_steps = 2", flags=["--resume"])
    assert "has 4 steps behind it" in capsys.readouterr().err
    go(short.path, same_steps, "model.eval_steps = 9", flags=["--resume"])
    assert "without effect, the training is finished: model.eval_steps" in caplog.text
    assert same(before, weights(short))


DATA = Bars((1, 8, 8))
TRAVERSALS = "traversals.png"
PYTHON = {"batch_size": 4, "eval_steps": 1, "checkpoint_every": 3, "seed": 1, "optimizer": "SGD"}
PYTHON |= {"learning_rate": 1e-3, "metrics": ["mig"]}


class FailsAt(Callback):
    def __init__(self, step):
        self.at = step

    def on_step(self, step):
        if step == self.at:
            raise OSError("as if killed")


class Listens(Callback):
    def __init__(self):
        self.heard = []

    def on_scores(self, step, values):
        self.heard.append((step, values))


def fit(folder, steps, **how):
    model = sv.VAE(beta=1.0, num_latent=2)
    return sv.train(model, DATA, folder, steps=steps, **{**PYTHON, **how})


def test_a_killed_training_repeats_none_and_loses_none(tmp_path):
    listens = Listens()
    whole = fit(tmp_path / "whole", 8, evaluate_every=2, callbacks=[listens])
    heard = [(step, values["mig.discrete_mig"]) for step, values in listens.heard]
    assert heard == list(whole.history["mig.discrete_mig"].dropna().items())
    # It dies after the evaluation of step 4 and goes on from the checkpoint of step 3.
    with pytest.raises(OSError, match="as if killed"):
        fit(tmp_path / "cut", 8, evaluate_every=2, callbacks=[FailsAt(5)])
    evaluations = RunDirectory(tmp_path / "cut").evaluations
    assert evaluations.steps() == [2, 4]
    files = {step: evaluations.scores_in(evaluations.of(step)) for step in (2, 4)}
    before = {step: file.stat().st_mtime_ns for step, file in files.items()}
    resumed = fit(tmp_path / "cut", 8, evaluate_every=2, resume=True)
    assert {step: file.stat().st_mtime_ns for step, file in files.items()} == before
    assert evaluations.steps() == [2, 4, 6, 8]
    frames = [run.history.filter(regex=r"mig\.") for run in (whole, resumed)]
    assert frames[0].equals(frames[1])
    for step in (2, 8):
        stopped = fit(tmp_path / str(step), step, metrics=None)
        scores = timeless(sv.score(stopped, DATA, ["mig"]))
        assert scores == timeless(whole.scores(step=step))
        assert whole.history.loc[step, "mig.discrete_mig"] == scores["mig"]["discrete_mig"]
        found = whole.directory.evaluations
        drawn = save_all(stopped.model, DATA, stopped.directory.model.files.scalars, tmp_path)
        assert found.traversals_in(found.of(step)).read_bytes() == drawn[TRAVERSALS].read_bytes()


@pytest.mark.slow
def test_two_hundred_steps_and_two_hundred_more(tmp_path):
    how = {"evaluate_every": 200, "keep_every": 200, "checkpoint_every": 1000}
    whole = fit(tmp_path / "whole", 400, **how)
    fit(tmp_path / "longer", 200, **how)
    longer = fit(tmp_path / "longer", 400, resume=True, **how)
    stopped = fit(tmp_path / "stopped", 200, metrics=None)
    assert same(weights(whole.directory), weights(longer.directory))
    assert whole.history.equals(longer.history)
    snapshot = whole.directory.model.files.snapshot(200)
    assert same(load_file(snapshot), weights(stopped.directory))
    scores = timeless(sv.score(stopped, DATA, ["mig"]))
    assert timeless(whole.scores(step=200)) == timeless(longer.scores(step=200)) == scores


def test_what_is_of_other_weights_is_found_anew(tmp_path):
    fit(tmp_path / "a", 4, evaluate_every=2)
    with pytest.raises(OSError, match="as if killed"):
        fit(tmp_path / "b", 9, evaluate_every=2, callbacks=[FailsAt(2)], checkpoint_every=9)
    # Nothing tells whose these are but the weights they were found with.
    shutil.copytree(tmp_path / "a/evaluations", tmp_path / "b/evaluations")
    kept = tmp_path / "b/evaluations"
    shutil.copytree(kept / "step_2", kept / "step_7")
    again = fit(tmp_path / "b", 4, evaluate_every=2, resume=True, learning_rate=0.5)
    other = fit(tmp_path / "c", 4, evaluate_every=2, learning_rate=0.5)
    assert again.directory.evaluations.steps() == [2, 4]
    for step in (2, 4):
        assert timeless(again.scores(step=step)) == timeless(other.scores(step=step))
        digests = [r.directory.evaluations.read(step)["weights"] for r in (again, other)]
        assert digests[0] == digests[1]


def test_other_metrics_are_not_put_beside_those_that_are_there(tmp_path):
    fit(tmp_path / "a", 2, evaluate_every=2)
    with pytest.raises(ValueError, match="step_2 was scored with other metrics or settings"):
        fit(tmp_path / "a", 4, evaluate_every=2, resume=True, metrics={"mig": {"num_train": 9}})


def test_a_metric_that_fails_stops_nothing(tmp_path, caplog):
    images = np.random.default_rng(0).random((12, 8, 8), dtype=np.float32)
    model = sv.VAE(beta=1.0, num_latent=2)
    how = {**PYTHON, "metrics": ["mig", "unsupervised_metrics"], "evaluate_every": 1}
    run = sv.train(model, images, tmp_path / "a", steps=1, **how)
    found = run.directory.evaluations.read(1)
    assert list(run.scores(step=1)) == ["unsupervised_metrics"]
    assert "mig" in found["failed"]["mean"][0]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"evaluate_every": -1}, "evaluate_every = -1: expected a number of steps"),
        ({"metrics": ["mig"]}, "nothing is scored without evaluate_every"),
        ({"evaluate_every": 1, "metrics": ["mgi"]}, "unknown metric 'mgi'"),
        ({"evaluate_every": 1, "metrics": []}, "none to score with"),
        ({"metrics": None, "init_from": "nowhere"}, "no weights in nowhere"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(tmp_path, how, message):
    with pytest.raises(ValueError, match=message):
        fit(tmp_path / "a", 1, **how)
    assert not (tmp_path / "a").exists()


def test_a_run_says_at_which_steps_it_was_looked_at(watched):
    run = sv.load_run(watched.path)
    assert run.history.index.tolist() == [0, 2, 4, 6, 7, 8]
    assert run.history["mig.discrete_mig"].notna().tolist() == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    assert set(run.scores(step=8).headline()) == set(run.scores().headline())
    with pytest.raises(ValueError, match="not evaluated at step 5; it was at: 4, 8"):
        run.scores(step=5)
    file = watched.evaluations.scores_in(watched.evaluations.of(4))
    text = file.read_text()
    file.write_text(text.replace("mig", "gim"))
    with pytest.raises(ValueError, match="is damaged or was changed"):
        run.scores(step=4)
    file.write_text(text)
    assert json.loads(text)["step"] == 4


def test_a_training_starts_from_another_run(short, tmp_path, capsys):
    run = go(
        tmp_path / "warm", "model.training_steps = 0", "run.metrics = []",
        "model.random_seed = 5", flags=["--init-from", str(short.path)],
    )  # fmt: skip
    assert same(weights(run), weights(short))
    assert f"model.init_from = '{short.path}'" in run.config.read_text().replace("\\\n    ", "")
    for flags, message in (
        (["--init-from", "nowhere"], "no weights in nowhere"),
        (["--init-from", str(tmp_path / "warm"), "--overwrite"], "would be overwritten"),
        (["--init-from", "a", "--bind", "model.init_from = 'b'"], "say the same thing"),
        (["--init-from", str(short.path), "--bind", "encoder.num_latent = 4"], "do not fit"),
    ):
        with pytest.raises(SystemExit):
            go(tmp_path / ("warm" if "--overwrite" in flags else "no"), flags=flags)
        assert message in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
    assert same(weights(run), weights(short))
    first = fit(tmp_path / "first", 2, metrics=None)
    second = fit(tmp_path / "second", 0, metrics=None, init_from=first, seed=9)
    assert same(weights(first.directory), weights(second.directory))


def test_the_report_shows_a_curve_of_each_score(watched, short, tmp_path):
    page = tmp_path / "page.html"
    folders = [str(watched.path)]
    report_main([*folders, "--output", str(page), "--overwrite"])
    text = page.read_text()
    for title in ("MIG", "FactorVAE score"):
        assert f">{title}</text>" in text
    value = watched.evaluations.read(4)["scores"]["mean"]["mig"]["discrete_mig"]
    assert f"{watched.path.name}, step 4: {value:.6g}</title>" in text
    report_main([str(short.path), "--output", str(page), "--overwrite"])
    assert "step 4: " not in page.read_text()


def test_curves_of_other_settings_are_drawn_apart(tmp_path):
    for name, points in (("a", 10), ("b", 9)):
        how = {"evaluate_every": 1, "metrics": {"mig": {"num_train": points}}}
        fit(tmp_path / name, 2, **how)
    report_main([str(tmp_path), "--output", str(tmp_path / "page.html"), "--overwrite"])
    text = (tmp_path / "page.html").read_text()
    for points in (9, 10):
        assert f">MIG [mig.num_train = {points}]</text>" in text
    file = tmp_path / "a/evaluations/step_2/scores.json"
    file.write_text(file.read_text() + " ")
    report_main([str(tmp_path), "--output", str(tmp_path / "page.html"), "--overwrite"])
    text = (tmp_path / "page.html").read_text()
    assert "scores.json is damaged or was changed" in text
