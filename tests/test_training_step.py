"""The training step on its way to a GPU: what is drawn, what is captured, what waits."""

import functools
import logging

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from trained_models import MODELS, TINY, require_alive, rows, same_weights

from srvae_plugin.config import gin_files
from srvae_plugin.data.dsprites import DSprites, dsprites_full, dsprites_noshape
from srvae_plugin.data.dsprites_variants import color_dsprites
from srvae_plugin.data.image_grid import ImageGrid
from srvae_plugin.data.images_only import ImagesOnly
from srvae_plugin.data.storage.byte_table import byte_table_of
from srvae_plugin.data.storage.mapped_images import MappedImages
from srvae_plugin.models.base import Losses
from srvae_plugin.models.vae import VAE
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.directory import TrainingDirectory
from srvae_plugin.runs.representation import CachedRepresentation, Representation
from srvae_plugin.training import loop
from srvae_plugin.training.batches import (
    Batches,
    DeviceImages,
    HostImages,
    Prefetched,
)
from srvae_plugin.training.capture import CapturedStep, choose_step
from srvae_plugin.training.finite import FiniteCheck, NonFiniteLossError

CPU = torch.device("cpu")
STEPS = ["model.training_steps = 7", "model.log_every = 2"]
STEPS += ["model.checkpoint_every = 3", "vae_optimizer.learning_rate = 0.01"]
every_model = pytest.mark.parametrize("name", MODELS)


def trained(folder, data, name, *bindings, resume=False):
    bindings = [*TINY, *STEPS, f"model.model = @{name}()", *MODELS.get(name, []), *bindings]
    with gin_files.only(bindings=bindings):
        model, losses = loop.train(
            pipeline.training_settings(), data, TrainingDirectory(folder).files, resume=resume
        )
    return require_alive(model), losses


@pytest.fixture(scope="module")
def data():
    return dsprites_full()


# --- batches ---


def random_images(num, *shape):
    return np.random.RandomState(0).randint(256, size=(num, *shape)).astype(np.uint8)


DATA = {
    "dsprites_full": dsprites_full,
    "dsprites_noshape": dsprites_noshape,
    "grid": lambda: ImageGrid(random_images(24, 5, 3, 3), [2, 3, 4], "abc", [2, 0]),
    "images_only": lambda: ImagesOnly(MappedImages(random_images(50, 4, 4, 1)), "mine"),
}


@pytest.mark.parametrize("make", DATA.values(), ids=DATA)
def test_a_device_draws_what_the_host_draws(make):
    data = make()
    states = np.random.RandomState(3), np.random.RandomState(3)
    device = DeviceImages(data, byte_table_of(data), CPU)
    for num in (1, 7, 64):
        there = device.images(device.draw(num, states[0]))
        here = data.sample_observations(num, states[1])
        assert there.dtype == torch.float32
        assert np.array_equal(there.permute(0, 2, 3, 1).numpy(), here)
    assert states[0].randint(2**31) == states[1].randint(2**31)


def test_what_draws_otherwise_than_by_index_stays_on_the_host():
    class Inverted(DSprites):
        def _load_observations(self, indices):
            return 1 - super()._load_observations(indices)

    class Sampled(DSprites):
        def sample_observations(self, num, random_state):
            return super().sample_observations(num, random_state)

    class Named(DSprites):
        name = "mine"

    assert byte_table_of(Inverted()) is None
    assert byte_table_of(Sampled()) is None
    assert byte_table_of(color_dsprites()) is None
    assert byte_table_of(Named()) is not None


def test_batches_made_ahead_are_the_same_and_the_state_is_that_of_those_handed_out(data):
    ours, plain = np.random.RandomState(5), np.random.RandomState(5)
    source = HostImages(data)
    with Prefetched(source, 3, ours) as ahead:
        for _ in range(6):
            assert torch.equal(ahead.draw(), Batches(source, 3, plain).draw())
            assert ours.get_state()[2] == plain.get_state()[2]
            assert np.array_equal(ours.get_state()[1], plain.get_state()[1])


def test_what_goes_wrong_in_the_thread_is_raised_where_the_batch_is_wanted(data):
    class Broken(DSprites):
        def sample_observations(self, num, random_state):
            raise OSError("the disk is gone")

    with (
        Prefetched(HostImages(Broken()), 3, np.random.RandomState(0)) as ahead,
        pytest.raises(OSError, match="the disk is gone"),
    ):
        ahead.draw()


# --- capture: the same without a GPU, where what is recorded is run again ---


def run_again(function, device):
    """Stands in for a CUDA graph: the outputs lie in the same memory after each replay."""
    outputs = function()

    def replay():
        again = function()
        for static, new in zip(outputs, again, strict=True):
            for key in static:
                static[key].copy_(new[key])

    return replay, outputs


@pytest.fixture
def captures(monkeypatch):
    def choose(mode, *given):
        return "plain" if mode == "plain" else "captured"

    monkeypatch.setattr(loop, "choose_step", choose)
    monkeypatch.setattr(loop, "CapturedStep", functools.partial(CapturedStep, record=run_again))


@every_model
def test_a_captured_step_is_the_plain_step(tmp_path, data, name, captures):
    plain, losses = trained(tmp_path / "plain", data, name, "model.step = 'plain'")
    captured, again = trained(tmp_path / "captured", data, name)
    assert same_weights(plain, captured)
    assert rows(tmp_path / "plain") == rows(tmp_path / "captured")
    assert losses["loss"] == again["loss"]


@every_model
def test_a_captured_run_resumes_to_the_bit(tmp_path, data, name, captures):
    class Failing(DSprites):
        left = 5

        def sample_observations(self, num, random_state):
            self.left -= 1
            if self.left < 0:
                raise OSError("as if killed")
            return super().sample_observations(num, random_state)

    whole, _ = trained(tmp_path / "whole", data, name)
    with pytest.raises(OSError, match="as if killed"):
        trained(tmp_path / "cut", Failing([1, 2, 3, 4, 5]), name)
    again, _ = trained(tmp_path / "cut", data, name, resume=True)
    assert same_weights(whole, again)
    assert rows(tmp_path / "whole") == rows(tmp_path / "cut")


def test_recording_a_step_leaves_no_trace_in_what_it_changes():
    model = torch.nn.Linear(3, 2)
    optimizers = {"vae": torch.optim.Adam(model.parameters(), fused=True)}

    def take(drawn, step):
        loss = model(drawn + torch.randn_like(drawn)).square().sum() + step
        optimizers["vae"].zero_grad()
        loss.backward()
        optimizers["vae"].step()
        return Losses({"vae": loss}, {})

    take(torch.ones(4, 3), 0)
    before = [p.clone() for p in model.parameters()], torch.get_rng_state()
    state = optimizers["vae"].state[model.weight]
    moments = {name: value.clone() for name, value in state.items()}
    step = CapturedStep(take, model, optimizers, CPU, record=lambda f, _: (lambda: None, f()))
    step(torch.ones(4, 3), 1)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before[0], strict=True))
    assert torch.equal(torch.get_rng_state(), before[1])
    assert all(torch.equal(state[name], value) for name, value in moments.items())


def test_a_recorded_step_refuses_another_learning_rate():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizers = {"vae": torch.optim.Adam([weight])}

    def take(drawn, step):
        return Losses({"vae": weight.sum()}, {})

    model = torch.nn.ParameterList([weight])
    step = CapturedStep(take, model, optimizers, CPU, record=lambda f, _: (lambda: None, f()))
    step(torch.zeros(1), 0)
    step(torch.zeros(1), 1)
    optimizers["vae"].param_groups[0]["lr"] *= 0.5
    with pytest.raises(ValueError, match=r"such as its learning rate, were changed.*'plain'"):
        step(torch.zeros(1), 2)


# --- what is captured, and what is not ---


class Own(VAE):
    """Overrides `losses` without saying that it can be captured."""

    def losses(self, x, step):
        return super().losses(x, step)


def test_what_cannot_be_captured_is_said(caplog):
    gpu = torch.device("cuda")
    with gin_files.only(bindings=TINY):
        own, vae = Own(1.0), VAE(1.0)
    weight = [torch.nn.Parameter(torch.zeros(1))]
    adam, sgd = {"vae": torch.optim.Adam(weight)}, {"vae": torch.optim.SGD(weight)}
    assert choose_step("auto", gpu, vae, adam) == "captured"
    assert choose_step("captured", gpu, vae, adam) == "captured"
    assert choose_step("plain", gpu, vae, adam) == "plain"
    with caplog.at_level(logging.INFO):
        assert choose_step("auto", CPU, vae, adam) == "plain"
        assert not caplog.records
        assert choose_step("auto", gpu, own, adam) == "plain"
        assert choose_step("auto", gpu, vae, sgd) == "plain"
    assert "Own.losses is not marked" in caplog.messages[0]
    assert "vae_optimizer is SGD" in caplog.messages[1]
    with pytest.raises(ValueError, match=r"it needs an NVIDIA GPU, and the device is cpu"):
        choose_step("captured", CPU, vae, adam)
    with pytest.raises(ValueError, match=r"SGD, not Adam or AdamW; leave it at 'auto'"):
        choose_step("captured", gpu, vae, sgd)


def test_an_unknown_step_is_refused():
    bindings = [*TINY, *STEPS, "model.model = @vae()", "vae.beta = 1.0", "model.step = 'fast'"]
    with (
        gin_files.only(bindings=bindings),
        pytest.raises(ValueError, match=r"model\.step = 'fast': expected one of auto, plain"),
    ):
        pipeline.training_settings()


# --- nothing in a step waits for the device ---

WAITING = {"item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__"}
WAITING |= {"nonzero", "masked_select", "unique", "is_nonzero", "__array__", "equal", "allclose"}
WAITING |= {"tensor", "as_tensor"}  # numbers of Python's, copied to the device
OF_PAIRS = {
    "group_vae_argmax": ["group_vae.beta = 1.0", "dynamics.k = -1"],
    "group_vae_labels": ["group_vae.beta = 1.0", "dynamics.k = 1"],
    "mlvae_argmax": ["mlvae.beta = 1.0", "dynamics.k = -1"],
    **{
        f"s2_{name}": [line.replace(name, f"s2_{name}"), f"s2_{name}.gamma_sup = 1.0"]
        for name, line in {"vae": "vae.beta = 1.0", "factor_vae": "factor_vae.gamma = 1.0"}.items()
    },
}
"""Models of pairs and of labels."""


class RefuseInPython(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        assert getattr(func, "__name__", "") not in WAITING, f"{func} waits for the device"
        return func(*args, **(kwargs or {}))


class RefuseInTorch(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name()
        waits = "_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "_unique"
        by_mask = "index" in name and any(
            isinstance(x, torch.Tensor) and x.dtype == torch.bool for x in tree_leaves(args[1:])
        )
        refused = by_mask or any(word in name for word in waits)
        assert not refused, f"{name} waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("wait", [torch.Tensor.item, bool, float, torch.Tensor.cpu, torch.nonzero])
def test_the_modes_refuse_what_waits(wait):
    with RefuseInPython(), pytest.raises(AssertionError, match="waits for the device"):
        wait(torch.ones(()))


def test_the_dispatch_mode_refuses_an_index_by_a_mask():
    with RefuseInTorch(), pytest.raises(AssertionError, match="waits for the device"):
        torch.ones(3)[torch.tensor([True, False, True])]


@pytest.mark.parametrize("name", MODELS | OF_PAIRS)
@pytest.mark.parametrize("how", [int, torch.tensor])
def test_no_step_waits_for_the_device(tmp_path, data, name, how, monkeypatch):
    taken = []

    class Refusing(CapturedStep):
        def __call__(self, drawn, step):
            number = how(step)
            with RefuseInPython(), RefuseInTorch():
                losses = self._take(drawn, number)
            taken.append(step)
            return losses

    monkeypatch.setattr(loop, "choose_step", lambda *given: "captured")
    monkeypatch.setattr(loop, "CapturedStep", Refusing)
    trained(tmp_path, data, name, *OF_PAIRS.get(name, []), "encoder.num_latent = 5")
    assert taken == list(range(7))


# --- losses that are not finite ---


def losses_of(vae=1.0, other=2.0, kl=(0.0, 0.0)):
    objectives = {"vae": torch.tensor(vae), "other": torch.tensor(other)}
    return Losses(objectives, {"loss": torch.tensor(vae), "kl": torch.tensor(kl)})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("number", [int, torch.tensor])
def test_the_first_bad_step_and_its_terms_are_kept(bad, number):
    check = FiniteCheck(CPU)
    assert check.first_bad() is None
    check.note(losses_of(), number(3))
    check.note(losses_of(kl=(0.0, bad)), number(4))  # no objective: a term that is not used
    assert check.first_bad() is None
    check.note(losses_of(vae=bad), number(5))
    check.note(losses_of(bad, bad, (bad, bad)), number(6))
    assert check.first_bad() == (5, ["vae", "other"])
    check.reset()
    assert check.first_bad() is None
    check.note(losses_of(other=bad, kl=(bad, 0.0)), number(7))
    assert check.first_bad() == (7, ["kl"])


@every_model
def test_a_captured_run_names_the_first_bad_step(tmp_path, name, captures, monkeypatch):
    class Poisoned(DSprites):
        left = 4

        def sample_observations(self, num, random_state):
            self.left -= 1
            found = super().sample_observations(num, random_state)
            return found if self.left else np.full_like(found, np.nan)

    with pytest.raises(NonFiniteLossError, match=r"step 3: .*reconstruction_loss.* not fin"):
        trained(tmp_path, Poisoned([1, 2, 3, 4, 5]), name)


# --- codes ---


def test_codes_of_rows_are_those_of_images(data):
    with gin_files.only(bindings=TINY):
        model = VAE(1.0)
        model.build((1, 64, 64))
    function = Representation(model, batch_size=50)
    assert function.of_rows(data) is None  # on a CPU
    indices = np.random.RandomState(0).randint(data.num_observations, size=120)
    encode = function._rows_encoder(DeviceImages(data, byte_table_of(data), CPU))
    expected = function(data.observations_at(indices))
    np.testing.assert_allclose(encode(indices), expected, atol=1e-6)
    cached = CachedRepresentation(function, data)
    np.testing.assert_allclose(cached.codes_at(indices), expected, atol=1e-6)
