"""The packaged gin files of the metrics: each binds what exists, and its metric's own defaults."""

import inspect
from pathlib import Path

import gin
import pytest

from srvae_plugin import metrics
from srvae_plugin.config import gin_files, plugins
from srvae_plugin.config.gin_files import configured
from srvae_plugin.metrics.learners import predictors
from srvae_plugin.runs import pipeline

FOLDER = Path(__file__).parents[1] / "gin" / "metrics"
FILES = sorted(path.name for path in FOLDER.glob("*.gin"))
SEVERAL = {"all.gin", "study.gin", "paper.gin", "teapots.gin", "udr.gin"}
ORIGINAL = {
    "factor_vae_score", "beta_vae_sklearn", "dci", "mig", "sap_score", "modularity_explicitness",
    "irs", "unsupervised_metrics", "downstream_task", "reduced_downstream_task",
    "strong_downstream_task", "fairness", "unified_scores",
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_every_file_binds_what_exists(name):
    with configured([f"metrics/{name}"]):
        pass


def test_all_of_the_originals_metrics_are_in_one_file():
    with configured(["metrics/all.gin"]):
        plan = gin.get_configurable(pipeline.RunPlan)()
        assert gin_files.bound("evaluation.random_seed") == 0
    everything = {name.rpartition("/")[2] for name in plan.metrics}
    assert everything == set(plugins.names("metrics")) >= ORIGINAL


@pytest.mark.parametrize("name", sorted(set(FILES) - SEVERAL))
def test_a_metrics_own_file_runs_that_metric(name):
    with configured([f"metrics/{name}"]):
        plan = gin.get_configurable(pipeline.RunPlan)()
    assert {metric.rpartition("/")[2] for metric in plan.metrics} == {name.removesuffix(".gin")}


def test_the_study_has_nine_metrics():
    with configured(["metrics/study.gin"]):
        plan = gin.get_configurable(pipeline.RunPlan)()
    assert len(plan.metrics) == 9


def test_scoped_metrics_have_bindings_and_results_of_their_own():
    with configured(["metrics/downstream_task.gin"]):
        for kind in ("boosted_trees", "logistic_regression"):
            with gin.config_scope(f"downstream_task_{kind}"):
                made = gin.get_configurable(predictors.predictor)()()
            assert ("Softmax" in type(made).__name__) == (kind == "logistic_regression")
    with (
        configured(bindings=["run.metrics = ['a/mig', 'a/dci']"]),
        pytest.raises(ValueError, match="the same first name"),
    ):
        gin.get_configurable(pipeline.RunPlan)()


@pytest.mark.parametrize("name", sorted(ORIGINAL))
def test_defaults_without_gin_are_those_of_the_file(name):
    function = plugins.find("metrics", name)
    defaults = inspect.signature(function).parameters
    compared = 0
    with configured(["metrics/all.gin"]):
        for parameter in defaults:
            bound = gin_files.bound(f"{name}.{parameter}")
            if bound is not None and defaults[parameter].default is not None:
                default = defaults[parameter].default
                assert bound == (list(default) if isinstance(default, tuple) else default)
                compared += 1
    assert compared


def test_metrics_are_exported_under_the_functions_names():
    for name in sorted(ORIGINAL):
        function = inspect.unwrap(plugins.find("metrics", name))
        assert getattr(metrics, function.__name__) is function
