"""The metrics of `evaluation.metrics`: ours, with gin's bindings and disentanglement_lib's keys."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gin

from srvae_plugin import metrics
from srvae_plugin.config import plugins
from srvae_plugin.runs.scoring.one_metric import draw_matrices

__all__ = [
    "OWN_KEYS",
    "compute_beta_vae_sklearn",
    "compute_dci",
    "compute_dci_on_fixed_data",
    "compute_downstream_task",
    "compute_factor_vae",
    "compute_fairness",
    "compute_irs",
    "compute_mig",
    "compute_mig_on_fixed_data",
    "compute_modularity_explicitness",
    "compute_reduced_downstream_task",
    "compute_sap",
    "compute_sap_on_fixed_data",
    "compute_strong_downstream_task",
    "compute_unified_score_on_fixed_data",
    "compute_unified_scores",
    "only_theirs",
    "unsupervised_metrics",
    "without_merges",
]

OWN_KEYS = re.compile(
    r"(.*:)?num_(continuous_)?factors_scored|active_latents|.*_active|.*_real(_norm)?"
    r"|.*_asked|.*_accuracy_varying_factors|r2_(train|test)"
    r"|largest_deviation|median_deviation|prune_threshold"
)
"""What our metrics report beside the original's scores."""


def only_theirs(scores: dict[str, Any]) -> dict[str, Any]:
    """The scores that disentanglement_lib's function reports."""
    return {key: value for key, value in scores.items() if not OWN_KEYS.fullmatch(key)}


def _scored(configured: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def compute(*arguments: Any, **named: Any) -> dict[str, Any]:
        return only_theirs(configured(*arguments, **named))

    return compute


def _metric(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    return _scored(plugins.registered("metrics", name), function)


def _of_given_points(function: Callable[..., Any]) -> Callable[..., Any]:
    return _scored(gin.get_configurable(function), function)


compute_beta_vae_sklearn = _metric("beta_vae_sklearn", metrics.compute_beta_vae_sklearn)
compute_dci = _metric("dci", metrics.compute_dci)
compute_downstream_task = _metric("downstream_task", metrics.compute_downstream_task)
compute_factor_vae = _metric("factor_vae_score", metrics.compute_factor_vae)
compute_fairness = _metric("fairness", metrics.compute_fairness)
compute_irs = _metric("irs", metrics.compute_irs)
compute_mig = _metric("mig", metrics.compute_mig)
compute_modularity_explicitness = _metric(
    "modularity_explicitness", metrics.compute_modularity_explicitness
)
compute_reduced_downstream_task = _metric(
    "reduced_downstream_task", metrics.compute_reduced_downstream_task
)
compute_sap = _metric("sap_score", metrics.compute_sap)
compute_strong_downstream_task = _metric(
    "strong_downstream_task", metrics.compute_strong_downstream_task
)
unsupervised_metrics = _metric("unsupervised_metrics", metrics.compute_unsupervised_metrics)

compute_dci_on_fixed_data = _of_given_points(metrics.compute_dci_on_fixed_data)
compute_mig_on_fixed_data = _of_given_points(metrics.compute_mig_on_fixed_data)
compute_sap_on_fixed_data = _of_given_points(metrics.compute_sap_on_fixed_data)

_unified = plugins.registered("metrics", "unified_scores")
_unified_of_given_points = gin.get_configurable(metrics.compute_unified_score_on_fixed_data)


def without_merges(scores: dict[str, Any]) -> dict[str, Any]:
    """The original reports which factors merge only where it draws them, too."""
    return {key: value for key, value in scores.items() if ".merge_" not in key}


@functools.wraps(metrics.compute_unified_scores)
def compute_unified_scores(
    ground_truth_data: Any,
    representation_function: Any,
    random_state: Any,
    artifact_dir: str | None = None,
    *arguments: Any,
    **named: Any,
) -> dict[str, Any]:
    """The unified scores; with `artifact_dir`, which factors merge, too, and pictures there."""
    scores = only_theirs(
        _unified(
            ground_truth_data,
            representation_function,
            random_state,
            artifact_dir,
            *arguments,
            **named,
        )
    )
    if artifact_dir is None:
        return without_merges(scores)
    draw_matrices(Path(artifact_dir))
    return scores


@functools.wraps(metrics.compute_unified_score_on_fixed_data)
def compute_unified_score_on_fixed_data(*arguments: Any, **named: Any) -> dict[str, Any]:
    """The unified scores of given points."""
    return without_merges(only_theirs(_unified_of_given_points(*arguments, **named)))
