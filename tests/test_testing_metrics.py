"""Each check of a metric or an exporter finds its defect and says what it is."""

import numpy as np
import pytest
from example_packages import from_example, require_found

from srvae_plugin.interchange.exporters import Exported
from srvae_plugin.metrics.common.info import Headline, MetricInfo
from srvae_plugin.testing import CheckError, check_exporter, check_metric
from srvae_plugin.testing.metrics import CHECKS, INVARIANCES, metric_outcomes

compute_correlation = from_example("metric").compute_correlation


def scored(change):
    """The metric with changed scores."""

    def metric(ground_truth_data, representation_function, random_state, artifact_dir=None):
        scores = compute_correlation(ground_truth_data, representation_function, random_state)
        return change(scores["correlation"])

    return metric


def encoded(change):
    """The metric of changed codes."""

    def metric(ground_truth_data, representation_function, random_state, num_train=100):
        def function(observations):
            return change(representation_function(observations))

        return compute_correlation(ground_truth_data, function, random_state, None, num_train)

    return metric


def with_info(info):
    """The metric with facts of its own."""
    metric = scored(lambda s: {"correlation": s})
    metric.info = info
    return metric


def misnamed(data, function, seed=0):
    return {"score": 1.0}


def index_only(ground_truth_data, representation_function, random_state):
    cached = hasattr(representation_function, "codes_at")
    scores = compute_correlation(ground_truth_data, representation_function, random_state)
    return scores | {"cached": float(cached)}


def per_value_of_the_first_factor(ground_truth_data, representation_function, random_state):
    scores = compute_correlation(ground_truth_data, representation_function, random_state)
    return {"score": scores["correlation"] / (ground_truth_data.factors_num_values[0] - 1)}


def normalized(codes):
    if (codes == codes[:1]).all():
        raise ZeroDivisionError("dead latent")
    return codes


def never_nan(codes):
    if np.isnan(codes).any():
        raise ArithmeticError("nan")
    return codes


DEFECTS = [
    (
        "its_arguments_are_those_of_disentanglement_lib",
        misnamed,
        "it takes (data, function, seed): expected (ground_truth_data, representation_function, "
        "random_state, artifact_dir=None, ...)",
    ),
    ("scores_are_plain_finite_numbers", scored(float), "it returns float"),
    ("scores_are_plain_finite_numbers", scored(lambda s: {}), "it returns dict {}: expected"),
    ("scores_are_plain_finite_numbers", scored(lambda s: {1: s}), "the key 1 of its scores"),
    (
        "scores_are_plain_finite_numbers",
        scored(lambda s: {"score": np.float32(s)}),
        "the score 'score' is float32",
    ),
    (
        "scores_are_plain_finite_numbers",
        scored(lambda s: {"score": s, "gap": float("nan")}),
        "the score 'gap' of codes that vary is nan: expected a finite number",
    ),
    (
        "its_info_tells_of_its_scores",
        with_info("mean correlation"),
        "its attribute info is str 'mean correlation': expected srvae_plugin.metrics.MetricInfo",
    ),
    (
        "its_info_tells_of_its_scores",
        with_info(MetricInfo("Correlation", "here", (Headline("r", "r"),))),
        "the headline 'r' of its info is not a score: expected one of correlation",
    ),
    (
        "its_info_tells_of_its_scores",
        with_info(
            MetricInfo("Correlation", "here", (Headline("correlation", "r", range=(0, 0.5)),))
        ),
        "expected 0 to 0.5, which its info says",
    ),
    ("it_uses_the_codes", scored(lambda s: {"score": 0.5}), "have the same scores, {'score': 0.5}"),
    (
        "the_seed_decides_the_scores",
        scored(lambda s: {"score": s + np.random.uniform()}),
        "it draws from the global random state of numpy: expected random_state only",
    ),
    (
        "the_seed_decides_the_scores",
        scored(lambda s: {"score": s + np.random.default_rng().uniform()}),
        "the same random_state gives the score 'score' ",
    ),
    (
        "the_seed_decides_the_scores",
        scored(lambda s: {"score": s, str(np.random.default_rng().uniform()): s}),
        "the same random_state gives the keys ['0.",
    ),
    ("cached_codes_have_the_same_scores", index_only, "the score 'cached' 1.0: expected 0.0"),
    (
        "codes_that_are_not_finite_are_refused",
        encoded(np.nan_to_num),
        "codes that are nan in latent 1 have the scores {'correlation': ",
    ),
    (
        "codes_that_are_not_finite_are_refused",
        encoded(never_nan),
        "codes that are nan in latent 1 raise ArithmeticError: nan (tests/test_testing_metrics.py",
    ),
    (
        "collapsed_codes_are_no_accident",
        encoded(normalized),
        "ZeroDivisionError: dead latent (tests/test_testing_metrics.py, line ",
    ),
    (
        "a_constant_factor_is_no_accident",
        per_value_of_the_first_factor,
        "ZeroDivisionError: float division by zero (tests/test_testing_metrics.py, line ",
    ),
]


@pytest.mark.parametrize(("check", "metric", "message"), DEFECTS)
def test_each_defect_is_found(check, metric, message):
    with pytest.raises(CheckError) as caught:
        check_metric(metric)
    require_found(caught.value, f"metric: {check}", message)


def test_no_check_escapes():
    assert {check.__name__ for check in CHECKS} == {check for check, *_ in DEFECTS}


@pytest.mark.parametrize(
    ("promise", "change"),
    [
        ("order", lambda codes: codes[:, :1]),
        ("scale", lambda codes: codes + codes[:, :1]),
    ],
)
def test_an_invariance_is_a_note_unless_it_is_promised(promise, change):
    metric, name = encoded(change), INVARIANCES[promise].__name__.replace("_", " ")
    (note,) = [each for each in metric_outcomes(metric) if each.check == name]
    assert note.status == "ok"
    assert note.message.startswith("note: ")
    with pytest.raises(CheckError) as caught:
        check_metric(metric, promises=[promise])
    require_found(caught.value, f"metric: {INVARIANCES[promise].__name__}", "expected 0.")
    with pytest.raises(ValueError, match="got rotation; expected some of order, scale"):
        check_metric(compute_correlation, promises=["rotation"])


def test_a_metric_keeps_what_it_promises_and_is_given_few_points():
    seen = []

    def metric(ground_truth_data, representation_function, random_state, num_train=10**9, power=1):
        seen.append((num_train, power))
        return compute_correlation(
            ground_truth_data, representation_function, random_state, num_train=num_train
        )

    check_metric(metric, promises=["order", "scale"], power=2)
    assert set(seen) == {(200, 2)}
    check_metric(metric, num_train=50)
    assert seen[-1] == (50, 1)


def test_a_metric_may_refuse_a_constant_factor():
    def metric(ground_truth_data, representation_function, random_state):
        if min(ground_truth_data.factors_num_values) < 2:
            raise ValueError("factor 0 is constant")
        return compute_correlation(ground_truth_data, representation_function, random_state)

    notes = {each.check: each.message for each in metric_outcomes(metric)}
    assert "factor 0 is constant" in notes["a constant factor is no accident"]
    check_metric(metric)


def test_a_score_that_does_not_exist_is_a_note():
    def metric(ground_truth_data, representation_function, random_state):
        scores = compute_correlation(ground_truth_data, representation_function, random_state)
        return {"score": scores["correlation"] or float("nan")}

    notes = {each.check: each.message for each in metric_outcomes(metric)}
    assert "of codes that are all the same is nan" in notes["collapsed codes are no accident"]
    check_metric(metric)


def test_an_argument_without_a_value_is_named():
    with pytest.raises(CheckError, match="power"):
        check_metric(lambda ground_truth_data, representation_function, random_state, power: {})


# ---------------------------------------------------------------- exporters


def written(place, contents="x", facts=None):
    def exporter(trained, folder):
        file = folder / place
        file.write_text(contents)
        return Exported(file, facts or {})

    return exporter


def beside_its_folder(trained, folder):
    (folder.parent / "log.txt").write_text("x")
    return into_a_folder(trained, folder)


def into_a_folder(trained, folder):
    (folder / "weights.txt").write_text("x")
    return Exported(folder, {"size": 1})


@pytest.mark.parametrize(
    ("exporter", "message"),
    [
        (
            lambda trained, folder: folder,
            "expected srvae_plugin.interchange.exporters.Exported(file, facts)",
        ),
        (written("../beside"), "expected one below"),
        (beside_its_folder, "it writes log.txt beside its folder: expected nothing there"),
        (lambda trained, folder: Exported(folder / "no", {}), "/export/no is not there: expected"),
        (lambda trained, folder: Exported(folder, {}), "it leaves its folder empty"),
        (written("codes", facts={"codes": np.zeros(2)}), "facts cannot be written to export.json"),
    ],
)
def test_defects_of_exporters_are_found(exporter, message):
    with pytest.raises(CheckError) as caught:
        check_exporter(exporter)
    require_found(caught.value, "exporter: it_writes_a_file_into_its_folder", message)


def test_sound_exporters_pass():
    check_exporter(into_a_folder)
    check_exporter(written("codes", facts={"size": 1}))
