"""The export for TensorFlow 1: what the file says, read by plain numpy, is what the model does."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import correlate
from srvae_adapters import disentanglement_lib, tf1_hub
from torch import nn

from srvae_plugin import postprocess_with_gin, train_with_gin
from srvae_plugin.cli.export import export
from srvae_plugin.models.networks import (
    conv_encoder,
    deconv_decoder,
    fc_decoder,
    fc_encoder,
)
from srvae_plugin.models.sr_vae import SRVAE, ResVAE, SeqVAE
from srvae_plugin.models.vae import VAE

TINY = Path(__file__).with_name("tiny.gin")


class Numpy:
    """The script's operations once more, by definition; images are NHWC, weights PyTorch's."""

    def __init__(self, arrays):
        self.arrays, self.exp, self.tanh = arrays, np.exp, np.tanh

    def sigmoid(self, x):
        return 1 / (1 + np.exp(-x))

    def relu(self, x):
        return np.maximum(x, 0)

    def leaky_relu(self, x, slope):
        return np.where(x > 0, x, slope * x)

    def concat(self, parts):
        return np.concatenate(parts, axis=1)

    def flatten(self, x):
        x = x if x.ndim < 4 else np.moveaxis(x, 3, 1)
        return x.reshape(len(x), -1)

    def unflatten(self, x, shape):
        return np.moveaxis(x.reshape(-1, *shape), 1, 3)

    def linear(self, x, weight, bias):
        return x @ self.arrays[weight].T + self.arrays[bias]

    def conv(self, x, weight, bias, stride, padding):
        x = np.pad(x, [(0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)])
        kernels = self.arrays[weight]
        maps = [
            sum(correlate(image[..., c], k[c], mode="valid") for c in range(k.shape[0]))
            for image in x
            for k in kernels
        ]
        out = np.stack(maps).reshape(len(x), len(kernels), *maps[0].shape)
        return np.moveaxis(out[:, :, :: stride[0], :: stride[1]], 1, 3) + self.arrays[bias]

    def conv_transpose(self, x, weight, bias, stride, padding):
        kernels = self.arrays[weight]  # (in, out, height, width)
        (high, wide), (rows, columns) = kernels.shape[2:], x.shape[1:3]
        size = ((rows - 1) * stride[0] + high, (columns - 1) * stride[1] + wide)
        out = np.zeros((len(x), *size, kernels.shape[1]))
        for i in range(rows):
            for k in range(columns):
                patch = np.einsum("bc,cohw->bhwo", x[:, i, k], kernels)
                top, left = i * stride[0], k * stride[1]
                out[:, top : top + high, left : left + wide] += patch
        (top, left), (high, wide) = padding, size
        return out[:, top : high - top, left : wide - left] + self.arrays[bias]


def small_conv(shape, num_latent):
    """An encoder with strides and paddings that differ between the axes, and no bias once."""
    from srvae_plugin.models.networks import GaussianEncoder

    layers = [nn.Conv2d(shape[0], 3, (4, 3), (2, 1), (1, 2), bias=False), nn.LeakyReLU(0.1)]
    layers += [nn.Conv2d(3, 2, 3, 2), nn.Tanh(), nn.Flatten()]
    features = nn.Sequential(*layers)(torch.zeros(1, *shape)).shape[1]
    return GaussianEncoder(nn.Sequential(*layers), features, num_latent)


def small_deconv(num_latent, shape):
    return nn.Sequential(
        nn.Linear(num_latent, 2 * shape[1] // 2 * shape[2] // 2),
        nn.Unflatten(1, (2, shape[1] // 2, shape[2] // 2)),
        nn.ConvTranspose2d(2, 3, (4, 2), 2, (1, 0)),
        nn.ReLU(),
        nn.ConvTranspose2d(3, shape[0], 3, 1, 1, bias=False),
    )


SMALL = {"encoder": lambda s: small_conv(s, 3), "decoder": small_deconv}
DLIB = {"encoder": lambda s: conv_encoder(s, 3), "decoder": deconv_decoder}
DENSE = {"encoder": lambda s: fc_encoder(s, 3), "decoder": fc_decoder}


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (VAE(1.0, **SMALL), (2, 8, 12)),
        (SRVAE(**SMALL), (2, 8, 12)),
        (SRVAE(reading="paper-gaussian", **SMALL), (1, 8, 8)),
        (SeqVAE(**SMALL), (3, 8, 8)),
        (ResVAE(**SMALL), (1, 8, 8)),
        (VAE(1.0, **DLIB), (3, 64, 64)),
        (SRVAE(**DENSE), (1, 6, 6)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_the_description_says_what_the_model_does(model, shape):
    torch.manual_seed(0)
    model.build(shape)
    description, arrays = disentanglement_lib.describe(model)
    description = json.loads(json.dumps(description))
    x = torch.rand(2, *shape)
    images = np.moveaxis(x.double().numpy(), 1, 3)
    with torch.no_grad():
        expected = model.double().encode(x.double())
        noise = torch.randn(2, 3, dtype=torch.float64)
        sampled = model.sample(x.double(), noise)
    mean, logvar, code = tf1_hub.encode(Numpy(arrays), description, images)
    np.testing.assert_allclose(mean, expected.mean, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(logvar, expected.logvar, rtol=1e-6, atol=1e-9)
    assert np.array_equal(code, mean)
    *_, code = tf1_hub.encode(Numpy(arrays), description, images, noise.numpy())
    np.testing.assert_allclose(code, sampled, rtol=1e-6, atol=1e-9)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train_with_gin(folder / "model", False, [TINY])
    for kind in ("mean", "sampled"):
        choice = [f"postprocess.postprocess_fn = @{kind}_representation"]
        postprocess_with_gin(folder / "model", folder / "postprocessed" / kind, False, None, choice)
    return folder


@pytest.mark.parametrize("kind", ["mean", "sampled"])
def test_a_run_becomes_a_folder_the_original_reads(run, kind, tmp_path):
    done = export(run, "disentanglement_lib", tmp_path / "out", representation=kind)
    folder = done.file.parent
    assert {p.name for p in folder.iterdir()} == {
        "representation.npz", "make_tfhub.py", "results", "export.json",
    }  # fmt: skip
    # Its steps read the data set's name there.
    assert "dataset.name = 'dsprites_full'" in (folder / "results/gin/postprocess.gin").read_text()
    assert (folder / "results/json/train_results.json").is_file()
    description, arrays = tf1_hub.read(str(done.file))
    assert description["kind"] == kind
    assert description["observation_shape"] == [64, 64, 1]
    mean, logvar, _ = tf1_hub.encode(Numpy(arrays), description, arrays["example_images"][:4])
    np.testing.assert_allclose(mean, arrays["example_mean"][:4], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(logvar, arrays["example_logvar"][:4], rtol=1e-4, atol=1e-6)
    assert not np.allclose(arrays["example_images"][0], arrays["example_images"][1])


class OwnEncode(VAE):
    def encode(self, x):
        return super().encode(1 - x)


def encoder_with(layer):
    def encoder(shape):
        made = small_conv(shape, 3)
        made.body.insert(0, layer)
        return made

    return encoder


@pytest.mark.parametrize(
    ("model", "part"),
    [
        (OwnEncode(1.0, **SMALL), "OwnEncode encodes in its own way"),
        (VAE(1.0, encoder_with(nn.BatchNorm2d(2)), small_deconv), "BatchNorm2d"),
        (VAE(1.0, encoder_with(nn.Conv2d(2, 2, 3, 1, 1, groups=2)), small_deconv), "groups=2"),
        (
            VAE(1.0, encoder_with(nn.Conv2d(2, 2, 3, 1, 1, padding_mode="reflect")), small_deconv),
            "padding_mode=reflect",
        ),
        (VAE(1.0, encoder_with(nn.Conv2d(2, 2, 3, 1, "same")), small_deconv), "padding=same"),
    ],
    ids=["encode", "layer", "groups", "padding_mode", "padding"],
)
def test_what_cannot_be_rebuilt_is_refused(model, part):
    model.build((2, 8, 12))
    with pytest.raises(ValueError, match="cannot be written for TensorFlow 1") as error:
        disentanglement_lib.describe(model)
    assert part in str(error.value)


def test_an_encoder_of_another_kind_is_refused():
    class Other(nn.Module):
        num_latent = 3

        def forward(self, x):
            return x.flatten(1)[:, :3], x.flatten(1)[:, 3:6]

    model = VAE(1.0, lambda shape: Other(), small_deconv)
    model.build((2, 8, 12))
    with pytest.raises(ValueError, match="the encoder is a Other"):
        disentanglement_lib.describe(model)
