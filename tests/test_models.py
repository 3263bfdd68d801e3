"""Conformance of every registered model to the contract of `srvae_plugin.models.base`.

Runs over the entry-point group `srvae_plugin.models`, installed third-party models included;
without package metadata (a bare source tree) over our own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points

import gin
import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from srvae_plugin.models import networks
from srvae_plugin.models.ada_gvae import AdaGVAE, AdaMLVAE, GroupVAELabels, MLVAELabels
from srvae_plugin.models.annealed_vae import AnnealedVAE
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.models.beta_tc_vae import BetaTCVAE
from srvae_plugin.models.dip_vae import DIPVAE
from srvae_plugin.models.factor_vae import FactorVAE
from srvae_plugin.models.networks.discriminator import fc_discriminator
from srvae_plugin.models.semi_supervised import (
    S2DIPVAE,
    S2VAE,
    S2BetaTCVAE,
    S2FactorVAE,
    S2MineVAE,
    SupervisedVAE,
)
from srvae_plugin.models.sr_vae import SRVAE, ResVAE, SeqVAE
from srvae_plugin.models.vae import VAE
from srvae_plugin.testing.building import Bars, batch_of
from srvae_plugin.testing.model_losses import training_stays_finite
from srvae_plugin.testing.models import CHECKS

OUR_OWN = {"vae": VAE, "sr_vae": SRVAE, "seq_vae": SeqVAE, "res_vae": ResVAE}
OUR_OWN |= {"annealed_vae": AnnealedVAE, "factor_vae": FactorVAE, "beta_tc_vae": BetaTCVAE}
OUR_OWN |= {"dip_vae": DIPVAE, "group_vae_argmax": AdaGVAE, "group_vae_labels": GroupVAELabels}
OUR_OWN |= {"mlvae_argmax": AdaMLVAE, "mlvae_labels": MLVAELabels}
SEMI = {
    "s2_vae": S2VAE, "s2_factor_vae": S2FactorVAE, "s2_dip_vae": S2DIPVAE,
    "s2_beta_tc_vae": S2BetaTCVAE, "s2_mine_vae": S2MineVAE, "supervised": SupervisedVAE,
}  # fmt: skip
OUR_OWN |= SEMI
MODELS: dict[str, Callable[..., DisentanglementModel]] = OUR_OWN | {
    entry_point.name: entry_point.load()
    for entry_point in entry_points(group="srvae_plugin.models")
}
PAIRS = ("group_vae_argmax", "group_vae_labels", "mlvae_argmax", "mlvae_labels")
NAMED_LATENTS = ("group_vae_labels", "mlvae_labels", *SEMI)
# Values for hyperparameters that a model requires.
REQUIRED = {
    "vae": {"beta": 1.0},
    "annealed_vae": {"gamma": 30.0, "c_max": 5.0, "iteration_threshold": 100},
    "factor_vae": {"gamma": 10.0, "discriminator": partial(fc_discriminator, width=16)},
    "beta_tc_vae": {"beta": 6.0},
    "dip_vae": {"lambda_od": 10.0, "lambda_d_factor": 10.0},
    **{name: {"beta": 1.0} for name in PAIRS},
    "s2_vae": {"beta": 1.0, "gamma_sup": 2.0},
    "s2_factor_vae": {
        "gamma": 10.0,
        "gamma_sup": 2.0,
        "discriminator": partial(fc_discriminator, width=16),
    },
    "s2_dip_vae": {"lambda_od": 10.0, "lambda_d_factor": 10.0, "gamma_sup": 2.0},
    "s2_beta_tc_vae": {"beta": 6.0, "gamma_sup": 2.0},
    "s2_mine_vae": {"beta": 1.0, "gamma_sup": 0.1},
}
SEQUENTIAL = ("sr_vae", "seq_vae")
LATENT = 3
BATCH = 4
SHAPE = (1, 64, 64)

each_model = pytest.mark.parametrize("name", sorted(MODELS))


def make(
    name: str,
    encoder=networks.srvae_encoder,
    decoder=networks.srvae_decoder,
    num_latent: int = LATENT,
    **options,
) -> DisentanglementModel:
    """A model that is not built yet, with narrow networks where they can be narrow."""
    if encoder is networks.srvae_encoder:
        encoder = partial(encoder, base_channels=4)
    if decoder is networks.srvae_decoder:
        decoder = partial(decoder, base_channels=4)
    return MODELS[name](
        encoder=partial(encoder, num_latent=num_latent),
        decoder=decoder,
        **(REQUIRED.get(name, {}) | options),
    )


def build(name: str, shape=SHAPE, seed: int = 0, **options) -> DisentanglementModel:
    torch.manual_seed(seed)
    model = make(name, **options)
    model.training_data(Bars(shape))
    model.build(shape)
    return model


def images(batch: int = BATCH, shape=SHAPE, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, *shape, generator=generator)


# --- construction ---


def test_our_own_models_are_among_those_tested():
    assert {name: MODELS[name] for name in OUR_OWN} == OUR_OWN


@each_model
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_every_plug_in_is_checked_for(name, check):
    check(partial(make, name), SHAPE)


@each_model
def test_shape_that_the_networks_cannot_take_is_an_error(name):
    with pytest.raises(ValueError, match="64x64"):
        build(name, shape=(1, 32, 32))


@each_model
@pytest.mark.parametrize("beta", [-1.0, float("nan"), float("inf"), -float("inf")])
def test_bad_beta_is_an_error_that_names_the_model(name, beta):
    if "beta" not in inspect.signature(MODELS[name]).parameters:
        pytest.skip(f"{name} has no beta")
    with pytest.raises(ValueError, match=rf"{name}\.beta = {beta}"):
        make(name, beta=beta)


# --- shapes and ranges ---


@each_model
@pytest.mark.parametrize("num_latent", [1, 3])
def test_shapes(name, num_latent):
    if name in NAMED_LATENTS and num_latent < 3:
        pytest.skip("it has a latent for each factor")
    model = build(name, num_latent=num_latent)
    posterior = model.encode(images())
    assert posterior.mean.shape == posterior.logvar.shape == (BATCH, num_latent)
    assert model.decode(posterior.mean).shape == (BATCH, *SHAPE)
    assert model.sample(images(), torch.randn(BATCH, num_latent)).shape == (BATCH, num_latent)
    losses = model.losses(batch_of(model, images()), 0)
    assert all(value.shape == () for value in losses.objectives.values())
    assert losses.logs["kl"].shape == (num_latent,)


@each_model
@torch.no_grad()
def test_pictures_rise_with_the_logits(name):
    logits = torch.tensor([-100.0, -1.0, 0.0, 0.3, 2.0, 100.0]).reshape(-1, 1, 1, 1)
    pictured = build(name).mean_image(logits).flatten()
    assert (pictured.diff() >= 0).all()
    assert 0 <= pictured[0] < 0.01 < 0.99 < pictured[-1] <= 1


@each_model
@torch.no_grad()
def test_traversal_responds_to_its_latent(name):
    model = build(name)
    for latent in range(LATENT):
        rows = model.traverse(images(1), latent, torch.tensor([-3.0, 3.0]))
        assert (rows[0] - rows[1]).abs().max() > 1e-4


@pytest.mark.parametrize("name", sorted(OUR_OWN))
@torch.no_grad()
def test_decomposition_is_of_sequential_models(name):
    assert (build(name).decompose(images()) is not None) == (name in SEQUENTIAL)


@each_model
@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        (networks.srvae_encoder, networks.srvae_decoder),
        (networks.conv_encoder, networks.deconv_decoder),
        (networks.fc_encoder, networks.fc_decoder),
    ],
    ids=["srvae", "conv", "fc"],
)
def test_three_channels_with_each_network(name, encoder, decoder):
    shape = (3, 64, 64)
    model = build(name, shape, encoder=encoder, decoder=decoder)
    x = images(2, shape)
    losses = model.losses(batch_of(model, x), 0)
    assert all(torch.isfinite(value) for value in losses.objectives.values())
    with torch.no_grad():
        assert model.encode(x).mean.shape == (2, LATENT)
        assert model.reconstruct(x).shape == (2, *shape)


# --- encode ---


@each_model
@torch.no_grad()
def test_images_have_codes_of_their_own(name):
    mean = build(name).encode(images()).mean
    assert not torch.allclose(mean[0], mean[1], rtol=0, atol=1e-5)


@each_model
@torch.no_grad()
def test_sample_is_decided_by_its_noise(name):
    model = build(name)
    x = images()
    torch.testing.assert_close(
        model.sample(x, torch.zeros(BATCH, LATENT)), model.encode(x).mean, rtol=0, atol=1e-5
    )
    noise = torch.randn(BATCH, LATENT)
    assert not torch.isclose(model.sample(x, noise), model.sample(x, noise + 1)).any()


@each_model
@torch.no_grad()
def test_encoder_may_return_a_plain_pair(name):
    """A user's encoder "maps images to (mean, logvar)" and needs no more than that."""

    class PlainPair(nn.Module):
        num_latent = LATENT

        def __init__(self):
            super().__init__()
            self.inner = networks.srvae_encoder(SHAPE, LATENT, base_channels=4)

        def forward(self, x):
            mean, logvar = self.inner(x)
            return mean, logvar

    torch.manual_seed(0)
    model = make(name)
    plain = MODELS[name](
        encoder=lambda shape: PlainPair(),
        decoder=partial(networks.srvae_decoder, base_channels=4),
        **REQUIRED.get(name, {}),
    )
    for each in (model, plain):
        each.training_data(Bars(SHAPE))
        torch.manual_seed(0)
        each.build(SHAPE)
    assert torch.equal(plain.encode(images()).mean, model.encode(images()).mean)
    torch.manual_seed(1)
    loss = model.losses(batch_of(model, images()), 0).logs["loss"]
    torch.manual_seed(1)
    assert torch.equal(plain.losses(batch_of(plain, images()), 0).logs["loss"], loss)


# --- losses and training ---


@each_model
def test_logs_are_those_of_disentanglement_lib(name):
    model = build(name)
    losses = model.losses(batch_of(model, images()), 0)
    logs = losses.logs
    assert {"loss", "reconstruction_loss", "kl_loss", "regularizer", "elbo", "kl"} <= set(logs)
    assert all(objective.requires_grad for objective in losses.objectives.values())
    assert (logs["kl"] >= 0).all()


@each_model
def test_another_seed_gives_another_loss(name):
    model = build(name)

    def loss(seed: int) -> dict[str, float]:
        torch.manual_seed(seed)
        return {
            k: v.item() for k, v in model.losses(batch_of(model, images()), 0).objectives.items()
        }

    assert loss(0) != loss(1)


@each_model
def test_losses_change_nothing_in_the_model(name):
    """A resumed run must be equal to one that was not stopped: no hidden state."""
    model = build(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.losses(batch_of(model, images()), 0)
    after = model.state_dict()
    assert set(before) == set(after)
    assert all(torch.equal(before[key], after[key]) for key in before)


@each_model
def test_ten_steps_of_training_lower_every_objective(name):
    assert training_stays_finite(partial(make, name), SHAPE) is None


# --- the VAE's own ---


@pytest.mark.parametrize("beta", [0.0, 1.0, 6.0])
def test_vae_loss_is_its_equation(beta):
    """Higgins et al. 2017, Eq. 4: E log p(x|z) - beta KL, with one sample of z an image."""
    model = build("vae", beta=beta)
    x = (images() > 0.5).float()
    torch.manual_seed(3)
    result = model.losses(batch_of(model, x), 0)
    torch.manual_seed(3)
    mean, logvar = model.encode(x)
    posterior = Normal(mean, torch.exp(logvar / 2))
    z = mean + posterior.stddev * torch.randn(BATCH, LATENT)
    log_likelihood = Bernoulli(logits=model.decode(z)).log_prob(x).sum((1, 2, 3)).mean()
    kl = kl_divergence(posterior, Normal(0.0, 1.0)).mean(0)
    torch.testing.assert_close(result.objectives["vae"], beta * kl.sum() - log_likelihood)
    torch.testing.assert_close(result.logs["elbo"], log_likelihood - kl.sum())
    torch.testing.assert_close(result.logs["kl"], kl)


def test_vae_takes_a_reconstruction_loss_of_the_user_s():
    model = build("vae", beta=0.0, reconstruction_loss=lambda x, logits: x.flatten(1).sum(1) * 3)
    torch.testing.assert_close(
        model.losses(batch_of(model, images()), 0).logs["reconstruction_loss"],
        3 * images().sum() / BATCH,
    )


def test_vae_pictures_follow_the_activation_that_gin_binds():
    """disentanglement_lib's pictures use `reconstruction_loss.activation` as its loss does."""
    gin.clear_config()
    try:
        gin.parse_config("reconstruction_loss.activation = 'tanh'")
        model = build("vae")
        logits = torch.linspace(-3, 3, 5).reshape(-1, 1, 1, 1)
        torch.testing.assert_close(model.mean_image(logits), torch.tanh(logits) / 2 + 0.5)
    finally:
        gin.clear_config()
