"""Models from Python: networks by name, function, module or none, and what a model is called."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib.metadata import EntryPoint, entry_points

import gin
import pytest
import torch
from torch import nn

from srvae_plugin import models
from srvae_plugin.models import networks, titles

SHAPE = (1, 64, 64)


def built(seed=0, shape=SHAPE, **options):
    torch.manual_seed(seed)
    model = models.VAE(1.0, **options)
    model.build(shape)
    return model


def same_weights(one, other):
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


class Pair(nn.Module):
    """(mean, logvar) of a flattened image."""

    def __init__(self, shape=SHAPE, latents=3):
        super().__init__()
        self.mean = nn.Linear(shape[0] * shape[1] * shape[2], latents)
        self.logvar = nn.Linear(shape[0] * shape[1] * shape[2], latents)

    def forward(self, x):
        return self.mean(x.flatten(1)), self.logvar(x.flatten(1))


# --- one model, said in several ways ---


def test_python_gives_the_model_that_gin_gives():
    gin.parse_config("encoder.num_latent = 3")
    by_gin = built()
    gin.clear_config()
    assert same_weights(by_gin, built(num_latent=3))
    by_name = built(num_latent=3, encoder="srvae_encoder", decoder="srvae_decoder")
    assert same_weights(by_gin, by_name)
    functions = built(num_latent=3, encoder=networks.srvae_encoder, decoder=networks.srvae_decoder)
    assert same_weights(by_gin, functions)
    bound = built(encoder=lambda shape: networks.srvae_encoder(shape, 3))
    assert same_weights(by_gin, bound)


def test_python_reads_no_gin_bindings_of_networks():
    gin.parse_config("srvae_encoder.base_channels = 2\nencoder.num_latent = 7")
    gin.parse_config("decoder.decoder_fn = @fc_decoder")
    model = built(num_latent=3)
    gin.clear_config()
    assert same_weights(model, built(num_latent=3))


def test_every_network_has_its_gin_name():
    for kind in (networks.ENCODERS, networks.DECODERS):
        for name, function in kind.items():
            assert gin.get_configurable(name) == gin.get_configurable(function)


def test_a_users_function_is_found_by_its_gin_name():
    @gin.register("an_encoder_of_mine", module="tests")
    def mine(observation_shape, num_latent, scale=1):
        return networks.linear_encoder(observation_shape, num_latent * scale)

    assert built(num_latent=3, encoder="an_encoder_of_mine").num_latent == 3
    gin.parse_config("an_encoder_of_mine.scale = 2")
    with pytest.raises(ValueError, match="num_latent = 3, but the encoder has 6 latents"):
        built(num_latent=3, encoder="an_encoder_of_mine")


def test_a_class_is_a_function_too():
    model = built(num_latent=4, encoder=lambda shape, latents: Pair(shape, latents))
    assert model.num_latent == 4
    gin.parse_config("decoder.decoder_fn = @fc_decoder")
    assert built(encoder=Pair, shape=(1, 8, 8)).encoder.mean.weight.shape == (3, 64)


# --- modules ---


@pytest.mark.parametrize("num_latent", [None, 3])
def test_a_module_is_trained_itself(num_latent):
    encoder = nn.Sequential(nn.Dropout(0.5), Pair())
    decoder = nn.Sequential(nn.Linear(3, 64 * 64), nn.Unflatten(1, SHAPE))
    model = models.VAE(1.0, encoder=encoder, decoder=decoder, num_latent=num_latent)
    assert list(model.parameters()) == []
    model.build(SHAPE)
    assert model.num_latent == 3
    assert encoder[0].training
    expected = {id(p) for network in (encoder, decoder) for p in network.parameters()}
    assert {id(p) for p in model.parameters()} == expected
    x = torch.rand(2, *SHAPE)
    model.losses(x, 0).objectives["vae"].backward()
    assert encoder[1].mean.weight.grad.abs().sum() > 0


def test_one_tensor_holds_means_and_then_log_variances():
    linear = nn.Linear(7, 2 * 3)
    model = built(encoder=nn.Sequential(nn.Flatten(), linear), shape=(7, 1, 1))
    assert model.num_latent == 3
    x = torch.rand(2, 7, 1, 1)
    posterior, both = model.encode(x), linear(x.flatten(1))
    assert torch.equal(posterior.mean, both[:, :3])
    assert torch.equal(posterior.logvar, both[:, 3:])
    assert model.reconstruct(x).shape == (2, 7, 1, 1)


class Threes(nn.Module):
    def forward(self, x):
        return (x.flatten(1)[:, :2],) * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": nn.Linear(3, 4)}, r"encoder: Linear does not take \(2, 1, 64, 64\)"),
        (
            {"encoder": nn.Identity()},
            r"Identity gives a tensor \(2, 1, 64, 64\).*expected",
        ),
        ({"encoder": Threes()}, r"Threes gives \(a tensor \(2, 2\), .*expected \(mean, logvar\)"),
        (
            {"encoder": nn.Sequential(nn.Flatten(), nn.Linear(4096, 5))},
            r"Sequential gives a tensor \(2, 5\).*2 \* latent",
        ),
        ({"encoder": Pair(), "num_latent": 4}, "num_latent = 4, but the encoder has 3 latents"),
        (
            {"encoder": Pair(), "decoder": nn.Linear(3, 5)},
            r"Linear gives a tensor \(2, 5\) .*expected logits \(2, 1, 64, 64\)",
        ),
        ({"encoder": Pair(), "decoder": nn.Linear(4, 5)}, "decoder: Linear does not take"),
        ({"encoder": Pair, "num_latent": 4}, "num_latent = 4, but the encoder has 3 latents"),
        ({"encoder": "conv_encodr", "num_latent": 3}, "'conv_encodr'; did you mean 'conv_encoder'"),
        ({"decoder": "fc_encoder_", "num_latent": 3}, "unknown decoder 'fc_encoder_'"),
        ({"encoder": "conv_encoder"}, "number of latents is missing: pass num_latent = 10"),
        ({}, "number of latents is missing.*encoder.num_latent"),
        ({"num_latent": 0}, "num_latent = 0: expected an integer of at least 1"),
        ({"num_latent": 3, "reconstruction_loss": "mse"}, "'mse': expected one of bernoulli"),
    ],
)
def test_what_does_not_fit_is_one_line(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        built(**options)
    assert "\n" not in str(caught.value)


# --- settings and names ---


@pytest.mark.parametrize("name", models.__all__)
def test_the_room_shows_its_models(name):
    assert getattr(models, name).__name__ == name
    assert name in dir(models)


def test_repr_shows_the_settings():
    model = models.SRVAE(num_latent=3, beta=2.0, reading="sum")
    assert repr(model) == (
        "SRVAE(num_latent=3, beta=2.0, reading='sum', residual='image', likelihood='bernoulli', "
        "noise='resample')"
    )
    model.build((7, 1, 1))
    assert "\n  num_latent=3, beta=2.0" in repr(model)
    assert repr(models.DIPVAE(1, 2, num_latent=3)) == (
        "DIPVAE(num_latent=3, lambda_od=1.0, lambda_d_factor=2.0, dip_type='i')"
    )


def run(source):
    """What another process, without this one's checks of types, prints."""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_gin_records_what_it_did_before():
    """Runs of former versions and new ones are of one model: no parameter is added to it."""
    text = run(
        "import gin\nfrom srvae_plugin.config import plugins\n"
        "model = plugins.find('models', 'sr_vae')\n"
        "gin.parse_config('encoder.num_latent = 2')\n"
        "model().build((1, 64, 64))\nprint(gin.operative_config_str())"
    )
    found = [line for line in text.splitlines() if line.startswith("sr")]
    expected = ["beta = 1.0", "decoder = None", "encoder = None", "likelihood = None"]
    expected += ["noise = 'resample'", "reading = 'paper'", "residual = None"]
    networks_of_the_paper = [
        f"srvae_{kind}.{option}"
        for kind in ("decoder", "encoder")
        for option in ("base_channels = 32", "initializer = 'pytorch'")
    ]
    assert found == [f"sr_vae.{line}" for line in expected] + networks_of_the_paper


def test_gin_has_one_number_of_latents():
    assert models.SRVAE
    with pytest.raises(ValueError, match="num_latent"):
        gin.parse_config("sr_vae.num_latent = 3")


PUBLISHED = {
    "sr_vae": ("SR-VAE", "SR-beta-VAE"),
    "seq_vae": ("SeqVAE", "SeqVAE"),
    "res_vae": ("ResVAE", "ResVAE"),
    "vae": ("VAE", "beta-VAE"),
    "annealed_vae": ("AnnealedVAE", "AnnealedVAE"),
    "factor_vae": ("FactorVAE", "FactorVAE"),
    "beta_tc_vae": ("beta-TCVAE", "beta-TCVAE"),
    "dip_vae": ("DIP-VAE", "DIP-VAE"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_names(name):
    for beta, expected in zip(("1.0", "4"), PUBLISHED[name], strict=True):
        assert titles.published_name(name, {"beta": beta}) == expected
    assert titles.published_name(name, {"beta": "%weight"}) == PUBLISHED[name][0]
    assert titles.published_name(name, {}) == PUBLISHED[name][0]


@pytest.mark.parametrize(("setting", "expected"), [("'i'", "DIP-VAE-I"), ("'ii'", "DIP-VAE-II")])
def test_a_title_holds_a_setting(setting, expected):
    assert titles.published_name("dip_vae", {"dip_type": setting}) == expected
    model = models.DIPVAE(1.0, 1.0, dip_type=setting.strip("'"), num_latent=2)
    assert model.published_name == expected


def test_titles_in_the_source_are_those_of_the_classes():
    for entry_point in entry_points(group="srvae_plugin.models"):
        own = vars(entry_point.load())
        expected = (own.get("title", ""), own.get("title_with_beta", ""))
        assert titles.titles_of(entry_point.name) == expected, entry_point.name


def test_a_subclass_is_another_model():
    class Mine(models.VAE):
        pass

    assert Mine(4.0, num_latent=2).published_name == "Mine"
    assert models.VAE(4.0, num_latent=2).published_name == "beta-VAE"


def plug_in(monkeypatch, tmp_path, value, files):
    for name, source in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    found = [EntryPoint("theirs", value, "srvae_plugin.models")]
    monkeypatch.setattr(titles, "entry_points", lambda **given: found)
    titles.titles_of.cache_clear()
    try:
        return titles.published_name("theirs", {"beta": "1"})
    finally:
        titles.titles_of.cache_clear()


def test_a_plug_ins_title_is_read_where_its_class_is_written(monkeypatch, tmp_path):
    files = {
        "titled_plug_in/__init__.py": "if True:\n    x = 1\nfrom .inner import Inner as Outer\n",
        "titled_plug_in/inner.py": """
            raise RuntimeError("a report imports no model")
            class Inner:
                title: str = "Their-VAE"
        """,
    }
    assert plug_in(monkeypatch, tmp_path, "titled_plug_in:Outer", files) == "Their-VAE"
    assert "titled_plug_in.inner" not in sys.modules


@pytest.mark.parametrize("value", ["no_such_plug_in.x:Y", "untitled_plug_in.it:Y", "broken.x:Y"])
def test_a_plug_in_without_a_title_has_its_gin_name(monkeypatch, tmp_path, value):
    files = {
        "untitled_plug_in/__init__.py": "",
        "untitled_plug_in/it.py": "class Y:\n    title = 1 + 1\n",
        "broken/__init__.py": "",
        "broken/x.py": "class Y:\n    title = 'x\n",
    }
    assert plug_in(monkeypatch, tmp_path, value, files) == "theirs"


def test_reports_name_models_without_torch():
    source = (
        "import sys\nfrom srvae_plugin.report.models import published_name as name\n"
        "print(name({'model.model': '@sr_vae()', 'sr_vae.beta': '4.0'}))\n"
        "assert not {'torch', 'gin'} & set(sys.modules)"
    )
    assert run(source) == "SR-beta-VAE\n"
