"""A user's own data: an npz with factors on a grid or not, a folder of images, what is refused."""

import inspect
import os
import pickle
import zipfile

import gin
import numpy as np
import pytest
from PIL import Image

from srvae_plugin import load_dataset
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.run import run_main
from srvae_plugin.config import gin_files, plugins
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.image_table import ImageTable, bin_factors
from srvae_plugin.data.own import image_scale
from srvae_plugin.data.own.images import image_folder, npz
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.data.storage.cache_folder import cache_folder
from srvae_plugin.metrics import compute_mig, compute_sap
from srvae_plugin.metrics.codes import sample_codes_and_factors
from srvae_plugin.metrics.dci_regressors import compute_dci_regression
from srvae_plugin.metrics.factor_vae import compute_factor_vae
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.directory import StepDirectory
from srvae_plugin.runs.representation import CachedRepresentation, TabulatedCodes

TINY = os.path.join(os.path.dirname(__file__), "tiny.gin")
SAVERS = pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
RNG = np.random.RandomState


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SRVAE_CACHE", str(tmp_path / "cache"))


def some_images(*shape, seed=0):
    return RNG(seed).randint(256, size=shape).astype(np.uint8)


def holes():
    """2,000 of the 8,000 combinations of three factors."""
    return np.argwhere(np.ones((20, 20, 20)))[RNG(0).permutation(8000)[:2000]]


# --- reading -------------------------------------------------------------------------------------


@SAVERS
@pytest.mark.parametrize("shape", [(30, 5, 4), (30, 5, 4, 1), (30, 5, 4, 3)])
@pytest.mark.parametrize("kind", ["uint8", "float32", "float64", "bool", "binary"])
def test_images_and_factors_are_read(tmp_path, save, shape, kind):
    whole = some_images(*shape)
    stored, expected = {
        "uint8": (whole, whole / 255),
        "float32": ((whole / 255).astype(np.float32), whole / 255),
        "float64": (whole / 255, whole / 255),
        "bool": (whole > 127, whole > 127),
        "binary": ((whole > 127).astype(np.uint8), whole > 127),
    }[kind]
    factors = np.stack([np.arange(30) % 3, np.arange(30) * 10], axis=1)
    save(tmp_path / "a.npz", images=stored, factors=factors, factor_names=np.array(["x", "size"]))
    data = npz(tmp_path / "a.npz")
    assert isinstance(data, GroundTruthData)
    assert data.observation_shape == [5, 4, shape[3] if len(shape) == 4 else 1]
    assert (data.num_observations, data.num_factors) == (30, 2)
    assert data.factor_names == ["x", "size"]
    assert data.factors_num_values == [3, 30]
    np.testing.assert_array_equal(data.factors[:, 1], np.arange(30))  # numbered by value
    rows = np.array([7, 0, 29, 7])
    observations = data.observations_at(rows)
    assert observations.dtype == np.float32
    assert observations.shape == (4, *data.observation_shape)
    np.testing.assert_allclose(
        observations, expected[rows].reshape(observations.shape), atol=1e-7, rtol=0
    )


def test_drawn_observations_are_those_of_their_factors(tmp_path):
    images, factors = some_images(2000, 3, 3), holes()
    np.savez(tmp_path / "a.npz", images=images, factors=factors)
    drawn, observations = npz(tmp_path / "a.npz").sample(50, RNG(1))
    for row, observation in zip(drawn, observations, strict=True):
        (index,) = np.flatnonzero((factors == row).all(axis=1))
        np.testing.assert_allclose(observation[..., 0], images[index] / 255, atol=1e-7)


def test_stored_images_are_mapped_where_they_lie_and_compressed_ones_in_the_cache(tmp_path):
    images = some_images(40, 8, 8)
    np.savez(tmp_path / "a.npz", images=images, factors=np.arange(40)[:, None])
    np.savez_compressed(tmp_path / "b.npz", images=images, factors=np.arange(40)[:, None])
    mapped = npz(tmp_path / "a.npz")._load_images.__self__._mapped.array
    assert isinstance(mapped, np.memmap)
    assert str(mapped.filename) == str(tmp_path / "a.npz")
    assert not (tmp_path / "cache").exists()
    for _ in range(2):
        compressed = npz(tmp_path / "b.npz")._load_images.__self__._mapped.array
        assert isinstance(compressed, np.memmap)
        (file,) = cache_folder().iterdir()
        assert str(compressed.filename) == str(file)
        np.testing.assert_array_equal(compressed, images)


def test_a_rewritten_file_is_read_anew(tmp_path):
    for seed in range(2):
        images = some_images(9, 4, 4, seed=seed)
        np.savez_compressed(tmp_path / "a.npz", images=images, factors=np.arange(9)[:, None])
        os.utime(tmp_path / "a.npz", (seed, seed))
        found = npz(tmp_path / "a.npz").observations_at(np.arange(9))[..., 0]
        np.testing.assert_allclose(found, images / 255, atol=1e-7)


@SAVERS
def test_a_worker_process_gets_the_place_and_not_a_copy_of_the_images(tmp_path, save):
    images = some_images(50, 64, 64)
    save(tmp_path / "a.npz", images=images, factors=np.arange(50)[:, None])
    data = npz(tmp_path / "a.npz")
    sent = pickle.dumps(data)
    assert len(sent) < 20_000 < images.nbytes
    np.testing.assert_array_equal(
        pickle.loads(sent).observations_at(np.arange(50)), data.observations_at(np.arange(50))
    )


def test_images_in_fortran_order_are_refused_and_not_misread(tmp_path):
    images = np.asfortranarray(some_images(9, 4, 5))
    np.savez(tmp_path / "a.npz", images=images, factors=np.arange(9)[:, None])
    with pytest.raises(ValueError, match="expected C order"):
        npz(tmp_path / "a.npz")


def test_images_without_factors_can_be_learned_but_not_scored(tmp_path):
    np.savez(tmp_path / "a.npz", images=some_images(9, 4, 4))
    data = npz(tmp_path / "a.npz")
    assert data.sample_observations(5, RNG(0)).shape == (5, 4, 4, 1)
    assert data.num_factors == 0
    with pytest.raises(ValueError, match="factors"):
        compute_mig(data, lambda x: x[:, 0, :, 0], RNG(0), num_train=20)


# --- refusals ------------------------------------------------------------------------------------

GOOD = {"images": some_images(6, 4, 4), "factors": np.arange(12).reshape(6, 2)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": None}, r"expected the array 'images', found \['factors.npy'\]"),
        ({"images": GOOD["images"].astype(np.int64)}, "images: got int64; expected uint8, bool"),
        ({"images": GOOD["images"].astype(object)}, "images: expected plain numbers"),
        ({"images": GOOD["images"][0]}, r"got shape \(4, 4\); expected \(image, height, width\)"),
        ({"images": some_images(6, 4, 4, 2)}, r"\(6, 4, 4, 2\); .* one channel or three"),
        ({"images": some_images(6, 3, 8, 8)}, r"channels first; .*transpose\(0, 2, 3, 1\)"),
        ({"images": some_images(0, 4, 4)}, r"images: "),
        ({"factors": np.arange(6)}, r"factors: got int64 of shape \(6,\)"),
        ({"factors": np.arange(5)[:, None]}, r"factors: got int64 of shape \(5, 1\) for 6 rows"),
        ({"factors": np.full((6, 1), np.nan)}, "factors: got NaN or inf"),
        (
            {"factors": np.arange(12).reshape(2, 6)},
            r"\(2, 6\), one column per row.*store factors\.T",
        ),
        ({"factors": np.full((6, 1), "a", object)}, r"objects.*np\.array\(factors, dtype=str\)"),
        ({"factor_kinds": np.array(["class", "odd"])}, "factor_kinds: got 'odd'; expected 'class'"),
        ({"factor_names": np.array(["a"])}, r"factor_names: got <U1 of shape \(1,\); .* \(2,\)"),
    ],
)
def test_other_contents_are_refused_in_one_line_that_names_the_file(tmp_path, change, message):
    arrays = {name: array for name, array in (GOOD | change).items() if array is not None}
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        npz(tmp_path / "mine.npz")
    assert str(tmp_path / "mine.npz") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [255.0, -0.1, np.nan, np.inf])
def test_floats_outside_the_unit_interval_are_refused_and_named(tmp_path, wrong):
    images = np.zeros((6, 4, 4), np.float32)
    images[3, 1, 2] = wrong
    np.savez(tmp_path / "a.npz", images=images, factors=GOOD["factors"])
    with pytest.raises(
        ValueError, match=r"images: got values .* expected finite values in \[0, 1\]"
    ):
        npz(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("dtype", "largest", "white", "warned"),
    [
        (np.uint8, 130, 255, True),
        (np.uint8, 40, 255, True),
        (np.uint8, 192, 255, False),
        (np.uint8, 1, 1, False),  # black and white
        (np.float32, 0.06, 1, True),
        (np.float64, 0.7, 1, True),
        (np.float16, 0.8, 1, False),
        (bool, True, 1, False),
    ],
)
def test_dark_images_of_any_type_are_said(tmp_path, caplog, dtype, largest, white, warned):
    images = np.zeros((6, 4, 4), dtype)
    images[2, 1, 1] = largest
    np.savez(tmp_path / "a.npz", images=images, factors=np.arange(6)[:, None])
    npz(tmp_path / "a.npz")
    assert ("so that images are dark" in caplog.text) is warned
    if warned:
        said = f"the largest value is {float(images.max()):g}; taken as 0 to {white},"
        assert said in caplog.text
        assert f"or dataset.white = {white} if they are meant so" in caplog.text
    caplog.clear()
    npz(tmp_path / "a.npz", white=white)
    assert "dark" not in caplog.text


def test_black_images_are_said(tmp_path, caplog):
    np.savez(tmp_path / "a.npz", images=np.zeros((6, 4, 4)), factors=np.arange(6)[:, None])
    npz(tmp_path / "a.npz")
    assert "images: every value is 0: all images are black" in caplog.text
    caplog.clear()
    npz(tmp_path / "a.npz", black=-1)  # grey
    assert "taken as -1 to 1, so that images are dark, at most 0.5 of 1" in caplog.text


@pytest.mark.parametrize(("largest", "warned"), [(130, True), (200, False)])
def test_dark_image_files_are_said(tmp_path, caplog, largest, warned):
    for k in range(3):
        Image.new("RGB", (8, 8), (largest - k, 0, 0)).save(tmp_path / f"{k}.png")
    image_folder(tmp_path, size=8)
    assert (f"the largest value is {largest}; taken as 0 to 255" in caplog.text) is warned


def test_a_file_that_looked_black_and_white_and_is_not_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(image_scale, "_LOOKED_AT_BYTES", 512 * 4)
    images = np.zeros((2000, 2, 2), np.uint8)
    images[1, 0, 0] = 9  # not among the rows looked at when opened
    np.savez(tmp_path / "a.npz", images=images, factors=np.arange(2000)[:, None])
    data = npz(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"images\[1\]: got values 0 to 9; expected 0 to 1 as in"):
        data.observations_at(np.arange(5))


@SAVERS
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_truncated_files_are_refused(tmp_path, save, kept):
    file = tmp_path / "a.npz"
    save(file, images=some_images(50, 16, 16), factors=np.arange(50)[:, None])
    os.truncate(file, int(kept * file.stat().st_size))
    with pytest.raises(ValueError, match=r"a\.npz: damaged, or not an npz"):
        npz(file)


def test_damage_in_a_compressed_file_is_noticed_and_leaves_nothing_in_the_cache(tmp_path):
    file = tmp_path / "a.npz"
    np.savez_compressed(file, images=some_images(50, 16, 16), factors=np.arange(50)[:, None])
    contents = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        middle = archive.getinfo("images.npy").header_offset + 6000
    contents[middle : middle + 4] = bytes(255 - each for each in contents[middle : middle + 4])
    file.write_bytes(contents)
    with pytest.raises(ValueError, match=r"a\.npz: damaged, or not an npz"):
        npz(file)
    assert not [name for name in os.listdir(tmp_path / "cache") if name.endswith(".npy")]


def test_missing_path_and_file_are_said(tmp_path):
    with pytest.raises(ValueError, match=r"dataset\.path is not bound: expected an npz"):
        load_dataset("npz")
    with pytest.raises(FileNotFoundError, match=r"no\.npz: no such file"):
        load_dataset("npz", path=str(tmp_path / "no.npz"))
    with pytest.raises(ValueError, match=r"dataset\.path is not bound: expected a folder"):
        load_dataset("image_folder")


@pytest.mark.parametrize("indices", [[-1], [6], [0.0], [[0]]])
def test_rows_that_do_not_exist_are_refused(tmp_path, indices):
    np.savez(tmp_path / "a.npz", **GOOD)
    with pytest.raises(ValueError, match="indices: got"):
        npz(tmp_path / "a.npz").observations_at(np.array(indices))


# --- metrics -------------------------------------------------------------------------------------

TAKES_CONTINUOUS = {"dci", "dci_regression", "dci_es", "irs", "sap_score", "mcc", "r2"}
TAKES_CONTINUOUS |= {"unsupervised_metrics"}
SMALL = {
    "num_train": 300,
    "num_test": 150,
    "num_eval": 20,
    "num_variance_estimate": 50,
    "num_test_points_per_class": 2,
    "n_experiment": 1,
}


def table_of(factors, **options):
    """Images of one row whose pixels are the factors, scaled to [0, 1]."""
    images = (factors / np.abs(factors).max()).reshape(len(factors), 1, -1, 1).astype(np.float32)
    return ImageTable(factors, lambda rows: images[rows], images.shape[1:], **options)


def read_pixels(observations):
    mixing = np.array([[1, 0, 0.1], [0, 1, 0], [0, 0.2, 1]], np.float32)
    return observations[:, 0, :, 0] @ mixing


def small_score(metric, data, function):
    compute = plugins.find("metrics", metric)
    accepted = inspect.signature(compute).parameters
    settings = {name: value for name, value in SMALL.items() if name in accepted}
    if "n_jobs" in accepted:
        settings["n_jobs"] = 1
    if "downstream" in metric:
        from sklearn.naive_bayes import GaussianNB  # boosted trees would take seconds

        settings |= {"num_train": [300], "predictor_fn": GaussianNB}
    return compute(data, function, RNG(0), **settings)


@pytest.mark.parametrize("metric", plugins.names("metrics"))
def test_every_metric_scores_factors_with_holes(metric):
    """By image, by cached image, and by a table of codes: the same score."""
    factors = holes()
    data, table = table_of(factors), FactorTable(factors)
    codes = read_pixels(data.observations_at(np.arange(2000)))
    ways = [
        (data, read_pixels),
        (data, pipeline.cached(read_pixels, data)),
        (table, TabulatedCodes(codes, table)),
    ]
    assert isinstance(ways[1][1], CachedRepresentation)
    scores = [small_score(metric, *way) for way in ways]
    assert all(np.isfinite(value) for value in scores[0].values())
    for other in scores[1:]:
        assert scores[0].keys() == other.keys()
        for key, value in scores[0].items():
            assert value == pytest.approx(other[key], rel=1e-4, abs=1e-4), key


@pytest.mark.parametrize("metric", plugins.names("metrics"))
def test_every_metric_scores_continuous_factors_or_says_what_to_do(metric):
    data = table_of(RNG(0).uniform(size=(1000, 3)))
    if metric in TAKES_CONTINUOUS:
        assert all(np.isfinite(each) for each in small_score(metric, data, read_pixels).values())
        return
    with pytest.raises(ValueError, match=r"dataset\.factor_bins"):
        small_score(metric, data, read_pixels)


def test_regression_of_continuous_factors_tells_perfect_codes_from_mixed_ones():
    data = table_of(RNG(0).uniform(size=(2000, 3)))
    rotation = np.linalg.qr(RNG(1).normal(size=(3, 3)))[0].astype(np.float32)
    settings = {"num_train": 1000, "num_test": 500, "regressor": "lasso"}
    perfect = compute_dci_regression(data, lambda x: x[:, 0, :, 0], RNG(0), **settings)
    mixed = compute_dci_regression(data, lambda x: x[:, 0, :, 0] @ rotation, RNG(0), **settings)
    assert perfect["disentanglement"] > 0.99
    assert perfect["completeness"] > 0.99
    assert mixed["disentanglement"] < 0.7
    assert perfect["nrmse_test"] < 0.05
    sap = compute_sap(
        data, read_pixels, RNG(0), num_train=500, num_test=100, continuous_factors=True
    )
    assert sap["SAP_score"] > 0.9


def test_binned_factors_are_scored_as_classes(tmp_path):
    factors = RNG(0).uniform(size=(3000, 3))
    images = (factors * 255).astype(np.uint8).reshape(3000, 1, 3, 1)
    np.savez(tmp_path / "a.npz", images=images, factors=factors)
    data = load_dataset("npz", path=str(tmp_path / "a.npz"), factor_bins=4)
    assert data.factors_num_values == [4, 4, 4]
    perfect = compute_mig(data, lambda x: x[:, 0, :, 0], RNG(0), num_train=2000)
    assert perfect["discrete_mig"] > 0.9
    # The rows that share a bin of one factor are held together.
    function = pipeline.cached(lambda x: x[:, 0, :, 0], data)
    fixed = compute_factor_vae(
        data, function, RNG(0), num_train=200, num_eval=100, num_variance_estimate=500
    )
    assert fixed["eval_accuracy"] == 1.0


@pytest.mark.parametrize("num_bins", [2, 5, 10])
def test_bins_are_of_equal_width(num_bins):
    factors = np.stack([RNG(0).uniform(-3, 7, 200), RNG(1).randint(2, size=200) * 2.5], axis=1)
    binned = bin_factors(factors, num_bins)
    low, high = factors[:, 0].min(), factors[:, 0].max()
    for value, number in zip(factors[:, 0], binned[:, 0], strict=True):
        assert number == min(int((value - low) / (high - low) * num_bins), num_bins - 1)
    np.testing.assert_array_equal(binned[:, 1], factors[:, 1] / 2.5)  # few values: one class each
    whole = np.arange(100)[:, None]
    assert bin_factors(whole, num_bins) is whole
    assert bin_factors(factors, None) is factors
    with pytest.raises(ValueError, match=r"dataset\.factor_bins = 1: expected at least 2"):
        bin_factors(factors, 1)


def rows_of(data, num_points):
    samples = sample_codes_and_factors(data, lambda x: x[:, 0, :, 0], num_points, RNG(0), 16)
    return [set(sample.codes[:, 0].tolist()) for sample in samples]


def test_training_and_test_points_share_no_row():
    data = table_of(np.arange(1000, dtype=float)[:, None] + np.zeros((1, 2)))
    train, test = rows_of(data, {"num_train": 600, "num_test": 300})
    assert (len(train), len(test), train & test) == (600, 300, set())
    train, test = rows_of(data, {"num_train": 6000, "num_test": 3000})  # shrunk in proportion
    assert (len(train), len(test), train & test) == (666, 333, set())


def test_held_out_rows_serve_to_test_on_and_for_nothing_else():
    factors = np.arange(1000, dtype=float)[:, None] + np.zeros((1, 2))
    data = table_of(factors, held_out=100)
    first = set((np.arange(900) / 999).astype(np.float32).tolist())
    assert data.num_observations == 1000
    assert set(data.sample_observations(5000, RNG(0))[:, 0, 0, 0].tolist()) <= first
    train, test, more, other = rows_of(
        data, {"num_train 10": 10, "num_test 10": 60, "num_train 90": 500, "num_test 90": 40}
    )
    assert len(train) == 10
    assert len(more) == 500
    assert train | more <= first
    assert (test | other) & first == set()
    assert (len(test), len(other), test & other) == (60, 40, set())
    (alone,) = rows_of(data, {"num_train": 10_000})
    assert alone == first
    with pytest.raises(ValueError, match="held_out: got 1000"):
        table_of(factors, held_out=1000)


def test_too_few_rows_for_two_samples_are_refused():
    with pytest.raises(ValueError, match="got 1 rows to draw 2 samples"):
        rows_of(table_of(np.ones((1, 2))), {"num_train": 10, "num_test": 5})


# --- a folder of images --------------------------------------------------------------------------

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def picture(file, *colours, height=20):
    """A picture of vertical stripes of 20 pixels."""
    image = Image.new("RGB", (20 * len(colours), height))
    for position, colour in enumerate(colours):
        image.paste(colour, (20 * position, 0, 20 * position + 20, height))
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file)
    return image


def images_in(folder, **options):
    data = load_dataset("image_folder", path=str(folder), **options)
    return data._images.at(np.arange(data.num_observations))


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path):
    picture(tmp_path / "b.png", GREEN)
    picture(tmp_path / "a" / "z.PNG", RED)
    picture(tmp_path / "c.bmp", BLUE)
    picture(tmp_path / ".thumbnails" / "a.png", WHITE)
    (tmp_path / "notes.txt").write_text("no picture")
    images = images_in(tmp_path)
    assert images.shape == (3, 64, 64, 3)
    assert images.dtype == np.float32
    for image, colour in zip(images, (RED, GREEN, BLUE), strict=True):
        np.testing.assert_array_equal(image, np.broadcast_to(np.divide(colour, 255), (64, 64, 3)))


def test_the_square_in_the_middle_is_resized(tmp_path):
    picture(tmp_path / "wide.png", RED, GREEN, BLUE)
    (image,) = images_in(tmp_path, size=10)
    # The outermost columns are interpolated with the pixels next to them.
    np.testing.assert_array_equal(image[:, 1:-1], np.broadcast_to([0, 1, 0], (10, 8, 3)))
    np.testing.assert_allclose(image[:, [0, -1], 1], 1, atol=0.2)
    picture(tmp_path / "wide.png", RED, BLUE, height=40)
    (image,) = images_in(tmp_path, size=2)
    np.testing.assert_allclose(image[0], [[1, 0, 0], [0, 0, 1]], atol=0.3)
    (grey,) = images_in(tmp_path, size=2, channels=1)
    assert grey.shape == (2, 2, 1)
    np.testing.assert_allclose(grey[:, 0], 0.299, atol=0.1)  # ITU-R 601 luma of red


def test_a_turned_photograph_stands_upright(tmp_path):
    image = picture(tmp_path / "a.png", RED, BLUE, height=40)
    exif = image.getexif()
    exif[0x0112] = 6  # stored turned by 90 degrees: the left side is up
    image.save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    (tmp_path / "a.png").unlink()
    (image,) = images_in(tmp_path, size=40)
    np.testing.assert_allclose(image[2, 20], [1, 0, 0], atol=0.05)
    np.testing.assert_allclose(image[37, 20], [0, 0, 1], atol=0.05)


def test_what_is_transparent_is_white(tmp_path):
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "a.png")
    Image.new("RGBA", (8, 8), (255, 0, 0, 255)).save(tmp_path / "b.png")
    Image.new("LA", (8, 8), (0, 0)).save(tmp_path / "c.png")
    means = images_in(tmp_path, size=4).mean(axis=(1, 2))
    np.testing.assert_array_equal(means, [[1, 1, 1], [1, 0, 0], [1, 1, 1]])


def test_a_large_jpeg_comes_out_as_a_small_one(tmp_path):
    ramp = np.linspace(0, 255, 1600).astype(np.uint8)
    Image.fromarray(np.tile(ramp, (1600, 1))).save(tmp_path / "a.jpg", quality=95)
    (image,) = images_in(tmp_path, size=16, channels=1)
    expected = np.tile(ramp.reshape(16, 100).mean(axis=1) / 255, (16, 1))
    np.testing.assert_allclose(image[..., 0], expected, atol=0.02)


def test_files_are_read_when_asked_for_and_damaged_ones_named(tmp_path):
    for name in "abc":
        picture(tmp_path / f"{name}.png", RED)
    data = image_folder(tmp_path)
    (tmp_path / "a.png").unlink()
    os.truncate(tmp_path / "b.png", 60)
    assert data._images.at(np.array([2])).shape == (1, 64, 64, 3)
    with pytest.raises(FileNotFoundError, match=r"a\.png"):
        data._images.at(np.array([0]))
    with pytest.raises(ValueError, match=r"b\.png: cannot be read as an image: .*; repair it"):
        data._images.at(np.array([1]))
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(tmp_path / "c.png")
    with pytest.raises(ValueError, match=r"c\.png: .* its mode is I(;16)?; expected eight bits"):
        data._images.at(np.array([2]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 2}, r"dataset\.channels = 2: expected 1 \(grey\) or 3"),
        ({"size": 0}, r"dataset\.size = 0"),
        ({}, "found no image; expected files that end in .bmp"),
    ],
)
def test_folders_and_options_are_checked(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        image_folder(tmp_path, **options)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        image_folder(tmp_path / "no")


def test_images_of_a_folder_cannot_be_scored(tmp_path):
    picture(tmp_path / "a.png", RED)
    data = image_folder(tmp_path, size=4)
    assert data.sample_observations(3, RNG(0)).shape == (3, 4, 4, 3)
    with pytest.raises(ValueError, match="factors"):
        compute_mig(data, lambda x: x[:, 0, :, 0], RNG(0), num_train=20)


# --- the whole command ---------------------------------------------------------------------------


def srvae_run(output, *bindings):
    arguments = ["--gin", TINY, "--output", str(output)]
    for binding in bindings:
        arguments += ["--bind", binding]
    run_main(arguments)


def test_own_data_goes_through_a_whole_run(tmp_path):
    images = some_images(200, 64, 64, 3)
    np.savez(tmp_path / "mine.npz", images=images, factors=RNG(0).randint(4, size=(200, 2)))
    dataset = ['dataset.name = "npz"', f'dataset.path = "{tmp_path / "mine.npz"}"']
    srvae_run(tmp_path / "run", *dataset, 'run.metrics = ["mig"]', "run.pictures = False")
    scores = StepDirectory(tmp_path / "run" / "metrics" / "mean" / "mig", "evaluation").read()
    assert 0 <= scores["discrete_mig"] <= 1


def test_a_folder_goes_through_a_whole_run_without_scores(tmp_path):
    for position in range(5):
        picture(tmp_path / "folder" / f"{position}.png", [RED, GREEN, BLUE][position % 3])
    dataset = ['dataset.name = "image_folder"', f'dataset.path = "{tmp_path / "folder"}"']
    srvae_run(tmp_path / "run", *dataset, "run.metrics = []")
    assert list((tmp_path / "run" / "visualizations").glob("*.png"))


def test_codes_of_own_data_are_scored_as_a_table(tmp_path):
    np.savez(tmp_path / "mine.npz", images=some_images(2000, 2, 2), factors=holes())
    np.savez(tmp_path / "codes.npz", codes=holes() * 1.0)
    arguments = ["--codes", tmp_path / "codes.npz", "--output", tmp_path / "scores"]
    bindings = ['dataset.name = "npz"', f'dataset.path = "{tmp_path / "mine.npz"}"']
    for binding in [*bindings, 'run.metrics = ["mig"]', "mig.num_train = 1500"]:
        arguments += ["--bind", binding]
    evaluate_main([str(argument) for argument in arguments])
    scores = StepDirectory(tmp_path / "scores" / "mig", "evaluation").read()
    assert scores["discrete_mig"] > 0.9


def test_a_path_of_a_wrong_type_is_named():
    with (
        gin_files.configured([], ['dataset.name = "npz"', "dataset.path = 3"]),
        pytest.raises(ValueError, match=r"dataset\.path = 3"),
    ):
        pipeline.bound_dataset()


def test_a_path_too_long_for_a_line_is_read_back_from_the_step_before(tmp_path):
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    images = np.zeros((6, 4, 4), np.uint8)
    np.savez(folder / "mine.npz", images=images, factors=np.arange(6)[:, None])
    bindings = ['dataset.name = "npz"', f"dataset.path = {str(folder / 'mine.npz')!r}"]
    with gin_files.configured([], bindings):
        pipeline.bound_dataset()
        (tmp_path / "postprocess.gin").write_text(gin.config_str())
    assert "\\\n" in (tmp_path / "postprocess.gin").read_text()  # gin has broken the line
    with gin_files.configured([], ['dataset.name = "auto"']):
        assert pipeline.bound_dataset(tmp_path / "postprocess.gin").num_observations == 6
