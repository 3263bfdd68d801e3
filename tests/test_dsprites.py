"""dSprites: the renderer against true images and a second algorithm; the data set; verification."""

import csv
import logging
import math
import pickle
import shutil
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from srvae_plugin.data import dsprites, dsprites_renderer
from srvae_plugin.data.dsprites_original import FILE_NAME
from srvae_plugin.data.ground_truth import GroundTruthData

CHECKS = Path(__file__).parent / "data" / "dsprites_checks.csv"
FACTORS = st.tuples(*(st.integers(0, size - 1) for size in (3, 6, 40, 32, 32)))


@pytest.fixture(scope="session")
def whole_set_cache(tmp_path_factory):
    """A cache folder in which a first use has put the whole set, once for all tests."""
    folder = tmp_path_factory.mktemp("dsprites-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SRVAE_CACHE", str(folder))
        patch.delenv("DISENTANGLEMENT_LIB_DATA", raising=False)
        dsprites.DSprites()
    assert [file.name for file in folder.iterdir()] == ["dsprites-v1.npy"]
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def full(whole_set_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SRVAE_CACHE", str(whole_set_cache))
        patch.delenv("DISENTANGLEMENT_LIB_DATA", raising=False)
        return dsprites.dsprites_full()


@pytest.fixture
def use_cache(whole_set_cache, monkeypatch):
    monkeypatch.setenv("SRVAE_CACHE", str(whole_set_cache))
    monkeypatch.delenv("DISENTANGLEMENT_LIB_DATA", raising=False)
    return whole_set_cache


# ---------------------------------------------------------------- renderer


def true_images():
    with CHECKS.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_true_images_are_reproduced():
    rows = true_images()
    assert len(rows) == 258
    names = ("shape", "scale", "orientation", "posX", "posY")
    images = dsprites_renderer.render_images(np.array([[int(r[n]) for n in names] for r in rows]))
    for row, image in zip(rows, images, strict=True):
        y, x = np.nonzero(image)
        found = [image.sum(), y.min(), y.max(), x.min(), x.max()]
        assert found == [int(row[n]) for n in ("area", "ymin", "ymax", "xmin", "xmax")], row
        packed = np.packbits(image, axis=1).tobytes()
        assert zlib.crc32(packed) == int(row["crc32_of_packed_rows"]), row


def outline(shape):
    """Unit outline in units of the half side, y down, as plain Python numbers."""
    if shape == 0:
        return [(-1, -1), (-1, 1), (1, 1), (1, -1)]
    points = []
    for k in range(100 if shape == 1 else 150):
        t = 2 * math.pi * k / (100 if shape == 1 else 150)
        if shape == 1:
            points.append((1.33 * math.cos(t), math.sin(t) / 1.33))
        else:
            lobes = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
            points.append((math.sin(t) ** 3, -0.15 - 2 * lobes / 29))
    return points


def slow_image(shape, scale, orientation, x, y):
    """Point-in-polygon for every pixel, in exact fractions."""
    size, angle = 9.6 * (0.5 + 0.1 * scale), 2 * math.pi * orientation / 39
    c, s = math.cos(angle), math.sin(angle)
    polygon = []
    for u, v in outline(shape):
        place = (
            16 + 32 * x / 31 + size * (c * u + s * v),
            16 + 32 * y / 31 + size * (c * v - s * u),
        )
        polygon.append([Fraction(math.floor(256 * p + 0.5), 256) for p in place])
    edges = list(zip(polygon, polygon[1:] + polygon[:1], strict=True))
    image = np.zeros((64, 64), np.uint8)
    for row in range(64):
        cy = row + Fraction(1, 2)
        crossings = [
            x0 + (cy - y0) * (x1 - x0) / (y1 - y0)
            for (x0, y0), (x1, y1) in edges
            if min(y0, y1) < cy <= max(y0, y1)
        ]
        for column in range(64):
            image[row, column] = sum(p <= column + Fraction(1, 2) for p in crossings) % 2
    return image


@settings(max_examples=25)
@given(factors=FACTORS)
def test_renderer_agrees_with_a_slow_polygon_scan(factors):
    image = dsprites_renderer.render_images(np.array([factors]))[0]
    np.testing.assert_array_equal(image, slow_image(*factors))


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (np.zeros((1, 6), int), r"factors: got int64 of shape \(1, 6\)"),
        (np.zeros((1, 5)), "factors: got float64"),
        (np.array([[3, 0, 0, 0, 0]]), r"factors: every row must lie between 0 and \[2, 5, 39"),
    ],
)
def test_renderer_refuses_wrong_factors(factors, message):
    with pytest.raises(ValueError, match=message):
        dsprites_renderer.render_images(factors)


# ---------------------------------------------------------------- data set


def test_whole_set_has_the_expected_counts(use_cache):
    result = dsprites.verify()
    assert result == dsprites.Verification("re-rendered", 128328864, 715706, 0, ())
    assert result.passed


def test_named_sets_offer_dlibs_factors(full, use_cache):
    noshape, plain = dsprites.dsprites_noshape(), dsprites.DSprites()
    assert full.factors_num_values == [3, 6, 40, 32, 32]
    assert noshape.factors_num_values == [6, 40, 32, 32]
    assert plain.factors_num_values == [1, 3, 6, 40, 32, 32]
    assert full.num_observations == 737280
    assert full.observation_shape == [64, 64, 1]
    assert full.source == "re-rendered"
    assert isinstance(full, GroundTruthData)


def test_noshape_draws_the_shape_when_the_observation_is_made(use_cache):
    factors, observations = dsprites.dsprites_noshape().sample(20, np.random.RandomState(5))
    expected = np.random.RandomState(5)
    columns = [expected.randint(size, size=20) for size in (6, 40, 32, 32)]
    np.testing.assert_array_equal(factors, np.stack(columns, axis=1))
    expected.randint(1, size=20)
    shape = expected.randint(3, size=20)
    images = dsprites_renderer.render_images(np.stack([shape, *columns], axis=1))
    np.testing.assert_array_equal(observations, images[..., None].astype(np.float32))
    assert observations.dtype == np.float32


@settings(max_examples=20)
@given(rows=st.lists(FACTORS, max_size=5))
def test_observations_are_those_of_the_renderer(full, rows):
    factors = np.array(rows, dtype=np.int64).reshape(-1, 5)
    observations = full.sample_observations_from_factors(factors, np.random.RandomState(0))
    assert observations.shape == (len(rows), 64, 64, 1)
    images = dsprites_renderer.render_images(factors)
    np.testing.assert_array_equal(observations[..., 0], images)


def test_first_and_last_orientation_are_the_same_image(full):
    unused = np.random.RandomState(0)
    first = np.array([[s, 3, 0, 7, 21] for s in range(3)])
    last = np.where(np.arange(5) == 2, 39, first)
    np.testing.assert_array_equal(
        full.sample_observations_from_factors(first, unused),
        full.sample_observations_from_factors(last, unused),
    )


def test_pickled_data_set_is_small_and_works(full, use_cache):
    pickled = pickle.dumps(full)
    assert len(pickled) < 10_000
    indices = np.array([0, 400_000])
    np.testing.assert_array_equal(
        pickle.loads(pickled).observations_at(indices), full.observations_at(indices)
    )


# ---------------------------------------------------------------- files and verification


def test_stale_rendering_in_the_cache_is_noticed(whole_set_cache):
    packed = np.load(whole_set_cache / "dsprites-v1.npy", mmap_mode="c")
    assert dsprites._matches_rendering(packed)
    assert dsprites._has_no_blank_image(packed)
    packed[100_000:102_000] = 0
    assert not dsprites._matches_rendering(packed)
    assert not dsprites._has_no_blank_image(packed)


def test_public_entries_insist_on_the_official_shape(tmp_path, use_cache):
    file = tmp_path / FILE_NAME
    np.savez(file, imgs=np.zeros((216, 64, 64), np.uint8), latents_classes=np.zeros((216, 6), int))
    for entry in (dsprites.dsprites_full, dsprites.dsprites_noshape, dsprites.verify):
        with pytest.raises(ValueError, match=r"expected shape \(737280, 6\), found \(216, 6\)"):
            entry(file)


def test_missing_file_is_said(tmp_path, use_cache):
    for entry in (dsprites.dsprites_full, dsprites.verify):
        with pytest.raises(FileNotFoundError, match=r"nowhere\.npz: no such file.*dataset\.path"):
            entry(tmp_path / "nowhere.npz")


def test_original_of_the_user_replaces_the_rendering(tmp_path, use_cache, monkeypatch, caplog):
    """By path or by dlib's folder, read once and then cached until the file changes."""
    inverted = ~np.load(use_cache / "dsprites-v1.npy", mmap_mode="r")
    reads = []

    def read(file):
        reads.append(file)
        return inverted.copy()

    monkeypatch.setattr(dsprites, "read_original", read)
    monkeypatch.setenv("DISENTANGLEMENT_LIB_DATA", str(tmp_path))
    assert dsprites.dsprites_full().source == "re-rendered"
    file = tmp_path / "dsprites" / FILE_NAME
    file.parent.mkdir()
    file.write_bytes(b"old")
    with caplog.at_level(logging.INFO, "srvae_plugin"):
        data = dsprites.dsprites_full()
    assert [record.getMessage() for record in caplog.records] == [
        f"dSprites: using the original images of {file}"
    ]
    assert data.source == str(file)
    assert data.observations_at(np.array([0])).mean() > 0.9
    monkeypatch.delenv("DISENTANGLEMENT_LIB_DATA")
    dsprites.dsprites_noshape(file)
    assert len(reads) == 1
    file.write_bytes(b"newer")
    dsprites.dsprites_full(str(file))
    assert len(reads) == 2
    for cached in use_cache.glob("dsprites-original-*"):
        cached.unlink()


def test_verify_counts_the_images_that_differ(tmp_path, use_cache, monkeypatch):
    packed = np.load(use_cache / "dsprites-v1.npy", mmap_mode="c")
    packed[[5, 700_000], 0] ^= 128
    monkeypatch.setattr(dsprites, "read_original", lambda file: packed)
    result = dsprites.verify(tmp_path / "my.npz")
    assert result.source == str(tmp_path / "my.npz")
    assert (result.differing_images, result.first_differing) == (2, (5, 700_000))
    assert result.white_pixels == dsprites.WHITE_PIXELS + 2
    assert not result.passed
