"""Colour, noise and The Scream: the original's observations bit by bit."""

import pickle
import warnings

import dlib_data
import numpy as np
import pytest
from numpy.random import RandomState
from PIL import Image

from srvae_plugin import load_dataset
from srvae_plugin.data import dsprites_variants as variants, dummy_data
from srvae_plugin.data.dsprites import dsprites_full
from srvae_plugin.data.ground_truth import GroundTruthData

SIZES = [3, 6, 40, 32, 32]
CLASSES = {
    "color_dsprites": "ColorDSprites",
    "noisy_dsprites": "NoisyDSprites",
    "scream_dsprites": "ScreamDSprites",
    "abstract_dsprites": "AbstractDSprites",
}
NAMES = {name: ["shape", "scale", "orientation", "position x", "position y"] for name in CLASSES}
NAMES["abstract_dsprites"] = ["background color", "object color", "shape", "scale"]
NAMES["abstract_dsprites"] += ["position x", "position y"]


@pytest.fixture(scope="module")
def scream(tmp_path_factory):
    """A JPEG of a size to be made smaller, smooth and colourful."""
    folder = tmp_path_factory.mktemp("data") / "scream"
    folder.mkdir()
    y, x = np.mgrid[0:700, 0:560]
    waves = [np.sin(x / 31 + y / 57), np.cos(x / 11 - y / 23), np.sin(x * y / 9000)]
    picture = np.stack([127.5 + 127.5 * wave for wave in waves], axis=2).astype(np.uint8)
    Image.fromarray(picture).save(folder / "scream.jpg", quality=95)
    return folder / "scream.jpg"


@pytest.fixture(autouse=True)
def _data_folder(scream, monkeypatch):
    monkeypatch.setenv("DISENTANGLEMENT_LIB_DATA", str(scream.parents[1]))


class Images:
    """Stands for the 3 GB of images that the original holds, 20 at a time."""

    def __getitem__(self, indices):
        return dsprites_full().observations_at(indices)[..., 0].astype(np.uint8)


@pytest.fixture(scope="module")
def theirs(scream):
    """The original's classes, with our images in place of their file."""

    def loaded(data, latent_factor_indices):
        data.images = Images()
        data.full_factor_sizes = [1, *SIZES]
        dlib_data.with_sizes(module, data, data.full_factor_sizes, latent_factor_indices)

    if dlib_data.MISSING:
        pytest.skip(f"needs {dlib_data.MISSING}")
    with dlib_data.original("dsprites") as module, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SCREAM_PATH", str(scream))
        patch.setattr(module.DSprites, "__init__", loaded)
        made = {name: getattr(module, each) for name, each in CLASSES.items()}
        abstract = made.pop("abstract_dsprites")()
        yield {name: each([1, 2, 3, 4, 5]) for name, each in made.items()} | {
            "abstract_dsprites": abstract
        }


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("seed", [0, 1])
def test_samples_are_the_originals(theirs, name, seed):
    ours = load_dataset(name)
    first, second = RandomState(seed), RandomState(seed)
    for num in (1, 20):
        factors, observations = ours.sample(num, first)
        expected_factors, expected = theirs[name].sample(num, second)
        np.testing.assert_array_equal(factors, expected_factors)
        np.testing.assert_array_equal(observations, expected.astype(np.float32))
        assert observations.dtype == np.float32
        assert observations.shape == (num, 64, 64, 3)
    assert first.randint(2**31) == second.randint(2**31)


@pytest.mark.parametrize("name", CLASSES)
def test_parts_of_a_batch_draw_what_the_whole_draws(name, monkeypatch):
    """Batches are painted in parts to bound memory; the stream of numbers must not show it."""
    data = load_dataset(name)
    whole = data.sample_observations(11, RandomState(5))
    monkeypatch.setattr(variants, "_CHUNK", 3)
    random_state = RandomState(5)
    np.testing.assert_array_equal(data.sample_observations(11, random_state), whole)


@pytest.mark.parametrize("name", CLASSES)
def test_they_offer_what_the_original_offers(theirs, name):
    data = load_dataset(name)
    assert isinstance(data, GroundTruthData)
    for attribute in ("num_factors", "factors_num_values", "observation_shape"):
        assert getattr(data, attribute) == getattr(theirs[name], attribute)
    assert data.factor_names == NAMES[name]
    assert data.source == "re-rendered"


def sprites_and(name):
    factors = np.array([[2, 5, 7, 3, 30], [0, 0, 0, 16, 16]])
    painted = load_dataset(name).sample_observations_from_factors(factors, RandomState(0))
    assert painted.min() >= 0
    assert painted.max() <= 1
    unused = RandomState(0)
    return dsprites_full().sample_observations_from_factors(factors, unused)[..., 0] == 1, painted


def test_sprites_have_one_colour_on_black():
    mask, painted = sprites_and("color_dsprites")
    assert (painted[~mask] == 0).all()
    for image, inside in zip(painted, mask, strict=True):
        assert len(np.unique(image[inside], axis=0)) == 1
        assert (image[inside][0] >= 0.5).all()
    assert (painted[0][mask[0]][0] != painted[1][mask[1]][0]).all()


def test_sprites_are_white_on_noise():
    mask, painted = sprites_and("noisy_dsprites")
    assert (painted[mask] == 1).all()
    assert np.histogram(painted[~mask], 10, (0, 1))[0] == pytest.approx(
        np.full(10, painted[~mask].size / 10), rel=0.1
    )


def test_sprites_invert_the_painting():
    """Where the painting is one grey, background and sprite add up to white."""
    grey = np.full((100, 90, 3), 0.25)
    data = variants.ScreamDSprites(dsprites_full(), grey)
    image = data.sample_observations_from_factors(np.array([[0, 5, 0, 16, 16]]), RandomState(0))[0]
    background, sprite = image[0, 0], image[32, 32]
    np.testing.assert_allclose(background + sprite, 1, atol=1e-6)
    assert ((background >= 0.125) & (background <= 0.625)).all()


@pytest.mark.parametrize("name", CLASSES)
def test_a_pickled_one_is_small_and_works(name):
    data = load_dataset(name)
    pickled = pickle.dumps(data)
    assert len(pickled) < (2_000_000 if name == "scream_dsprites" else 10_000)
    again = pickle.loads(pickled).sample_observations(3, RandomState(1))
    np.testing.assert_array_equal(again, data.sample_observations(3, RandomState(1)))


def test_wrong_colours_are_refused():
    data = load_dataset("abstract_dsprites")
    for row, part in (
        ([5, 0, 0, 0, 0, 0], "got 5 for the factor 'background color'; expected 0 to 4"),
        ([0, -1, 0, 0, 0, 0], "got -1 for the factor 'object color'; expected 0 to 5"),
        ([0, 0, 3, 0, 0, 0], r"got 3 in row 0 for factor 0 \('shape'\)"),
        ([0, 0, 0, 0, 0], "got shape"),
    ):
        with pytest.raises(ValueError, match=part):
            data.sample_observations_from_factors(np.array([row]), RandomState(0))


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "abstract_dsprites"])
def test_wrong_factors_are_refused(name):
    data = load_dataset(name)
    with pytest.raises(ValueError, match=r"got 3 in row 0 for factor 0 \('shape'\); expected 0"):
        data.sample_observations_from_factors(np.array([[3, 0, 0, 0, 0]]), RandomState(0))
    with pytest.raises(ValueError, match="factors: got shape"):
        data.sample_observations_from_factors(np.zeros((2, 6), int), RandomState(0))


# ---------------------------------------------------------------- the painting's file


def test_the_painting_may_lie_anywhere(scream, tmp_path, monkeypatch):
    usual = load_dataset("scream_dsprites").sample_observations(2, RandomState(0))
    monkeypatch.setenv("DISENTANGLEMENT_LIB_DATA", str(tmp_path))
    for path in (scream, scream.parent, scream.parents[1]):
        data = variants.scream_dsprites(scream_path=path)
        again = data.sample_observations(2, RandomState(0))
        np.testing.assert_array_equal(again, usual)


def test_a_missing_painting_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("DISENTANGLEMENT_LIB_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        variants.scream_dsprites()
    for part in (str(tmp_path), "scream/scream.jpg", "upload.wikimedia.org", "dsprites_full"):
        assert part in str(caught.value)
    assert "dataset.scream_path" in str(caught.value)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("text", "cannot identify image file"),
        ("truncated", "truncated"),
        ("grey", r"RGB picture of at least 65x65 within 350x274, found \(100, 90\)"),
        ("small", r"found \(64, 90, 3\)"),
    ],
)
def test_another_painting_is_refused(scream, tmp_path, contents, message):
    file = tmp_path / "scream.jpg"
    match contents:
        case "text":
            file.write_text("<html>404</html>")
        case "truncated":
            file.write_bytes(scream.read_bytes()[:20_000])
        case "grey":
            Image.new("L", (90, 100)).save(file)
        case "small":
            Image.new("RGB", (90, 64)).save(file)
    with pytest.raises(ValueError, match=message) as caught:
        variants.scream_dsprites(scream_path=file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- dummy data


@dlib_data.needs_dlib
@pytest.mark.parametrize("name", ["DummyData", "IdentityObservationsData"])
def test_dummy_samples_are_the_originals(name):
    ours = getattr(dummy_data, name)()
    with dlib_data.original("dummy_data") as module, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # random_integers is deprecated
        theirs = getattr(module, name)()
        first, second = RandomState(3), RandomState(3)
        factors, observations = ours.sample(600, first)
        expected_factors, expected = theirs.sample(600, second)
    np.testing.assert_array_equal(factors, expected_factors)
    np.testing.assert_array_equal(observations, expected.astype(np.float32))
    assert observations.dtype == np.float32
    assert first.randint(2**31) == second.randint(2**31)


def test_dummy_data_is_a_data_set():
    data = load_dataset("dummy_data")
    assert isinstance(data, GroundTruthData)
    assert data.factors_num_values == [5] * 10
    assert data.observation_shape == [64, 64, 1]
    assert data.sample_observations(2, RandomState(0)).shape == (2, 64, 64, 1)


@pytest.mark.parametrize("factors", [np.zeros((2, 9), int), np.full((2, 10), 5), np.zeros((2, 10))])
def test_wrong_dummy_factors_are_refused(factors):
    with pytest.raises(ValueError, match="factors: got"):
        load_dataset("dummy_data").sample_observations_from_factors(factors, RandomState(0))
