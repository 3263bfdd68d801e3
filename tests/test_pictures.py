from __future__ import annotations

import math
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from srvae_plugin.models.base import (
    Decomposition,
    DisentanglementModel,
    Gaussian,
    Losses,
)
from srvae_plugin.models.networks import GaussianEncoder
from srvae_plugin.models.sr_vae import SRVAE
from srvae_plugin.plots import pictures
from srvae_plugin.plots.tiles import enlarge, intensities, signed

MEANS = [0.2, 2.0, 1.0]
KL = 0.5 * np.square(MEANS)
HEADER = "step,loss,reconstruction_loss,kl_loss,regularizer,elbo,kl_0,kl_1,kl_2"


class Stub(DisentanglementModel):
    """Flat images: a traversal shows (latent + value + 4) / 10, the decomposition known numbers."""

    num_latent = 3
    has_steps = True

    def build(self, observation_shape):
        self.shape = observation_shape

    def encode(self, x):
        assert not self.training
        assert not torch.is_grad_enabled()
        mean = torch.tensor(MEANS).expand(len(x), -1)
        return Gaussian(mean, torch.zeros_like(mean))

    def decode(self, z):
        return z.sum(1)[:, None, None, None].expand(-1, *self.shape)

    def losses(self, x, step):
        return Losses({}, {})

    def traverse(self, x, latent, values):
        assert x.shape == (1, *self.shape)
        return self.flat((latent + values + 4) / 10)

    def flat(self, values):
        return values[..., None, None, None].expand(*values.shape, *self.shape)

    def decompose(self, x, fixed=None):
        if not self.has_steps:
            return None
        shift = 0.0 if fixed is None else 0.1 * (fixed[0] + 1) * fixed[1] / 3
        outputs = torch.tensor([0.1, 0.2, 0.3]) + shift
        residuals = torch.tensor([1.0, 0.0, -1.5]) + shift
        images = [self.flat(values[:, None]) for values in (outputs, residuals)]
        return Decomposition(*images, self.flat(torch.tensor([0.9 - shift])))


class Blobs:
    """Grey or coloured rectangles at random places."""

    def __init__(self, channels=1, size=16):
        self.shape = (channels, size, size)

    def sample_observations(self, num, random_state):
        channels, size, _ = self.shape
        images = np.zeros((num, size, size, channels), np.float32)
        for image in images:
            y, x = random_state.randint(size // 2, size=2)
            image[y : y + 5, x : x + 5] = random_state.uniform(0.3, 1, channels)
        return images


@pytest.fixture
def stub():
    model = Stub()
    model.build((1, 16, 16))
    return model


@pytest.fixture
def scalars_csv(tmp_path):
    path = tmp_path / "scalars.csv"
    rows = [f"{i},9,{100 - i},{i},1,-1,{i / 9},{i / 2},.1" for i in range(0, 30, 10)]
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def linear_encoder(shape):
    return GaussianEncoder(torch.nn.Flatten(), math.prod(shape), num_latent=3)


def linear_decoder(num_latent, shape):
    size = math.prod(shape)
    return torch.nn.Sequential(torch.nn.Linear(num_latent, size), torch.nn.Unflatten(1, shape))


def small_srvae(data):
    torch.manual_seed(0)
    model = SRVAE(encoder=linear_encoder, decoder=linear_decoder)
    model.build(data.shape)
    return model


def pixels(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def flat_tiles(line):
    """First channel of each run of one colour as long as a tile along a line of pixels."""
    changes = np.flatnonzero((line[1:] != line[:-1]).any(axis=1)) + 1
    runs = np.split(line, changes)
    return [int(run[0, 0]) for run in runs if len(run) >= 128]


def test_kl_is_the_mean_over_all_observations_in_nats(stub):
    observations = Blobs().sample_observations(70, np.random.RandomState(0))
    observations.flags.writeable = False
    np.testing.assert_allclose(pictures.latent_kl(stub, observations), KL, rtol=1e-6)


def test_modes_are_restored(stub):
    stub.child = torch.nn.Linear(1, 1).eval()
    pictures.latent_kl(stub, Blobs().sample_observations(2, np.random.RandomState(0)))
    assert stub.training
    assert not stub.child.training


def test_latents_are_sorted_by_kl_and_equal_ones_stay():
    assert pictures.by_kl(np.array([1.0, 3.0, 1.0, 2.0])) == [1, 3, 0, 2]


def test_traversal_grid_rows_and_columns(stub):
    observation = np.full((16, 16, 1), 0.5, np.float32)
    figure = pictures.traversal_grid(stub, observation, KL)
    labels = texts(figure)
    assert [label for label in labels if "KL" in label] == [
        "z1  KL 2.00",
        "z2  KL 0.50",
        "z0  KL 0.02",
    ]
    assert "input" in labels
    assert [label for label in labels if label[-1].isdigit() and "KL" not in label] == [
        "−3", "−2.4", "−1.8", "−1.2", "−0.6", "0", "0.6", "1.2", "1.8", "2.4", "3",
    ]  # fmt: skip
    image = pixels(figure)
    for row, latent in enumerate([1, 2, 0]):
        line = image[image.shape[0] - (3 - row) * 132 + 64]
        values = (latent + np.linspace(-3, 3, 11) + 4) / 10
        assert flat_tiles(line)[-12:] == [128, *np.rint(255 * values)]


def test_saved_picture_has_exactly_the_pixels_of_the_tiles(stub, tmp_path):
    figure = pictures.traversal_grid(stub, np.full((16, 16, 1), 0.5, np.float32), KL)
    figure.savefig(tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as file:
        saved = np.asarray(file.convert("RGB"))
    drawn = pixels(figure)
    assert saved.shape == drawn.shape
    # Labels are drawn above and left of the tiles only.
    np.testing.assert_array_equal(saved[-396:, -1400:], drawn[-396:, -1400:])


def test_animation_goes_there_and_back_in_sorted_tiles(stub):
    frames = pictures.traversal_animation(stub, np.zeros((16, 16, 1), np.float32), KL)
    assert len(frames) == 24
    assert {frame.mode for frame in frames} == {"L"}
    tiles = [flat_tiles(np.asarray(frame.convert("RGB"))[90]) for frame in frames]
    assert tiles[0] == [51, 76, 26]
    assert tiles[12] == [204, 230, 178]
    for step in range(1, 12):
        assert tiles[step] == tiles[24 - step]
    firsts = [tile[0] for tile in tiles[:13]]
    assert firsts == sorted(set(firsts))


def test_many_latents_wrap_into_rows():
    model = Stub()
    model.num_latent = 10
    model.build((1, 16, 16))
    frames = pictures.traversal_animation(model, np.zeros((16, 16, 1), np.float32), np.arange(10.0))
    assert frames[0].width < 720
    line = np.asarray(frames[12].convert("RGB"))[90]
    # Ten tiles are two rows of five; the first row holds the latents 9 to 5.
    assert len(flat_tiles(line)) == 5


def test_reconstructions_stand_below_their_inputs(stub):
    observations = np.stack([np.full((16, 16, 1), v, np.float32) for v in (0.2, 0.6)])
    figure = pictures.reconstruction_grid(stub, observations)
    assert texts(figure) == ["input", "reconstruction"]
    image = pixels(figure)
    output = round(255 / (1 + np.exp(-sum(MEANS))))
    assert flat_tiles(image[:, image.shape[1] - 260]) == [51, output]
    assert flat_tiles(image[:, image.shape[1] - 60]) == [153, output]


def test_decomposition_rows_carry_their_images(stub):
    figure = pictures.decomposition_figure(stub, np.zeros((16, 16, 1), np.float32), KL, latents=2)
    labels = texts(figure)
    assert [label for label in labels if label.startswith("step")] == ["step 1", "step 2", "step 3"]
    assert [label for label in labels if "=" in label] == ["z1 = 3\nKL 2.00", "z2 = 3\nKL 0.50"]
    assert labels.count("decoder $X_i$") == labels.count("residual $Y_i$") == 3
    image = pixels(figure)
    right = image.shape[1]
    shifts = (0, 0.2, 0.3)
    for step in range(3):
        found = flat_tiles(image[:, right - 156 - (3 - step) * 132 + 64])
        for chain, shift in enumerate(shifts):
            output = round(255 * (0.1 * (step + 1) + shift))
            residual = np.full((1, 1, 1), [1.0, 0.0, -1.5][step] + shift, np.float32)
            # The scale is the largest residual, -1.5.
            assert abs(found[2 * chain] - output) <= 1
            assert found[2 * chain + 1] == signed(residual, 1.5)[0, 0, 0]
    finals = [color for color in flat_tiles(image[:, right - 60]) if color != 255]
    assert finals == [round(255 * (0.9 - shift)) for shift in shifts]
    bar = figure.axes[1]
    assert [label.get_text() for label in bar.get_xticklabels()] == ["−1.5", "0", "1.5"]


def test_decomposition_ends_in_the_traversals_last_column():
    data = Blobs()
    model = small_srvae(data)
    observation = data.sample_observations(1, np.random.RandomState(1))[0]
    last = pictures.traversals(model, observation, np.array([3.0]))[:, 0]
    x = torch.from_numpy(observation.transpose(2, 0, 1)[None])
    with torch.no_grad():
        for latent in range(3):
            chain = model.decompose(x, fixed=(latent, 3.0))
            np.testing.assert_allclose(chain.reconstruction[0, 0], last[latent, ..., 0], atol=1e-6)


def test_of_many_steps_some_are_shown(stub):
    many = torch.linspace(0, 1, 30)
    flat = stub.flat(many[:, None])
    stub.decompose = lambda x, fixed=None: Decomposition(flat, flat, flat[-1])
    labels = texts(pictures.decomposition_figure(stub, np.zeros((16, 16, 1), np.float32), KL))
    steps = [label for label in labels if label.startswith("step")]
    assert len(steps) == 12
    assert (steps[0], steps[-1]) == ("step 1", "step 30")


def test_signed_is_white_at_zero_and_grey_for_rgb():
    values = np.array([-2.0, 0.0, 2.0], np.float32).reshape(3, 1, 1, 1)
    blue, white, red = signed(values, 2.0)[:, 0, 0].astype(int)
    assert blue[2] > blue[0]
    assert white.min() > 240
    assert red[0] > red[2]
    rgb = signed(np.repeat(values, 3, axis=3), 2.0)[:, 0, 0]
    assert rgb.tolist() == [[0, 0, 0], [128, 128, 128], [255, 255, 255]]


def test_tiles_are_enlarged_by_whole_factors_and_never_shrunk():
    for size, expected in ((28, 112), (64, 128), (128, 128), (200, 200)):
        assert enlarge(np.zeros((2, size, size, 3), np.uint8)).shape[1:3] == (expected, expected)


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match="got 2 channels"):
        intensities(np.zeros((1, 4, 4, 2), np.float32))


@pytest.mark.parametrize("channels", [1, 3])
def test_save_all_is_complete_and_deterministic(tmp_path, scalars_csv, channels):
    data = Blobs(channels)
    model = small_srvae(data)
    first = pictures.save_all(model, data, scalars_csv, tmp_path / "new" / "a", seed=3)
    assert set(first) == {
        "traversals.png",
        "traversals.gif",
        "reconstructions.png",
        "decomposition.png",
        "learning_curves.png",
    }
    assert sorted(first.values()) == sorted((tmp_path / "new" / "a").iterdir())
    torch.rand(3)
    second = pictures.save_all(model, data, scalars_csv, tmp_path / "b", seed=3)
    other = pictures.save_all(model, data, scalars_csv, tmp_path / "c", seed=4)
    for name, path in first.items():
        assert path.read_bytes() == second[name].read_bytes(), name
    assert first["traversals.png"].read_bytes() != other["traversals.png"].read_bytes()
    with Image.open(first["traversals.gif"]) as gif:
        assert gif.n_frames == 24
        assert gif.info["loop"] == 0
        assert gif.info["duration"] == 80


def test_colours_survive_in_every_picture(stub):
    observation = np.broadcast_to(np.float32([1.0, 0.0, 0.0]), (16, 16, 3)).copy()
    stub.build((3, 16, 16))
    stub.traverse = lambda x, latent, values: x.expand(len(values), -1, -1, -1)
    grid = pixels(pictures.traversal_grid(stub, observation, KL))
    assert grid[-60, -60].tolist() == [255, 0, 0]
    frame = pictures.traversal_animation(stub, observation, KL)[5]
    assert frame.mode == "P"
    assert frame.convert("RGB").getpixel((70, 90)) == (255, 0, 0)


def test_what_does_not_exist_is_left_out(stub, tmp_path):
    stub.has_steps = False
    for content in ("", HEADER, HEADER + "\n"):
        empty = tmp_path / "empty.csv"
        empty.write_text(content)
        written = pictures.save_all(stub, Blobs(), empty, tmp_path / "out")
        assert set(written) == {"traversals.png", "traversals.gif", "reconstructions.png"}
        assert len(list((tmp_path / "out").iterdir())) == 3


def test_matplotlib_state_is_untouched(stub, tmp_path, scalars_csv):
    before = dict(matplotlib.rcParams)
    pictures.save_all(stub, Blobs(), scalars_csv, tmp_path / "out")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.slow
def test_pyplot_is_not_imported():
    code = "import sys, srvae_plugin.plots.pictures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
