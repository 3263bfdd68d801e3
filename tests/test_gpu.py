"""On an NVIDIA GPU: the CPU's numbers, and the captured step. Run with `pytest -m gpu`."""

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from trained_models import rows, same_weights

from srvae_plugin.config import gin_files
from srvae_plugin.data.dsprites import DSprites, dsprites_full
from srvae_plugin.data.ground_truth import FactorGrid
from srvae_plugin.models.networks import convolutions
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.directory import TrainingDirectory
from srvae_plugin.runs.representation import CachedRepresentation, Representation
from srvae_plugin.training import loop
from srvae_plugin.training.batches import DeviceImages, source_of
from srvae_plugin.training.capture import CapturedStep, refuse_to_wait
from srvae_plugin.training.finite import NonFiniteLossError
from srvae_plugin.training.numerics import memory_format, numerics

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]
SETTINGS = ["encoder.num_latent = 4", "encoder.encoder_fn = @srvae_encoder"]
SETTINGS += ["srvae_encoder.base_channels = 8", "srvae_decoder.base_channels = 8"]
SETTINGS += ["decoder.decoder_fn = @srvae_decoder", "model.random_seed = 1"]
SETTINGS += ["model.batch_size = 16", "model.eval_steps = 3", "model.training_steps = 20"]
SETTINGS += ["model.log_every = 1", "model.checkpoint_every = 7", "model.device = 'cuda'"]
MODELS = {
    "vae": ["vae.beta = 4.0"],
    "annealed_vae": ["annealed_vae.gamma = 10.0", "annealed_vae.c_max = 25.0"],
    "beta_tc_vae": ["beta_tc_vae.beta = 6.0"],
    "dip_vae": ["dip_vae.lambda_od = 10.0", "dip_vae.lambda_d_factor = 10.0"],
    "factor_vae": ["factor_vae.gamma = 10.0", "fc_discriminator.width = 100"],
    "sr_vae": [],
    "seq_vae": [],
    "res_vae": [],
}
MODELS["annealed_vae"].append("annealed_vae.iteration_threshold = 5")
every_model = pytest.mark.parametrize("name", MODELS)
both_steps = pytest.mark.parametrize("how", ["plain", "captured"])


def trained(folder, data, name, *bindings, resume=False):
    bindings = [*SETTINGS, f"model.model = @{name}()", *MODELS[name], *bindings]
    with gin_files.only(bindings=bindings):
        return loop.train(
            pipeline.training_settings(), data, TrainingDirectory(folder).files, resume=resume
        )


@pytest.fixture(scope="module")
def data():
    return dsprites_full()


class FailsAfter(DSprites):
    """Fails as it is asked for its n-th batch, by index or not."""

    def __init__(self, calls):
        super().__init__([1, 2, 3, 4, 5])
        self.left = calls

    def sample_factors(self, num, random_state):
        self.left -= 1
        if self.left < 0:
            raise OSError("as if killed")
        return super().sample_factors(num, random_state)


# --- the CPU's numbers ---


class SameNoise(TorchFunctionMode):
    """Random numbers from the CPU's generator in float32, wherever and as what they are wanted."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func not in (torch.randn, torch.randn_like, torch.rand_like):
            return func(*args, **kwargs)
        like = args[0] if isinstance(args[0], torch.Tensor) else None
        device = kwargs.pop("device", None if like is None else like.device)
        dtype = kwargs.pop("dtype", None if like is None else like.dtype)
        draw = torch.rand if func is torch.rand_like else torch.randn
        return draw(*(args if like is None else like.shape)).to(device, dtype)


def losses_and_gradients(name, data, device, dtype):
    """The same weights, batch and noise, computed on a device in a precision."""
    with gin_files.only(bindings=[*SETTINGS, f"model.model = @{name}()", *MODELS[name]]):
        torch.manual_seed(0)
        model = pipeline.training_settings().model
        model.build((1, 64, 64))
        model.to(device, dtype).to(memory_format=memory_format(torch.device(device)))
        x = torch.from_numpy(data.sample_observations(32, np.random.RandomState(0)))
        torch.manual_seed(1)
        with SameNoise(), numerics(torch.device(device), tf32=False):
            losses = model.losses(x.permute(0, 3, 1, 2).to(device, dtype), 3)
            gradients = []
            for group, parameters in model.parameter_groups().items():
                objective = losses.objectives[group]
                found = torch.autograd.grad(objective, list(parameters), retain_graph=True)
                gradients.append(torch.cat([g.reshape(-1) for g in found]).double().cpu())
    values = {key: value.double().cpu() for key, value in losses.logs.items()}
    return values, torch.cat(gradients)


@every_model
def test_losses_and_gradients_are_the_cpus(name, data):
    """To float32's precision, the truth being the CPU's in float64.

    float32 keeps 24 bits, an error of 6e-8 a rounding; an objective is a sum of 4,096 pixels, and
    the gradient has passed some twenty layers (SR-VAE: a hundred), which makes about 1e-6. TF32,
    which keeps 11 bits, would be off by 1e-4 or more.
    """
    exact, direction = losses_and_gradients(name, data, "cpu", torch.float64)
    found, gradient = losses_and_gradients(name, data, "cuda", torch.float32)
    for key, value in exact.items():
        # beta-TCVAE's and the discriminator's terms are differences of sums of order 10.
        torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-4, msg=key)
    error = float((gradient - direction).norm() / direction.norm())
    print(f"{name}: gradient off by {error:.1e}")
    assert error < 2e-5


def test_tf32_is_what_the_test_above_would_notice():
    """On sizes that surely have kernels of TF32; a small layer may have none that is faster."""
    torch.manual_seed(0)
    x, y = torch.randn(2, 2048, 2048, device="cuda").unbind()
    image = torch.randn(32, 128, 56, 56, device="cuda")
    kernels = torch.randn(128, 128, 3, 3, device="cuda")
    conv2d = torch.nn.functional.conv2d
    for name, function in {
        "product": lambda t: t(x) @ t(y),
        "convolution": lambda t: conv2d(t(image), t(kernels), padding=1),
    }.items():
        exact, found = function(torch.Tensor.double), {}
        for tf32 in (False, True):
            with numerics(torch.device("cuda"), tf32):
                assert torch.backends.cuda.matmul.allow_tf32 is tf32
                assert torch.backends.cudnn.allow_tf32 is tf32
                found[tf32] = function(lambda tensor: tensor)
        errors = {k: float((v - exact).norm() / exact.norm()) for k, v in found.items()}
        print(f"{name} off by {errors}")
        # float32 keeps 24 bits and TF32 11, which makes 3e-4 of zero-mean sums.
        assert errors[False] < 5e-6 < 5e-5 < errors[True], name


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("few", [1, 3])
@pytest.mark.parametrize("layer", ["Conv2d", "ConvTranspose2d"])
@pytest.mark.parametrize("autocast", [False, True])
def test_layers_with_few_channels_are_the_cpus(layer, few, layout, autocast):
    """Values and gradients of the first and the last layer, which take a route of their own."""
    torch.manual_seed(0)
    channels = (few, 32) if layer == "Conv2d" else (32, few)
    ours = getattr(convolutions, layer)(*channels, 4, 2, 1)
    x = torch.randn(16, channels[0], 32, 32)
    exact = getattr(torch.nn, layer)(*channels, 4, 2, 1).double()
    exact.load_state_dict(ours.state_dict())
    ours.cuda().to(memory_format=layout)
    found = []
    for part, given in ((ours, x.cuda().to(memory_format=layout)), (exact, x.double())):
        given.requires_grad_()
        with numerics(torch.device("cuda"), False), torch.autocast("cuda", enabled=autocast):
            y = part(given)
            slopes = torch.linspace(0, 1, y.numel()).view(y.shape).to(y)
            gradients = torch.autograd.grad((y * slopes).float().sum(), [given, *part.parameters()])
        found.append([t.double().cpu() for t in (y, *gradients)])
    limit = 2**-6 if autocast else 1e-5
    for name, a, b in zip(("y", "x", "weight", "bias"), *found, strict=True):
        error = float((a - b).norm() / b.norm())
        assert error < limit, f"{name} is off by {error:.1e}"


def test_batches_are_the_hosts(data):
    source = source_of(data, torch.device("cuda"))
    assert isinstance(source, DeviceImages)
    drawn = source.draw(500, np.random.RandomState(2)).cuda()
    expected = data.sample_observations(500, np.random.RandomState(2))
    assert np.array_equal(source.images(drawn).permute(0, 2, 3, 1).cpu().numpy(), expected)


@pytest.mark.parametrize("name", ["vae", "sr_vae"])
def test_codes_are_the_cpus(name, data):
    with gin_files.only(bindings=[*SETTINGS, f"model.model = @{name}()", *MODELS[name]]):
        torch.manual_seed(0)
        model = pipeline.training_settings().model
        model.build((1, 64, 64))
    indices = np.random.RandomState(0).randint(data.num_observations, size=6000)
    expected = Representation(model)(data.observations_at(indices[:300]))
    function = Representation(model.cuda())
    assert function.of_rows(data) is not None
    codes = CachedRepresentation(function, data).codes_at(indices)
    np.testing.assert_allclose(codes[:300], expected, atol=1e-5)
    np.testing.assert_allclose(function(data.observations_at(indices[:300])), expected, atol=1e-5)


# --- steps ---


@every_model
def test_a_captured_step_is_the_plain_step(tmp_path, data, name):
    plain, losses = trained(tmp_path / "plain", data, name, "model.step = 'plain'")
    captured, again = trained(tmp_path / "captured", data, name, "model.step = 'captured'")
    print(f"{name}: to the bit: {same_weights(plain, captured)}")
    for a, b in zip(rows(tmp_path / "plain"), rows(tmp_path / "captured"), strict=True):
        for key, value in a.items():
            assert float(b[key]) == pytest.approx(float(value), rel=1e-4, abs=1e-4), key
    assert losses["loss"] == pytest.approx(again["loss"], rel=1e-4)


@every_model
@both_steps
def test_the_same_seed_gives_the_same_run(tmp_path, data, name, how):
    first, _ = trained(tmp_path / "a", data, name, f"model.step = '{how}'")
    second, _ = trained(tmp_path / "b", data, name, f"model.step = '{how}'")
    assert same_weights(first, second)
    assert rows(tmp_path / "a") == rows(tmp_path / "b")


@every_model
@both_steps
def test_a_resumed_run_is_bit_identical(tmp_path, data, name, how):
    whole, losses = trained(tmp_path / "whole", data, name, f"model.step = '{how}'")
    with pytest.raises(OSError, match="as if killed"):
        trained(tmp_path / "cut", FailsAfter(12), name, f"model.step = '{how}'")
    again, found = trained(tmp_path / "cut", data, name, f"model.step = '{how}'", resume=True)
    assert same_weights(whole, again)
    assert rows(tmp_path / "whole") == rows(tmp_path / "cut")
    assert losses["loss"] == found["loss"]


def test_batches_of_the_host_train_the_same(tmp_path, data, monkeypatch):
    here, _ = trained(tmp_path / "device", data, "vae")
    monkeypatch.setattr("srvae_plugin.training.batches.byte_table_of", lambda data: None)
    there, _ = trained(tmp_path / "host", data, "vae")
    assert same_weights(here, there)


@every_model
def test_no_step_waits_for_the_gpu(tmp_path, data, name, monkeypatch):
    taken = []

    class Refusing(CapturedStep):
        def __call__(self, drawn, step):
            if step < 3:
                return super().__call__(drawn, step)
            with refuse_to_wait():
                losses = super().__call__(drawn, step)
                self._take(drawn, torch.full((), step, device="cuda"))
                self._take(drawn, step)
            taken.append(step)
            return losses

    monkeypatch.setattr(loop, "CapturedStep", Refusing)
    trained(tmp_path, data, name, "model.step = 'captured'")
    assert taken == list(range(3, 20))


def test_the_mode_refuses_what_waits():
    with refuse_to_wait(), pytest.raises(RuntimeError, match="synchroniz"):
        torch.ones((), device="cuda").item()


@both_steps
def test_the_first_bad_step_is_named_later(tmp_path, how):
    class Poisoned(FailsAfter):
        def sample_observations(self, num, random_state):
            self.left -= 1
            found = FactorGrid.sample_observations(self, num, random_state)
            return np.full_like(found, np.nan) if self.left < 0 else found

        sample_factors = FactorGrid.sample_factors

    bindings = ["model.log_every = 10", "model.checkpoint_every = 6", f"model.step = '{how}'"]
    with pytest.raises(NonFiniteLossError, match=r"step 8: .*reconstruction_loss") as error:
        trained(tmp_path, Poisoned(8), "vae", *bindings)
    assert "the last good checkpoint" in str(error.value)
    assert torch.load(TrainingDirectory(tmp_path).files.checkpoint, weights_only=True)["step"] == 6


LESS = ["model.tf32 = True", "model.autocast = True", "model.channels_last = True"]


@pytest.mark.parametrize("binding", LESS)
@pytest.mark.parametrize("name", ["vae", "factor_vae", "sr_vae"])
def test_other_kernels_train_about_the_same(tmp_path, data, name, binding):
    exact, _ = trained(tmp_path / "float32", data, name)
    rounded, _ = trained(tmp_path / "less", data, name, binding)
    if binding != "model.tf32 = True":  # layers as small as these may have no kernels of TF32
        assert not same_weights(exact, rounded)
    first, last = (float(rows(tmp_path / f)[-1]["loss"]) for f in ("float32", "less"))
    assert last == pytest.approx(first, rel=0.05)


def test_a_step_that_waits_is_taken_plainly_and_said(tmp_path, data, monkeypatch, caplog):
    from srvae_plugin.models.vae import VAE

    inner = VAE.losses

    def losses(self, x, step):
        found = inner(self, x, step)
        assert found.logs["loss"].item() > 0
        return found

    losses.takes_tensor_step = True
    monkeypatch.setattr(VAE, "losses", losses)
    model, _ = trained(tmp_path / "auto", data, "vae")
    assert "it waits for the GPU" in caplog.text
    plain, _ = trained(tmp_path / "plain", data, "vae", "model.step = 'plain'")
    assert same_weights(model, plain)
