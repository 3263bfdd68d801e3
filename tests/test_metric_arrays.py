"""Array cores: one signature, whatever holds the numbers and whatever the randomness comes from."""

import functools
import inspect

import numpy as np
import pandas
import pytest
from metric_cases import GRIDS, IndexGrid, LookUp, noisy_factors
from sklearn.tree import DecisionTreeClassifier

import srvae_plugin as sv
from srvae_plugin import metrics
from srvae_plugin.config import gin_files
from srvae_plugin.data.own.given_factors import given_factors
from srvae_plugin.data.sampling.seeds import random_state_of, seed_of
from srvae_plugin.metrics.common.arrays import as_factors, split, with_names
from srvae_plugin.metrics.learners.probes import Forest
from srvae_plugin.metrics.unified_scores import accuracy_svm_matrix, mutual_information_matrix

CODES = noisy_factors(GRIDS["tiny"])
FACTORS = np.argwhere(np.ones(GRIDS["tiny"]))
NAMES = ["shape", "size", "x"]
TREE = {"predictor_fn": DecisionTreeClassifier}
DRAWN = {"num_train": 60, "num_eval": 30, "batch_size": 3}
SETTINGS = {
    "beta_vae": DRAWN,
    "factor_vae": DRAWN,
    "downstream_task": TREE,
    "reduced_downstream_task": TREE | {"correlation_measure": mutual_information_matrix},
    "strong_downstream_task": TREE | {"num_train": [30], "num_test": 20, "n_experiment": 2},
    "fairness": TREE | {"num_train": 40, "num_test_points_per_class": 20},
    "dci_es": {"probing": metrics.Probing(sizes=(1, 3), forest=Forest(5))},
    "dci_regression": {"regressor": metrics.Regressor(num_trees=3)},
    "unified_scores": {"matrix_fns": [mutual_information_matrix, accuracy_svm_matrix]},
}
DETERMINISTIC = {"mig", "irs", "jemmig", "dcimig", "mig_sup", "mcc"}
DETERMINISTIC |= {"unsupervised_metrics"}
CORES = sorted(
    name
    for name in metrics.__all__
    if list(inspect.signature(getattr(metrics, name)).parameters)[:2] == ["codes", "factors"]
)
every_core = pytest.mark.parametrize("name", CORES)


def score(name, codes=CODES, factors=FACTORS, **settings):
    return getattr(metrics, name)(codes, factors, **(SETTINGS.get(name, {}) | settings))


def test_every_metric_has_an_array_core():
    computed = {name for name in metrics.__all__ if name.startswith("compute_")}
    without = {n for n in computed if n.endswith("_on_fixed_data")} | {"compute_udr_sklearn"}
    short = {n.removeprefix("compute_").removesuffix("_sklearn") for n in computed - without}
    assert short == set(CORES)


@every_core
def test_the_signature_is_the_same(name):
    parameters = inspect.signature(getattr(metrics, name)).parameters
    assert list(parameters)[:4] == ["codes", "factors", "seed", "random_state"]
    assert parameters["seed"].default == 0
    assert all(p.kind is p.KEYWORD_ONLY for p in list(parameters.values())[2:])


@every_core
def test_frames_and_tensors_score_what_arrays_score(name):
    pandas, torch = pytest.importorskip("pandas"), pytest.importorskip("torch")
    plain = score(name)
    tensor = torch.tensor(CODES, requires_grad=True)
    assert score(name, tensor, torch.tensor(FACTORS)) == plain
    assert score(name, CODES.tolist(), FACTORS.tolist()).keys() == plain.keys()
    frame = pandas.DataFrame(FACTORS, columns=NAMES)
    named = score(name, pandas.DataFrame(CODES), frame)
    assert list(named.values()) == list(plain.values())


WORDS = np.array(["ant", "bee", "cat", "dog", "elk"])
NUMERIC = {"mcc", "r2", "dci_regression"}


@every_core
def test_words_score_what_their_numbers_score(name):
    if name in NUMERIC:
        with pytest.raises(ValueError, match="all factors are classes without order"):
            score(name, factors=WORDS[FACTORS])
    elif name == "dci_es":
        probing = SETTINGS[name]["probing"]._replace(categorical_factors=(0, 1, 2))
        assert score(name, factors=WORDS[FACTORS]) == score(name, probing=probing)
    else:
        assert score(name, factors=WORDS[FACTORS]) == score(name)


@pytest.mark.parametrize("name", sorted(NUMERIC))
def test_metrics_of_numbers_leave_words_out_with_a_warning(name, caplog):
    table = FACTORS.astype(object)
    table[:, 0] = WORDS[FACTORS[:, 0]]
    found = score(name, factors=table)
    assert f"{found['num_factors_scored']} {name}" == f"2 {name}"
    assert "left out because classes without order: 0. The score is over the other" in caplog.text
    assert not any("factor_0" in key for key in found)


@every_core
def test_numbers_that_are_stored_as_text_or_objects_are_numbers(name):
    many = np.argwhere(np.ones((12, 5))) * [1, 3]
    codes = many[:, ::-1] + CODES[:60, :2]
    plain = score(name, codes, many)
    assert score(name, codes, many.astype(str)) == plain
    assert score(name, codes, many.astype(object)) == plain


def test_what_objects_lack_and_names_that_occur_twice_are_said():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="factors: 2 cells have no value: fill or drop their row"):
        metrics.mig(CODES[:2], np.array([["a", 1], [None, np.nan]], dtype=object))
    for names in (["a", "a"], [0, "0"]):
        twice = pandas.DataFrame(FACTORS[:, :2], columns=names)
        with pytest.raises(ValueError, match=f"factors: two columns are called '{names[0]}'"):
            metrics.mig(CODES, twice)
        with pytest.raises(ValueError, match="factors: two columns are called"):
            given_factors(twice, len(twice))


@pytest.mark.parametrize("small", [np.uint8, np.int8])
@every_core
def test_small_integers_score_what_large_ones_score(name, small):
    codes = np.round(60.0 * CODES).clip(-127, 127).astype(np.float64)
    codes += 128 if small is np.uint8 else 0
    factors = 63 * FACTORS[:, :2] - (0 if small is np.uint8 else 127)
    plain = score(name, codes, factors)
    assert score(name, codes.astype(small), factors.astype(small)) == plain


def test_more_bins_than_a_small_integer_counts():
    column = np.arange(256)[:, np.newaxis]
    codes, factors = np.hstack([column, column]), column
    settings = {"num_bins": 200}
    assert metrics.mig(codes.astype(np.uint8) // 2, factors, **settings) == metrics.mig(
        codes // 2, factors, **settings
    )


@pytest.mark.parametrize("wrong", [[2], ["angle"], "none", [True, False], [0, 1, 0]])
def test_which_factors_are_continuous_is_said_by_booleans(wrong):
    for setting, core in (("continuous", metrics.dci), ("continuous_factors", metrics.sap)):
        with pytest.raises(ValueError, match=f"^{setting} must be True for all factors, False"):
            core(CODES, FACTORS, **{setting: wrong})


def test_factors_that_are_not_continuous_must_be_classes():
    mixed = FACTORS + np.array([0, 0, 0.5])
    for setting, core in (("continuous", metrics.dci), ("continuous_factors", metrics.sap)):
        with pytest.raises(ValueError, match="must be whole numbers"):
            core(CODES, mixed, **{setting: [True, False, False]})


def test_matrix_functions_have_different_names_and_numbers_from_zero_on():
    def below(codes, factors, *_):
        return mutual_information_matrix(codes, factors, *_) - 1

    partial = functools.partial(mutual_information_matrix)
    plain = score("unified_scores", matrix_fns=[mutual_information_matrix])
    assert score("unified_scores", matrix_fns=[partial]) == plain
    with pytest.raises(ValueError, match="two functions are called 'mutual_information_matrix'"):
        score("unified_scores", matrix_fns=[mutual_information_matrix, partial])
    with pytest.raises(ValueError, match="below must return numbers of at least 0, got -"):
        score("unified_scores", matrix_fns=[below])


def test_what_has_no_meaning_is_refused():
    with pytest.raises(ValueError, match="a latent has 60 different values among 60 points"):
        metrics.infomec(CODES, FACTORS, discrete_latents=True)
    with pytest.raises(ValueError, match="the number of points must be an integer of at least 2"):
        metrics.unsupervised_metrics(CODES[:1])


def test_words_are_never_continuous():
    table = FACTORS.astype(object)
    table[:, 0] = WORDS[FACTORS[:, 0]]
    for setting, core in (("continuous", metrics.dci), ("continuous_factors", metrics.sap)):
        assert core(CODES, table, **{setting: True}) == core(
            CODES, FACTORS, **{setting: [False, True, True]}
        )


def test_keys_call_factors_what_their_columns_are_called():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(FACTORS, columns=NAMES)
    for name, some in {
        "fairness": {"mean_fairness:predshape:senssize", "max_fairness:sensx:mean_pred"},
        "downstream_task": {"40:test_accuracy_factor_shape", "40:train_accuracy_factor_x"},
        "reduced_downstream_task": {"40:reduced_factor_size:mean_test_accuracy_factor_x"},
        "dci_regression": {"nrmse_test_factor_size"},
        "unified_scores": {
            "mutual_information_matrix.mig.factor_shape",
            "accuracy_svm_matrix.dci_completeness.code_x",
        },
    }.items():
        named = score(name, factors=frame)
        assert some <= named.keys()
        assert not any(key.endswith(("factor_0", "pred0", "sens0")) for key in named)


def test_names_stand_for_numbers_of_factors_alone():
    scores = {"10:a_factor_1": 1, "x:pred0:sens1": 2, "num_factors_scored": 3, "top1_x": 4}
    assert list(with_names(scores, np.array(["a", "b"]))) == [
        "10:a_factor_b", "x:preda:sensb", "num_factors_scored", "top1_x",
    ]  # fmt: skip


@every_core
def test_randomness_comes_from_a_number_a_generator_or_a_state(name):
    number = score(name, seed=3)
    assert score(name, random_state=3) == score(name, seed=np.int64(3)) == number
    state, generator = np.random.RandomState, np.random.default_rng
    assert score(name, seed=state(3)) == score(name, random_state=state(3))
    assert score(name, seed=generator(3)) == score(name, random_state=generator(3))
    if name in DETERMINISTIC:
        assert score(name, seed=4) == number
    else:
        used = generator(3)
        assert score(name, seed=used) != score(name, seed=used)
    for wrong in ("0", None, -1, 0.5, True):
        with pytest.raises(ValueError, match="a numpy Generator or a RandomState, got"):
            score(name, seed=wrong)
    with pytest.raises(ValueError, match="two names of one argument"):
        score(name, seed=1, random_state=1)


def test_a_number_seeds_the_originals_stream():
    assert random_state_of(5).randint(10**9) == np.random.RandomState(5).randint(10**9)
    state = np.random.RandomState(0)
    assert random_state_of(state) is state
    assert seed_of(5) == seed_of(0, 5) == 5
    assert seed_of(np.random.default_rng(0)) != seed_of(np.random.default_rng(1))


@pytest.mark.parametrize("seed", [7, np.random.default_rng(0), np.random.RandomState(7)])
def test_compute_functions_take_every_kind_of_seed(seed):
    data, function = IndexGrid(GRIDS["tiny"]), LookUp(CODES)
    scores = metrics.compute_mig(data, function, random_state=seed, num_train=100)
    if not isinstance(seed, np.random.Generator):
        same = metrics.compute_mig(data, function, np.random.RandomState(7), num_train=100)
        assert scores == same


@every_core
def test_codes_score_other_than_collapsed_ones(name):
    assert score(name) != score(name, 0 * CODES)


@every_core
def test_what_is_no_table_of_numbers_is_refused(name):
    with pytest.raises(ValueError, match=r"codes must have shape \(points, latent\)"):
        score(name, CODES[0])
    bad = CODES.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN or inf among 60 points in latent 1: 1"):
        score(name, bad)
    if name != "unsupervised_metrics":
        with pytest.raises(ValueError, match=r"factors must have shape \(60, factor\)"):
            score(name, factors=FACTORS[:10])


def test_the_share_to_test_on_is_held_out():
    stream = np.random.RandomState(0)
    parts = split(CODES, FACTORS, 0.25, stream)
    assert (len(parts.train.codes), len(parts.test.codes)) == (45, 15)
    together = np.concatenate([parts.train.codes, parts.test.codes])
    assert {row.tobytes() for row in together} == {row.tobytes() for row in CODES}
    place = {row.tobytes(): k for k, row in enumerate(CODES)}
    for codes, factors in (parts.train, parts.test):
        assert [FACTORS[place[row.tobytes()]].tolist() for row in codes] == factors.tolist()


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (0.0, "a share between 0 and 1, or a pair"),
        (1, "a share between 0 and 1, or a pair"),
        (True, "a share between 0 and 1, or a pair"),
        ((CODES,), "a pair of codes and factors, got 1"),
        (0.001, "leave points to fit and to test on"),
        ((CODES[:, :2], FACTORS), "5 latents like codes, got 2"),
        ((CODES, FACTORS[:, :2]), "the same ones, got 3 and 2 columns"),
        ((CODES[:9], FACTORS), r"test factors must have shape \(9, factor\)"),
    ],
)
def test_what_cannot_be_tested_on_is_refused(test, message):
    with pytest.raises(ValueError, match=message):
        metrics.sap(CODES, FACTORS, test=test)


def test_words_are_numbered_alike_where_they_are_tested():
    train, test = as_factors(np.array([["b"], ["c"]]), np.array([["a"], ["c"]]))
    assert (train.values.tolist(), test.values.tolist()) == ([[1], [2]], [[0], [2]])
    train, test = as_factors(np.array([["1"], ["2"]]), np.array([["1"], ["a"]]))
    assert (train.values.tolist(), test.values.tolist()) == ([[0], [1]], [[0], [2]])
    assert train.unordered.tolist() == [True]
    assert as_factors(np.array([True, False]))[0].values.tolist() == [[1], [0]]


def test_frames_to_fit_and_to_test_on_have_the_same_columns():
    frame = pandas.DataFrame({"a": range(4), "b": range(4)})
    assert [list(each.names) for each in as_factors(frame, frame)] == [["a", "b"]] * 2
    with pytest.raises(ValueError, match=r"same columns in one order, got a, b and b, a\."):
        as_factors(frame, frame[["b", "a"]])


def test_codes_of_half_precision_score_as_the_same_numbers_in_single():
    stream = np.random.RandomState(0)
    factors = np.argwhere(np.ones((10, 10, 10)))
    codes = (5 + 10 * (factors + 0.1 * stream.normal(size=factors.shape))).astype(np.float16)
    names = ["factor_vae_score", "modularity_explicitness", "mig", "irs", "mcc"]
    found = sv.score_codes(codes, factors, names)
    assert found == sv.score_codes(codes.astype(np.float32), factors, names)


@pytest.mark.parametrize("score", [sv.score_codes, sv.metrics.mig, sv.metrics.mcc, sv.metrics.dci])
def test_frames_in_another_order_are_refused(score):
    factors = pandas.DataFrame(np.argwhere(np.ones((6, 6))), columns=["a", "b"])
    codes = factors + 0.5
    more = {"metrics": ["mig"]} if score is sv.score_codes else {}
    shuffled = factors.sample(frac=1, random_state=0)
    with pytest.raises(ValueError, match=r"the same labels in another order; .*factors\.loc\["):
        score(codes, shuffled, **more)
    with pytest.raises(ValueError, match="different labels"):
        score(codes.set_axis(range(36, 72)), factors.set_axis(range(72, 108)), **more)
    expected = score(codes, factors, **more)
    assert score(codes.set_axis(range(36, 72)), factors, **more) == expected  # filtered rows
    assert score(codes.loc[shuffled.index], shuffled, **more).keys() == expected.keys()


def test_kinds_and_bins_of_arrays_are_arguments():
    stream = np.random.RandomState(0)
    factors = np.column_stack([stream.uniform(size=300), stream.randint(3, size=300)])
    codes = factors + 0.01 * stream.normal(size=(300, 2))
    binned = np.column_stack(
        [np.digitize(factors[:, 0], np.linspace(0, 1, 6)[1:-1]), factors[:, 1]]
    )
    found = sv.score_codes(codes, factors, ["mig"], factor_bins={0: 5})
    assert found["mig"]["num_factors_scored"] == 2
    ends = np.linspace(factors[:, 0].min(), factors[:, 0].max(), 6)[1:-1]
    binned = np.column_stack([np.digitize(factors[:, 0], ends), factors[:, 1]])
    assert found == sv.score_codes(codes, binned, ["mig"])
    data = sv.as_data((np.zeros((300, 8, 8)), factors), factor_bins=5)
    assert list(data.factor_kinds) == ["class"] * 2
    with pytest.raises(ValueError, match="go with a pair"):
        sv.as_data(np.zeros((300, 8, 8)), factor_bins=5)


def test_a_word_for_each_row_is_no_factor():
    factors = pandas.DataFrame({"a": np.arange(30) % 3, "file": [f"{k}.png" for k in range(30)]})
    with pytest.raises(
        ValueError, match=r"file: every row has a word of its own, such as '0\.png'"
    ):
        sv.score_codes(np.random.rand(30, 2), factors, ["mig"])


def test_what_gin_holds_is_said(caplog):
    with gin_files.configured(bindings=["discretizer.num_bins = 3"]):
        sv.score_codes(np.random.rand(30, 2), np.arange(30) % 3, ["mig"])
    assert "gin holds discretizer.num_bins: what metrics read of it counts here too" in caplog.text
