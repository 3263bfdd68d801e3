import importlib
import math
import os
import shutil
import signal
import threading

import numpy as np
import pytest
import torch
from trained_models import require_alive, rows, same_weights

from srvae_plugin.config import gin_files
from srvae_plugin.data.dsprites import DSprites, dsprites_full
from srvae_plugin.models.base import Losses
from srvae_plugin.models.vae import VAE
from srvae_plugin.plots.curves import learning_curves
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.directory import TrainingDirectory
from srvae_plugin.training import checkpoint
from srvae_plugin.training.finite import NonFiniteLossError
from srvae_plugin.training.interrupts import InterruptedTrainingError, stop_signals
from srvae_plugin.training.loop import train
from srvae_plugin.training.numerics import memory_format
from srvae_plugin.training.optimizers import make_optimizers
from srvae_plugin.training.settings import TrainingSettings, find_device
from srvae_plugin.training.updates import compiled, update_parameters

TINY = ["encoder.num_latent = 3", "encoder.encoder_fn = @srvae_encoder"]
TINY += ["srvae_encoder.base_channels = 4", "srvae_decoder.base_channels = 4"]
TINY += ["decoder.decoder_fn = @srvae_decoder", "vae.beta = 1.0", "model.model = @vae()"]
TINY += ["model.random_seed = 1", "model.batch_size = 4", "model.eval_steps = 1"]
TINY += ["model.training_steps = 9", "model.log_every = 2", "model.checkpoint_every = 3"]


@pytest.fixture(scope="module")
def data():
    return dsprites_full()


def trained(folder, data, *bindings, resume=False, config="c"):
    with gin_files.only(bindings=[*TINY, *bindings]):
        settings = pipeline.training_settings()
        files = TrainingDirectory(folder).files
        model, losses = train(settings, data, files, config=config, resume=resume)
    return require_alive(model), losses


class Failure(Exception):
    pass


class FailsAt(DSprites):
    """A data set that raises at a given call, as a killed process would stop there."""

    def __init__(self, call):
        super().__init__([1, 2, 3, 4, 5])
        self.left = call

    def sample_observations(self, num, random_state):
        self.left -= 1
        return super().sample_observations(num, random_state) if self.left >= 0 else self.act()

    def act(self):
        raise Failure


@pytest.mark.parametrize("stopped_at", [1, 3, 7])
def test_a_resumed_run_is_bit_identical(tmp_path, data, stopped_at):
    whole, losses = trained(tmp_path / "whole", data)
    with pytest.raises(Failure):
        trained(tmp_path / "cut", FailsAt(stopped_at))
    again, losses_again = trained(tmp_path / "cut", data, resume=True)
    assert same_weights(whole, again)
    # Of a dead decoder, whose output no latent changes, resuming would prove little.
    far, near = (whole.decode(torch.full((1, whole.num_latent), value)) for value in (2.0, 0.0))
    assert not torch.equal(far, near)
    assert rows(tmp_path / "whole") == rows(tmp_path / "cut")
    for name in ("loss", "kl_loss", "kl_0", "global_step"):
        assert losses[name] == losses_again[name]


def test_same_seed_same_weights_and_another_seed_not(tmp_path, data):
    first, _ = trained(tmp_path / "a", data)
    second, _ = trained(tmp_path / "b", data)
    third, _ = trained(tmp_path / "c", data, "model.random_seed = 2")
    assert same_weights(first, second)
    assert not same_weights(first, third)


def test_training_lowers_the_loss(tmp_path, data):
    many = ["model.training_steps = 60", "vae_optimizer.learning_rate = 0.01"]
    trained(tmp_path, data, *many, "srvae_decoder.base_channels = 8")
    losses = [float(row["loss"]) for row in rows(tmp_path)]
    assert losses[-1] < losses[0] / 4


def test_scalars_have_a_row_every_log_steps_and_at_the_last(tmp_path, data):
    trained(tmp_path, data)
    assert [int(row["step"]) for row in rows(tmp_path)] == [0, 2, 4, 6, 8]
    first = {name: float(value) for name, value in rows(tmp_path)[0].items()}
    assert first["kl_loss"] == pytest.approx(sum(first[f"kl_{i}"] for i in range(3)), rel=1e-5)
    assert first["elbo"] == pytest.approx(-first["loss"], rel=1e-6)


def test_no_steps_leave_the_initial_network(tmp_path, data):
    model, losses = trained(tmp_path, data, "model.training_steps = 0")
    with gin_files.only(bindings=TINY):
        checkpoint.seed_everything(1)
        fresh = pipeline.training_settings().model
        fresh.build((1, 64, 64))
    assert same_weights(model, fresh)
    assert losses["global_step"] == 0
    assert rows(tmp_path) == []


def test_a_loss_that_is_not_finite_names_step_term_and_checkpoint(tmp_path, data):
    with pytest.raises(NonFiniteLossError, match=r"step \d.*_loss.*no checkpoint yet"):
        trained(tmp_path / "a", data, "vae_optimizer.learning_rate = 1e6")

    class Poisoned(FailsAt):
        def act(self):
            return np.full((4, 64, 64, 1), np.nan, np.float32)

    with pytest.raises(NonFiniteLossError, match="reconstruction_loss") as caught:
        trained(tmp_path / "b", Poisoned(5))
    path = TrainingDirectory(tmp_path / "b").files.checkpoint
    assert "step 5" in str(caught.value)
    assert str(path) in str(caught.value)
    assert torch.load(path, weights_only=True)["step"] == 3


def test_weights_that_are_not_finite_are_never_saved(tmp_path, data, monkeypatch):
    def poison(objectives, optimizers):
        update_parameters(objectives, optimizers)
        group = next(iter(optimizers.values())).param_groups[0]
        group["params"][0].data.fill_(math.inf)

    monkeypatch.setattr("srvae_plugin.training.loop.update_parameters", poison)
    with pytest.raises(NonFiniteLossError, match="weights"):
        trained(tmp_path, data, "model.checkpoint_every = 1")
    assert not TrainingDirectory(tmp_path).files.checkpoint.exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_that_resumes_exactly(tmp_path, data, signum):
    class Signals(FailsAt):
        def sample_observations(self, num, random_state):
            if self.left == 1:
                signal.raise_signal(signum)
            return super().sample_observations(num, random_state)

    whole, _ = trained(tmp_path / "whole", data)
    with pytest.raises(InterruptedTrainingError, match="step 5") as caught:
        trained(tmp_path / "cut", Signals(5))
    assert caught.value.signum == signum
    again, _ = trained(tmp_path / "cut", data, resume=True)
    assert same_weights(whole, again)


def test_handlers_are_restored_and_other_threads_do_without():
    before = signal.getsignal(signal.SIGTERM)
    with stop_signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    seen = []
    thread = threading.Thread(target=lambda: seen.append(stop_signals().__enter__()))
    thread.start()
    thread.join()
    assert seen == [[]]


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path, data):
    with pytest.raises(Failure):
        trained(tmp_path, FailsAt(4), config="vae.beta = 1.0\n")
    with pytest.raises(ValueError, match=r"vae\.beta = 2\.0 \(was 1\.0\)"):
        trained(tmp_path, data, config="vae.beta = 2.0\n", resume=True)


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_a_damaged_checkpoint_is_named(tmp_path, data, damage):
    with pytest.raises(Failure):
        trained(tmp_path, FailsAt(4))
    path = TrainingDirectory(tmp_path).files.checkpoint
    path.write_bytes(path.read_bytes()[:1000] if damage is None else damage)
    with pytest.raises(ValueError, match=rf"{path} cannot be read"):
        trained(tmp_path, data, resume=True)


@pytest.mark.parametrize(
    "binding",
    [
        "model.training_steps = -1",
        "model.batch_size = 0",
        "model.log_every = 0",
        "model.checkpoint_every = 0",
        "model.random_seed = -1",
        "model.channels_last = 'NCHW'",
    ],
)
def test_settings_out_of_range_are_refused(binding):
    with (
        gin_files.only(bindings=[*TINY, binding]),
        pytest.raises(ValueError, match=binding.partition(" ")[0]),
    ):
        pipeline.training_settings()


def test_unknown_device_and_optimizer_group():
    assert find_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ValueError, match=r"model\.device = 'gpu7'"):
        find_device("gpu7")
    with pytest.raises(ValueError, match="critic_optimizer"):
        make_optimizers({"critic": []})


class TwoPlayers(VAE):
    """Two groups whose objectives depend on each other's parameters."""

    def build(self, observation_shape):
        self.num_latent = 1
        self.a = torch.nn.Parameter(torch.tensor([2.0]))
        self.b = torch.nn.Parameter(torch.tensor([3.0]))

    def parameter_groups(self):
        return {"vae": [self.a], "discriminator": [self.b]}

    def losses(self, x, step):
        return Losses(
            {"vae": (self.a * self.b).sum(), "discriminator": -(self.a * self.b).sum()}, {}
        )


def test_each_objective_moves_its_own_group_by_gradients_taken_before():
    with gin_files.only(bindings=TINY):
        model = TwoPlayers(1.0)
        model.build((1, 64, 64))
        groups = model.parameter_groups()
        optimizers = {name: torch.optim.SGD(group, 0.1) for name, group in groups.items()}
        update_parameters(model.losses(torch.zeros(1, 1, 64, 64), 0).objectives, optimizers)
    # d(ab)/da = b = 3 and d(-ab)/db = -a = -2, both at the old values.
    assert model.a.item() == pytest.approx(2.0 - 0.3)
    assert model.b.item() == pytest.approx(3.0 + 0.2)


def test_tensorboard_files_hold_the_csvs_numbers(tmp_path, data):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", exc_type=ImportError
    )
    trained(tmp_path, data, "model.tensorboard = True")
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    values = [event.value for event in events.Scalars("loss")]
    assert values == pytest.approx([float(row["loss"]) for row in rows(tmp_path)], rel=1e-6)


def test_settings_work_without_gin(tmp_path, data):
    from srvae_plugin.models.networks import srvae_decoder, srvae_encoder

    def encoder(shape):
        return srvae_encoder(shape, num_latent=2, base_channels=4)

    def decoder(num_latent, shape):
        return srvae_decoder(num_latent, shape, base_channels=4)

    settings = TrainingSettings(
        model=VAE(1.0, encoder, decoder),
        training_steps=2,
        random_seed=0,
        batch_size=2,
        eval_steps=1,
    )
    model, losses = train(settings, data, TrainingDirectory(tmp_path).files)
    assert model.num_latent == 2
    assert losses["global_step"] == 2


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("vae", []),
        ("sr_vae", ["encoder.num_latent = 2"]),
        ("factor_vae", ["factor_vae.gamma = 2.0"]),
    ],
)
def test_weights_do_not_depend_on_how_adam_goes_through_memory(
    tmp_path, data, monkeypatch, name, more, channels_last
):
    """torch's fused Adam takes no notice of strides: gradients must lie as weights do."""
    bindings = [f"model.model = @{name}()", f"model.channels_last = {channels_last}", *more]
    bindings += ["vae_optimizer.learning_rate = 0.01", "model.training_steps = 3"]
    fused, _ = trained(tmp_path / "fused", data, *bindings)
    monkeypatch.setattr("srvae_plugin.training.tensorflow_optimizers.FUSED", ())
    plain, _ = trained(tmp_path / "plain", data, *bindings)
    for a, b in zip(fused.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


class Partial(VAE):
    """Some parameters are frozen, some are never used, and nothing is logged."""

    def build(self, observation_shape):
        super().build(observation_shape)
        self.unused = torch.nn.Parameter(torch.ones(2))
        self.frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)
        next(self.encoder.parameters()).requires_grad_(False)

    def losses(self, x, step):
        return Losses(super().losses(x, step).objectives, {})


def test_frozen_and_unused_parameters_stay_and_logs_may_be_empty(tmp_path, data):
    with gin_files.only(bindings=TINY):
        settings = pipeline.training_settings()
        settings.model.__class__ = Partial
        model, losses = train(settings, data, TrainingDirectory(tmp_path).files)
    assert model.unused.tolist() == model.frozen.tolist() == [1, 1]
    assert set(losses) == {"global_step", "training_seconds"}
    assert (tmp_path / "scalars.csv").read_text().splitlines() == ["step", *"02468"]
    assert learning_curves(tmp_path / "scalars.csv") is None


def compiler():
    """The C++ compiler that torch would use; None if there is none."""
    return shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")


needs_compiler = pytest.mark.skipif(not compiler(), reason="torch.compile needs a C++ compiler")
torchs_own_warnings = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")


@needs_compiler
@torchs_own_warnings
def test_compiled_losses_may_be_gone_back_through_for_each_objective():
    """In one graph; versions of torch whose first way back reuses the memory refuse a second."""
    a, b = (torch.ones(8, 8, requires_grad=True) for _ in range(2))

    def losses(x, step):
        shared = (x @ a).tanh().exp() @ b
        return Losses({"one": shared.sigmoid().sum(), "two": shared.cos().sum()}, {})

    def gradients(compute):
        objectives = compute(torch.full((8, 8), 0.1), 0).objectives
        first = torch.autograd.grad(objectives["one"], [a, b], retain_graph=True)
        return *first, *torch.autograd.grad(objectives["two"], [a, b])

    config = importlib.import_module("torch._functorch.config")
    before = config.donated_buffer
    for found, expected in zip(gradients(compiled(losses)), gradients(losses), strict=True):
        torch.testing.assert_close(found, expected)
    assert config.donated_buffer == before


def test_an_objective_without_parameters_is_named():
    parameter = torch.nn.Parameter(torch.ones(1), requires_grad=False)
    optimizers = {"vae": torch.optim.Adam([parameter])}
    with pytest.raises(ValueError, match="'vae' depends on no trainable parameter"):
        update_parameters({"vae": parameter.sum()}, optimizers)


def test_layout_depends_on_the_device_unless_bound():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert memory_format(cpu) is memory_format(cuda, True) is torch.channels_last
    assert memory_format(cuda) is memory_format(cpu, False) is torch.contiguous_format
