"""Which numbers of a run are scores, what they are called, and which way is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

TRAINING = "training"
"""Stands for a metric: losses on the training data after training."""


class Score(NamedTuple):
    """A number that a metric reports."""

    metric: str
    key: str
    title: str
    published: str = ""
    """Its name among the published scores, if it is there."""
    higher_is_better: bool = True
    function: str = ""
    """What computes it, if `metric` is a gin scope of that."""


_KNOWN = (
    Score("factor_vae_score", "eval_accuracy", "FactorVAE score", "factor_vae"),
    Score("beta_vae_sklearn", "eval_accuracy", "BetaVAE score", "beta_vae"),
    Score("mig", "discrete_mig", "MIG", "mig"),
    Score("sap_score", "SAP_score", "SAP", "sap"),
    Score("dci", "disentanglement", "DCI disentanglement", "dci_disentanglement"),
    Score("dci", "completeness", "DCI completeness", "dci_completeness"),
    Score("dci", "informativeness_test", "DCI informativeness (test accuracy)"),
    Score("modularity_explicitness", "modularity_score", "Modularity", "modularity"),
    Score("modularity_explicitness", "explicitness_score_test", "Explicitness", "explicitness"),
    Score("irs", "IRS", "IRS"),
    Score("dci_regression", "disentanglement", "DCI disentanglement (regressors)",
          "dci_disentanglement"),
    Score("dci_regression", "completeness", "DCI completeness (regressors)", "dci_completeness"),
    Score("dci_regression", "nrmse_test", "DCI test error (regressors, NRMSE)",
          "DCI informativeness: test NRMSE (avg, lower better)", False),
    Score("infomec", "infom", "InfoM (modularity)"),
    Score("infomec", "infoe", "InfoE (explicitness)"),
    Score("infomec", "infoc", "InfoC (compactness)"),
    Score("jemmig", "normalized_jemmig", "JEMMIG (normalised)", "jemmig"),
    Score("dcimig", "dcimig", "DCIMIG"),
    Score("mig_sup", "mig_sup", "MIG-sup"),
    Score("med", "disentanglement", "MED disentanglement"),
    Score("dci_es", "explicitness", "DCI-ES explicitness"),
    Score("unsupervised_metrics", "gaussian_total_correlation", "Gaussian total correlation",
          "", False),
    Score("unsupervised_metrics", "mutual_info_score", "Mutual information of latents", "", False),
    Score(TRAINING, "reconstruction_loss", "Reconstruction loss (nats per image)", "", False),
)  # fmt: skip
_NO_SCORES = ("uuid", "elapsed_time", "global_step", "training_seconds")
_AT_MOST = 3
"""Headlines of a metric that is not known here."""
_MANY_INSTANCES = ("downstream_task", "reduced_downstream_task", "strong_downstream_task")
"""Functions that a study evaluates more than once, with other settings."""


def metric_name(evaluation_fn: str, folder: str = "") -> str:
    """Metric of a gin reference such as `@mig` or `@trees/downstream_task`.

    disentanglement_lib tells its downstream tasks apart by their folders only.
    """
    scope = evaluation_fn.removeprefix("@").rpartition("/")[0]
    function = metric_function(evaluation_fn)
    if folder and (function in _MANY_INSTANCES or not function):
        return folder
    return scope or function or "unknown metric"


def metric_function(evaluation_fn: str) -> str:
    """Function of a gin reference, without scope and module."""
    return evaluation_fn.removesuffix("()").rpartition("/")[2].rpartition(".")[2].removeprefix("@")


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Entries of a result that are numbers, those of no interest left out."""
    return {
        key: float(value)
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and key not in _NO_SCORES
    }


def headlines(metric: str, keys: list[str], function: str = "") -> list[Score]:
    """The scores of a metric to show first: known ones, else test scores, else its first keys.

    A metric that is a scope of a known function has the scores of that.
    """
    known = [score for score in _KNOWN if score.metric == metric]
    known = known or [
        score._replace(metric=metric, title=f"{score.title}, {metric}", function=function)
        for score in _KNOWN
        if score.metric == function
    ]
    if known:
        return [score for score in known if score.key in keys]
    plain = [key for key in keys if not key.startswith("num_") and ":factor" not in key]
    # Downstream tasks report every size of the training set; the last is the largest.
    tests = [key for key in plain if key.endswith("mean_test_accuracy")][-1:]
    chosen = tests or [key for key in plain if "train" not in key][:_AT_MOST] or plain[:_AT_MOST]
    return [Score(metric, key, f"{metric} {key}") for key in chosen]


def order(score: Score) -> tuple[bool, int, str, str]:
    """Sort key: the training's last; known scores in the order above, others behind them."""
    known = [(s.metric, s.key) for s in _KNOWN]
    place = (score.function or score.metric, score.key)
    rank = known.index(place) if place in known else len(known)
    return score.metric == TRAINING, rank, score.metric, score.key


def published_names(metric: str) -> list[str]:
    """What publications call the scores of a metric; empty if none reports them."""
    return [score.published for score in _KNOWN if score.metric == metric and score.published]
