"""Reconstruction losses of two kinds are two scores: nothing on the page compares them."""

import itertools

import numpy as np
import pytest
from report_runs import make_run
from test_report import Page, report

import srvae_plugin as sv
from srvae_plugin.report.data import read_runs
from srvae_plugin.report.keys import TRAINING
from srvae_plugin.report.losses import reconstruction_of


def test_losses_are_told_from_what_gin_bound():
    def told(model, **bound):
        return reconstruction_of({"model.model": f"@{model}()"} | bound)

    for model in ("vae", "sr_vae", "srvae_plugin.vae"):
        assert told(model) == "cross-entropy"
    assert told("vae", **{"reconstruction_loss.loss_fn": "@bernoulli_loss"}) == "cross-entropy"
    for written in ("@l2_loss", "@srvae_plugin.l2_loss", "@some_scope/l2_loss"):
        assert told("vae", **{"reconstruction_loss.loss_fn": written}) == "squared error"
    assert told("vae", **{"reconstruction_loss.loss_fn": "@mine"}) == "mine"
    # What a model of the user's own computes is known only where gin binds it.
    assert told("my_vae") == "that of my_vae"
    assert told("my_vae", **{"reconstruction_loss.loss_fn": "@l2_loss"}) == "squared error"
    entropy = {"bernoulli_loss.subtract_true_image_entropy": "True"}
    with_loss = entropy | {"reconstruction_loss.loss_fn": "@bernoulli_loss"}
    assert told("vae", **with_loss) == "cross-entropy less the images' entropy"
    for reading in ("paper", "paper-logit", "sum"):
        assert told("sr_vae", **{"sr_vae.reading": repr(reading)}) == "cross-entropy"
    gaussian = {"sr_vae.reading": "'paper-gaussian'"}
    assert told("sr_vae", **gaussian) == "squared error"
    assert told("seq_vae", **{"seq_vae.reading": "'paper-literal'"}) == "squared error"
    assert told("sr_vae", **gaussian, **{"sr_vae.likelihood": "None"}) == "squared error"
    assert told("sr_vae", **gaussian, **{"sr_vae.likelihood": "'bernoulli'"}) == "cross-entropy"


@pytest.mark.parametrize(
    ("model", "is_squared"),
    [
        (sv.VAE(beta=1.0, num_latent=2), False),
        (sv.VAE(beta=1.0, num_latent=2, reconstruction_loss="gaussian"), True),
        (sv.SRVAE(num_latent=2), False),
        (sv.SRVAE(num_latent=2, reading="paper-gaussian"), True),
        (sv.SRVAE(num_latent=2, likelihood="gaussian"), True),
    ],
)  # fmt: skip
def test_they_are_told_as_models_compute_them(model, is_squared, tmp_path):
    images = np.full((16, 8, 8, 1), 0.5, np.float32)
    sv.train(model, images, tmp_path / "run", steps=1, batch_size=16)
    (run,) = read_runs([tmp_path / "run"]).runs
    assert reconstruction_of(run.config) == ("squared error" if is_squared else "cross-entropy")
    # On grey images a cross-entropy is at least log 2 a pixel, and a squared error at most 1/4.
    loss = run.scores["", TRAINING]["reconstruction_loss"]
    assert (loss < 64 * 0.25) == is_squared


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("losses")
    squared = {"vae": {"reconstruction_loss.loss_fn": "@l2_loss"},
               "sr_vae": {"sr_vae.reading": "'paper-gaussian'"}}  # fmt: skip
    for (model, config), seed in itertools.product(squared.items(), range(5)):
        for name, bound, loss in ((model, {}, 70), (f"{model}-l2", config, 30)):
            run = make_run(folder / f"runs/{name}-{seed}", seed, {"mig": 0.1}, model, bound,
                           loss=loss + seed + len(model))  # fmt: skip
            (run / "model/scalars.csv").write_text(
                "step,reconstruction_loss,kl_loss\n0,9,1\n9,8,2\n"
            )
    return Page(report(folder, folder / "runs")[0])


def test_two_kinds_are_two_tables_and_two_charts(page):
    said = page.text["scores"]
    for kind in ("cross-entropy", "squared error"):
        assert f"Reconstruction loss (nats per image) [reconstruction = {kind}]" in said
        assert f"Reconstruction loss (nats per image) [{kind}]" in page.text["curves"]
    assert page.text["curves"].count("KL (nats)") == 1


def test_models_are_compared_by_losses_of_one_kind(page):
    pairs = {
        (row["first"]["text"], row["second"]["text"])
        for row in page.rows("differences")
        if "Reconstruction" in row["score"]["text"]
    }
    assert len(pairs) == 2
    for pair in pairs:
        assert len({"gaussian" in name or "l2" in name for name in pair}) == 1
