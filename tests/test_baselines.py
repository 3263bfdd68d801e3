"""The baselines against the original's own runs, closed forms and properties that must hold."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from make_golden_models import (
    BATCH,
    CASES,
    DISCRIMINATOR_ADAM,
    LATENT,
    SIDE,
    STEPS,
    VAE_ADAM,
    batch,
    weights,
)
from torch import nn
from trained_models import require_alive

from srvae_plugin.config import gin_files
from srvae_plugin.data.dsprites import dsprites_full
from srvae_plugin.models import factor_vae
from srvae_plugin.models.annealed_vae import AnnealedVAE, anneal
from srvae_plugin.models.beta_tc_vae import BetaTCVAE
from srvae_plugin.models.dip_vae import DIPVAE
from srvae_plugin.models.factor_vae import FactorVAE
from srvae_plugin.models.losses import gaussian_kl
from srvae_plugin.models.networks.discriminator import fc_discriminator
from srvae_plugin.models.sr_vae import SRVAE
from srvae_plugin.models.vae import VAE
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.directory import TrainingDirectory
from srvae_plugin.training.loop import train
from srvae_plugin.training.tensorflow_optimizers import adam_optimizer
from srvae_plugin.training.updates import update_parameters

GOLDEN = json.loads((Path(__file__).parent / "data" / "golden_models.json").read_text())
CLASSES = {"vae": VAE, "annealed_vae": AnnealedVAE, "factor_vae": FactorVAE}
CLASSES |= {"beta_tc_vae": BetaTCVAE, "dip_vae": DIPVAE}
SHAPE = (1, SIDE, SIDE)


class LinearEncoder(nn.Module):
    def __init__(self, num_latent=LATENT):
        super().__init__()
        self.num_latent = num_latent
        self.e1 = nn.Linear(SIDE * SIDE, num_latent)
        self.e2 = nn.Linear(SIDE * SIDE, num_latent)

    def forward(self, x):
        return self.e1(x.flatten(1)), self.e2(x.flatten(1))


def linear_decoder(num_latent, shape):
    return nn.Sequential(nn.Linear(num_latent, math.prod(shape)), nn.Unflatten(1, shape))


def linear_model(name, seed=0, **settings):
    """A built model on linear networks, with a narrow discriminator."""
    if name == "factor_vae":
        settings = {"discriminator": partial(fc_discriminator, width=8)} | settings
    model = CLASSES[name](encoder=lambda shape: LinearEncoder(), decoder=linear_decoder, **settings)
    torch.manual_seed(seed)
    model.build(SHAPE)
    return model


def images(seed=0, number=BATCH):
    return torch.rand(number, *SHAPE, generator=torch.Generator().manual_seed(seed))


def losses(model, step=0, seed=5):
    torch.manual_seed(seed)
    return model.losses(images(), step)


# --- the original's runs on TensorFlow 1.14 ---


def load(layer, name, values):
    layer.weight.data.copy_(torch.from_numpy(values[f"{name}/kernel"].T))
    layer.bias.data.copy_(torch.from_numpy(values[f"{name}/bias"]))


def with_original_weights(name):
    model_name, settings = CASES[name]
    wide = {"discriminator": fc_discriminator} if model_name == "factor_vae" else {}
    model = linear_model(model_name, **settings, **wide)
    values = weights()
    load(model.encoder.e1, "encoder/e1", values)
    load(model.encoder.e2, "encoder/e2", values)
    load(model.decoder[0], "decoder/d1", values)
    if wide:
        layers = [layer for layer in model.discriminator if isinstance(layer, nn.Linear)]
        names = [*(f"d{i}" for i in range(1, 7)), "logits"]
        for layer, layer_name in zip(layers, names, strict=True):
            load(layer, f"discriminator/{layer_name}", values)
    return model


@pytest.mark.parametrize("name", CASES)
def test_training_is_the_original_s(name, monkeypatch):
    """From the same weights, batches and noise every logged value of every step is the same."""
    model = with_original_weights(name)
    settings = {"vae": VAE_ADAM, "discriminator": DISCRIMINATOR_ADAM}
    groups = model.parameter_groups()
    optimizers = {g: adam_optimizer(groups[g], **settings[g]) for g in groups}
    for step in range(STEPS):
        x, noise, permutation = (torch.from_numpy(values) for values in batch(step))
        monkeypatch.setattr(torch, "randn_like", lambda _, noise=noise: noise)
        monkeypatch.setattr(
            factor_vae, "permute_codes", lambda z, order=permutation: z.gather(0, order)
        )
        result = model.losses(x.permute(0, 3, 1, 2), step)
        found = {key: result.logs[key].item() for key in GOLDEN[name][step]}
        assert found == pytest.approx(GOLDEN[name][step], rel=1e-5, abs=1e-5)
        update_parameters(result.objectives, optimizers)


# --- what each becomes where its own term is off ---


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("annealed_vae", {"gamma": 1.0, "c_max": 0.0, "iteration_threshold": 10}),
        ("factor_vae", {"gamma": 0.0}),
        ("beta_tc_vae", {"beta": 1.0}),
        ("dip_vae", {"lambda_od": 0.0, "lambda_d_factor": 10.0}),
        ("dip_vae", {"lambda_od": 0.0, "lambda_d_factor": 10.0, "dip_type": "ii"}),
    ],
)
def test_without_its_term_it_is_the_vae(name, settings):
    plain, own = losses(linear_model("vae", beta=1.0)), losses(linear_model(name, **settings))
    torch.testing.assert_close(own.objectives["vae"], plain.objectives["vae"])
    for key, value in plain.logs.items():
        torch.testing.assert_close(own.logs[key], value)


def test_a_reconstruction_loss_of_the_user_s_is_taken():
    for name in CASES:
        model_name, settings = CASES[name]
        sevens = {"reconstruction_loss": lambda x, logits: 7 + 0 * logits.sum((1, 2, 3))}
        model = linear_model(model_name, **settings, **sevens)
        assert losses(model).logs["reconstruction_loss"].item() == 7


ANNEALED = {"gamma": 1.0, "c_max": 5.0, "iteration_threshold": 10}
DIP = {"lambda_od": 1.0, "lambda_d_factor": 1.0}


@pytest.mark.parametrize("value", [-1.0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("name", "settings", "parameter"),
    [
        ("annealed_vae", ANNEALED, "gamma"),
        ("annealed_vae", ANNEALED, "c_max"),
        ("annealed_vae", ANNEALED, "iteration_threshold"),
        ("factor_vae", {"gamma": 1.0}, "gamma"),
        ("beta_tc_vae", {"beta": 1.0}, "beta"),
        ("dip_vae", DIP, "lambda_od"),
        ("dip_vae", DIP, "lambda_d_factor"),
    ],
)
def test_hyperparameters_out_of_range_are_refused(name, settings, parameter, value):
    with pytest.raises(ValueError, match=rf"{name}\.{parameter} = {value}: expected"):
        CLASSES[name](**settings | {parameter: value})


# --- AnnealedVAE ---


@pytest.mark.parametrize(
    ("step", "capacity"),
    [(0, 0.0), (1, 0.1), (50, 5.0), (99, 9.9), (100, 10.0), (101, 10.0), (10**6, 10.0)],
)
def test_capacity_grows_linearly_to_its_end(step, capacity):
    assert anneal(10.0, step, 100.0) == pytest.approx(capacity)
    model = linear_model("annealed_vae", gamma=3.0, c_max=10.0, iteration_threshold=100)
    result = losses(model, step)
    distance = abs(result.logs["kl_loss"].item() - capacity)
    assert result.logs["capacity"].item() == pytest.approx(capacity)
    assert result.logs["regularizer"].item() == pytest.approx(3 * distance, rel=1e-5)


def test_kl_is_pushed_up_below_the_capacity_and_down_above_it():
    model = linear_model("annealed_vae", gamma=2.0, c_max=50.0, iteration_threshold=10)
    model.decoder[0].weight.data.zero_()  # the reconstruction does not depend on z then
    for step, sign in ((0, 1.0), (10, -1.0)):
        kl_loss = gaussian_kl(*model.encode(images())).mean(0).sum()
        result = losses(model, step)
        (found,) = torch.autograd.grad(result.objectives["vae"], model.encoder.e1.bias)
        (expected,) = torch.autograd.grad(kl_loss, model.encoder.e1.bias)
        torch.testing.assert_close(found, sign * 2 * expected)


@pytest.mark.parametrize("threshold", [0, 0.0])
def test_a_threshold_of_no_steps_is_refused(threshold):
    with pytest.raises(ValueError, match=rf"iteration_threshold = {threshold}: expected"):
        AnnealedVAE(1.0, 1.0, threshold)


# --- DIP-VAE ---


def test_dip_i_is_of_the_means_and_ii_of_the_codes():
    """Closed form on linear encoders: type II's covariance has the mean variances on top."""
    parts = {t: linear_model("dip_vae", **DIP, dip_type=t) for t in ("i", "ii")}
    mean, logvar = (value.detach().double() for value in parts["i"].encode(images()))
    covariance = np.cov(mean.numpy(), rowvar=False, bias=True)
    for dip_type, model in parts.items():
        c = covariance + (np.diag(logvar.exp().mean(0)) if dip_type == "ii" else 0)
        penalty = np.sum((c - np.eye(LATENT)) ** 2)  # both weights are 1
        assert losses(model).logs["dip_loss"].item() == pytest.approx(penalty, rel=1e-5)


def test_codes_of_unit_covariance_cost_dip_nothing():
    """The law of total variance: z of variance 1 = variance .25 of the means + .75 of q(z|x)."""
    random_state = np.random.RandomState(0)
    draws = random_state.randn(BATCH, LATENT)
    draws -= draws.mean(0)
    white = draws @ np.linalg.inv(np.linalg.cholesky(draws.T @ draws / BATCH)).T
    for dip_type, scale, variance in (("i", 1.0, 0.3), ("ii", 0.5, 0.75)):
        model = linear_model("dip_vae", **DIP, dip_type=dip_type)
        mean = torch.tensor(white * scale, dtype=torch.float32)
        model.encoder.forward = lambda x, m=mean, v=variance: (m, torch.full_like(m, math.log(v)))
        assert losses(model).logs["dip_loss"].item() == pytest.approx(0, abs=1e-10)


def test_only_dip_ii_moves_the_variances():
    for dip_type in ("i", "ii"):
        model = linear_model("dip_vae", **DIP, dip_type=dip_type)
        penalty = model._penalty(model.encode(images()))
        (gradient,) = torch.autograd.grad(penalty, model.encoder.e2.weight, allow_unused=True)
        assert (gradient is not None) == (dip_type == "ii")


def test_an_unknown_dip_type_is_refused():
    with pytest.raises(ValueError, match=r"dip_vae\.dip_type = 'iii': expected 'i' or 'ii'"):
        DIPVAE(1.0, 1.0, "iii")


# --- gin files and runs ---

SMALL = ["srvae_encoder.base_channels = 4", "srvae_decoder.base_channels = 4"]
SMALL += ["fc_discriminator.width = 8", "model.batch_size = 4", "model.eval_steps = 1"]
SMALL += ["model.log_every = 2", "model.checkpoint_every = 3", "model.training_steps = 2"]
FILES = {
    "annealed_vae": (AnnealedVAE, {"gamma": 1000, "c_max": 25, "iteration_threshold": 100000}),
    "factor_vae": (FactorVAE, {"gamma": 30}),
    "beta_tc_vae": (BetaTCVAE, {"beta": 6}),
    "dip_vae_i": (DIPVAE, {"lambda_od": 10, "lambda_d_factor": 10, "dip_type": "i"}),
    "dip_vae_ii": (DIPVAE, {"lambda_od": 10, "lambda_d_factor": 1, "dip_type": "ii"}),
    "sr_beta_vae": (SRVAE, {"beta": 4}),
}


def trained(folder, data, file, *bindings, resume=False):
    with gin_files.only([file], [*SMALL, *bindings]):
        settings = pipeline.training_settings()
        model, averages = train(
            settings, data, TrainingDirectory(folder).files, config="c", resume=resume
        )
    return require_alive(model), averages


@pytest.fixture(scope="module")
def data():
    return dsprites_full()


@pytest.mark.parametrize("name", FILES)
def test_gin_files_train_the_model_they_say(tmp_path, data, name):
    model, averages = trained(tmp_path, data, f"{name}_dsprites.gin")
    kind, settings = FILES[name]
    assert type(model) is kind
    assert {key: getattr(model, key) for key in settings} == settings
    assert averages["global_step"] == 2
    assert math.isfinite(averages["loss"])
    assert model.num_latent == 10
