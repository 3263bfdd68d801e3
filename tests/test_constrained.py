"""Grids whose factors are correlated, or some of whose combinations are never drawn."""

import math

import numpy as np
import pytest
import torch

import srvae_plugin as sv
from srvae_plugin.config import gin_files
from srvae_plugin.config.data_record import record_of
from srvae_plugin.config.plugins import load_dataset
from srvae_plugin.data.image_grid import ImageGrid
from srvae_plugin.data.sampling.combinations import left_out, pair_weights, read_rule
from srvae_plugin.data.sampling.constrained import constrained
from srvae_plugin.data.sampling.held_out import to_score
from srvae_plugin.data.sampling.pairs import SAMPLINGS, ChangedFactors
from srvae_plugin.data.storage.byte_table import byte_table_of
from srvae_plugin.runs.trained_on import bound_dataset
from srvae_plugin.testing.building import Bars
from srvae_plugin.training.batches import DeviceImages, HostImages

NAMES = ["shape", "scale", "position x", "position y"]
SIZES = [3, 6, 8, 8]
# The form of the repository's files, with names and numbers of its own.
YAML = """
base:
  correlations: []
two:
  correlations:
    ('shape', 'scale'): 0.4
    ('posX', 'posY'): 0.1
confounded:
  correlations:
    ('shape', 'random'): 0.2
  repeat: ['count', 'max_num_single']
combinations:
  constraints:
    shape: ['==', 3/3.]
    posX: ['>=', 0.5]
  connect: and
holes:
  constraints:
    all: ['==', 'random']
  connect: and
  repeat: ['coverage', 0.1]
ranges:
  constraints:
    all: [['==', '>=', '<='], 'random']
  connect: and
  repeat: ['coverage', 0.1]
hull:
  constraints:
    all: ['==', 'random']
  repeat: ['coverage_with_hullmin', 0.1, 3]
either:
  constraints:
    shape: ['or', [['<=', 0], ['>=', 1]]]
    scale: ['==', [0, 1]]
  connect: or
beside:
  constraints:
    posX: ['==', [1/7., 2/7., 3/7.], 2]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(YAML)
    return str(path)


def grid():
    images = np.zeros((math.prod(SIZES), 8, 8, 1), np.uint8)
    images[:, 0, :4, 0] = np.stack(np.unravel_index(np.arange(len(images)), SIZES), 1) * 10
    return ImageGrid(images, SIZES, NAMES)


def test_drawn_factors_are_correlated_as_bound(file):
    """The correlation and every frequency of a pair are those of the formula, in plain loops."""
    data = constrained(grid(), f"{file}:two")
    drawn = data.sample_factors(10**6, np.random.RandomState(0))
    for (one, other), sigma in (((0, 1), 0.4), ((2, 3), 0.1)):
        weights = np.zeros((SIZES[one], SIZES[other]))
        for i in range(SIZES[one]):
            for k in range(SIZES[other]):
                u, v = i / (SIZES[one] - 1), k / (SIZES[other] - 1)
                weights[i, k] = math.exp(-((u - v) ** 2) / (2 * sigma**2))
        expected = weights / weights.sum()
        found = np.histogram2d(drawn[:, one], drawn[:, other], [range(SIZES[one] + 1),
                               range(SIZES[other] + 1)])[0] / len(drawn)  # fmt: skip
        error = 5 * np.sqrt(expected * (1 - expected) / len(drawn)) + 1e-6
        assert (np.abs(found - expected) < error).all()
        i, k = np.indices(expected.shape)
        mean = (expected * i).sum(), (expected * k).sum()
        covariance = (expected * (i - mean[0]) * (k - mean[1])).sum()
        spread = (expected * (i - mean[0]) ** 2).sum() * (expected * (k - mean[1]) ** 2).sum()
        correlation = covariance / math.sqrt(spread)
        assert np.corrcoef(drawn[:, one], drawn[:, other])[0, 1] == pytest.approx(
            correlation, abs=5 / 1000
        )
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 2])[0, 1]) < 5 / 1000


@pytest.mark.parametrize("entry", ["combinations", "holes", "ranges", "hull", "either", "beside"])
def test_what_is_left_out_is_never_drawn(file, entry):
    data = constrained(grid(), constraints=f"{file}:{entry}")
    out = data.weights == 0
    drawn = data.sample_factors(10**6, np.random.RandomState(1))
    assert not out[tuple(drawn.T)].any()
    assert len(np.unique(np.ravel_multi_index(tuple(drawn.T), SIZES))) == (~out).sum()
    trained, others = to_score(data).parts
    assert trained is data
    assert out[tuple(others.sample_factors(10**5, np.random.RandomState(2)).T)].all()


def test_the_right_combinations_are_left_out(file):
    shape, scale, x, y = np.indices(SIZES)
    for entry, expected in (
        ("combinations", (shape == 2) & (x >= 4)),
        ("either", None),
        ("beside", None),
    ):
        out = left_out(read_rule(f"{file}:{entry}", "constraints"), NAMES, SIZES, 0)
        if expected is not None:
            np.testing.assert_array_equal(out, expected)
    either = left_out(read_rule(f"{file}:either", "constraints"), NAMES, SIZES, 0)
    ends = [(shape != 1) | (scale == end) for end in (0, 5)]
    assert any(np.array_equal(either, each) for each in ends)
    beside = left_out(read_rule(f"{file}:beside", "constraints"), NAMES, SIZES, 0)
    assert any(np.array_equal(beside, (x == k) | (x == k + 1)) for k in (1, 2))
    total = math.prod(SIZES)
    for entry, most in (("holes", int(0.1 * total)), ("ranges", int(0.11 * total))):
        out = left_out(read_rule(f"{file}:{entry}", "constraints"), NAMES, SIZES, 0)
        assert int(0.1 * total) <= out.sum() <= most
    hull = left_out(read_rule(f"{file}:hull", "constraints"), NAMES, SIZES, 0)
    at_an_end = sum(
        (axis == 0) | (axis == size - 1)
        for axis, size in zip((shape, scale, x, y), SIZES, strict=True)
    )
    assert (at_an_end[hull] >= 3).all()
    assert hull.sum() == int(0.1 * total)


def test_confounding_goes_through_all_pairs_of_a_factor(file):
    weights = pair_weights(read_rule(f"{file}:confounded", "correlations"), NAMES, SIZES, 0)
    drawn = constrained(grid(), f"{file}:confounded").sample_factors(
        10**5, np.random.RandomState(0)
    )
    assert (np.corrcoef(drawn.T)[0, 1:] > 0.5).all()
    assert weights.shape == tuple(SIZES)


@pytest.mark.parametrize(
    ("rules", "part"),
    [
        ({"correlations": {"shape, colour": 0.1}}, "no factor 'colour'; the factors are shape, sc"),
        ({"correlations": {"shape, scale": 0}}, "is 0: expected a number above 0"),
        ({"correlations": {"shape": 0.1}}, "'shape': expected two factors"),
        ({"correlations": {"shape, scale": 0.1, "scale, shape": 0.2}}, "there is none left"),
        ({"constraints": {"shape": ["==", 0.4]}}, r"shape == 0.4: it has \[0.0, 0.5, 1.0\]"),
        ({"constraints": {"shape": ["=", 0.5]}}, "'=': expected one of"),
        ({"constraints": {"shape": 0.5}}, r"shape = 0.5: expected \['>=', 0.5\], say"),
        ({"constraints": {"shape": ["==", "__import__('os')"]}}, "is not a number"),
        ({"constraints": {"shape": [">=", 0]}}, "every combination of the factors is left out"),
        ({"constraints": "nowhere.yaml"}, "'nowhere.yaml': cannot be read: "),
    ],
)
def test_rules_that_cannot_be_used_say_why(rules, part):
    with pytest.raises(ValueError, match=part):
        constrained(grid(), **rules)


@pytest.mark.parametrize(
    ("constraints", "repeat", "said"),
    [
        ({"shape": ["==", "random"]}, ["coverage", 0.2], "only 0 of the 230 combinations asked"),
        ({"shape": ["==", 0]}, ["coverage", 0.5], "only 384 of the 576 combinations asked for"),
        ({"all": ["==", "random"]}, ["count", 0], "leaves out 0 of 1152 combinations; expected"),
        ({"all": ["==", "random"]}, ["count", 1153], "asks for 1153 combinations to be left out; "),
    ],
)
def test_repeats_that_can_never_be_reached_are_said(constraints, repeat, said):
    with pytest.raises(ValueError, match=said):
        left_out({"constraints": constraints, "repeat": repeat}, NAMES, SIZES, 0)


def test_an_entry_that_is_not_there_is_said(file):
    with pytest.raises(ValueError, match="has no 'three'; it has base, two"):
        constrained(grid(), f"{file}:three")
    with pytest.raises(ValueError, match=r"or one of its entries: '.*rules\.yaml:base'"):
        constrained(grid(), file)
    with pytest.raises(ValueError, match="DummyData is not a grid"):
        load_dataset("dummy_data", correlations={"factor 0, factor 1": 0.1})


def test_images_are_drawn_alike_on_the_host_and_on_the_device():
    data = constrained(grid(), {"shape, scale": 0.3}, {"position x": ["==", 0]})
    device = DeviceImages(data, byte_table_of(data), torch.device("cpu"))
    for num in (1, 50):
        one, other = (
            source.images(source.draw(num, np.random.RandomState(3)))
            for source in (HostImages(data), device)
        )
        assert torch.equal(one, other)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_pairs_keep_to_the_combinations(sampling):
    rule = {"shape": ["==", 1.0], "position x": [">=", 0.5]}
    data = constrained(grid(), {"position x, position y": 0.2}, rule)
    first, second, _ = ChangedFactors(data, -1, sampling).draw_factors(
        20000, np.random.RandomState(0)
    )
    for drawn in (first, second):
        assert not ((drawn[:, 0] == 2) & (drawn[:, 2] >= 4)).any()
    if sampling == "uniform":
        assert np.corrcoef(second[:, 2:].T)[0, 1] > 0.8


def test_gin_binds_them_and_a_run_records_them(tmp_path):
    rule = "{'shape': ['==', 1.0], 'position x': ['>=', 0.5]}"
    bindings = ["dataset.name = 'dsprites_full'", f"dataset.constraints = {rule}"]
    bindings += ["dataset.correlations = {'posX, posY': 0.1}"]
    with gin_files.only([], bindings):
        data = bound_dataset()
        record = record_of(data)
    drawn = data.sample_factors(10**6, np.random.RandomState(0))
    assert not ((drawn[:, 0] == 2) & (drawn[:, 3] >= 16)).any()
    assert np.corrcoef(drawn[:, 3:].T)[0, 1] > 0.9
    assert set(record["options"]) == {"constraints", "correlations"}
    with gin_files.only([], bindings[:2]):
        assert record_of(bound_dataset())["digest"] != record["digest"]


def test_a_model_is_scored_on_the_whole_grid_and_on_what_was_left_out(tmp_path):
    """Codes that are the factors have an R^2 of 1 of each factor that varies there."""
    data = constrained(Bars((1, 8, 8)), constraints={"row": ["==", 1.0], "column": [">=", 0.5]})

    def encode(images):
        rows, columns = images[..., 0].min(2).argmax(1), images[..., 0].min(1).argmax(1)
        return np.stack([rows, columns, images.max((1, 2, 3))], 1)

    points = {"num_train": 300, "num_test": 200, "num_kernel": 60}
    scores = sv.score(encode, data, {"r2": points | {"left_out": True}})["r2"]
    assert scores["num_factors_scored"] == 2  # the row is always the last one there
    assert "r2_linear_factor_0" not in scores
    assert scores["r2_linear_factor_1"] == pytest.approx(1)
    assert scores["r2_linear_factor_2"] == pytest.approx(1)
    whole = sv.score(encode, data, {"r2": points})["r2"]
    assert whole["num_factors_scored"] == 3
    with pytest.raises(ValueError, match="left_out = True: the model was trained on every"):
        sv.metrics.compute_r2(Bars((1, 8, 8)), encode, 0, left_out=True)
    model = sv.VAE(1.0, num_latent=2, encoder="test_encoder", decoder="test_decoder")
    run = sv.train(model, data, tmp_path / "a", steps=2, eval_steps=1)
    found = sv.score(run, data, {"mig": {"num_train": 100}, "r2": points | {"left_out": True}})
    assert set(found) == {"mig", "r2"}
