"""Factors of several kinds in one file, words, bins, rows held out, and no factors at all."""

import importlib
import inspect
import json
import logging
from pathlib import Path

import gin
import numpy as np
import pytest
from PIL import Image
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.metrics import mutual_info_score, r2_score
from sklearn.svm import LinearSVC

from srvae_plugin import load_dataset, score, score_codes
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.config import plugins
from srvae_plugin.data.own.factor_columns import read_columns
from srvae_plugin.data.own.images import npz
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.data.sampling.labellers import permuted_labeller
from srvae_plugin.metrics import (
    compute_dci,
    compute_mig,
    compute_sap,
    compute_strong_downstream_task,
)
from srvae_plugin.metrics.codes import sample_codes_and_factors
from srvae_plugin.metrics.validation import compute_validation
from srvae_plugin.models import semi_supervised  # noqa: F401  registers the labeller
from srvae_plugin.report.parts.pictures import names_in
from srvae_plugin.report.run import Run
from srvae_plugin.runs.codes.files import load_codes
from srvae_plugin.runs.directory import StepDirectory
from srvae_plugin.runs.representation import TabulatedCodes

RNG = np.random.RandomState
ROWS = 300


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SRVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def records():
    """A word, an integer and a continuous factor."""
    random = RNG(0)
    made = np.empty(ROWS, dtype=[("shape", "U8"), ("corner", "i4"), ("scale", "f8")])
    made["shape"] = np.array(["square", "circle", "triangle"])[random.randint(3, size=ROWS)]
    made["corner"] = random.randint(4, size=ROWS) * 10
    made["scale"] = random.uniform(size=ROWS)
    return made


def codes_of(made):
    random = RNG(1)
    columns = [np.unique(made["shape"], return_inverse=True)[1], made["corner"], made["scale"] * 9]
    return np.stack(columns, axis=1) + 0.6 * random.normal(size=(len(made), 3))


def mixed(**bound):
    made = records()
    columns = read_columns({"factors": made}, ROWS, **bound)
    table = FactorTable(columns.factors, columns.names, factor_kinds=columns.kinds)
    return table, TabulatedCodes(codes_of(made), table)


def test_a_structured_array_says_names_and_kinds(caplog):
    caplog.set_level(logging.INFO)
    table, _ = mixed()
    made = records()
    assert table.factor_names == ["shape", "corner", "scale"]
    assert table.factor_kinds == ["class", "class", "continuous"]
    assert table.factor_labels == {0: ("circle", "square", "triangle")}
    assert "shape: words are encoded in sorted order: 'circle' = 0, 'square' = 1" in caplog.text
    np.testing.assert_array_equal(table.factors[:, 0], np.unique(made["shape"], False, True)[1])
    np.testing.assert_array_equal(table.factors[:, 1], made["corner"] // 10)
    np.testing.assert_array_equal(table.factors[:, 2], made["scale"])


@pytest.mark.parametrize(
    "kinds",
    [{"b": "continuous"}, {1: "continuous"}, ["class", "continuous"]],
)
def test_kinds_are_bound_or_in_the_file(kinds):
    arrays = {"factors": RNG(0).randint(5, size=(9, 2)), "factor_names": np.array(["a", "b"])}
    assert read_columns(arrays, 9).kinds.kinds == ("class", "class")
    assert read_columns(arrays, 9, kinds).kinds.kinds == ("class", "continuous")
    arrays["factor_kinds"] = np.array(["continuous", "class"])
    assert read_columns(arrays, 9).kinds.kinds == ("continuous", "class")
    assert read_columns(arrays, 9, {"a": "class"}).kinds.kinds == ("class", "class")


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        ({"kinds": {"scal": "class"}}, "no factor 'scal'; did you mean 'scale'"),
        ({"kinds": {"scale": "number"}}, "dataset.factor_kinds: got 'number'; expected 'class'"),
        ({"kinds": ["class"]}, "expected one for each of 3 factors"),
        ({"kinds": {"shape": "continuous"}}, "'shape', which holds words such as 'circle'"),
        ({"bins": {"scale": 1}}, "dataset.factor_bins: got 1 for 'scale'; expected at least 2"),
        ({"bins": {"shape": 3}}, "'shape' holds words, which have no bins"),
    ],
)
def test_wrong_bindings_are_named(bound, message):
    with pytest.raises(ValueError, match=message):
        mixed(**bound)


@pytest.mark.parametrize("bins", [4, {"scale": 4}, [None, None, 4]])
def test_bins_make_classes_of_a_factor(bins):
    table, _ = mixed(bins=bins)
    assert table.factor_kinds == ["class"] * 3
    np.testing.assert_array_equal(table.factors[:, 1], records()["corner"] // 10)
    scale = records()["scale"]
    place = (scale - scale.min()) / (scale.max() - scale.min())
    np.testing.assert_array_equal(table.factors[:, 2], np.minimum(place * 4, 3).astype(int))


@pytest.mark.parametrize("dtype", [np.int8, np.float32, np.float64, str, "S8"])
def test_the_type_of_whole_numbers_and_words_changes_no_score(dtype, caplog):
    caplog.set_level(logging.INFO)
    factors = RNG(0).randint(12, size=(400, 2)) + 100
    codes = factors + RNG(1).normal(size=(400, 2))
    scores = []
    for stored in (factors, factors.astype(dtype)):
        columns = read_columns({"factors": stored}, 400)
        table = FactorTable(columns.factors, columns.names, factor_kinds=columns.kinds)
        scores.append(compute_mig(table, TabulatedCodes(codes, table), RNG(0), num_train=300))
    assert scores[0] == scores[1]
    if np.dtype(dtype).kind == "f":
        assert "hold whole numbers only are taken as classes" in caplog.text
    if np.dtype(dtype).kind in "US":
        assert "text in which every word is a number: read as numbers" in caplog.text


def test_numbers_with_underscores_are_words():
    columns = read_columns({"factors": np.array([["1_2"], ["12"]])}, 2)
    assert columns.kinds.labels == {0: ("12", "1_2")}


def test_on_a_full_grid_continuous_factors_are_neither_targets_nor_shifted(monkeypatch):
    factors = np.argwhere(np.ones((3, 4, 4))) * [1, 1, 0.25]
    table = FactorTable(factors, factor_kinds=["class", "class", "continuous"])
    codes = RNG(0).normal(size=factors.shape)
    targets = []
    monkeypatch.setattr(
        importlib.import_module("srvae_plugin.metrics.strong_downstream_task"),
        "strong_downstream_task_of",
        lambda experiments, *_: targets.extend(experiments[100].shifted) or {},
    )
    few = {"num_train": [100], "num_test": 50, "n_experiment": 8}
    compute_strong_downstream_task(table, TabulatedCodes(codes, table), RNG(0), **few)
    assert table.is_grid
    assert {target for target, _ in targets} == {0, 1}
    for target, (train, _) in targets:
        assert len(np.unique(train.factors[:, 1 - target])) == 1


def test_labels_are_of_the_classes_alone():
    table, function = mixed()
    with gin.unlock_config():
        gin.bind_parameter("srvae_plugin.labeller.labeller_fn", permuted_labeller)
    try:
        found = compute_validation(table, function, RNG(0), num_labelled_samples=200)
    finally:
        gin.clear_config()
    assert 0 < found["discrete_mig"] < 1


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "U8"])
def test_whole_numbers_in_a_field_are_what_they_are_in_a_column(dtype, caplog):
    caplog.set_level(logging.INFO)
    whole = RNG(0).randint(4, size=(50, 2)).astype(dtype)
    fields = np.empty(50, dtype=[("a", dtype), ("b", dtype), ("c", "f8")])
    fields["a"], fields["b"], fields["c"] = *whole.T, RNG(1).rand(50)
    plain = read_columns({"factors": whole}, 50)
    assert plain.kinds.kinds == ("class", "class")
    named = read_columns({"factors": fields}, 50)
    assert named.kinds.kinds == ("class", "class", "continuous")
    if dtype in ("f4", "f8"):
        assert "taken as classes, as integers are: a, b; bind dataset.factor_kinds" in caplog.text
    bound = read_columns({"factors": fields}, 50, {"a": "continuous"})
    assert bound.kinds.kinds == ("continuous", "class", "continuous")


# --- scores --------------------------------------------------------------------------------------

SMALL = {"num_train": 200, "num_test": 100}


def samples_of(table, function):
    return sample_codes_and_factors(table, function, SMALL, RNG(0), 16)


def test_dci_predicts_each_factor_by_its_kind():
    table, function = mixed()
    scores = compute_dci(table, function, RNG(0), **SMALL, n_jobs=1, backend="sklearn")
    train, test = samples_of(table, function)
    importance, accuracy = [], []
    for k in range(2):
        model = GradientBoostingClassifier().fit(train.codes, train.factors[:, k])
        importance.append(model.feature_importances_)
        accuracy.append(model.score(test.codes, test.factors[:, k]))
    model = GradientBoostingRegressor().fit(train.codes, train.factors[:, 2])
    importance.append(model.feature_importances_)
    r2 = r2_score(test.factors[:, 2], model.predict(test.codes))
    assert scores["informativeness_test"] == pytest.approx(np.mean(accuracy), abs=0.015)
    assert scores["r2_test"] == pytest.approx(r2, abs=0.02)
    matrix = np.array(importance).T
    share = matrix / matrix.sum(axis=1, keepdims=True)
    entropy = -(share * np.log(share + 1e-11)).sum(axis=1) / np.log(3)
    expected = np.average(1 - entropy, weights=matrix.sum(axis=1))
    assert scores["disentanglement"] == pytest.approx(expected, abs=0.02)
    assert (scores["num_factors_scored"], scores["num_continuous_factors_scored"]) == (3, 1)


def test_sap_measures_each_factor_by_its_kind():
    table, function = mixed()
    score = compute_sap(table, function, RNG(0), **SMALL)["SAP_score"]
    train, test = samples_of(table, function)
    gaps = []
    for k in range(3):
        each = []
        for column in range(3):
            fit, held = train.codes[:, [column]], test.codes[:, [column]]
            if k == 2:
                each.append(np.corrcoef(fit[:, 0], train.factors[:, k])[0, 1] ** 2)
                continue
            model = LinearSVC(C=0.01, class_weight="balanced", dual=False)
            model.fit(fit, train.factors[:, k])
            each.append(model.score(held, test.factors[:, k]))
        low, high = np.sort(each)[-2:]
        gaps.append(high - low)
    assert score == pytest.approx(np.mean(gaps), abs=1e-9)


def test_mig_is_over_the_classes_and_says_what_is_left_out(caplog):
    table, function = mixed()
    scores = compute_mig(table, function, RNG(0), num_train=200)
    assert "MIG: left out because continuous: 'scale'" in caplog.text
    assert "single value" not in caplog.text
    (sample,) = sample_codes_and_factors(table, function, {"num_train": 200}, RNG(0), 16)
    gaps = []
    for k in range(2):
        information = []
        for codes in sample.codes.T:
            bins = np.digitize(codes, np.histogram(codes, 20)[1][:-1])
            information.append(mutual_info_score(sample.factors[:, k], bins))
        low, high = np.sort(information)[-2:]
        gaps.append((high - low) / mutual_info_score(*[sample.factors[:, k]] * 2))
    assert scores["discrete_mig"] == pytest.approx(np.mean(gaps), abs=1e-9)
    assert scores["num_factors_scored"] == 2


@pytest.mark.parametrize("metric", sorted(plugins.names("metrics")))
def test_every_metric_scores_a_mixed_table(metric, caplog):
    compute = plugins.find("metrics", metric)
    accepted = inspect.signature(compute).parameters
    settings = {name: value for name, value in SMALL.items() if name in accepted}
    if "n_jobs" in accepted:
        settings["n_jobs"] = 1
    if "downstream" in metric:
        from sklearn.naive_bayes import GaussianNB

        settings |= {"num_train": [200], "predictor_fn": GaussianNB}
    table, function = mixed()
    scores = compute(table, function, RNG(0), **settings)
    assert all(np.isfinite(value) for value in scores.values())
    scored = [value for key, value in scores.items() if key.endswith("num_factors_scored")]
    left_out = any(line in caplog.text for line in ("left out because", "values are left out"))
    if scored:
        assert (scored[0] == 3) is not left_out


# --- rows held out -------------------------------------------------------------------------------


def test_rows_held_out_are_scored_on_and_not_trained_on():
    made = records()
    images = np.zeros((ROWS, 4, 4, 1), np.float32)
    images[:, 0, 0, 0] = np.arange(ROWS) / ROWS
    np.savez("a.npz", images=images, factors=made)
    data = load_dataset("npz", path="a.npz", held_out=0.2)
    rest = data.held_out_data
    rows = [
        np.rint(each.observations_at(np.arange(each.num_observations))[:, 0, 0, 0] * ROWS)
        for each in (data, rest)
    ]
    assert [len(each) for each in rows] == [240, 60]
    assert sorted(np.concatenate(rows).tolist()) == list(range(ROWS))
    straight = np.argsort(made, order=["shape", "corner", "scale"])
    assert set(rows[1].tolist()) == set(straight[RNG(0).permutation(ROWS)[:60]].tolist())
    np.testing.assert_array_equal(rest.factors[:, 2], made["scale"][rows[1].astype(int)])
    words = np.array(rest.factor_labels[0])[rest.factors[:, 0].astype(int)]
    np.testing.assert_array_equal(words, made["shape"][rows[1].astype(int)])
    for wrong in (0.0, 1.0, 0.001):
        with pytest.raises(ValueError, match=r"dataset\.held_out"):
            npz("a.npz", held_out=wrong)


def sides(name, rows, files, held_out=0.25):
    """The images of these rows on either side, by what is in their first pixel."""
    folder = Path(name)
    if files == "npz":
        np.savez(f"{name}.npz", images=PICTURES[rows], factors=rows[:, None] // 10)
        data = npz(f"{name}.npz", held_out=held_out)
    elif files == "no factors":
        np.savez(f"{name}.npz", images=PICTURES[rows])
        data = npz(f"{name}.npz", held_out=held_out)
    else:
        folder.mkdir()
        for k, row in enumerate(rows):
            Image.fromarray(PICTURES[row]).save(folder / f"{k:03}.bmp")
        data = load_dataset("image_folder", path=name, held_out=held_out, size=4)
    return [
        sorted(np.rint(each.observations_at(np.arange(each.num_observations))[:, 0, 0, 0] * 255))
        for each in (data, data.held_out_data)
    ]


PICTURES = np.zeros((60, 4, 4, 3), np.uint8)
PICTURES[:, 0, 0, 0] = np.arange(60)
PICTURES[:, 3, 3] = 255


@pytest.mark.parametrize("files", ["npz", "no factors", "folder"])
def test_copies_are_on_one_side_and_the_order_of_rows_does_not_matter(files):
    straight = np.arange(60)
    train, score = sides("straight", straight, files)
    assert (len(train), len(score)) == (45, 15)
    assert sides("permuted", RNG(3).permutation(60), files) == [train, score]
    twice = sides("twice", np.concatenate([straight, straight[::-1]]), files)
    assert twice == [sorted([*train, *train]), sorted([*score, *score])]
    some = np.repeat(straight, RNG(0).randint(1, 5, size=60))
    train, score = sides("some", some, files)
    assert not set(train) & set(score)
    assert sorted([*train, *score]) == some.tolist()
    assert len(score) / len(some) == pytest.approx(0.25, abs=0.03)
    with pytest.raises(ValueError, match=r"of 9 rows, 1 of them different, leaves"):
        sides("same", np.zeros(9, dtype=int), files)


def test_what_is_bound_does_not_move_a_row_to_the_other_side():
    random = RNG(0)
    factors = np.column_stack([random.rand(80), random.randint(3, size=80)])
    images = (random.rand(80, 2, 2) * 200).astype(np.uint8)
    images[:, 0, 0] = np.arange(80)
    np.savez("a.npz", images=images, factors=factors)

    def scored(white=255, **bound):
        data = npz("a.npz", held_out=0.25, white=white, **bound).held_out_data
        pixels = data.observations_at(np.arange(data.num_observations))[:, 0, 0, 0]
        return sorted(np.rint(pixels * white))

    assert scored() == scored(factor_bins=3) == scored(white=250)
    assert scored() == scored(factor_kinds={1: "continuous"})


def test_codes_take_names_kinds_bins_and_rows_held_out(capsys):
    made = records()
    np.savez("codes.npz", codes=codes_of(made), factors=made)
    arguments = ["--codes", "codes.npz", "--output", "scores", "--bind", "run.metrics = ['mig']"]
    arguments += ["--bind", "dataset.held_out = .5", "--bind", "dataset.factor_bins = {'scale': 4}"]
    evaluate_main(arguments)
    scores = StepDirectory(Path("scores/mig"), "evaluation").read()
    assert scores["num_factors_scored"] == 3
    described = json.loads(Path("scores/mig/factors.json").read_text(encoding="utf-8"))
    assert described["names"] == ["shape", "corner", "scale"]
    assert described["kinds"] == ["class"] * 3
    assert described["labels"] == {"shape": ["circle", "square", "triangle"]}
    table = load_codes(Path("codes.npz"), [], ["dataset.held_out = .5"])
    assert table.data.num_observations == 150


def test_codes_are_held_out_as_their_images_are(caplog):
    factors = RNG(0).rand(80, 2)
    codes = np.arange(160.0).reshape(80, 2)
    images = np.arange(80, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    np.savez("a.npz", images=images, factors=factors)
    np.savez("codes.npz", codes=codes, factors=factors)
    held_out = npz("a.npz", held_out=0.25, white=255).held_out_data
    rows = np.rint(held_out.observations_at(np.arange(20))[:, 0, 0, 0] * 255).astype(int)
    table = load_codes(Path("codes.npz"), [], ["dataset.held_out = .25"])
    np.testing.assert_array_equal(table.codes_at(np.arange(20)), codes[rows])
    assert "share all factors" not in caplog.text
    np.savez("codes.npz", codes=codes, factors=RNG(0).randint(3, size=(80, 2)))
    load_codes(Path("codes.npz"), [], ["dataset.held_out = .25"])
    assert "rows share all factors, so that dataset.held_out here" in caplog.text


# --- no factors ----------------------------------------------------------------------------------


def test_codes_alone_are_scored_by_what_needs_no_factors(capsys):
    codes = RNG(0).normal(size=(500, 4))
    np.savez("codes.npz", codes=codes)
    arguments = ["--codes", "codes.npz", "--output", "s"]
    with pytest.raises(SystemExit) as caught:
        evaluate_main([*arguments, "--bind", "run.metrics = ['mig', 'unsupervised_metrics']"])
    assert caught.value.code != 0
    error = capsys.readouterr().err
    assert "codes.npz (without an array 'factors', and dataset.name is not bound)" in error
    scores = StepDirectory(Path("s/unsupervised_metrics"), "evaluation").read()
    assert scores["active_latents"] == 4
    assert 0 <= scores["gaussian_total_correlation"] < 0.1


def test_a_folder_is_scored_by_what_needs_no_factors():
    (folder := Path("faces")).mkdir()
    for k in range(9):
        Image.fromarray(RNG(k).randint(256, size=(8, 8, 3)).astype(np.uint8)).save(
            folder / f"{k}.png"
        )
    Path("mine.py").write_text("def encode(x): return x[:, 0, :4, 0]\n", encoding="utf-8")
    arguments = ["--function", "mine:encode", "--output", "s"]
    for binding in ("dataset.name = 'image_folder'", "dataset.path = 'faces'", "dataset.size = 8"):
        arguments += ["--bind", binding]
    evaluate_main([*arguments, "--bind", "run.metrics = ['unsupervised_metrics']"])
    assert StepDirectory(Path("s/unsupervised_metrics"), "evaluation").read()["active_latents"] == 4


# --- images --------------------------------------------------------------------------------------


def images_in(images, **bound):
    np.savez("images.npz", images=images, factors=np.arange(len(images))[:, None])
    return npz("images.npz", **bound).observations_at(np.arange(len(images)))


@pytest.mark.parametrize("largest", [16, 100])
def test_dark_uint8_is_warned_of_and_scaled_as_bound(caplog, largest):
    images = np.zeros((3000, 4, 4), np.uint8)
    images[7, 1, 1] = largest
    assert images_in(images).max() == pytest.approx(largest / 255)
    assert f"the largest value is {largest}; taken as 0 to 255" in caplog.text
    assert f"dataset.white = {largest}" in caplog.text
    caplog.clear()
    assert images_in(images, white=float(largest)).max() == 1
    assert images_in(images.astype(np.int64), white=float(largest)).max() == 1
    assert not caplog.records


def test_images_from_minus_one_to_one_are_refused_or_mapped():
    images = np.linspace(-1, 1, 32).reshape(2, 4, 4)
    with pytest.raises(ValueError, match=r"-1 to 1; .* dataset\.black = -1 and dataset\.white = 1"):
        images_in(images)
    found = images_in(images, black=-1.0, white=1.0)
    np.testing.assert_allclose(found[..., 0], (images + 1) / 2, atol=1e-6)


def test_axes_that_can_be_read_two_ways_are_said(caplog):
    images = RNG(0).randint(256, size=(5, 3, 6, 3)).astype(np.uint8)
    as_last = images_in(images)
    assert "can be read in two ways; taken as (image, height, width, channel)" in caplog.text
    caplog.clear()
    np.testing.assert_array_equal(images_in(images, layout="NHWC"), as_last)
    first = images_in(images, layout="NCHW")
    np.testing.assert_allclose(first, np.moveaxis(images, 1, 3) / 255, atol=1e-6)
    assert not caplog.records
    images_in(images[:, 0])
    assert "the 3 not as channels" in caplog.text
    with pytest.raises(ValueError, match=r"bind dataset\.layout = 'NCHW'"):
        images_in(np.zeros((2, 3, 8, 8)))


def test_dark_files_are_warned_of(caplog):
    (folder := Path("dark")).mkdir()
    Image.fromarray(np.full((8, 8), 9, np.uint8)).save(folder / "a.png")
    data = load_dataset("image_folder", path="dark", size=8)
    assert "1 files looked at: the largest value is 9; taken as 0 to 255" in caplog.text
    assert data.sample_observations(1, RNG(0)).max() == pytest.approx(9 / 255)
    bright = load_dataset("image_folder", path="dark", size=8, white=9)
    assert bright.sample_observations(1, RNG(0)).max() == 1


def test_the_report_has_the_names_that_were_recorded(tmp_path):
    run = Run("a", tmp_path)
    assert names_in(run, 2) == ["factor 0", "factor 1"]
    run.factor_names = ["shape", "scale"]
    assert names_in(run, 2) == ["shape", "scale"]
    assert names_in(run, 3) == ["factor 0", "factor 1", "factor 2"]


@pytest.mark.parametrize("metric", ["mcc", "r2", "dci_regression"])
def test_classes_taken_as_numbers_are_named(caplog, metric):
    caplog.set_level("INFO")
    data = load_dataset("dsprites_full")
    few = {metric: {"num_train": 300}}
    score(lambda images: images.mean(axis=2)[..., 0], data, few)
    said = "taken as numbers, although their values may have no order: shape"
    assert said in caplog.text
    caplog.clear()
    factors = data.factors_at(RNG(0).randint(len(data), size=400))
    score_codes(factors + 0.0, factors, few)
    assert said not in caplog.text
