"""What a training keeps, and what goes on from it: snapshots, more steps, averages, callbacks."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, WeightedRandomSampler
from trained_models import fit, rows, same_weights

from srvae_plugin.config import gin_files
from srvae_plugin.data.dsprites import DSprites, dsprites_full
from srvae_plugin.data.own.from_python import as_data
from srvae_plugin.models.networks import srvae_decoder, srvae_encoder
from srvae_plugin.models.vae import VAE
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.directory import TrainingDirectory
from srvae_plugin.training.average import WeightAverage
from srvae_plugin.training.callbacks import Callback
from srvae_plugin.training.checkpoint import steps_done
from srvae_plugin.training.finite import NonFiniteLossError
from srvae_plugin.training.loop import train
from srvae_plugin.training.settings import TrainingSettings
from srvae_plugin.training.weights import load_weights, save_weights

SETTINGS = {"batch_size": 4, "eval_steps": 1, "log_every": 2, "checkpoint_every": 3}
SETTINGS |= {"learning_rate": 0.01, "seed": 1}
EVERYTHING = {"ema_decay": 0.9, "clip_norm": 5.0, "clip_value": 1.0}
KINDS = [{}, EVERYTHING, {"optimizer": "RMSPropOptimizer"}, {"optimizer": "AdagradOptimizer"}]


def vae(num_latent=2, base_channels=2):
    def encoder(shape):
        return srvae_encoder(shape, num_latent=num_latent, base_channels=base_channels)

    def decoder(latents, shape):
        return srvae_decoder(latents, shape, base_channels=base_channels)

    return VAE(1.0, encoder, decoder)


def trained(folder, data, steps, **how):
    return fit(vae(), data, folder, steps=steps, **{**SETTINGS, **how})


@pytest.fixture(scope="module")
def data():
    return dsprites_full()


class FailsAt(DSprites):
    """Fails as it is asked for its n-th batch."""

    def __init__(self, calls):
        super().__init__([1, 2, 3, 4, 5])
        self.left = calls

    def sample_observations(self, num, random_state):
        self.left -= 1
        if self.left < 0:
            raise OSError("as if killed")
        return super().sample_observations(num, random_state)


def rate(global_step):
    return 0.01 * 0.9**global_step


@pytest.mark.parametrize("kind", [*KINDS, {"learning_rate": rate}])
def test_a_finished_training_goes_on_as_if_it_had_never_ended(tmp_path, data, kind):
    whole, losses = trained(tmp_path / "whole", data, 10, **kind)
    trained(tmp_path / "longer", data, 5, **kind)
    assert steps_done(TrainingDirectory(tmp_path / "longer").files.checkpoint) == 5
    longer, again = trained(tmp_path / "longer", data, 10, resume=True, **kind)
    assert same_weights(whole, longer)
    assert rows(tmp_path / "whole") == rows(tmp_path / "longer")
    assert {**losses, "training_seconds": 0} == {**again, "training_seconds": 0}


def test_through_gin_too(tmp_path, data):
    lines = ["encoder.num_latent = 2", "encoder.encoder_fn = @srvae_encoder", "vae.beta = 1.0"]
    lines += ["srvae_encoder.base_channels = 2", "srvae_decoder.base_channels = 2"]
    lines += ["decoder.decoder_fn = @srvae_decoder", "model.model = @vae()", "model.log_every = 2"]
    lines += ["model.random_seed = 1", "model.batch_size = 4", "model.eval_steps = 1"]
    lines += ["model.ema_decay = 0.5", "model.clip_norm = 1.0", "model.keep_every = 2"]
    lines += ["vae_optimizer.optimizer_fn = @AdamW", "AdamW.weight_decay = 0.1"]
    lines += ["vae_optimizer.learning_rate = @cosine_decay", "cosine_decay.decay_steps = 9"]
    lines += ["cosine_decay.learning_rate = 0.01"]

    def go(folder, steps, resume=False):
        with gin_files.only(bindings=[*lines, f"model.training_steps = {steps}"]):
            config = pipeline.gin.config_str()
            settings = pipeline.training_settings()
            files = TrainingDirectory(folder).files
            return train(settings, data, files, config=config, resume=resume)[0]

    whole = go(tmp_path / "whole", 6)
    go(tmp_path / "longer", 4)
    assert same_weights(whole, go(tmp_path / "longer", 6, resume=True))
    for name in ("whole", "longer"):
        kept = sorted(p.name for p in (tmp_path / name / "snapshots").iterdir())
        assert kept == ["step_2", "step_4", "step_6"]


@pytest.mark.parametrize("kind", KINDS[:2])
def test_a_snapshot_is_what_a_run_of_as_many_steps_ends_with(tmp_path, data, kind):
    trained(tmp_path / "long", data, 8, keep_every=3, **kind)
    for steps in (3, 6):
        short, _ = trained(tmp_path / str(steps), data, steps, **kind)
        save_weights(short, tmp_path / f"{steps}.safetensors", (1, 64, 64))
        kept = tmp_path / "long" / "snapshots" / f"step_{steps}" / "model.safetensors"
        assert kept.read_bytes() == (tmp_path / f"{steps}.safetensors").read_bytes()


@pytest.mark.parametrize("kind", KINDS[:2])
def test_a_killed_run_with_snapshots_resumes_to_the_bit(tmp_path, data, kind):
    whole, _ = trained(tmp_path / "whole", data, 8, keep_every=2, **kind)
    with pytest.raises(OSError, match="as if killed"):
        trained(tmp_path / "cut", FailsAt(5), 8, keep_every=2, **kind)
    again, _ = trained(tmp_path / "cut", data, 8, keep_every=2, resume=True, **kind)
    assert same_weights(whole, again)
    for steps in (2, 4, 6, 8):
        name = f"snapshots/step_{steps}/model.safetensors"
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_fewer_steps_than_done_and_another_rate_are_refused(tmp_path, data):
    trained(tmp_path, data, 5)
    with pytest.raises(ValueError, match=r"has 5 steps behind it.*= 3 asks for fewer"):
        trained(tmp_path, data, 3, resume=True)
    with pytest.raises(ValueError, match=r"learning_rate = 0\.02"):
        trained(tmp_path, data, 9, resume=True, learning_rate=0.02)


def test_another_loss_is_another_configuration(tmp_path):
    images = np.random.default_rng(0).random((8, 8, 8), dtype=np.float32)

    def go(steps, loss, **how):
        model = VAE(1.0, num_latent=2, reconstruction_loss=loss)
        return fit(model, images, tmp_path, steps=steps, **SETTINGS, **how)

    go(1, "bernoulli")
    with pytest.raises(ValueError, match=r"configuration: model.model.reconstruction_loss ="):
        go(2, "gaussian", resume=True)
    go(2, "bernoulli", resume=True)


def falling(factor):
    return lambda global_step: 0.01 * factor**global_step


LAMBDAS = [
    lambda global_step: 1e-3 / (1 + global_step),
    lambda global_step: 1e-2 / (1 + global_step),
]


def keeping_itself(rate):
    def halved(global_step):
        return rate if global_step < 100 else halved(global_step - 100) / 2

    return halved


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (lambda: {"learning_rate": falling(0.5)}, {"learning_rate": falling(0.9)}),
        (lambda: {"learning_rate": keeping_itself(1e-3)}, {"learning_rate": keeping_itself(2e-3)}),
        (lambda: {"learning_rate": LAMBDAS[0]}, {"learning_rate": LAMBDAS[1]}),
        (lambda: {"encoder": nn.Tanh()}, {"encoder": nn.Sigmoid()}),
    ],
    ids=["closure", "recursion", "lambda", "activation"],
)
def test_functions_and_networks_without_a_name_are_told_apart(tmp_path, data, first, other):
    def go(steps, learning_rate=1e-3, encoder=None, **how):
        network = encoder and GaussianHead(encoder)
        model = VAE(1.0, encoder=network, num_latent=None if network else 2)
        settings = SETTINGS | {"learning_rate": learning_rate}
        return fit(model, data, tmp_path, steps=steps, **settings, **how)

    go(1, **first())
    with pytest.raises(ValueError, match=r"another configuration: .* \(was "):
        go(2, resume=True, **other)
    go(2, resume=True, **first())  # made anew, as in another process


class GaussianHead(nn.Module):
    """A network given as an object: what it has in it is all that tells it from another."""

    num_latent = 2

    def __init__(self, activation):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64 * 64, 4), activation)

    def forward(self, x):
        return self.layers(x).chunk(2, 1)


def test_a_training_of_no_steps_can_have_more(tmp_path, data):
    whole, _ = trained(tmp_path / "whole", data, 4)
    trained(tmp_path / "longer", data, 0)
    longer, _ = trained(tmp_path / "longer", data, 4, resume=True)
    assert same_weights(whole, longer)


def test_a_built_model_is_said_to_be_built_anew(tmp_path, data, caplog):
    model = vae()
    model.build((1, 64, 64))
    fit(model, data, tmp_path / "built", steps=1, **SETTINGS)
    assert "its weights are replaced by new ones" in caplog.text
    caplog.clear()
    fit(vae(), data, tmp_path / "new", steps=1, **SETTINGS)
    assert "replaced" not in caplog.text


def test_an_optimizer_is_resumed_where_it_is_now(tmp_path, data):
    """Of a checkpoint of a captured step, which has `capturable`, on a CPU, which has not."""

    class Capturable(torch.optim.AdamW):
        def state_dict(self):
            content = super().state_dict()
            for group in content["param_groups"]:
                group["capturable"] = True
            return content

    whole, _ = trained(tmp_path / "whole", data, 4, optimizer="AdamW")
    trained(tmp_path / "longer", data, 3, optimizer=Capturable)
    path = TrainingDirectory(tmp_path / "longer").files.checkpoint
    content = torch.load(path, weights_only=True)
    assert content["optimizers"]["vae"]["param_groups"][0]["capturable"]
    longer, _ = trained(tmp_path / "longer", data, 4, optimizer=Capturable, resume=True)
    assert same_weights(whole, longer)


class Tied(VAE):
    """Has a second name for a weight."""

    def build(self, observation_shape):
        super().build(observation_shape)
        self.again = next(self.decoder.parameters())


def test_tied_weights_are_kept_under_both_names(tmp_path):
    images = np.random.default_rng(0).random((8, 8, 8), dtype=np.float32)
    model, _ = fit(Tied(1.0, num_latent=2), images, tmp_path / "run", steps=1, **SETTINGS)
    save_weights(model, tmp_path / "w.safetensors", (1, 8, 8))
    kept = load_file(tmp_path / "w.safetensors")
    assert torch.equal(kept["again"], model.again.detach())
    assert len(kept) == len(model.state_dict())


@pytest.mark.parametrize("name", ["clip_norm", "clip_value", "ema_decay"])
def test_none_is_no_number(tmp_path, data, name):
    with pytest.raises(ValueError, match=rf"model\.{name} = None: expected a number, 0 for none"):
        trained(tmp_path, data, 1, **{name: None})


def test_logs_keep_their_names(tmp_path):
    class Wavering(VAE):
        def losses(self, x, step):
            found = super().losses(x, step)
            return found._replace(logs=found.logs | ({"now": found.logs["loss"]} if step else {}))

    images = np.random.default_rng(0).random((8, 8, 8), dtype=np.float32)
    with pytest.raises(ValueError, match=r"gave vae, .*now, and vae, .*expected the same names"):
        fit(Wavering(1.0, num_latent=2), images, tmp_path / "run", steps=2, **SETTINGS)


def test_an_average_is_the_formulas(tmp_path):
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)
    average, expected = WeightAverage(model, 0.75), 1.0
    for value in (2.0, -4.0, 8.0):
        model.weight.data.fill_(value)
        average.update()
        expected = 0.75 * expected + 0.25 * value
    with average.applied():
        assert model.weight.item() == pytest.approx(expected)
    assert model.weight.item() == 8.0


class Recorder(Callback):
    """Draws random numbers and takes notes."""

    every = 2

    def __init__(self):
        self.seen = []

    def on_start(self, start):
        self.seen.append(("start", start.step, start.training_steps))

    def on_step(self, step):
        self.seen.append(("step", step))

    def on_log(self, step, values):
        torch.randn(3)
        self.seen.append(("log", step, values["loss"]))

    def on_interval(self, step, model):
        torch.randn(3), np.random.rand()
        assert not model.training
        self.seen.append(("interval", step, not model.decode(torch.zeros(1, 2)).requires_grad))

    def on_end(self, step, error):
        self.seen.append(("end", step, type(error)))


def test_callbacks_are_called_in_order_and_change_nothing(tmp_path, data):
    plain, _ = trained(tmp_path / "plain", data, 4)
    recorder = Recorder()
    watched, _ = trained(tmp_path / "watched", data, 4, callbacks=[recorder])
    assert same_weights(plain, watched)
    logged = {int(row["step"]): float(row["loss"]) for row in rows(tmp_path / "watched")}
    assert recorder.seen == [
        ("start", 0, 4), ("log", 0, logged[0]), ("step", 1), ("step", 2), ("interval", 2, True),
        ("log", 2, logged[2]), ("step", 3), ("log", 3, logged[3]), ("step", 4),
        ("interval", 4, True), ("end", 4, type(None)),
    ]  # fmt: skip


def test_callbacks_hear_of_an_error(tmp_path, data):
    recorder = Recorder()
    with pytest.raises(NonFiniteLossError):
        trained(tmp_path, data, 9, callbacks=[recorder], learning_rate=1e6)
    assert recorder.seen[-1][2] is NonFiniteLossError


def test_a_warm_start_takes_the_weights_and_refuses_others(tmp_path, data):
    first, _ = trained(tmp_path / "first", data, 3, keep_every=3)
    kept = tmp_path / "first/snapshots/step_3"
    second, _ = trained(tmp_path / "second", data, 0, init_from=str(kept), seed=5)
    assert same_weights(first, second)
    other = vae(num_latent=3)
    other.build((1, 64, 64))
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(ValueError, match=r"do not fit VAE: of another shape: .*expected \(") as e:
        load_weights(other, kept)
    assert "\n" not in str(e.value)
    assert all(torch.equal(before[n], v) for n, v in other.state_dict().items())
    with pytest.raises(ValueError, match=r"missing: .*not of this model: weight"):
        load_weights(other, {"weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="no weights in"):
        load_weights(other, tmp_path)
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match="damaged"):
        load_weights(other, tmp_path / "bad.safetensors")
    assert load_file(kept / "model.safetensors").keys() == first.state_dict().keys()


# --- what may be trained on ---

IMAGES = np.random.RandomState(0).randint(0, 256, (30, 64, 64)).astype(np.uint8)


class Items(Dataset):
    def __init__(self, make):
        self.make = make

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        if index >= len(self):
            raise IndexError
        return self.make(torch.from_numpy(IMAGES[index][None]) / 255)


SOURCES = {
    "N,H,W": lambda: IMAGES,
    "N,H,W,C": lambda: IMAGES[..., None],
    "N,C,H,W": lambda: IMAGES[:, None],
    "floats": lambda: np.divide(IMAGES, 255, dtype=np.float32),
    "tensor": lambda: torch.from_numpy(IMAGES[:, None]) / 255,
    "Dataset": lambda: Items(lambda image: image),
    "tuples": lambda: Items(lambda image: (image, 3)),
    "DataLoader": lambda: DataLoader(Items(lambda i: {"image": i}), batch_size=4, shuffle=True),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_kind_of_data_gives_the_same_batches(name):
    found = as_data(SOURCES[name]())
    assert list(found.observation_shape) == [64, 64, 1]
    rows = np.random.RandomState(4).randint(30, size=7)
    batch = found.sample_observations(7, np.random.RandomState(4))
    np.testing.assert_allclose(batch[..., 0], IMAGES[rows] / 255, atol=1e-7)
    assert batch.dtype == np.float32


@pytest.mark.parametrize("name", ["N,H,W", "DataLoader"])
def test_it_trains_on_them_and_resumes(tmp_path, name):
    whole, _ = trained(tmp_path / "a", SOURCES[name](), 6)
    trained(tmp_path / "b", SOURCES[name](), 2)
    longer, _ = trained(tmp_path / "b", SOURCES[name](), 6, resume=True)
    assert same_weights(whole, longer)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(())


def weighted():
    return DataLoader(Items(lambda i: i), sampler=WeightedRandomSampler([1.0] * 30, 30))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: np.zeros((9, 3, 64, 3), np.uint8), "can be read in two ways; pass as_data"),
        (lambda: np.zeros((9, 64, 64, 5), np.uint8), "no axis of one channel or three"),
        (lambda: np.zeros((9, 64, 3), np.uint8), "can be read in two ways"),
        (lambda: np.zeros((9, 64), np.uint8), r"got uint8 of shape \(9, 64\)"),
        (lambda: np.full((9, 64), np.inf), "expected finite values"),
        (lambda: (IMAGES, np.zeros(29)), "for 30 rows"),
        (lambda: np.zeros((9, 64, 64), np.int64), "got int64"),
        (lambda: np.full((9, 64, 64), -1.0), r"values -1 to -1; expected finite values in \[0, 1"),
        (lambda: np.full((9, 64, 64), np.nan), "expected finite values"),
        (lambda: np.ones((9, 64, 64), np.uint8), "nothing but 0 and 1"),
        (Stream, "no length"),
        (lambda: DataLoader(Stream()), "no length"),
        (weighted, "WeightedRandomSampler, which draws otherwise"),
        (lambda: DataLoader(Items(int), collate_fn=lambda b: b), "collate_fn of its own"),
        (lambda: Items(lambda image: "word"), "item 0 of Items is str"),
        (lambda: 3, "got int; expected a data set"),
    ],
)
def test_what_is_ambiguous_or_something_else_is_refused(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        as_data(make())
    assert "\n" not in str(caught.value)


def test_a_layout_settles_the_doubt():
    array = np.zeros((9, 3, 64, 3), np.uint8)
    assert as_data(array, "NHWC").observation_shape == [3, 64, 3]
    assert as_data(array, "NCHW").observation_shape == [64, 3, 3]


def test_an_optimizer_of_ones_own(tmp_path, data):
    with pytest.raises(ValueError, match=r"here model.build\(\(1, 64, 64\)\)"):
        fit(vae(), data, tmp_path / "a", steps=1, optimizer=torch.optim.SGD([torch.ones(1)], 0.1))
    model = vae()
    model.build((1, 64, 64))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    fit(model, data, tmp_path / "b", steps=0, optimizer=optimizer, eval_steps=1)
    assert all(torch.equal(before[n], v) for n, v in model.state_dict().items())


def test_wrong_arguments_are_named(tmp_path, data):
    with pytest.raises(ValueError, match="unknown setting 'batchsize'; did you mean 'batch_size'"):
        fit(vae(), data, tmp_path, steps=1, batchsize=3)
    with pytest.raises(ValueError, match="the DataLoader has 4"):
        fit(vae(), SOURCES["DataLoader"](), tmp_path, steps=1, batch_size=3)
    with pytest.raises(ValueError, match=r"model\.ema_decay = 1\.0"):
        TrainingSettings(vae(), 1, 0, 1, ema_decay=1.0)
