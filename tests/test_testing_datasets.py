"""Each check of a data set finds its defect and says what it is; our own data sets pass."""

import random

import numpy as np
import pytest
from example_packages import from_example, require_found

from srvae_plugin import load_dataset
from srvae_plugin.testing import CheckError, check_dataset
from srvae_plugin.testing.datasets import CHECKS, dataset_outcomes

Squares = from_example("dataset").Squares


def instead(method, change):
    """The method's result, changed."""
    original = getattr(Squares, method)
    return {method: lambda self, *arguments: change(original(self, *arguments))}


def constant(name, value):
    return {name: property(lambda self: value)}


def lacking(name):
    return {name: property(lambda self: object.__getattribute__(self, "nothing"))}


def images(change):
    return instead("_load_observations", change)


def sampled_backwards(self, num, random_state):
    random_state.randint(2)
    return Squares.sample(self, num, random_state)


def drawing_once_more(method):
    def drawing(self, first, random_state):
        result = getattr(Squares, method)(self, first, random_state)
        random_state.randint(2)
        return result

    return {method: drawing}


def one_too_far(self, num, random_state):
    return Squares.sample_factors(self, num, random_state) + np.array([[1, 0, 0]])


def without_the_last(self, num, random_state):
    return Squares.sample_factors(self, num, random_state).clip(max=6)


def with_global_noise(self, indices):
    return (Squares._load_observations(self, indices) * np.random.uniform()).astype(np.float32)


def with_private_noise(self, indices):
    noise = np.random.default_rng().uniform()
    return (Squares._load_observations(self, indices) * noise).astype(np.float32)


def drawn_directly(self, factors, random_state):
    return Squares().observations_at(np.ravel_multi_index(tuple(factors.T), self.factor_sizes))


def with_a_shade(self):
    Squares.__init__(self)
    self.shade = np.random.default_rng().uniform()


def of_its_own(self, indices):
    return (Squares._load_observations(self, indices) * self.shade).astype(np.float32)


def unpicklable(self):
    Squares.__init__(self)
    self.load = lambda: None


DEFECTS = [
    ("the_interface_is_complete", {"sample": None}, "Broken lacks sample(): expected sample_fact"),
    ("the_interface_is_complete", lacking("num_factors"), "Broken lacks num_factors: expected"),
    (
        "factors_and_observations_are_described",
        constant("factors_num_values", [3, 8]),
        "Broken.factors_num_values is [3, 8], num_factors is 3: expected one int of at least 1",
    ),
    (
        "factors_and_observations_are_described",
        constant("factors_num_values", [3, 8, 0]),
        "Broken.factors_num_values is [3, 8, 0]",
    ),
    (
        "factors_and_observations_are_described",
        constant("observation_shape", [64, 64]),
        "Broken.observation_shape is (64, 64): expected (height, width, channel)",
    ),
    (
        "factors_and_observations_are_described",
        constant("factor_names", ["size"]),
        "Broken.factor_names is ['size']: expected 3 names",
    ),
    (
        "factors_lie_in_their_ranges",
        {"sample_factors": one_too_far},
        "Broken.sample_factors() gives 3 for factor 0: expected 0 to 2, since factors_num_values",
    ),
    (
        "factors_lie_in_their_ranges",
        instead("sample_factors", lambda factors: factors > 0),
        "gives dtype bool: expected int64",
    ),
    (
        "factors_lie_in_their_ranges",
        instead("sample_factors", lambda factors: factors.tolist()),
        "expected a numpy array",
    ),
    (
        "factors_lie_in_their_ranges",
        instead("sample_factors", lambda factors: factors.T),
        "gives shape (3, 1): expected (1, 3)",
    ),
    (
        "observations_are_images",
        images(lambda images: images[..., 0]),
        "gives shape (1, 64, 64): expected (1, 64, 64, 1)",
    ),
    (
        "observations_are_images",
        images(lambda images: images.astype(np.uint8)),
        "gives dtype uint8: expected float32 in [0, 1]; .astype(np.float32), and / 255 for bytes",
    ),
    (
        "observations_are_images",
        images(lambda images: images * np.float32(255)),
        "gives values from 0 to 255: expected [0, 1]",
    ),
    (
        "observations_are_images",
        images(lambda images: images * np.float32(np.nan)),
        "gives NaN or inf for ",
    ),
    (
        "a_sample_is_factors_then_observations",
        {"sample": sampled_backwards},
        "Broken.sample() gives factors that differ from those sample_factors() draws",
    ),
    (
        "a_sample_is_factors_then_observations",
        instead("sample", list),
        "Broken.sample() returns a list: expected (factors, observations)",
    ),
    (
        "a_sample_is_factors_then_observations",
        instead("sample", lambda sample: (sample[0], 1 - sample[1])),
        "Broken.sample() gives observations that differ from those sample_factors() and",
    ),
    (
        "a_sample_is_factors_then_observations",
        drawing_once_more("sample_observations"),
        "Broken.sample_observations() leaves the random state elsewhere",
    ),
    (
        "the_seed_decides_the_sample",
        {"_load_observations": with_global_noise},
        "Broken.sample() draws from the global random state of numpy: expected random_state only",
    ),
    (
        "the_seed_decides_the_sample",
        images(lambda images: (images * random.random()).astype(np.float32)),
        "draws from the global random state of Python",
    ),
    (
        "the_seed_decides_the_sample",
        {"_load_observations": with_private_noise},
        "Broken.sample() gives observations that differ from those of the same seed",
    ),
    (
        "indices_stand_for_observations",
        {"sample_observations_from_factors": drawn_directly}
        | instead("observation_indices", lambda indices: indices + 192),
        "Broken.observation_indices() gives int64 from ",
    ),
    (
        "indices_stand_for_observations",
        {"sample_observations_from_factors": drawn_directly}
        | instead("observation_indices", lambda indices: indices[:, None]),
        "Broken.observation_indices() gives shape (5, 1): expected (5,)",
    ),
    (
        "indices_stand_for_observations",
        {"sample_observations_from_factors": drawn_directly}
        | images(lambda images: images[:, ::-1]),
        "Broken.observations_at() gives values that differ from those sample_observations_from_f",
    ),
    (
        "indices_stand_for_observations",
        instead("factors_at", lambda factors: factors[:, ::-1]),
        "Broken.factors_at() gives values that differ from those the indices are of",
    ),
    (
        "indices_stand_for_observations",
        drawing_once_more("sample_observations_from_factors"),
        "Broken.observation_indices() leaves the random state elsewhere than",
    ),
    (
        "indices_stand_for_observations",
        lacking("factors_at"),
        "Broken has observation_indices() but lacks factors_at: expected both",
    ),
    ("it_can_be_sent_to_another_process", {"__init__": unpicklable}, "unpicklable.<locals>"),
    (
        "it_can_be_sent_to_another_process",
        {"__setstate__": lambda self, state: self.__init__(), "_load_observations": of_its_own}
        | {"__init__": with_a_shade},
        "a pickled Broken gives observations that differ from those the data set itself gives",
    ),
]


@pytest.mark.parametrize(("check", "changes", "message"), DEFECTS)
def test_each_defect_is_found(check, changes, message, monkeypatch):
    broken = type("Broken", (Squares,), {"__module__": __name__} | changes)
    monkeypatch.setitem(globals(), "Broken", broken)  # where pickle looks for it
    with pytest.raises(CheckError) as caught:
        check_dataset(broken)
    require_found(caught.value, f"data set: {check}", message)


def note_of(changes, name):
    outcomes = dataset_outcomes(type("Broken", (Squares,), changes))
    (outcome,) = [each for each in outcomes if each.check == name]
    assert outcome.status == "ok"
    return outcome.message


def test_what_is_only_unusual_about_a_data_set_is_a_note():
    never = note_of({"sample_factors": without_the_last}, "every value of a factor occurs")
    assert never == "note: factor 1 goes from 0 to 6 in 10,000 draws, not 0 to 7"
    halves = instead("sample_factors", lambda factors: factors / 2)
    assert "float64" in note_of(halves, "factors lie in their ranges")
    plain = lacking("observation_indices") | {"sample_observations_from_factors": drawn_directly}
    assert "no FactorGrid" in note_of(plain, "indices stand for observations")


def test_no_check_escapes():
    only_notes = {"every_value_of_a_factor_occurs"}
    found = {check for check, *_ in DEFECTS}
    assert {check.__name__ for check in CHECKS} == found | only_notes


def test_a_data_set_that_cannot_be_opened_fails():
    with pytest.raises(CheckError, match=r"it opens: FileNotFoundError: .*nowhere"):
        check_dataset(lambda: np.load("/nowhere/at/all"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dsprites_full", {}),
        ("dsprites_noshape", {}),
        ("color_dsprites", {}),
        ("abstract_dsprites", {}),
        ("noisy_dsprites", {}),
        ("dummy_data", {}),
        ("teapots", {"num_images": 100, "factor_bins": 3}),
        ("teapots", {"num_images": 100}),
    ],
)
def test_our_embedded_data_sets_pass(name, options):
    check_dataset(lambda: load_dataset(name, **options))
