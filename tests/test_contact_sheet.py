"""The contact sheet: which observations it shows, where they are, and its command."""

import numpy as np
import official_files
import pytest
from PIL import Image

from srvae_plugin import load_dataset
from srvae_plugin.cli.data import data_main
from srvae_plugin.data.ground_truth import FactorGrid
from srvae_plugin.data.image_table import ImageTable
from srvae_plugin.data.images_only import ImagesOnly
from srvae_plugin.data.storage.mapped_images import MappedImages
from srvae_plugin.plots import contact_sheet


class Stripes(FactorGrid):
    """Images of 3x2 that hold their factors; the last one is drawn beside the ground truth."""

    def __init__(self):
        super().__init__((2, 30, 4), ["few", "many", "hidden"], (3, 2, 1), [0, 1])

    def _load_observations(self, indices):
        factors = np.stack(np.unravel_index(indices, self.factor_sizes), axis=1) / 32
        return np.repeat(factors[:, :, None, None], 2, axis=2).astype(np.float32)


def factors_of(images):
    return np.rint(32 * images[:, :, 0, 0]).astype(int)


@pytest.fixture
def shown(monkeypatch):
    """What the pages that are made were given: rows and title."""
    pages = []
    page = contact_sheet._page

    def record(rows, title):
        pages.append((rows, title))
        return page(rows, title)

    monkeypatch.setattr(contact_sheet, "_page", record)
    return pages


def test_each_row_varies_one_factor_and_nothing_else(shown):
    contact_sheet.contact_sheet(Stripes(), "stripes", seed=3)
    ((rows, title),) = shown
    assert title == "stripes: one factor a row, all else fixed"
    assert [row.label for row in rows] == ["few (2)", "many (30)", "random"]
    few, many, drawn = (factors_of(row.images) for row in rows)
    np.testing.assert_array_equal(few[:, 0], [0, 1])
    np.testing.assert_array_equal(many[:, 1], [0, 3, 6, 10, 13, 16, 19, 23, 26, 29])
    fixed = Stripes().sample_factors(1, np.random.RandomState([3, 0]))[0]
    assert (few[:, 1] == fixed[1]).all()
    assert (many[:, 0] == fixed[0]).all()
    assert len({*few[:, 2], *many[:, 2]}) == 1
    assert len(drawn) == 10
    assert len(np.unique(drawn, axis=0)) > 5


def test_the_seed_chooses(shown):
    for seed in (0, 0, 1, 2, 3):
        contact_sheet.contact_sheet(Stripes(), seed=seed)
    images = [np.concatenate([row.images for row in rows]) for rows, _ in shown]
    np.testing.assert_array_equal(images[0], images[1])
    assert len(np.unique(np.stack(images[1:]), axis=0)) == 4


def table(factors, names):
    factors = np.asarray(factors)

    def images(rows):
        pixels = np.zeros((len(rows), 3, 2, 1), np.float32)
        pixels[:, 0, 0, 0] = np.asarray(rows) / 1000
        return pixels

    return ImageTable(factors, images, (3, 2, 1), names)


def test_a_table_shows_the_nearest_it_has(shown):
    random_state = np.random.RandomState(0)
    factors = random_state.uniform((0, -1), (10, 1), size=(500, 2))
    contact_sheet.contact_sheet(table(factors, ["wide", "narrow"]), "mine")
    ((rows, title),) = shown
    assert title.startswith("mine: one factor a row, all else as near")
    assert [row.label for row in rows] == ["wide (0.03 to 10)", "narrow (−1 to 1)", "random"]
    for column in (0, 1):
        chosen = factors[np.rint(1000 * rows[column].images[:, 0, 0, 0]).astype(int)]
        wanted = np.linspace(factors[:, column].min(), factors[:, column].max(), 10)
        width = np.ptp(factors[:, column])
        np.testing.assert_allclose(chosen[:, column], wanted, atol=0.05 * width)
        assert np.std(chosen[:, 1 - column]) < 0.3 * np.std(factors[:, 1 - column])


def test_a_table_of_few_values_shows_each_once(shown):
    factors = [[0, 5], [1, 5], [2, 7], [0, 5]]  # no grid
    contact_sheet.contact_sheet(table(factors, ["a", "b"]), "mine")
    ((rows, _),) = shown
    assert [row.label for row in rows[:2]] == ["a (3)", "b (2)"]
    assert [len(row.images) for row in rows[:2]] == [3, 2]


def test_a_table_that_is_a_grid_is_shown_as_one(shown):
    factors = [[0, 0], [0, 1], [1, 0], [1, 1]]
    contact_sheet.contact_sheet(table(factors, ["a", "b"]), "mine")
    assert shown[0][1] == "mine: one factor a row, all else fixed"


class Continuous:
    """A data set that can draw any value of two continuous factors."""

    num_factors = 2
    observation_shape = (1, 2, 1)

    def sample_factors(self, num, random_state):
        return random_state.uniform((0, 2), (1, 6), size=(num, 2))

    def sample_observations_from_factors(self, factors, random_state):
        return (factors / 8).astype(np.float32)[:, None, :, None]

    def sample_observations(self, num, random_state):
        return self.sample_observations_from_factors(self.sample_factors(num, random_state), None)


def test_continuous_factors_go_over_their_range(shown):
    contact_sheet.contact_sheet(Continuous(), "any")
    ((rows, _),) = shown
    assert rows[0].label.startswith("factor 0 (0.00")
    first, second = (8 * row.images[:, 0, :, 0] for row in rows[:2])
    np.testing.assert_allclose(first[:, 0], np.linspace(0, 1, 10), atol=0.02)
    np.testing.assert_allclose(second[:, 1], np.linspace(2, 6, 10), atol=0.05)
    assert (first[:, 1] == first[0, 1]).all()
    assert (second[:, 0] == second[0, 0]).all()


def test_images_without_factors_are_drawn_at_random(shown):
    images = np.arange(1, 5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    contact_sheet.contact_sheet(ImagesOnly(MappedImages(images), "mine"), "mine")
    ((rows, title),) = shown
    assert title == "mine: random images (it has no factors)"
    assert [len(row.images) for row in rows] == [10] * 6
    seen = np.rint(255 * np.stack([row.images for row in rows])[..., 0, 0, 0])
    assert set(np.unique(seen)) == {1, 2, 3, 4}
    assert len(np.unique(seen, axis=0)) == 6


def test_every_image_is_on_the_page_where_it_belongs(shown):
    figure = contact_sheet.contact_sheet(Stripes(), "stripes")
    figure.canvas.draw()
    page = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    rows = shown[0][0]
    tile = 42 * 3, 42 * 2  # 3x2 enlarged to at most 128 pixels
    top, gap = 45, 4
    left = page.shape[1] - gap - 10 * (tile[1] + gap) + gap
    for i, row in enumerate(rows):
        for k, image in enumerate(row.images):
            y, x = top + i * (tile[0] + gap), left + k * (tile[1] + gap)
            expected = np.rint(255 * image.repeat(42, 0).repeat(42, 1).repeat(3, 2))
            np.testing.assert_array_equal(page[y : y + tile[0], x : x + tile[1]], expected)
    assert (page[top : top + tile[0], left + 2 * (tile[1] + gap) :] == 255).all()  # two values only
    assert (page[:top] < 255).any()  # the title
    assert (page[top:, : left - 20] < 255).any()  # the labels


def test_other_channels_are_refused():
    images = np.zeros((4, 4, 4, 2), np.uint8)
    with pytest.raises(ValueError, match="got 2 channels"):
        contact_sheet.contact_sheet(ImagesOnly(MappedImages(images), "mine"))


# ---------------------------------------------------------------- the command


def srvae_data(*arguments):
    """Run in this process; return the exit status."""
    try:
        data_main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code
    return 0


def test_the_command_writes_a_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert srvae_data("sheet", "dummy_data") == 0
    assert capsys.readouterr().out == "dummy_data.png\n"
    with Image.open("dummy_data.png") as picture:
        assert picture.size[1] == 45 + 11 * 132
    assert [path.name for path in tmp_path.iterdir()] == ["dummy_data.png"]
    assert srvae_data("sheet", "dummy_data") == 2
    assert "dummy_data.png exists: --overwrite replaces it" in capsys.readouterr().err
    assert srvae_data("sheet", "dummy_data", "--overwrite", "--seed", 1) == 0


def test_the_command_takes_a_file_and_bindings(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SRVAE_CACHE", str(tmp_path / "cache"))
    official_files.write_shapes3d_h5(tmp_path)
    output = tmp_path / "new" / "sheet.png"
    command = ["sheet", "shapes3d", "--path", tmp_path / "3dshapes.h5", "--output", output]
    assert srvae_data(*command) == 2
    assert "expected uint8 of shape (480000, 64, 64, 3)" in capsys.readouterr().err
    sizes = f"dataset.factor_sizes = {official_files.SHAPES3D}"
    assert srvae_data(*command, "--bind", sizes) == 0
    with Image.open(output) as picture:
        assert picture.size[1] == 45 + 7 * 132


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dsprites"], "unknown data set 'dsprites'; did you mean"),
        (["shapes3d"], "shapes3d is missing"),
        (["dummy_data", "--path", "x"], "has no such option"),
        (["dummy_data", "--seed", "-1"], "eed"),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert srvae_data("sheet", *arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("srvae-data: error: ")
    assert message in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["color_dsprites", "noisy_dsprites"])
def test_variants_of_dsprites_have_sheets(name, shown):
    contact_sheet.contact_sheet(load_dataset(name), name)
    ((rows, _),) = shown
    labels = ["shape (3)", "scale (6)", "orientation (40)", "position x (32)", "position y (32)"]
    assert [row.label for row in rows] == [*labels, "random"]
    if name == "color_dsprites":
        colors = {tuple(row.images.max(axis=(0, 1, 2))) for row in rows[:-1]}
        assert len(colors) == 1  # what is no factor is fixed too
