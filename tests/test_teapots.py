"""Teapots: against a rasteriser of the tests' own, and the protocol of the experiments on them."""

import os
import pickle
import time
from functools import cache
from pathlib import Path

import gin
import numpy as np
import pytest
from scipy import stats
from trained_models import require_alive

import srvae_plugin.data
from srvae_plugin import load_dataset, load_model
from srvae_plugin.cli.run import run_main
from srvae_plugin.config import gin_files
from srvae_plugin.data import teapots_renderer
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.teapots import draw_factors, zero_shot_rows
from srvae_plugin.metrics.codes import sample_codes_and_factors
from srvae_plugin.metrics.dci_regressors import compute_dci_regression
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.directory import StepDirectory
from srvae_plugin.runs.representation import CachedRepresentation

RNG = np.random.RandomState
PI = np.pi
CUTS = 12
SAMPLES = 128


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SRVAE_CACHE", str(tmp_path / "cache"))


# --- a rasteriser that shares nothing with ours but the control points and the light -------------


def de_casteljau(points, t):
    """Point of a Bezier curve by repeated interpolation; points (4, ...)."""
    while len(points) > 1:
        points = (1 - t) * points[:-1] + t * points[1:]
    return points[0]


@cache
def soup():
    """(triangle, corner, 3) positions about the middle, from the file as it is."""
    text = (Path(srvae_plugin.data.__file__).parent / "teapot_newell.csv").read_text()
    points, patches = text.partition("vertices\n")[2].split("patches\n")
    points = [tuple(map(float, line.split(","))) for line in points.split()]
    patches = [[points[int(i)] for i in line.split(",")] for line in patches.split()]
    t = np.linspace(0, 1, CUTS + 1)
    # (4, 4, patch, 3): all patches are evaluated together.
    curves = np.moveaxis(np.array(patches).reshape(-1, 4, 4, 3), 0, 2)
    grid = np.array([[de_casteljau(de_casteljau(curves, u), v) for v in t] for u in t])
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]
    triangles = np.concatenate([np.stack([a, b, c], -2), np.stack([a, c, d], -2)])
    triangles = triangles.reshape(-1, 3, 3)
    return triangles - (triangles.max(axis=(0, 1)) + triangles.min(axis=(0, 1))) / 2


def rasterise(azimuth, elevation):
    """(64, 64) brightness: flat triangles in a depth buffer, one after the other."""
    triangles = soup()
    distance = np.sqrt((triangles**2).sum(axis=2).max()) / np.sin(np.radians(48.1) / 2)
    level = np.cos(elevation)
    eye = [level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)]
    forward = -np.array(eye)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    light = np.array([-1, 1.5, 2]) / np.sqrt(1 + 1.5**2 + 2**2)

    seen = (triangles + distance * forward) @ np.stack([right, up, forward]).T
    faces = np.cross(seen[:, 1] - seen[:, 0], seen[:, 2] - seen[:, 0])
    large = np.linalg.norm(faces, axis=1) > 1e-12  # some patches shrink to a point at an edge
    seen, normals = seen[large], faces[large]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    away = np.einsum("tk,tk->t", normals, seen[:, 0]) > 0
    normals[away] *= -1
    shade = 0.3 + 0.7 * np.maximum(0, normals @ (light * [1, 1, -1]))

    depth, image = np.full((SAMPLES, SAMPLES), np.inf), np.zeros((SAMPLES, SAMPLES))
    scale = SAMPLES / 2 / np.tan(np.radians(48.1) / 2)
    columns = SAMPLES / 2 + scale * seen[..., 0] / seen[..., 2]
    rows = SAMPLES / 2 - scale * seen[..., 1] / seen[..., 2]
    for column, row, z, bright in zip(columns, rows, seen[..., 2], shade, strict=True):
        fill(column, row, z, bright, depth, image)
    return image.reshape(64, 2, 64, 2).mean(axis=(1, 3))


def fill(column, row, z, bright, depth, image):
    """Paint one triangle where its plane is nearer than what is there."""
    top, bottom = int(np.floor(row.min())), int(np.ceil(row.max()))
    left, right = int(np.floor(column.min())), int(np.ceil(column.max()))
    for i in range(max(0, top), min(SAMPLES, bottom)):
        for j in range(max(0, left), min(SAMPLES, right)):
            edges = [
                (column[k] - column[k - 1]) * (i + 0.5 - row[k - 1])
                - (row[k] - row[k - 1]) * (j + 0.5 - column[k - 1])
                for k in range(3)
            ]
            if min(edges) < 0 < max(edges) or not sum(edges):
                continue
            # The edge from corner k - 1 to k weighs the corner opposite; 1 / z is what is linear.
            weights = np.array([edges[2], edges[0], edges[1]]) / sum(edges)
            distance = 1 / (weights @ (1 / z[[1, 2, 0]]))
            if distance < depth[i, j]:
                depth[i, j], image[i, j] = distance, bright


VIEWS = [(0.0, 0.0), (0.5, 0.3), (2.0, 0.9), (4.1, 1.3), (PI / 2, 0.6)]


@pytest.mark.parametrize("view", VIEWS)
def test_teapots_are_those_of_an_independent_rasteriser(view):
    ours, theirs = teapots_renderer.brightness(*view), rasterise(*view)
    assert np.mean(theirs > 0) > 0.1
    # Theirs has more triangles, flat ones, and ours shades them smoothly.
    assert np.mean((ours > 0) != (theirs > 0)) < 0.004
    assert np.abs(ours - theirs).mean() < 0.005


def test_the_rasterisers_would_notice_another_view():
    theirs = rasterise(0.5, 0.3)
    for view in ((-0.5, 0.3), (0.5 + PI, 0.3), (0.5, 0.4), (0.55, 0.3), (0.3, 0.5)):
        assert np.abs(teapots_renderer.brightness(*view) - theirs).mean() > 0.0055, view


def render(*factors):
    return teapots_renderer.render(np.array([factors], dtype=float))[0]


def test_colours_scale_the_brightness():
    white = render(1.0, 0.4, 1, 1, 1)
    assert white.dtype == np.float32
    assert white.shape == (64, 64, 3)
    assert 0.9 < white.max() <= 1
    np.testing.assert_array_equal(white[..., 0], white[..., 2])
    for colour in ((0.2, 0.5, 0.9), (0, 1, 0), (0.5, 0.5, 0.5)):
        np.testing.assert_allclose(render(1.0, 0.4, *colour), white * colour, atol=1e-6)


def test_azimuth_goes_full_circle():
    # The same angle but for the last digits: a sample on an edge may fall to either side.
    first, last = render(0, 0.5, 1, 1, 1), render(2 * PI, 0.5, 1, 1, 1)
    assert np.mean(np.abs(first - last) > 1e-5) < 1e-3
    assert np.abs(render(PI, 0.5, 1, 1, 1) - first).mean() > 0.01


def box_of(azimuth, elevation):
    """First and last row and column of the silhouette."""
    rows, columns = np.nonzero(teapots_renderer.brightness(azimuth, elevation))
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_from_the_side_and_from_above_the_teapot_has_its_own_proportions():
    """6.43 long, 4 wide, 3.15 high: within what perspective changes."""
    top, bottom, left, right = box_of(PI / 2, 0)  # spout to the left
    assert (right - left) / (bottom - top) == pytest.approx(6.43 / 3.15, rel=0.15)
    top, bottom, left, right = box_of(0, PI / 2)  # from above, spout towards the viewer: down
    assert (bottom - top) / (right - left) == pytest.approx(6.43 / 4, rel=0.15)
    above = teapots_renderer.brightness(0, PI / 2) > 0
    assert np.mean(above != above[:, ::-1]) < 0.005  # the left is the right's mirror image
    turned = teapots_renderer.brightness(PI / 2, PI / 2) > 0
    assert np.mean(turned != np.rot90(above, -1)) < 0.01


def test_the_spout_comes_towards_the_viewer_at_azimuth_0_and_goes_left_at_a_quarter_turn():
    side = teapots_renderer.brightness(PI / 2, 0) > 0
    tip = np.flatnonzero(side[:, np.flatnonzero(side.any(axis=0))[0]]).mean()
    grip = np.flatnonzero(side[:, np.flatnonzero(side.any(axis=0))[-1]]).mean()
    middle = np.flatnonzero(side.any(axis=1)).mean()
    assert tip < grip - 3  # the spout's tip is higher than the handle's outermost point
    assert tip < middle


def test_every_view_is_whole_on_a_black_background():
    factors = draw_factors(300, seed=5)
    factors[:, 2:] = 1
    images = teapots_renderer.render(factors)
    assert not images[:, [0, 0, -1, -1], [0, -1, 0, -1]].any()
    for azimuth, elevation in factors[:, :2]:
        axes = teapots_renderer.camera_axes(azimuth, elevation)
        right, up, near = axes @ teapots_renderer.teapot_mesh().vertices.T
        depth = teapots_renderer.teapot_mesh().distance - near
        edge = np.tan(np.radians(48.1) / 2) + 1e-9
        assert max(np.abs(right / depth).max(), np.abs(up / depth).max()) <= edge
    assert images.min() == 0
    assert images.max() <= 1
    shown = images[..., 0] > 0
    assert shown.mean(axis=(1, 2)).min() > 0.1
    # The darkest sample of the surface is .3; at the outline a quarter of a pixel may be covered.
    assert images[..., 0][shown].min() >= 0.3 / 4 - 1e-6


def test_normals_have_length_1_and_point_to_the_side_that_triangles_turn_to():
    mesh = teapots_renderer.teapot_mesh()
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-12)
    a, b, c = (mesh.vertices[corner] for corner in mesh.triangles.T)
    faces = np.cross(b - a, c - a)
    large = np.linalg.norm(faces, axis=1) > 1e-6
    agree = np.einsum("tk,tk->t", faces, mesh.normals[mesh.triangles[:, 0]])[large] > 0
    assert agree.mean() > 0.995
    assert len(teapots_renderer.control_points()) == 32


def test_drawing_is_faster_than_the_tests_rasteriser():
    factors = draw_factors(30, seed=1)
    teapots_renderer.render(factors[:1])  # compiles
    begun = time.process_time()
    teapots_renderer.render(factors)
    ours = (time.process_time() - begun) / 30
    begun = time.process_time()
    rasterise(*factors[0, :2])
    assert ours < (time.process_time() - begun) / 20


# --- the data set --------------------------------------------------------------------------------


def test_factors_are_uniform_and_independent():
    factors = draw_factors(20_000, seed=0)
    for column, high in zip(factors.T, (2 * PI, PI / 2, 1, 1, 1), strict=True):
        assert stats.kstest(column / high, "uniform").pvalue > 1e-3
    correlation = np.corrcoef(factors.T) - np.eye(5)
    assert np.abs(correlation).max() < 5 / np.sqrt(20_000)


def test_images_are_those_of_the_factors_and_always_the_same():
    data, again = load_dataset("teapots", num_images=50), load_dataset("teapots", num_images=80)
    assert isinstance(data, GroundTruthData)
    assert data.observation_shape == [64, 64, 3]
    assert data.factor_names == ["azimuth", "elevation", "red", "green", "blue"]
    assert not data.is_grid
    rows = np.array([3, 40, 3])
    images = data.observations_at(rows)
    np.testing.assert_array_equal(images[0], images[2])
    np.testing.assert_array_equal(images, again.observations_at(rows))
    np.testing.assert_allclose(
        images, teapots_renderer.render(data.factors_at(rows)), atol=0.5 / 255 + 1e-6
    )
    np.testing.assert_array_equal(np.rint(images * 255) / np.float32(255), images)
    other = load_dataset("teapots", num_images=50, seed=1)
    assert not np.isclose(other.factors, data.factors).any()
    drawn, observations = data.sample(4, RNG(0))
    np.testing.assert_allclose(observations, teapots_renderer.render(drawn), atol=0.003)


def test_stored_images_are_the_drawn_ones(tmp_path):
    drawn = load_dataset("teapots", num_images=30)
    stored = load_dataset("teapots", num_images=30, stored=True)
    rows = np.arange(30)
    np.testing.assert_array_equal(stored.observations_at(rows), drawn.observations_at(rows))
    (file,) = (path for path in (tmp_path / "cache").iterdir() if path.suffix == ".npy")
    assert file.stat().st_size == pytest.approx(30 * 64 * 64 * 3, abs=200)


def test_a_worker_process_gets_factors_and_not_images(tmp_path):
    for stored in (False, True):
        data = load_dataset("teapots", num_images=100, stored=stored)
        sent = pickle.dumps(data)
        assert len(sent) < 100_000
        rows = np.arange(3)
        received = pickle.loads(sent).observations_at(rows)
        np.testing.assert_array_equal(received, data.observations_at(rows))


def test_splits_are_80_10_10_and_share_nothing():
    whole = draw_factors(1000, seed=0)
    parts = {
        split: load_dataset("teapots", num_images=1000, split=split)
        for split in ("train", "validation", "test")
    }
    assert [part.num_observations for part in parts.values()] == [800, 100, 100]
    np.testing.assert_array_equal(np.concatenate([p.factors for p in parts.values()]), whole)
    image = parts["test"].observations_at(np.array([7]))
    np.testing.assert_allclose(image, teapots_renderer.render(whole[[907]]), atol=0.003)


def test_the_zero_shot_gap_is_left_out_of_every_split():
    whole = draw_factors(1000, seed=0)
    in_gap = [
        elevation > PI / 4 and red > green + 0.15 and red > blue + 0.15
        for _, elevation, red, green, blue in whole
    ]
    assert 50 < sum(in_gap) < 150
    np.testing.assert_array_equal(zero_shot_rows(whole), in_gap)
    options = {"num_images": 1000, "zero_shot_gap": True}
    seen = []
    for split in ("train", "validation", "test", "gap"):
        factors = load_dataset("teapots", split=split, **options).factors
        assert zero_shot_rows(factors).all() == (split == "gap")
        assert zero_shot_rows(factors).any() == (split == "gap")
        seen.append(factors)
    assert sorted(map(tuple, np.concatenate(seen))) == sorted(map(tuple, whole))
    everything = load_dataset("teapots", split="all", **options)
    assert everything.num_observations == 1000 - sum(in_gap)


def test_regressors_are_fitted_on_the_training_split_and_tested_on_the_test_split():
    data = load_dataset("teapots", num_images=1000, split="train", test_split="test")
    whole = draw_factors(1000, seed=0)
    assert data.num_observations == 900

    function = CachedRepresentation(lambda images: images[:, :5, 0, 0], data)
    points = {"num_train": 160_000, "num_test": 20_000}
    train, test = sample_codes_and_factors(data, function, points, RNG(0), 16)
    assert sorted(map(tuple, train.factors)) == sorted(map(tuple, whole[:800]))
    assert sorted(map(tuple, test.factors)) == sorted(map(tuple, whole[900:]))
    drawn = data.sample_factors(3000, RNG(1))
    assert set(map(tuple, drawn)) <= set(map(tuple, whole[:800]))


def test_perfect_codes_are_disentangled_under_the_papers_settings():
    data = load_dataset("teapots", num_images=4000, split="train", test_split="test")

    class Factors:
        """A representation that reads the factors themselves, by row."""

        def __init__(self):
            self.data = data

        def codes_at(self, rows):
            return data.factors_at(rows)

    with gin_files.only(["srvae_teapots.gin"]):
        for regressor in ("random_forest", "lasso"):
            with gin.config_scope(regressor):
                compute = gin.get_configurable(compute_dci_regression)
                scores = compute(data, Factors(), RNG(0))
            assert scores["disentanglement"] > 0.99
            assert scores["completeness"] > 0.99
            # Depth 3 has 8 leaves: uniform within 1 / 8 leaves an error of 1 / 8 of the deviation.
            assert scores["nrmse_test_factor_2"] == pytest.approx(
                1 / 8 if regressor == "random_forest" else 0.02, rel=0.15
            )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_images": 9}, r"dataset\.num_images = 9: expected at least 10"),
        ({"num_images": 10**12}, r"num_images = 1000000000000: expected at most 2,000,000"),
        ({"seed": -1}, r"dataset\.seed = -1: expected 0 \.\."),
        ({"split": "gap"}, "or 'gap' if dataset.zero_shot_gap = True"),
        ({"split": "dev"}, r"dataset\.split = 'dev': expected"),
        ({"test_split": "test"}, r"dataset\.test_split = 'test': shares images with .* 'all'"),
        ({"factor_bins": 1}, r"dataset\.factor_bins = 1: expected at least 2"),
        ({"path": "x.npz", "num_images": 20}, r"num_images, seed and stored have no meaning"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        load_dataset(
            "teapots", **{"num_images": 20, **options} if "path" not in options else options
        )


def test_binned_factors_are_the_same_classes_in_every_split():
    options = {"num_images": 500, "factor_bins": 4}
    whole = load_dataset("teapots", **options).factors
    test = load_dataset("teapots", split="test", **options).factors
    np.testing.assert_array_equal(whole[450:], test)
    high = draw_factors(500, 0)[:, 1] / (PI / 2)
    assert np.mean(whole[:, 1] == np.floor(4 * high)) >= 0.98  # the ends are those of the sample


# --- the original file ---------------------------------------------------------------------------


def original(file, num=40, images=None, gts=None):
    """A file in the original's format."""
    made = RNG(0).randint(256, size=(num, 64, 64, 3)).astype(np.uint8)
    np.savez_compressed(
        file,
        images=made if images is None else images,
        gts=draw_factors(num, 3) if gts is None else gts,
    )
    return made


def test_the_original_is_read(tmp_path):
    images = original(tmp_path / "teapots.npz")
    data = load_dataset("teapots", path=str(tmp_path / "teapots.npz"))
    np.testing.assert_array_equal(data.factors, draw_factors(40, 3))
    np.testing.assert_allclose(data.observations_at(np.arange(40)), images / 255, atol=1e-6)
    part = load_dataset("teapots", path=str(tmp_path / "teapots.npz"), split="validation")
    np.testing.assert_allclose(part.observations_at(np.arange(4)), images[32:36] / 255, atol=1e-6)
    assert part.source == str(tmp_path / "teapots.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gts": draw_factors(39, 3)}, r"gts: got float64 of shape \(39, 5\); .* \(40, 5\)"),
        ({"gts": np.ones((40, 5), int)}, "gts: got int64"),
        ({"gts": draw_factors(40, 3) * 10}, r"gts: got .* for azimuth; expected 0 to 6\.2832"),
        ({"gts": np.full((40, 5), np.nan)}, "gts: got nan in row 0 for azimuth"),
        ({"images": np.zeros((40, 64, 64), np.uint8)}, "expected at least 10 RGB images"),
    ],
)
def test_another_file_is_refused(tmp_path, change, message):
    file = tmp_path / "teapots.npz"
    original(file, **change)
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset("teapots", path=str(file))
    assert str(file) in str(caught.value)


def test_a_missing_or_truncated_file_is_said(tmp_path):
    file = tmp_path / "teapots.npz"
    with pytest.raises(FileNotFoundError, match=r"teapots\.npz: no such file"):
        load_dataset("teapots", path=str(file))
    original(file)
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(ValueError, match=r"teapots\.npz: damaged"):
        load_dataset("teapots", path=str(file))


# --- the paper's protocol ------------------------------------------------------------------------


def test_the_protocol_goes_through_a_whole_run(tmp_path):
    bindings = ["dataset.num_images = 300", "model.training_steps = 3", "model.eval_steps = 1"]
    bindings += ["model.batch_size = 2", "encoder.num_latent = 3", "run.pictures = False"]
    bindings += ["srvae_encoder.base_channels = 4", "srvae_decoder.base_channels = 4"]
    arguments = ["--gin", "srvae_teapots.gin", "--output", str(tmp_path / "run")]
    for binding in bindings:
        arguments += ["--bind", binding]
    run_main(arguments)
    require_alive(load_model(tmp_path / "run"))
    for regressor in ("random_forest", "lasso"):
        scores = StepDirectory(
            tmp_path / "run" / "metrics" / "mean" / regressor, "evaluation"
        ).read()
        assert 0 <= scores["disentanglement"] <= 1
        assert scores["num_factors_scored"] == 5
        assert scores["nrmse_test"] > 0


def test_the_protocol_has_the_papers_numbers():
    with gin_files.only(["srvae_teapots.gin"]):
        settings = pipeline.training_settings()
        assert settings.batch_size == 64
        assert gin.query_parameter("vae/AdamOptimizer.learning_rate") == 1e-5
        assert gin.query_parameter("encoder.num_latent") == 10
        assert gin.query_parameter("lasso/dci_regression.alpha") == 0.02
        assert gin.query_parameter("random_forest/dci_regression.num_trees") == 10
        depths = gin.query_parameter("random_forest/dci_regression.max_depths")
        assert depths == [12, 10, 3, 3, 3]
        assert (settings.model.likelihood, settings.model.residual) == ("bernoulli", "image")
