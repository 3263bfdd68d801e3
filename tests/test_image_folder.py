"""Image folders: factors from a csv, and pixels that are decoded once and kept in the cache."""

import logging
import os
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader

from srvae_plugin.config.plugins import load_dataset
from srvae_plugin.data.own.images import image_folder
from srvae_plugin.data.storage import decoded_files
from srvae_plugin.data.storage.digest import digest_of
from srvae_plugin.data.storage.own_images import ImageFiles

NUM = 12
SHADES = ("dark", "light")


def picture(file, value):
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(value).integers(0, 256, (20, 30, 3), np.uint8)
    pixels[:, :15] = value
    Image.fromarray(pixels).save(file)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder of its own, and no set so small that it stays out of it."""
    monkeypatch.setenv("SRVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(decoded_files, "_SMALL", 0)
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    lines = ["shade,file,angle"]
    for k in range(NUM):
        name = f"{k % 3}/{k:02}.png"
        picture(tmp_path / "folder" / name, 20 * k)
        lines.append(f"{SHADES[k % 2]},{name},{k / 4}")
    (tmp_path / "folder/factors.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]))
    return tmp_path / "folder"


def decodes(monkeypatch):
    """Counts the files that are decoded from now on."""
    seen, read = [], ImageFiles._read

    def counted(self, file):
        seen.append(file.name)
        return read(self, file)

    monkeypatch.setattr(ImageFiles, "_read", counted)
    return seen


@pytest.mark.parametrize("options", [{}, {"channels": 1}, {"white": 255}, {"size": 9}])
def test_pixels_are_decoded_once_and_are_the_same(folder, cache, monkeypatch, options):
    options = {"size": 16, **options}
    rows = np.array([3, 0, 11, 3])
    plain = image_folder(folder, cached=False, **options).observations_at(rows)
    first = image_folder(folder, **options).observations_at(rows)
    (kept,) = cache.glob("image-folder-*.npy")
    data = image_folder(folder, **options)
    seen = decodes(monkeypatch)
    again = data.observations_at(rows)
    assert not seen
    assert np.array_equal(plain, first)
    assert np.array_equal(plain, again)
    assert plain.dtype == again.dtype == np.float32
    assert kept.stat().st_size > NUM * np.prod(plain.shape[1:])


def test_a_damaged_cache_and_a_changed_file_are_decoded_again(folder, cache, caplog):
    before = image_folder(folder, size=8).observations_at(np.arange(NUM))
    (kept,) = cache.glob("image-folder-*.npy")
    content = bytearray(kept.read_bytes())
    content[-200] ^= 1
    kept.write_bytes(content)
    assert np.array_equal(image_folder(folder, size=8).observations_at(np.arange(NUM)), before)
    assert "will be made again" in caplog.text
    picture(folder / "0/00.png", 240)
    after = image_folder(folder, size=8).observations_at(np.arange(NUM))
    assert np.array_equal(after[1:], before[1:])
    assert not np.array_equal(after[0], before[0])


def test_it_goes_on_without_a_disk(folder, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SRVAE_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(decoded_files, "_SMALL", 0)
    data = image_folder(folder, size=8)
    plain = image_folder(folder, size=8, cached=False)
    rows = np.arange(NUM)
    assert np.array_equal(data.observations_at(rows), plain.observations_at(rows))
    assert "keeping 0 MB in memory" in caplog.text
    monkeypatch.setattr("srvae_plugin.data.storage.array_cache._KEPT_IN_MEMORY", 0)
    other = image_folder(folder, size=7)
    caplog.clear()
    expected = image_folder(folder, size=7, cached=False).observations_at(rows)
    assert np.array_equal(other.observations_at(rows), expected)
    assert "decoded one by one" in caplog.text


def test_a_damaged_file_is_an_error_when_its_turn_comes(folder, cache, caplog):
    os.truncate(folder / "0/00.png", 40)
    data = image_folder(folder, size=8)
    assert data.observations_at(np.array([1, 2])).shape == (2, 8, 8, 3)
    assert "00.png: cannot be read as an image" in caplog.text
    with pytest.raises(ValueError, match=r"00\.png: cannot be read as an image"):
        data.observations_at(np.array([0]))
    assert not list(cache.glob("*.npy"))


def test_what_is_brighter_than_white_is_named(folder, cache):
    data = image_folder(folder, size=8, white=100)
    with pytest.raises(ValueError, match=r"\.png: got a pixel of \d+; expected at most"):
        data.observations_at(np.arange(NUM))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_loader_with_workers_gives_the_same(folder, cache, workers, cached):
    data = load_dataset("image_folder", path=str(folder), size=8, factors="factors.csv",
                        cached=cached)  # fmt: skip
    loader = DataLoader(data, batch_size=5, num_workers=workers)
    images = np.concatenate([images.numpy() for images, _ in loader])
    factors = np.concatenate([factors.numpy() for _, factors in loader])
    expected = data.observations_at(np.arange(NUM)).transpose(0, 3, 1, 2)
    assert np.array_equal(images, expected)
    assert factors.shape == (NUM, 2)


def test_a_worker_maps_what_is_decoded(folder, cache, monkeypatch):
    data = image_folder(folder, size=8)
    sent = pickle.dumps(data)
    seen = decodes(monkeypatch)
    got = pickle.loads(sent).observations_at(np.arange(NUM))
    assert np.array_equal(got, data.observations_at(np.arange(NUM)))
    assert not seen
    assert len(sent) < 10_000


def test_factors_come_from_a_csv_in_the_order_of_the_files(folder):
    data = image_folder(folder, size=8, factors="factors.csv")
    assert list(data.factor_names) == ["shade", "angle"]
    assert list(data.factor_kinds) == ["class", "continuous"]
    names = sorted(f"{k % 3}/{k:02}.png" for k in range(NUM))
    numbers = [int(name[-6:-4]) for name in names]
    found = data.factors_at(np.arange(NUM))
    assert found[:, 0].tolist() == [k % 2 for k in numbers]
    assert found[:, 1].tolist() == [k / 4 for k in numbers]
    images = data.observations_at(np.arange(NUM))
    assert np.array_equal(images[:, 4, 1, 0], np.float32([20 * k / 255 for k in numbers]))
    assert data.factor_labels == {0: SHADES}


def test_held_out_files_and_files_without_a_line(folder, tmp_path, caplog):
    picture(folder / "9.png", 7)
    shutil.move(folder / "factors.csv", tmp_path / "elsewhere.csv")
    with caplog.at_level(logging.INFO):
        data = image_folder(folder, size=8, factors=tmp_path / "elsewhere.csv", held_out=0.25)
    assert "1 of 13 image files of the folder have no line" in caplog.text
    assert (data.num_observations, data.held_out_data.num_observations) == (9, 3)


def test_the_digest_counts_the_table(folder, tmp_path):
    table = folder / "factors.csv"
    digests = [digest_of(image_folder(folder, size=8, factors=table))]
    shutil.copytree(folder, tmp_path / "moved")
    digests.append(digest_of(image_folder(tmp_path / "moved", size=8, factors="factors.csv")))
    outside = shutil.copy(table, tmp_path / "factors.csv")
    digests.append(digest_of(image_folder(folder, size=8, factors=outside)))
    text = (tmp_path / "factors.csv").read_text()
    (tmp_path / "factors.csv").write_text(text.replace("dark", "dim"))
    digests.append(digest_of(image_folder(folder, size=8, factors=outside)))
    assert digests[0] == digests[1]
    assert digests[2] != digests[3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,shade\n0/00.png,1\n", r"its columns are name, shade; expected one called file"),
        ("file\n0/00.png\n", "a factor in each other"),
        ("file,a\n0/00.png,1\n0/00.png,2\n", "two lines of 0/00.png"),
        ("file,a\nx.png,1\ny.png,1\n", r"has x\.png and 1 more, which the folder has not"),
        ("file,a\n0/00.png,\n", "line 2: no value in column 'a'"),
    ],
)
def test_tables_are_checked(folder, text, message):
    (folder / "bad.csv").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        image_folder(folder, factors="bad.csv")
    assert "\n" not in str(caught.value)


def test_bindings_that_mean_nothing_are_refused(folder):
    with pytest.raises(ValueError, match=r"no meaning without dataset\.factors"):
        image_folder(folder, factor_bins=3)
    with pytest.raises(ValueError, match=r"expected a table that ends in \.csv or \.tsv"):
        image_folder(folder, factors="factors.xlsx")
    with pytest.raises(FileNotFoundError, match=r"no\.csv"):
        image_folder(folder, factors="no.csv")
