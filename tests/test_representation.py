import numpy as np
import pytest
import torch
from trained_models import require_alive

from srvae_plugin import representation_function
from srvae_plugin.config import gin_files
from srvae_plugin.data.dsprites import dsprites_full
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.representation import CachedRepresentation, Representation


@pytest.fixture(scope="module")
def data():
    return dsprites_full()


@pytest.fixture(params=["vae", "sr_vae"])
def model(request):
    bindings = [f"model.model = @{request.param}()", "vae.beta = 1.0", "encoder.num_latent = 3"]
    bindings += ["encoder.encoder_fn = @srvae_encoder", "srvae_encoder.base_channels = 4"]
    bindings += ["decoder.decoder_fn = @srvae_decoder", "srvae_decoder.base_channels = 4"]
    bindings += ["model.training_steps = 0", "model.random_seed = 0", "model.batch_size = 1"]
    with gin_files.only(bindings=bindings):
        torch.manual_seed(0)
        model = pipeline.training_settings().model
        model.build((1, 64, 64))
    return require_alive(model)


def images_of(data, num=7):
    return data.observations_at(np.arange(num) * 1000)


def test_mean_is_the_encoders_mean_whatever_the_batch(model, data):
    images = images_of(data)
    codes = Representation(model, batch_size=3)(images)
    assert codes.dtype == np.float32
    with torch.no_grad():
        mean = model.encode(torch.from_numpy(images).permute(0, 3, 1, 2)).mean
    np.testing.assert_allclose(codes, mean.numpy(), atol=1e-5)
    assert Representation(model)(images[:0]).shape == (0, 3)


def test_sampled_depends_on_image_and_seed_alone(model, data):
    images = images_of(data)
    sampled = representation_function(model, "sampled", seed=5)
    codes = sampled(images)
    np.testing.assert_allclose(sampled(images[2:3]), codes[2:3], atol=1e-5)
    assert not np.allclose(representation_function(model, "sampled", seed=6)(images), codes)
    assert not np.allclose(representation_function(model)(images), codes)


def test_sampled_draws_from_the_posterior(model, data):
    """Over many seeds of one image: mean and standard deviation of q(z_1|x)."""
    image = images_of(data, 1)
    with torch.no_grad():
        posterior = model.encode(torch.from_numpy(image).permute(0, 3, 1, 2))
    draws = np.concatenate([Representation(model, "sampled", seed)(image) for seed in range(300)])
    sigma = torch.exp(0.5 * posterior.logvar)[0].numpy()
    # The first latent of a sequential model does not depend on the others' noise.
    z = (draws[:, 0] - posterior.mean[0, 0].item()) / sigma[0]
    assert abs(z.mean()) < 4 / np.sqrt(300)
    assert abs(z.std() - 1) < 4 / np.sqrt(600)


def test_unknown_kind(model):
    with pytest.raises(ValueError, match="'mean' or 'sampled'"):
        representation_function(model, "median")


def test_cache_encodes_each_observation_once(model, data):
    plain = Representation(model)
    calls = []

    def counting(observations):
        calls.append(len(observations))
        return plain(observations)

    cached = CachedRepresentation(counting, data, batch_size=4)
    indices = np.array([5, 700000, 5, 12, 5, 12])
    codes = cached.codes_at(indices)
    assert sum(calls) == cached.num_encoded == 3
    np.testing.assert_allclose(codes, plain(data.observations_at(indices)), atol=1e-5)
    cached.codes_at(np.array([12, 13]))
    assert sum(calls) == cached.num_encoded == 4
    assert np.array_equal(cached.codes_at(indices), codes)
    assert sum(calls) == 4


def test_cache_refuses_another_number_of_codes(data):
    cached = CachedRepresentation(lambda observations: np.zeros((2, 1), np.float32), data)
    with pytest.raises(ValueError, match=r"\(2, 1\) for 3 observations: expected \(3, latent\)"):
        cached.codes_at(np.arange(3))


def test_a_decoder_that_reads_no_latent_is_found(model):
    with torch.no_grad():
        first = next(p for p in model.decoder.parameters() if p.ndim == 2)
        first[:, 1] = 0
    with pytest.raises(AssertionError, match=r"does not read the latents \[1\]"):
        require_alive(model)
