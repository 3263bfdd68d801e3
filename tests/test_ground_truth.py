"""The grid of factors: dlib's random stream, indices, refusals."""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from srvae_plugin.data.ground_truth import FactorGrid, GroundTruthData


class Digits(FactorGrid):
    """Observation i is one pixel that holds i / num_observations."""

    def __init__(self, sizes=(2, 3, 4), chosen=None):
        super().__init__(sizes, [f"f{i}" for i in range(len(sizes))], (1, 1, 1), chosen)

    def _load_observations(self, indices):
        return (indices / self.num_observations).astype(np.float32).reshape(-1, 1, 1, 1)


@st.composite
def grids(draw):
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    order = draw(st.permutations(range(len(sizes))))
    return Digits(sizes, order[: draw(st.integers(1, len(sizes)))])


def test_grid_satisfies_the_protocol():
    assert isinstance(Digits(), GroundTruthData)
    assert not isinstance(object(), GroundTruthData)


def test_chosen_factors_keep_their_order():
    grid = Digits((2, 3, 4), [2, 0])
    assert grid.num_factors == 2
    assert grid.factors_num_values == [4, 2]
    assert grid.factor_names == ["f2", "f0"]
    assert grid.num_observations == 24
    assert grid.observation_shape == [1, 1, 1]


def test_random_stream_is_dlibs():
    """One randint per ground-truth factor in the order chosen, then one per remaining factor."""
    factors, observations = Digits((2, 3, 4, 5), [3, 1]).sample(7, np.random.RandomState(3))
    expected = np.random.RandomState(3)
    f3, f1 = expected.randint(5, size=7), expected.randint(3, size=7)
    f0, f2 = expected.randint(2, size=7), expected.randint(4, size=7)
    np.testing.assert_array_equal(factors, np.stack([f3, f1], axis=1))
    assert factors.dtype == np.int64
    index = ((f0 * 3 + f1) * 4 + f2) * 5 + f3
    np.testing.assert_array_equal(observations.ravel(), (index / 120).astype(np.float32))


@pytest.fixture(scope="module")
def dlib_util():
    """dlib's own module, loaded from its file so that TensorFlow and gin stay out of it."""
    package = importlib.util.find_spec("disentanglement_lib")
    if package is None or importlib.util.find_spec("six") is None:
        pytest.skip("needs disentanglement-lib 1.5 and six")
    file = Path(package.submodule_search_locations[0]) / "data" / "ground_truth" / "util.py"
    spec = importlib.util.spec_from_file_location("dlib_util", file)
    module = importlib.util.module_from_spec(spec)
    tensorflow = types.ModuleType("tensorflow.compat.v1")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("tensorflow", "tensorflow.compat", "tensorflow.compat.v1"):
            patch.setitem(sys.modules, name, tensorflow)
        tensorflow.compat, tensorflow.v1 = tensorflow, tensorflow
        spec.loader.exec_module(module)
    return module


@given(grid=grids(), num=st.integers(0, 20), seed=st.integers(0, 2**32 - 1))
def test_samples_are_those_of_dlibs_own_code(dlib_util, grid, num, seed):
    space = dlib_util.SplitDiscreteStateSpace(grid.factor_sizes, grid.latent_factor_indices)
    ours, theirs = np.random.RandomState(seed), np.random.RandomState(seed)
    factors = grid.sample_factors(num, ours)
    np.testing.assert_array_equal(factors, space.sample_latent_factors(num, theirs))
    indices = grid.observation_indices(factors, ours)
    combinations = space.sample_all_factors(factors, theirs)
    np.testing.assert_array_equal(
        indices, np.ravel_multi_index(tuple(combinations.T), grid.factor_sizes)
    )
    assert ours.randint(2**31) == theirs.randint(2**31)


@given(grid=grids(), num=st.integers(0, 20), seed=st.integers(0, 2**32 - 1))
def test_indices_stand_for_observations(grid, num, seed):
    factors = grid.sample_factors(num, np.random.RandomState(seed))
    first, second = np.random.RandomState(seed), np.random.RandomState(seed)
    indices = grid.observation_indices(factors, first)
    observations = grid.sample_observations_from_factors(factors, second)
    np.testing.assert_array_equal(grid.observations_at(indices), observations)
    assert observations.dtype == np.float32
    assert observations.shape == (num, 1, 1, 1)
    np.testing.assert_array_equal(grid.factors_at(indices), factors)
    assert first.randint(2**31) == second.randint(2**31)


@given(grid=grids(), seed=st.integers(0, 2**32 - 1))
def test_sample_observations_is_the_second_half_of_sample(grid, seed):
    alone = grid.sample_observations(5, np.random.RandomState(seed))
    both = grid.sample(5, np.random.RandomState(seed))
    np.testing.assert_array_equal(alone, both[1])


def test_all_indices_are_distinct_observations():
    grid = Digits()
    everything = np.arange(24)
    assert len(np.unique(grid.observations_at(everything))) == 24
    factors = grid.factors_at(everything)
    np.testing.assert_array_equal(factors, np.array(list(np.ndindex(2, 3, 4))))
    unused = np.random.RandomState(0)
    np.testing.assert_array_equal(grid.observation_indices(factors, unused), everything)
    assert unused.randint(2**31) == np.random.RandomState(0).randint(2**31)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (np.zeros((5, 2), int), r"factors: got shape \(5, 2\); expected \(num, 3\)"),
        (np.zeros(3, int), r"factors: got shape \(3,\).*factors\[None, :\]"),
        (np.zeros((5, 3)), "factors: got dtype float64; expected integers.*astype"),
        (np.zeros((5, 3), bool), "factors: got dtype bool"),
        (
            np.array([[0, 0, 0], [0, 3, 0]]),
            r"got 3 in row 1 for factor 1 \('f1'\); expected 0 to 2",
        ),
        (np.array([[0, 0, -1]]), r"got -1 in row 0 for factor 2 \('f2'\); expected 0 to 3"),
    ],
)
def test_wrong_factors_are_refused(factors, message):
    with pytest.raises(ValueError, match=message):
        Digits().sample_observations_from_factors(factors, np.random.RandomState(0))


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        (np.array([24]), "indices: got 24; expected 0 to 23"),
        (np.array([0, -1]), "indices: got -1; expected 0 to 23"),
        (np.array([0.0]), "indices: got float64 of shape"),
        (np.array(3), r"indices: got int64 of shape \(\)"),
    ],
)
@pytest.mark.parametrize("method", ["observations_at", "factors_at"])
def test_wrong_indices_are_refused(method, indices, message):
    with pytest.raises(ValueError, match=message):
        getattr(Digits(), method)(indices)


@pytest.mark.parametrize("chosen", [[], [0, 0], [3], [-1]])
def test_wrong_choice_of_factors_is_refused(chosen):
    with pytest.raises(ValueError, match="latent_factor_indices: got"):
        Digits((2, 3, 4), chosen)


@pytest.mark.parametrize(("sizes", "names"), [((2, 0), "ab"), ((2, 3), "a"), ((), "")])
def test_wrong_sizes_are_refused(sizes, names):
    with pytest.raises(ValueError, match="factor_sizes: got"):
        type("Grid", (Digits,), {"__init__": FactorGrid.__init__})(sizes, names, (1, 1, 1))
