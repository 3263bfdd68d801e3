"""Networks for every size of image and for vectors: each model trains and reconstructs."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import gin
import numpy as np
import pytest
import torch
from torch import nn

from srvae_plugin import models
from srvae_plugin.data.ground_truth import FactorGrid
from srvae_plugin.models import networks
from srvae_plugin.runs.directory import TrainingDirectory
from srvae_plugin.testing import check_model
from srvae_plugin.testing.__main__ import main
from srvae_plugin.training.loop import train
from srvae_plugin.training.settings import TrainingSettings

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import networks as network_table

SIZES = [(28, 28), (32, 32), (48, 80), (64, 64), (75, 61), (96, 96), (128, 128), (256, 256)]
SHAPES = [(channel, *size) for size in SIZES for channel in (1, 3)] + [(7, 1, 1), (20, 1, 1)]
MODELS = {
    "AnnealedVAE": {"gamma": 1.0, "c_max": 5.0, "iteration_threshold": 100},
    "BetaTCVAE": {"beta": 2.0},
    "DIPVAE": {"lambda_od": 1.0, "lambda_d_factor": 1.0},
    "FactorVAE": {"gamma": 1.0, "discriminator": lambda n: nn.Linear(n, 2)},
    "ResVAE": {},
    "SRVAE": {},
    "SeqVAE": {},
    "VAE": {"beta": 1.0},
}
SMALL = ((1, 28, 28), (3, 32, 32), (20, 1, 1))
"""Shapes that every model is tried on in CI; larger ones with two models, the rest is slow."""


def cases():
    """Every model on every shape but the paper's, those marked that take long together."""
    for shape in (s for s in SHAPES if 64 not in s):
        for name in MODELS:
            large = (name == "VAE" and shape[0] == 3) or (name, shape) == ("SRVAE", (1, 48, 80))
            marks = () if shape in SMALL or large else pytest.mark.slow
            yield pytest.param(name, shape, marks=marks, id=f"{name}-{'x'.join(map(str, shape))}")


each_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s)))


def tiny(name, width=2):
    """A model that is not built yet: 2 latents; a vector's layers are 16 wide."""

    def encoder(shape, num_latent):
        if shape[1:] == (1, 1):
            return networks.mlp_encoder(shape, num_latent, widths=(16,))
        return networks.conv_encoder_any(shape, num_latent, base_channels=width)

    def decoder(num_latent, shape):
        if shape[1:] == (1, 1):
            return networks.mlp_decoder(num_latent, shape, widths=(16,))
        return networks.conv_decoder_any(num_latent, shape, base_channels=width)

    return getattr(models, name)(num_latent=2, encoder=encoder, decoder=decoder, **MODELS[name])


class Levels(FactorGrid):
    """Observations of three levels, darker towards the first channel and row."""

    def __init__(self, shape):
        channel, height, width = shape
        super().__init__([3], ["level"], (height, width, channel))
        ramp = np.linspace(0.5, 1, height * channel, dtype=np.float32)
        self.ramp = np.broadcast_to(ramp.reshape(height, 1, channel), (height, width, channel))

    def _load_observations(self, indices):
        return self.ramp * (indices.reshape(-1, 1, 1, 1) / 4).astype(np.float32)


def observations(shape, batch=4):
    indices = np.arange(batch) % 3
    return torch.from_numpy(Levels(shape)._load_observations(indices)).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("name", "shape"), list(cases()))
def test_each_model_trains_and_reconstructs(name, shape, tmp_path):
    x = observations(shape)

    def reconstruction(model):
        torch.manual_seed(5)
        return model.losses(x, 0).logs["reconstruction_loss"].item()

    before = tiny(name)
    torch.manual_seed(1)
    before.build(shape)
    gin.bind_parameter("srvae_plugin.AdamOptimizer.learning_rate", 0.003)
    settings = TrainingSettings(tiny(name), 20, random_seed=1, batch_size=3, eval_steps=1)
    model, losses = train(settings, Levels(shape), TrainingDirectory(tmp_path / "model").files)
    assert np.isfinite(losses["loss"])
    assert model.encode(x).mean.shape == (4, 2)
    assert model.reconstruct(x).shape == (4, *shape)
    assert model.traverse(x[:1], 1, torch.tensor([-1.0, 0.0, 1.0])).shape == (3, *shape)
    assert reconstruction(model) < reconstruction(before)


@each_shape
def test_a_model_without_networks_takes_those_that_fit(shape):
    torch.manual_seed(0)
    model = models.VAE(1.0, num_latent=3)
    model.build(shape)
    pair = ("mlp_encoder", "mlp_decoder") if shape[1:] == (1, 1) else None
    pair = pair or ("conv_encoder_any", "conv_decoder_any")
    torch.manual_seed(0)
    expected = getattr(networks, pair[0])(shape, 3), getattr(networks, pair[1])(3, shape)
    for ours, theirs in zip((model.encoder, model.decoder), expected, strict=True):
        found = ours.state_dict()
        assert found.keys() == theirs.state_dict().keys()
        assert all(torch.equal(found[key], value) for key, value in theirs.state_dict().items())


@pytest.mark.parametrize("channel", [1, 3])
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_networks_of_any_size_are_the_paper_s_on_64x64(kind, channel):
    shape = (channel, 64, 64)
    built = []
    for name in (f"srvae_{kind}", f"conv_{kind}_any"):
        torch.manual_seed(3)
        arguments = (shape, 5) if kind == "encoder" else (5, shape)
        built.append(getattr(networks, name)(*arguments, base_channels=4))
    paper, ours = built
    assert str(paper) == str(ours).replace(", output_padding=(0, 0)", "")
    x = torch.rand(2, *shape) if kind == "encoder" else torch.randn(2, 5)
    found, expected = (n(x)[0] if kind == "encoder" else n(x) for n in (ours, paper))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("height", range(1, 40))
@pytest.mark.parametrize("width", [1, 5, 6, 31])
def test_every_size_comes_back(height, width):
    shape = (2, height, width)
    encoder = networks.conv_encoder_any(shape, 3, base_channels=1)
    with torch.no_grad():
        assert encoder(torch.rand(2, *shape)).mean.shape == (2, 3)
        decoded = networks.conv_decoder_any(3, shape, base_channels=1)(torch.randn(2, 3))
    assert decoded.shape == (2, *shape)
    last = encoder.body[-3].kernel_size
    for side, end in zip(shape[1:], last, strict=True):
        assert end == side if side <= 5 else 3 <= end <= 5


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 75, 61), (1, 8, 64)])
def test_every_pixel_counts(shape):
    """No row or column is dropped where a side is odd, though nothing reads it twice."""
    torch.manual_seed(0)
    x = torch.rand(1, *shape, requires_grad=True)
    encoder = networks.conv_encoder_any(shape, 4, base_channels=4)
    (gradient,) = torch.autograd.grad(encoder(x).mean.sum(), x)
    assert (gradient != 0).all()


def test_widths_are_options():
    options = {"channels": [3, 5, 7], "features": 11}
    encoder = networks.conv_encoder_any((1, 28, 28), 2, **options)
    decoder = networks.conv_decoder_any(2, (1, 28, 28), **options)
    widths = [m.out_channels for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    back = [m.out_channels for m in decoder.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert (widths, back) == ([3, 5, 7, 11], [7, 5, 3, 1])
    mlp = networks.mlp_encoder((7, 1, 1), 2, widths=[9, 4])
    widths = [m.out_features for m in mlp.modules() if isinstance(m, nn.Linear)]
    assert widths == [9, 4, 2, 2]
    decoder = networks.mlp_decoder(2, (7, 1, 1), widths=[9, 4])
    assert [m.out_features for m in decoder if isinstance(m, nn.Linear)] == [4, 9, 7]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: networks.conv_encoder_any((1, 28, 28), 2, channels=[3, 5]),
            r"conv_encoder_any.channels = \[3, 5\].*expected 3 numbers",
        ),
        (
            lambda: networks.conv_decoder_any(2, (1, 28, 28), base_channels=0),
            "conv_decoder_any.base_channels = 0",
        ),
        (lambda: networks.conv_encoder_any((1, 9, 9), 2, features=0), "features = 0"),
        (lambda: networks.mlp_encoder((7, 1, 1), 2, widths=[]), "mlp_encoder.widths is empty"),
        (lambda: networks.mlp_decoder(2, (7, 1, 1), widths=[4, 0]), "mlp_decoder.widths = 0"),
        (
            lambda: networks.srvae_encoder((1, 128, 128), 2),
            "srvae_encoder takes 64x64 images, this data set has 128x128; conv_encoder_any",
        ),
        (lambda: models.SRVAE(num_latent=2).build((7,)), r"7 features is an observation \(7, 1, 1"),
        (lambda: models.SRVAE(num_latent=2).build((1, 0, 4)), r"\(1, 0, 4\): expected"),
    ],
)
def test_what_cannot_be_is_one_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["srvae", "conv"])
def test_gin_takes_networks_of_any_size(name):
    for kind in ("encoder", "decoder") if name == "conv" else ():
        gin.parse_config(f"{kind}.{kind}_fn = @conv_{kind}_any")
        gin.parse_config(f"conv_{kind}_any.channels = [2, 3]")
    gin.parse_config("encoder.num_latent = 2")
    model = models.SRVAE()
    if name == "srvae":
        with pytest.raises(ValueError, match="conv_encoder_any"):
            model.build((1, 16, 16))
    else:
        model.build((1, 16, 16))
        assert model.reconstruct(torch.rand(2, 1, 16, 16)).shape == (2, 1, 16, 16)


def test_real_valued_vectors_are_learned_under_a_linear_output():
    torch.manual_seed(0)
    x = 5 * torch.randn(64, 1) * torch.tensor([1.0, -2.0, 0.5]) + 7
    x = x[:, :, None, None]
    model = models.VAE(0.0, num_latent=2, reconstruction_loss="linear_mse")
    model.build((3, 1, 1))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(200):
        optimizer.zero_grad()
        model.losses(x, 0).objectives["vae"].backward()
        optimizer.step()
    explained = 1 - (model.reconstruct(x) - x).var() / x.var()
    assert explained > 0.95


def test_gin_names_the_linear_output_too():
    gin.parse_config("reconstruction_loss.loss_fn = @l2_loss\nencoder.num_latent = 2")
    gin.parse_config("reconstruction_loss.activation = 'linear'")
    networks_of_vectors = {"encoder": networks.linear_encoder, "decoder": networks.linear_decoder}
    by_gin = models.VAE(1.0, num_latent=2, **networks_of_vectors)
    by_name = models.VAE(1.0, num_latent=2, reconstruction_loss="linear_mse", **networks_of_vectors)
    x = 9 * torch.randn(4, 3, 1, 1)
    values = []
    for model in (by_gin, by_name):
        torch.manual_seed(0)
        model.build((3, 1, 1))
        values += [model.losses(x, 0).logs["loss"], model.reconstruct(x)]
    assert torch.equal(values[0], values[2])
    assert torch.equal(values[1], values[3])
    assert values[1].abs().max() > 1
    gin.parse_config("reconstruction_loss.loss_fn = @bernoulli_loss")
    unfit = models.VAE(1.0, num_latent=2, **networks_of_vectors)
    unfit.build((3, 1, 1))
    with pytest.raises(ValueError, match="l2_loss"):
        unfit.losses(x, 0)


# --- the conformance suite and the table ---


@pytest.mark.parametrize(
    "shape", [(1, 28, 28), pytest.param((3, 48, 80), marks=pytest.mark.slow), (7, 1, 1)]
)
def test_the_conformance_suite_takes_any_size(shape):
    check_model(partial(tiny, "SRVAE", width=4), [shape])


def test_the_command_gives_plug_ins_networks_of_any_size(capsys):
    arguments = ["srvae_plugin", "--only", "vae", "--bind", "vae.beta = 1.0", "--shape", "3x14x9"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "ok      model vae 3x14x9: build makes the parameters" in out
    assert "0 FAILED, 0 skipped" in out


def test_the_documented_table_is_what_the_networks_are():
    page = Path(__file__).parents[1] / "docs" / "networks.md"
    assert network_table.table() in page.read_text()


@pytest.mark.parametrize("name", ["conv_encoder_any", "srvae_encoder", "conv_encoder"])
def test_the_receptive_field_is_what_one_place_depends_on(name):
    """Measured: the gradient of the middle of the last map reaches that many rows and columns."""
    shape = (1, 64, 64) if name != "conv_encoder_any" else (1, 256, 256)
    encoder = getattr(networks, name)(shape, 2)
    layers = network_table.strided(encoder)
    x = torch.rand(1, *shape, requires_grad=True)
    h = x
    for layer in layers:
        layer.weight.data.fill_(1.0)  # no path cancels another
        h = layer(h)
    assert tuple(h.shape[2:]) == network_table.last_map(encoder, shape[1:])
    middle = h.shape[2] // 2
    (gradient,) = torch.autograd.grad(h[0, :, middle, middle].sum(), x)
    reached = [int((gradient[0, 0] != 0).any(axis).sum()) for axis in (1, 0)]
    assert reached == list(network_table.receptive_field(encoder))  # all within the image
