"""The scikit-learn transformer, by scikit-learn's own checks and in a pipeline."""

import pickle
from collections import Counter

import finished_runs
import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator
from srvae_adapters.sklearn import RepresentationTransformer

from srvae_plugin import representation_function
from srvae_plugin.cli.export import export

SHAPE = finished_runs.COLOUR_SHAPE


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return finished_runs.colour_run(
        tmp_path_factory.mktemp("runs"), "sr_vae", ['run.representations = ["mean", "sampled"]']
    )


def images(num=20):
    return np.random.RandomState(0).uniform(size=(num, *SHAPE)).astype(np.float32)


def moments(observations):
    """A representation of images of any shape: the checks try many."""
    rows = observations.reshape(len(observations), -1)
    return np.stack([rows.sum(1), np.tanh(rows).mean(1)], 1)


CHECKS = list(estimator_checks_generator(RepresentationTransformer(moments)))


# Names of our own: scikit-learn's hold the function's address, which differs between workers.
@pytest.mark.parametrize(
    ("estimator", "check"),
    CHECKS,
    ids=[f"{i}-{check.func.__name__}" for i, (_, check) in enumerate(CHECKS)],
)
def test_a_function_passes_scikit_learn_s_checks(estimator, check):
    check(estimator)


def test_a_run_fails_those_checks_only_that_feed_it_other_images(run):
    """They send rows of 1 to 20 numbers, of any size; a trained model takes its own images."""
    found = check_estimator(RepresentationTransformer(run), on_skip=None, on_fail=None)
    counts = Counter(check["status"] for check in found)
    assert counts["passed"] >= 15
    for check in found:
        reason = str(check["exception"]) + str(check["exception"] and check["exception"].__cause__)
        if check["status"] == "failed":
            assert "expected 105, images of" in reason or "expected [0, 1]" in reason, reason


def test_it_gives_the_run_s_codes_for_images_and_for_rows(run):
    expected = representation_function(run)(images())
    transformer = RepresentationTransformer(str(run), batch_size=7)
    np.testing.assert_allclose(transformer.fit_transform(images()), expected, atol=1e-5)
    rows = images().reshape(20, -1)
    np.testing.assert_allclose(transformer.transform(rows), expected, atol=1e-5)
    assert transformer.n_features_in_ == 105
    assert len(transformer.get_feature_names_out()) == expected.shape[1] == 2
    sampled = RepresentationTransformer(run, kind="sampled").fit_transform(rows)
    seeded = representation_function(run, "sampled")(images())
    np.testing.assert_allclose(sampled, seeded, atol=1e-5)
    assert np.abs(sampled - expected).max() > 0.01


def test_it_is_a_step_of_a_pipeline(run):
    x, y = images(40), np.arange(40) % 2
    x[y == 1] *= 0.1  # much darker
    pipeline = make_pipeline(RepresentationTransformer(run), LogisticRegression())
    assert pipeline.fit(x, y).score(x, y) > 0.8
    search = GridSearchCV(pipeline, {"representationtransformer__batch_size": [3, 256]}, cv=2)
    scores = search.fit(x.reshape(40, -1), y).cv_results_["mean_test_score"]
    assert scores[0] == scores[1] > 0.8
    codes = clone(pipeline).fit(x, y)[0].transform(x)
    np.testing.assert_allclose(codes, representation_function(run)(x), atol=1e-5)


def test_saved_it_keeps_the_place_of_the_weights_and_not_the_weights(run, tmp_path):
    made = export(run, "sklearn", tmp_path / "copy").file
    assert made == tmp_path / "copy"
    transformer = RepresentationTransformer(made).fit(images())
    assert len(pickle.dumps(transformer)) < 2000
    joblib.dump(transformer, tmp_path / "t.joblib")
    loaded = joblib.load(tmp_path / "t.joblib")
    expected = representation_function(run)(images())
    np.testing.assert_allclose(loaded.transform(images()), expected, atol=1e-5)
    assert not list(made.rglob("*.pkl"))
    unfitted = pickle.loads(pickle.dumps(RepresentationTransformer(made)))
    with pytest.raises(NotFittedError):
        unfitted.transform(images())


def test_a_function_may_be_given_the_shape_of_its_images():
    def corner(observations):
        assert observations.shape[1:] == SHAPE
        return observations[:, 6, 4, 1:]

    transformer = RepresentationTransformer(corner, observation_shape=SHAPE)
    expected = images()[:, 6, 4, 1:]
    assert np.array_equal(transformer.fit_transform(images().reshape(20, -1)), expected)
    shown = RepresentationTransformer(corner).fit(images())  # four axes say it themselves
    assert np.array_equal(shown.transform(images().reshape(20, -1)), expected)


@pytest.mark.parametrize(
    ("x", "part"),
    [
        (images()[:, :, :4], r"images of \(7, 4, 3\): expected \(7, 5, 3\)"),
        (np.moveaxis(images(), 3, 1), r"images of \(3, 7, 5\): expected"),
        (images().reshape(20, -1)[:, :-1], "104 features: expected 105"),
        (images() * 255, "divide bytes by 255"),
        (images() * np.nan, "NaN"),
    ],
)
def test_other_images_are_refused(run, x, part):
    with pytest.raises(ValueError, match=part):
        RepresentationTransformer(run).fit(x)
    with pytest.raises(ValueError, match=r"expect|divide|NaN"):
        RepresentationTransformer(run).fit(images()).transform(x)


def test_other_representations_are_refused(tmp_path):
    for wrong, part in (
        (None, "expected a run directory or a function"),
        (tmp_path, "is not a run directory"),
        (lambda x: x, r"returned \(1, 7, 5, 3\) for 1 images"),
    ):
        with pytest.raises(ValueError, match=part):
            RepresentationTransformer(wrong).fit(images())
