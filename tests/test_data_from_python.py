"""What people have in hand, as data: vectors, bfloat16, pairs with factors, torch's own."""

import random
import subprocess
import sys

import numpy as np
import pandas
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, random_split

import srvae_plugin as sv
from srvae_plugin.config import gin_files
from srvae_plugin.data.own.from_python import as_data
from srvae_plugin.data.storage.digest import digest_of
from srvae_plugin.models.vae import VAE
from srvae_plugin.testing.complete_run import Bars
from srvae_plugin.training import checkpoint
from srvae_plugin.training.plain import prepared


class Items(Dataset):
    """Hands out one image after the other."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]


IMAGES = np.random.RandomState(0).randint(256, size=(30, 8, 8)).astype(np.uint8)


def test_a_data_set_of_ours_is_a_torch_dataset():
    data = Bars((1, 8, 8))
    assert isinstance(data, Dataset)
    assert not issubclass(type(sv.load_dataset("dummy_data")), Dataset)  # it has no length
    part, _ = random_split(data, [40, 8])
    images, factors = next(iter(DataLoader(part, batch_size=5)))
    assert images.shape == (5, 1, 8, 8)
    assert factors.shape == (5, 3)
    both = data + data
    assert isinstance(both, ConcatDataset)
    assert torch.equal(both[50][0], data[2][0])


def test_one_made_before_torch_came_is_one_too():
    code = """if True:
        import sys
        import numpy as np
        from srvae_plugin.data.own.table import FactorTable
        table = FactorTable(np.array([[0, 1], [1, 1]]))
        assert "torch" not in sys.modules
        table[0]
        assert isinstance(table, sys.modules["torch"].utils.data.Dataset)
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_vectors_are_pixels_of_many_channels():
    vectors = np.random.RandomState(0).normal(size=(9, 5))
    found = as_data(vectors)
    assert found.observation_shape == [1, 1, 5]
    assert np.array_equal(found.observations_at(np.arange(9))[:, 0, 0], vectors.astype(np.float32))
    items = as_data(torch.utils.data.StackDataset(torch.from_numpy(vectors)))
    assert items.observation_shape == [1, 1, 5]
    prepared(VAE(1.0, num_latent=2, reconstruction_loss="linear_mse"), vectors, steps=1)
    for outside in (vectors, (vectors, np.arange(9))):
        with pytest.raises(ValueError, match=r"reconstruction_loss='linear_mse'"):
            prepared(VAE(1.0, num_latent=2), outside, steps=1)
    prepared(VAE(1.0, num_latent=2), np.abs(vectors) / 5, steps=1)


def test_bfloat16_is_read_exactly():
    half = (torch.from_numpy(IMAGES[:, None]) / 255).bfloat16()
    found = as_data(half).observations_at(np.arange(30))
    assert np.array_equal(found[..., 0], half[:, 0].float().numpy())


@pytest.mark.parametrize("wrap", [lambda images: images, Items], ids=["array", "items"])
def test_what_white_is_is_asked(wrap, caplog):
    with pytest.raises(ValueError, match="nothing but 0 and 1"):
        as_data(wrap((IMAGES > 127).astype(np.uint8)))
    as_data(wrap(IMAGES))
    assert not caplog.records
    as_data(wrap(IMAGES // 16))
    assert "images are dark, at most 0.059 of 1: multiply them by 17 if that" in caplog.text


def test_a_palette_is_no_intensity():
    picture = Image.fromarray(IMAGES[0]).convert("P")
    with pytest.raises(ValueError, match=r"item 0 is an image of mode 'P'; expected '1', 'L'"):
        as_data(Items([picture]))
    assert as_data(Items([picture.convert("L")] * 2)).observation_shape == [8, 8, 1]


def test_images_with_factors_are_a_data_set():
    words = pandas.DataFrame({"shape": ["heart", "square"] * 15, "scale": np.linspace(0, 1, 30)})
    found = as_data((IMAGES, words))
    assert found.factor_names == ["shape", "scale"]
    assert found.factor_kinds == ["class", "continuous"]
    assert found.factor_labels == {0: ("heart", "square")}
    assert np.array_equal(found.factors[:, 0], [0, 1] * 15)
    np.testing.assert_allclose(found.observations_at(np.arange(30))[..., 0], IMAGES / 255)
    assert as_data((torch.from_numpy(IMAGES), torch.arange(30))).num_factors == 1


class Own:
    """A data set class of somebody's."""

    num_factors, factors_num_values, factor_names = 1, [4], ["level"]
    observation_shape = (8, 8, 1)

    def __init__(self, white, kind):
        self.white, self.kind = white, kind

    def sample_factors(self, num, random_state):
        return random_state.randint(4, size=(num, 1))

    def sample_observations_from_factors(self, factors, random_state):
        return np.ones((len(factors), 8, 8, 1), self.kind) * self.white

    def sample(self, num, random_state):
        factors = self.sample_factors(num, random_state)
        return factors, self.sample_observations_from_factors(factors, random_state)

    def sample_observations(self, num, random_state):
        return self.sample(num, random_state)[1]


@pytest.mark.parametrize(
    ("white", "kind", "shape", "message"),
    [
        (255, np.uint8, (8, 8, 1), r"draws uint8 from 255 to 255; expected images as floating"),
        (255, np.float32, (8, 8, 1), r"draws float32 from 255 to 255"),
        (np.nan, np.float32, (8, 8, 1), r"draws float32 from nan to nan"),
        (1, np.float32, (8, 9, 1), r"of shape \(16, 8, 8, 1\), not \(16, 8, 9, 1\)"),
    ],
)
def test_somebodys_data_set_is_looked_at(white, kind, shape, message):
    data = Own(white, kind)
    data.observation_shape = shape
    with pytest.raises(ValueError, match=message):
        as_data(data)
    whole = Own(1, np.float32)
    assert as_data(whole) is whole


def test_a_pair_is_told_by_every_image_and_factor():
    images = np.random.RandomState(0).rand(700, 8, 8).astype(np.float32)
    factors = np.arange(700) % 5
    digests = {digest_of(as_data((images, factors)))}
    assert digests == {digest_of(as_data((images.copy(), factors.copy())))}
    changed = images.copy()
    changed[650, 3, 3] = 0.5
    other = factors.copy()
    other[650] = 4
    digests |= {digest_of(as_data(pair)) for pair in ((changed, factors), (images, other))}
    assert len(digests) == 3


@pytest.mark.parametrize(
    "name", ["dsprites_full", "color_dsprites", "noisy_dsprites", "dummy_data"]
)
def test_data_sets_draw_by_whatever_is_a_seed(name):
    data = sv.load_dataset(name)
    expected = data.sample(4, np.random.RandomState(3))
    for found, part in zip(data.sample(4, 3), expected, strict=True):
        np.testing.assert_array_equal(found, part)
    np.testing.assert_array_equal(data.sample_factors(4, 3), expected[0])
    np.testing.assert_array_equal(data.sample_observations(4, np.int64(3)), expected[1])
    drawn = [data.sample_observations(2, np.random.default_rng(1)) for _ in range(2)]
    np.testing.assert_array_equal(*drawn)
    with pytest.raises(ValueError, match=r"seed .* must be a whole number"):
        data.sample(4, "3")


def test_channels_of_another_number_have_a_layout():
    images = np.zeros((10, 2, 8, 8), np.float32)
    with pytest.raises(ValueError, match=r"pass as_data\(images, layout='NHWC'\), or 'NCHW'"):
        as_data(images)
    assert sv.as_data(images, layout="NCHW").observation_shape == [8, 8, 2]


class Noisy(Dataset):
    """Images with noise of numpy's global generator."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return np.random.uniform(size=(1, 8, 8)).astype(np.float32)


def test_numpys_noise_is_the_same_after_a_resume(tmp_path):
    def trained(folder, steps, **more):
        model = sv.VAE(beta=1.0, num_latent=2)
        how = {"batch_size": 4, "learning_rate": 1e-3, "eval_steps": 1, **more}
        return sv.train(model, Noisy(), tmp_path / folder, steps=steps, **how).model

    whole = trained("whole", 4)
    trained("stopped", 2)
    resumed = trained("stopped", 4, resume=True)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_checkpoint_puts_pythons_generator_back(tmp_path):
    model = torch.nn.Linear(1, 1)
    state = checkpoint.State(model, {}, np.random.RandomState(0))
    checkpoint.save(tmp_path / "a.pt", checkpoint.Checkpoint(1, 0.0), "", state)
    expected = random.getstate()
    random.seed(1)
    checkpoint.load(tmp_path / "a.pt", "", state)
    assert random.getstate() == expected


def test_a_seed_of_a_training_is_whatever_numpy_takes(tmp_path):
    data = np.random.RandomState(0).rand(12, 8, 8).astype(np.float32)
    how = {"steps": 1, "batch_size": 4, "eval_steps": 1}
    seeds = [np.random.default_rng(5), np.random.default_rng(5), np.int64(5)]
    runs = [
        sv.train(sv.VAE(beta=1.0, num_latent=2), data, tmp_path / str(k), seed=seed, **how)
        for k, seed in enumerate(seeds)
    ]
    weights = [torch.cat([p.flatten() for p in run.model.parameters()]) for run in runs]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_what_gin_holds_is_not_trained_with_unseen(tmp_path):
    data = np.random.RandomState(0).rand(12, 8, 8).astype(np.float32)
    with gin_files.configured(bindings=["reconstruction_loss.loss_fn = @l2_loss"]):
        model = sv.VAE(beta=1.0, num_latent=2)
        with pytest.raises(ValueError, match=r"gin holds reconstruction_loss\.loss_fn"):
            sv.train(model, data, tmp_path / "a", steps=1)
    assert not (tmp_path / "a").exists()
