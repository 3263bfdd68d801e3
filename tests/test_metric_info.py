"""What metrics say about themselves: facts on the function, all arguments in help()."""

import inspect
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest

from srvae_plugin import metrics
from srvae_plugin.config import plugins
from srvae_plugin.metrics.common.info import ARGUMENTS, Headline, MetricInfo, documented, metric
from srvae_plugin.report import keys

FUNCTIONS = {
    name: getattr(metrics, name)
    for name in metrics.__all__
    if inspect.isfunction(getattr(metrics, name)) and name != "metric"
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_help_tells_of_every_argument_what_is_returned_and_what_is_refused(name):
    text = inspect.getdoc(FUNCTIONS[name])
    args = re.search(r"^Args:\n((?: +.*\n)+)", text, re.MULTILINE)[1]
    told = re.findall(r"^    (\w+): \S", args, re.MULTILINE)
    assert told == list(inspect.signature(FUNCTIONS[name]).parameters)
    assert re.search(r"^Raises:\n    ValueError: ", text, re.MULTILINE)
    assert "\nReturns:\n    " in text or "scores and errors as in" in text
    assert max(map(len, text.splitlines())) <= 100


def test_what_a_docstring_says_itself_wins():
    @documented
    def function(codes, seed, size):
        """Short.

        Longer.

        Args:
            size: of it,
                in metres.
            seed: mine.

        Returns:
            A thing.

        And more.

        Examples:
            >>> 1
        """

    lines = function.__doc__.splitlines()
    assert lines[:4] == ["Short.", "", "Longer.", ""]
    assert lines[4:8] == [
        "Args:",
        f"    codes: {ARGUMENTS['codes']}",
        "    seed: mine.",
        "    size: of it, in metres.",
    ]
    assert lines[8:14] == [
        "",
        "Returns:",
        "    A thing.",
        "",
        "Raises:",
        f"    {lines[13].strip()}",
    ]
    assert lines[14:] == ["", "And more.", "", "Examples:", "    >>> 1"]


@pytest.mark.parametrize("name", plugins.names("metrics"))
def test_every_metric_carries_its_facts(name):
    info = plugins.find("metrics", name).info
    assert info is plugins.metric_info(name)
    assert info.title
    assert info.reference
    assert getattr(plugins.find("metrics", name), "needs_factors", True) == info.needs_factors
    with pytest.raises(FrozenInstanceError):
        info.title = "other"


def test_headlines_stand_in_the_order_of_publications():
    found = [score for name in plugins.names("metrics") for score in keys.known_scores(name)]
    in_order = [(score.metric, score.key) for score in sorted(found, key=keys.order)]
    published = [
        ("factor_vae_score", "eval_accuracy"),
        ("beta_vae_sklearn", "eval_accuracy"),
        ("mig", "discrete_mig"),
        ("sap_score", "SAP_score"),
        ("dci", "disentanglement"),
        ("dci", "completeness"),
        ("dci", "informativeness_test"),
        ("modularity_explicitness", "modularity_score"),
        ("modularity_explicitness", "explicitness_score_test"),
        ("irs", "IRS"),
        ("dci_regression", "disentanglement"),
        ("dci_regression", "completeness"),
        ("dci_regression", "nrmse_test"),
        ("infomec", "infom"),
        ("infomec", "infoe"),
        ("infomec", "infoc"),
        ("jemmig", "normalized_jemmig"),
        ("dcimig", "dcimig"),
        ("mig_sup", "mig_sup"),
        ("mcc", "mcc_pearson"),
        ("mcc", "mcc_spearman"),
        ("r2", "r2_linear"),
        ("r2", "r2_kernel_ridge"),
        ("med", "disentanglement"),
        ("dci_es", "explicitness"),
        ("unsupervised_metrics", "gaussian_total_correlation"),
        ("unsupervised_metrics", "mutual_info_score"),
        ("fairness", "mean_fairness:mean_pred:mean_sens"),
    ]
    assert [score for score in in_order if score in published] == published
    low = {(s.metric, s.key) for s in found if not s.higher_is_better}
    assert low & {*published} == {*published[-3:], ("dci_regression", "nrmse_test")}


def test_a_metric_that_is_not_installed_has_no_facts():
    assert plugins.metric_info("nobody's") is None
    assert keys.known_scores("nobody's") == []


def test_a_plug_ins_metric_is_shown_as_it_says(monkeypatch, caplog):
    @metric(MetricInfo("Mine", "me", (Headline("a", "A of mine", higher_is_better=False),), 15))
    def compute_mine(ground_truth_data, representation_function, random_state, artifact_dir=None):
        """Mine."""

    class Found:
        name, value, dist = "mine", "mine_package:compute_mine", None
        load = staticmethod(lambda: compute_mine)

    monkeypatch.setattr(
        plugins, "entry_points", lambda **which: [Found] * (which["name"] == "mine")
    )
    for cached in (plugins.metric_info, keys._info):
        cached.cache_clear()
    try:
        (score,) = keys.headlines("mine", ["b", "a"])
        assert score == keys.Score("mine", "a", "A of mine", "", False)
        assert keys.order(score)[1] == 15
        (scoped,) = keys.headlines("fast", ["a"], "mine")
        assert (scoped.title, scoped.function) == ("A of mine, fast", "mine")
        compute_mine.info = "a metric of mine"
        for cached in (plugins.metric_info, keys._info):
            cached.cache_clear()
        assert keys.headlines("mine", ["b"])[0].title == "mine b"
        assert "expected srvae_plugin.metrics.MetricInfo" in caplog.text
    finally:
        for cached in (plugins.metric_info, keys._info):
            cached.cache_clear()


def test_reading_what_scores_are_called_waits_for_no_learner():
    code = (
        "import sys; from srvae_plugin.report import keys; "
        "assert keys.known_scores('dci') and keys.known_scores('factor_vae_score'); "
        "print([m for m in ('torch', 'sklearn', 'numba', 'scipy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
