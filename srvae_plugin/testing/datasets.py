"""Checks of a data set: disentanglement_lib's interface, as `data/ground_truth.py` states it.

Each check takes the data set.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.testing.checks import (
    CheckError,
    Outcome,
    called,
    in_stages,
    kind_of,
    no_global_randomness,
    outcome,
    require,
)

_ATTRIBUTES = ("num_factors", "factors_num_values", "observation_shape")
_METHODS = ("sample_factors", "sample_observations_from_factors", "sample", "sample_observations")
_PARTS = ("factors", "observations")
_NUM = 5


def the_interface_is_complete(data: GroundTruthData) -> None:
    """Three attributes and four methods; a base class such as `FactorGrid` brings most of them."""
    name = type(data).__name__
    for attribute in _ATTRIBUTES:
        if not hasattr(data, attribute):
            raise CheckError(
                f"{name} lacks {attribute}: expected the attributes {', '.join(_ATTRIBUTES)}"
            )
    for method in _METHODS:
        if not callable(getattr(data, method, None)):
            raise CheckError(f"{name} lacks {method}(): expected {'(), '.join(_METHODS)}()")


def factors_and_observations_are_described(data: GroundTruthData) -> None:
    """Numbers of factors, of their values, and the sides of an observation fit each other."""
    name = type(data).__name__
    sizes = list(data.factors_num_values)
    if len(sizes) != data.num_factors or not all(_is_count(size) for size in sizes):
        raise CheckError(
            f"{name}.factors_num_values is {sizes}, num_factors is {data.num_factors!r}: expected "
            "one int of at least 1 for each factor"
        )
    shape = tuple(data.observation_shape)
    if len(shape) != 3 or not all(_is_count(side) for side in shape):
        raise CheckError(
            f"{name}.observation_shape is {shape}: expected (height, width, channel), ints of at "
            "least 1"
        )
    names = list(getattr(data, "factor_names", sizes))
    if len(names) != len(sizes):
        raise CheckError(f"{name}.factor_names is {names}: expected {len(sizes)} names")


def factors_lie_in_their_ranges(data: GroundTruthData) -> str | None:
    """Factor i is an integer from 0 to factors_num_values[i] - 1; the note is for other dtypes."""
    sizes = np.array(data.factors_num_values)
    name = f"{type(data).__name__}.sample_factors()"
    for num in (1, 1000):
        factors = _array(name, data.sample_factors(num, RandomState(0)), (num, len(sizes)))
        if factors.dtype.kind == "f":
            return f"factors are {factors.dtype}: only metrics of continuous factors take them"
        if factors.dtype.kind not in "iu":
            raise CheckError(f"{name} gives dtype {factors.dtype}: expected int64")
        wrong = np.argwhere((factors < 0) | (factors >= sizes))
        if len(wrong):
            row, column = wrong[0]
            raise CheckError(
                f"{name} gives {factors[row, column]} for factor {column}: expected 0 to "
                f"{sizes[column] - 1}, since factors_num_values is {sizes.tolist()}"
            )
    return None


def observations_are_images(data: GroundTruthData) -> None:
    """float32 in [0, 1], one for each row of factors, however many there are."""
    name = f"{type(data).__name__}.sample_observations_from_factors()"
    for num in (1, _NUM):
        factors = data.sample_factors(num, RandomState(0))
        given = data.sample_observations_from_factors(factors, RandomState(1))
        observations = _array(name, given, (num, *data.observation_shape))
        if observations.dtype != np.float32:
            raise CheckError(
                f"{name} gives dtype {observations.dtype}: expected float32 in [0, 1]; "
                ".astype(np.float32), and / 255 for bytes"
            )
        if bad := int((~np.isfinite(observations)).sum()):
            raise CheckError(
                f"{name} gives NaN or inf for {bad} of {observations.size} pixels: expected [0, 1]"
            )
        if observations.min() < 0 or observations.max() > 1:
            raise CheckError(
                f"{name} gives values from {observations.min():g} to {observations.max():g}: "
                "expected [0, 1]"
            )


def a_sample_is_factors_then_observations(data: GroundTruthData) -> None:
    """`sample` draws what its two halves draw one after the other, as in disentanglement_lib."""
    random_state = RandomState(0)
    factors = data.sample_factors(_NUM, random_state)
    observations = data.sample_observations_from_factors(factors, random_state)
    sample, alone = data.sample(_NUM, RandomState(0)), RandomState(0)
    only = data.sample_observations(_NUM, alone)
    name = type(data).__name__
    if not isinstance(sample, tuple) or len(sample) != 2:
        raise CheckError(
            f"{name}.sample() returns {kind_of(sample)}: expected (factors, observations)"
        )
    _require_equal(f"{name}.sample() gives factors", sample[0], factors, "sample_factors() draws")
    pair = "sample_factors() and sample_observations_from_factors() draw"
    _require_equal(f"{name}.sample() gives observations", sample[1], observations, pair)
    _require_equal(f"{name}.sample_observations() gives observations", only, observations, pair)
    if alone.randint(2**31) != random_state.randint(2**31):
        raise CheckError(
            f"{name}.sample_observations() leaves the random state elsewhere than {pair}: "
            "expected the same draws"
        )


def the_seed_decides_the_sample(data: GroundTruthData) -> None:
    """All randomness comes from the RandomState that is given."""
    name = f"{type(data).__name__}.sample()"
    with no_global_randomness(name):
        first = data.sample(_NUM, RandomState(3))
    again = data.sample(_NUM, RandomState(3))
    for part in (0, 1):
        _require_equal(f"{name} gives {_PARTS[part]}", again[part], first[part], "of the same seed")


def every_value_of_a_factor_occurs(data: GroundTruthData) -> str | None:
    """The first and the last among 10,000 draws; a note, since a data set need not be uniform."""
    factors = data.sample_factors(10_000, RandomState(0))
    if factors.dtype.kind == "f":
        return None
    for column, size in enumerate(data.factors_num_values):
        low, high = factors[:, column].min(), factors[:, column].max()
        # A uniform factor of 500 values misses one of them once in 10 ** 8 times.
        if size <= 500 and (low, high) != (0, size - 1):
            return f"factor {column} goes from {low} to {high} in 10,000 draws, not 0 to {size - 1}"
    return None


def indices_stand_for_observations(data: GroundTruthData) -> str | None:
    """Where `observation_indices` is offered, codes are looked up by them and have to fit."""
    grid: Any = data
    if not hasattr(data, "observation_indices"):
        return "no FactorGrid: every metric makes and encodes its images anew"
    name = type(data).__name__
    for needed in ("num_observations", "observations_at", "factors_at"):
        if not hasattr(data, needed):
            raise CheckError(f"{name} has observation_indices() but lacks {needed}: expected both")
    factors = data.sample_factors(_NUM, RandomState(0))
    states = RandomState(1), RandomState(1)
    indices = _array(
        f"{name}.observation_indices()", grid.observation_indices(factors, states[0]), (_NUM,)
    )
    observations = data.sample_observations_from_factors(factors, states[1])
    exist = (indices >= 0) & (indices < grid.num_observations)
    if indices.dtype.kind not in "iu" or not exist.all():
        raise CheckError(
            f"{name}.observation_indices() gives {indices.dtype} from {indices.min()} to "
            f"{indices.max()}: expected integers from 0 to {grid.num_observations - 1}"
        )
    for method, expected, what in (
        ("observations_at", observations, "sample_observations_from_factors() draws"),
        ("factors_at", factors, "the indices are of"),
    ):
        found = getattr(grid, method)(indices)
        _require_equal(f"{name}.{method}() gives values", found, expected, what)
    if states[0].randint(2**31) != states[1].randint(2**31):
        raise CheckError(
            f"{name}.observation_indices() leaves the random state elsewhere than "
            "sample_observations_from_factors(): expected the same draws"
        )
    return None


def it_can_be_sent_to_another_process(data: GroundTruthData) -> None:
    """A pickled copy gives the same sample."""
    copy = pickle.loads(pickle.dumps(data))
    again, first = copy.sample(_NUM, RandomState(0)), data.sample(_NUM, RandomState(0))
    for part in (0, 1):
        name = f"a pickled {type(data).__name__} gives {_PARTS[part]}"
        _require_equal(name, again[part], first[part], "the data set itself gives")


FIRST = (the_interface_is_complete, factors_and_observations_are_described)
SECOND = (factors_lie_in_their_ranges, observations_are_images)
REST = (
    a_sample_is_factors_then_observations,
    the_seed_decides_the_sample,
    every_value_of_a_factor_occurs,
    indices_stand_for_observations,
    it_can_be_sent_to_another_process,
)
CHECKS = (*FIRST, *SECOND, *REST)


def dataset_outcomes(
    make: Callable[[], GroundTruthData], name: str = "data set"
) -> Iterator[Outcome]:
    """Open a data set and make every check of it."""
    found: list[GroundTruthData] = []

    def it_opens() -> None:
        found.append(called(make))

    yield outcome(name, it_opens)
    if found:
        yield from in_stages(name, (FIRST, SECOND, REST), found[0])


def check_dataset(make: Callable[[], GroundTruthData]) -> None:
    """Raise CheckError, one line per failure, unless a data set keeps its contract.

    Args:
        make: returns the data set: its class, or for example `lambda: MyData(path)`.
    """
    require(dataset_outcomes(make))


def _is_count(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= 1)


def _array(what: str, value: object, shape: tuple[int, ...]) -> NDArray[Any]:
    if not isinstance(value, np.ndarray):
        raise CheckError(f"{what} gives {kind_of(value)}: expected a numpy array")
    if value.shape != shape:
        raise CheckError(f"{what} gives shape {value.shape}: expected {shape}")
    return value


def _require_equal(what: str, found: Any, expected: Any, source: str) -> None:
    if not np.array_equal(found, expected):
        raise CheckError(f"{what} that differ from those {source}: expected the same")
