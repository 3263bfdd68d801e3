"""What people have in hand, as data: vectors, bfloat16, pairs with factors, torch's own."""

import subprocess
import sys

import numpy as np
import pandas
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, random_split

import srvae_plugin as sv
from srvae_plugin.data.own.from_python import as_data
from srvae_plugin.models.vae import VAE
from srvae_plugin.testing.complete_run import Bars
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
