"""Networks against the SR-VAE paper's Table 1 and disentanglement_lib's architectures.

Every number below was worked out by hand from those sources: a k x k convolution from a to b
channels has k k a b + b parameters, a linear layer from a to b has a b + b.
"""

from __future__ import annotations

import math

import gin
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from srvae_plugin.models import networks

LATENT = 10
GREY, RGB = (1, 64, 64), (3, 64, 64)

# name: (parameters of the first layer by number of channels, parameters of the others,
#        output shape of each layer)
ENCODERS = {
    "srvae_encoder": (
        {1: 544, 3: 1568},
        [16_416, 32_832, 65_600, 262_400, 2_570, 2_570],
        [(32, 32, 32), (32, 16, 16), (64, 8, 8), (64, 4, 4), (256, 1, 1), (10,), (10,)],
    ),
    "conv_encoder": (
        {1: 544, 3: 1568},
        [16_416, 8_256, 16_448, 262_400, 2_570, 2_570],
        [(32, 32, 32), (32, 16, 16), (64, 8, 8), (64, 4, 4), (256,), (10,), (10,)],
    ),
    "fc_encoder": (
        {1: 4_916_400, 3: 14_746_800},
        [1_441_200, 12_010, 12_010],
        [(1200,), (1200,), (10,), (10,)],
    ),
}
# name: (parameters of all layers but the last, of the last by number of channels, output shapes
#        of all layers but the last)
DECODERS = {
    "srvae_decoder": (
        [2_816, 262_208, 65_600, 32_800, 16_416],
        {1: 513, 3: 1_539},
        [(256,), (64, 4, 4), (64, 8, 8), (32, 16, 16), (32, 32, 32)],
    ),
    "deconv_decoder": (
        [2_816, 263_168, 65_600, 32_800, 16_416],
        {1: 513, 3: 1_539},
        [(256,), (1024,), (64, 8, 8), (32, 16, 16), (32, 32, 32)],
    ),
    "fc_decoder": (
        [13_200, 1_441_200, 1_441_200],
        {1: 4_919_296, 3: 14_757_888},
        [(1200,), (1200,), (1200,)],
    ),
}
# Sums of the above for one channel, 10 latents.
TOTALS = {
    "srvae_encoder": 382_932,
    "conv_encoder": 309_204,
    "fc_encoder": 6_381_620,
    "srvae_decoder": 380_353,
    "deconv_decoder": 381_313,
    "fc_decoder": 7_814_896,
}
CONVOLUTIONAL_ENCODERS = ("srvae_encoder", "conv_encoder")
CONVOLUTIONAL_DECODERS = ("srvae_decoder", "deconv_decoder")


def make(name: str, shape=GREY, num_latent: int = LATENT, **options) -> nn.Module:
    function = getattr(networks, name)
    if name.endswith("encoder"):
        return function(shape, num_latent, **options)
    return function(num_latent, shape, **options)


def layers(module: nn.Module) -> list[nn.Module]:
    """The layers that have parameters of their own, in order of definition."""
    return [m for m in module.modules() if list(m.parameters(recurse=False))]


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def shapes(module: nn.Module, x: torch.Tensor) -> list[tuple[int, ...]]:
    seen: list[tuple[int, ...]] = []
    handles = [
        layer.register_forward_hook(lambda _m, _i, out: seen.append(tuple(out.shape[1:])))
        for layer in layers(module)
    ]
    with torch.no_grad():
        module(x)
    for handle in handles:
        handle.remove()
    return seen


# --- sizes ---


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("shape", [GREY, RGB], ids=["1", "3"])
def test_encoder_layer_by_layer(name, shape):
    first, others, outputs = ENCODERS[name]
    encoder = make(name, shape)
    assert [count(layer) for layer in layers(encoder)] == [first[shape[0]], *others]
    assert shapes(encoder, torch.rand(2, *shape)) == outputs
    assert encoder.num_latent == LATENT


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("shape", [GREY, RGB], ids=["1", "3"])
def test_decoder_layer_by_layer(name, shape):
    others, last, outputs = DECODERS[name]
    decoder = make(name, shape)
    assert [count(layer) for layer in layers(decoder)] == [*others, last[shape[0]]]
    seen = shapes(decoder, torch.randn(2, LATENT))
    assert seen[:-1] == outputs
    assert math.prod(seen[-1]) == math.prod(shape)
    assert decoder(torch.randn(2, LATENT)).shape == (2, *shape)


@pytest.mark.parametrize("name", TOTALS)
def test_total_number_of_parameters(name):
    assert count(make(name)) == TOTALS[name]


@pytest.mark.parametrize(("name", "total"), [("srvae_encoder", 25_092), ("srvae_decoder", 24_433)])
def test_base_channels_scales_all_widths(name, total):
    """Quarter width: 8, 8, 16, 16 channels and 64 features, 10 latents."""
    assert count(make(name, base_channels=8)) == total


@pytest.mark.parametrize("num_latent", [1, 32])
@pytest.mark.parametrize("name", CONVOLUTIONAL_ENCODERS)
def test_encoder_outputs_mean_and_logvar_of_each_latent(name, num_latent):
    posterior = make(name, num_latent=num_latent)(torch.rand(2, *GREY))
    assert posterior.mean.shape == posterior.logvar.shape == (2, num_latent)
    assert not torch.isclose(posterior.mean, posterior.logvar).any()


@pytest.mark.parametrize("name", ["fc_encoder", "fc_decoder"])
def test_fully_connected_networks_take_any_size(name):
    shape = (2, 5, 7)
    network = make(name, shape)
    if name == "fc_encoder":
        assert network(torch.rand(3, *shape)).mean.shape == (3, LATENT)
    else:
        assert network(torch.randn(3, LATENT)).shape == (3, *shape)


# --- the computation, written a second time with the layers' weights ---


def weights(module: nn.Module) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weight and bias of each layer; biases made nonzero, so that a lost one shows."""
    with torch.no_grad():
        for layer in layers(module):
            layer.bias.uniform_(-0.5, 0.5)
    return [(layer.weight.detach(), layer.bias.detach()) for layer in layers(module)]


def same(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """TensorFlow's stride 2 convolution with padding "same", from its definition.

    For an even size the total padding is max(kernel - 2, 0), the smaller half before.
    """
    total = max(w.shape[2] - 2, 0)
    before = total // 2
    padded = F.pad(x, (before, total - before, before, total - before))
    return F.conv2d(padded, w, b, stride=2)


def same_transposed(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """TensorFlow's transposed convolution: the gradient of `same` to its input."""
    size = (len(x), w.shape[1], 2 * x.shape[2], 2 * x.shape[3])
    image = torch.zeros(size, requires_grad=True)
    zero = torch.zeros(w.shape[0])
    (gradient,) = torch.autograd.grad(same(image, w, zero), image, x)
    return gradient + b.reshape(1, -1, 1, 1)


@pytest.mark.parametrize("name", CONVOLUTIONAL_ENCODERS)
def test_convolutional_encoder_computes_what_its_source_says(name):
    torch.manual_seed(0)
    encoder = make(name, RGB)
    x = torch.rand(2, *RGB)
    *body, mean, logvar = weights(encoder)
    h = x
    for w, b in body[:4]:
        h = F.relu(same(h, w, b))
    w, b = body[4]
    if name == "srvae_encoder":  # a 4x4 convolution over a 4x4 map is a linear layer
        w = w.reshape(256, -1)
    h = F.relu(h.reshape(2, -1) @ w.T + b)
    posterior = encoder(x)
    torch.testing.assert_close(posterior.mean, h @ mean[0].T + mean[1])
    torch.testing.assert_close(posterior.logvar, h @ logvar[0].T + logvar[1])


@pytest.mark.parametrize("name", CONVOLUTIONAL_DECODERS)
def test_convolutional_decoder_computes_what_its_source_says(name):
    torch.manual_seed(0)
    decoder = make(name, RGB)
    z = torch.randn(2, LATENT)
    first, second, *others = weights(decoder)
    h = F.relu(z @ first[0].T + first[1])
    if name == "srvae_decoder":  # a 4x4 upconvolution of a single point is an outer product
        h = torch.einsum("bi,iohw->bohw", h, second[0]) + second[1].reshape(1, -1, 1, 1)
    else:
        h = (h @ second[0].T + second[1]).reshape(2, 64, 4, 4)
    for w, b in others:
        h = same_transposed(F.relu(h), w, b)
    torch.testing.assert_close(decoder(z), h)


def test_fc_encoder_computes_what_its_source_says():
    torch.manual_seed(0)
    shape = (3, 4, 5)
    encoder = make("fc_encoder", shape)
    x = torch.rand(2, *shape)
    one, two, mean, logvar = weights(encoder)
    h = F.relu(F.relu(x.reshape(2, -1) @ one[0].T + one[1]) @ two[0].T + two[1])
    torch.testing.assert_close(encoder(x).mean, h @ mean[0].T + mean[1])
    torch.testing.assert_close(encoder(x).logvar, h @ logvar[0].T + logvar[1])


def test_fc_decoder_computes_what_its_source_says():
    torch.manual_seed(0)
    shape = (3, 4, 5)
    decoder = make("fc_decoder", shape)
    z = torch.randn(2, LATENT)
    *hidden, last = weights(decoder)
    h = z
    for w, b in hidden:
        h = torch.tanh(h @ w.T + b)
    torch.testing.assert_close(decoder(z), (h @ last[0].T + last[1]).reshape(2, *shape))


# --- initialisation ---


def fans(weight: torch.Tensor) -> tuple[int, int]:
    """Inputs of one output and outputs of one input, in TensorFlow's count (any order)."""
    window = math.prod(weight.shape[2:])
    return weight.shape[0] * window, weight.shape[1] * window


@pytest.mark.parametrize("name", [*ENCODERS, *DECODERS])
def test_glorot_uniform(name):
    """Uniform within sqrt(6 / (fan in + fan out)), biases 0."""
    torch.manual_seed(0)
    network = make(name, initializer="glorot_uniform")
    for layer in layers(network):
        bound = math.sqrt(6 / sum(fans(layer.weight)))
        weight = layer.weight.detach()
        assert weight.abs().max() <= bound
        assert weight.abs().max() > 0.98 * bound
        # The standard deviation of a uniform distribution, at 5 standard errors of its estimate.
        error = 5 * math.sqrt((9 / 5 - 1) / 4 / weight.numel())
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=error)
        assert (layer.bias == 0).all()


@pytest.mark.parametrize("name", ["conv_encoder", "fc_encoder", "deconv_decoder", "fc_decoder"])
def test_disentanglement_lib_s_networks_start_as_in_tensorflow(name):
    torch.manual_seed(0)
    default = make(name, (1, 64, 64))
    torch.manual_seed(0)
    glorot = make(name, (1, 64, 64), initializer="glorot_uniform")
    for one, other in zip(default.parameters(), glorot.parameters(), strict=True):
        assert torch.equal(one, other)
    assert all((layer.bias == 0).all() for layer in layers(default))


@pytest.mark.parametrize("name", ["srvae_encoder", "srvae_decoder"])
def test_the_paper_s_networks_start_as_pytorch_s(name):
    """The paper used PyTorch: weights and biases within 1 / sqrt(fan in)."""
    torch.manual_seed(0)
    default = make(name)
    torch.manual_seed(0)
    explicit = make(name, initializer="pytorch")
    for one, other in zip(default.parameters(), explicit.parameters(), strict=True):
        assert torch.equal(one, other)
    for layer in layers(default):
        bound = 1 / math.sqrt(math.prod(layer.weight.shape[1:]))
        assert 0.98 * bound < layer.weight.abs().max() <= bound
        assert 0 < layer.bias.abs().max() <= bound


@pytest.mark.parametrize("name", [*ENCODERS, *DECODERS])
def test_unknown_initializer_is_an_error_that_names_it(name):
    with pytest.raises(ValueError, match=r"initializer = 'he'.*'pytorch'.*'glorot_uniform'"):
        make(name, (1, 64, 64), initializer="he")


@pytest.mark.parametrize("name", ["srvae_encoder", "fc_decoder"])
def test_seed_decides_the_weights(name):
    def vector(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(make(name).parameters())

    assert torch.equal(vector(0), vector(0))
    assert not torch.equal(vector(0), vector(1))


# --- errors and gin ---


@pytest.mark.parametrize("name", [*CONVOLUTIONAL_ENCODERS, *CONVOLUTIONAL_DECODERS])
@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 64, 32), (1, 128, 128)])
def test_convolutional_networks_take_64x64_only(name, shape):
    with pytest.raises(ValueError, match=f"{name}.*64x64.*{shape[1]}x{shape[2]}.*fc_encoder"):
        make(name, shape)


@pytest.mark.parametrize("num_latent", [0, -3])
def test_num_latent_must_be_positive(num_latent):
    with pytest.raises(ValueError, match=f"encoder.num_latent = {num_latent}"):
        networks.make_gaussian_encoder(GREY, num_latent)


@pytest.mark.parametrize("name", ["srvae_encoder", "srvae_decoder"])
@pytest.mark.parametrize("base_channels", [0, -8])
def test_base_channels_must_be_positive(name, base_channels):
    with pytest.raises(ValueError, match=f"{name}.base_channels = {base_channels}"):
        make(name, base_channels=base_channels)


@pytest.fixture
def clean_gin():
    gin.clear_config()
    yield
    gin.clear_config()


def build_by_gin(bindings: str, shape=GREY) -> tuple[nn.Module, nn.Module]:
    gin.parse_config(bindings)
    encoder = gin.get_configurable(networks.make_gaussian_encoder)(shape)
    return encoder, gin.get_configurable(networks.make_decoder)(encoder.num_latent, shape)


@pytest.mark.usefixtures("clean_gin")
@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        ("srvae_encoder", "srvae_decoder"),
        ("conv_encoder", "deconv_decoder"),
        ("fc_encoder", "fc_decoder"),
    ],
)
def test_gin_names_of_disentanglement_lib(encoder, decoder):
    built = build_by_gin(
        f"encoder.encoder_fn = @{encoder}\ndecoder.decoder_fn = @{decoder}\n"
        f"encoder.num_latent = {LATENT}"
    )
    assert [count(network) for network in built] == [TOTALS[encoder], TOTALS[decoder]]


@pytest.mark.usefixtures("clean_gin")
def test_gin_default_is_the_paper_s_network():
    built = build_by_gin(f"encoder.num_latent = {LATENT}")
    assert [count(n) for n in built] == [TOTALS["srvae_encoder"], TOTALS["srvae_decoder"]]


@pytest.mark.usefixtures("clean_gin")
@pytest.mark.parametrize(
    "functions",
    ["encoder.encoder_fn = @srvae_encoder\ndecoder.decoder_fn = @srvae_decoder\n", ""],
    ids=["bound", "default"],
)
def test_gin_binds_a_network_s_own_options(functions):
    bindings = "encoder.num_latent = 10\nsrvae_encoder.base_channels = 8\n"
    encoder, decoder = build_by_gin(functions + bindings + "srvae_decoder.base_channels = 8")
    assert [count(encoder), count(decoder)] == [25_092, 24_433]


def test_heads_are_two_layers_of_their_own():
    """Mean and log variance share the body and nothing else."""
    encoder = make("srvae_encoder", base_channels=1)
    x = torch.rand(1, *GREY)
    before = encoder(x)
    with torch.no_grad():
        layers(encoder)[-1].bias.add_(1)
    after = encoder(x)
    assert torch.equal(before.mean, after.mean)
    np.testing.assert_allclose(
        (after.logvar - before.logvar).detach().numpy(), np.ones((1, LATENT)), rtol=1e-5
    )
