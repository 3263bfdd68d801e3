"""What every metric promises, and its scores at small settings, for the tests of properties."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from metric_cases import GRIDS
from sklearn.tree import DecisionTreeClassifier

from srvae_plugin import metrics
from srvae_plugin.metrics.beta_vae import compute_beta_vae_sklearn
from srvae_plugin.metrics.downstream_task import compute_downstream_task
from srvae_plugin.metrics.fairness import compute_fairness
from srvae_plugin.metrics.irs import compute_irs
from srvae_plugin.metrics.modularity_explicitness import compute_modularity_explicitness
from srvae_plugin.metrics.reduced_downstream_task import compute_reduced_downstream_task
from srvae_plugin.metrics.strong_downstream_task import compute_strong_downstream_task
from srvae_plugin.metrics.unified_scores import (
    accuracy_svm_matrix,
    compute_unified_scores,
    mutual_information_matrix,
)
from srvae_plugin.metrics.unsupervised_metrics import compute_unsupervised_metrics

FEW = {"num_train": 200, "num_test": 100}
MANY = {"num_train": 1000}
CHANCE = np.mean([1 / size for size in GRIDS["tiny"]])


class Metric(NamedTuple):
    """A metric and what it promises."""

    compute: Callable[..., dict[str, float | int]]
    few: dict[str, Any]
    """Small settings."""
    headline: list[str]
    """The scores that tell good codes from bad ones."""
    keys: set[str]
    """Keys of the original, or of the metric's own, or some of them."""
    perfect: float = 0.95
    """What the factors themselves score at least, or at most if low is good."""
    noise: float | None = 0.2
    """What noise scores at most; None: no promise."""
    collapsed: float = 0.0
    low_is_good: bool = False
    lowest: float = 0.0
    highest: float = 1.0
    sees_rotation: bool = True
    scale: float | None = 1e-12
    """How much the scale of latents may change; None: no promise."""
    octaves: int = 5
    """Latents are scaled by as many powers of two: no more than leaves all of them active."""
    order: float = 1e-12
    """How much the order of latents may change."""
    dead: float | None = None
    """How much dead latents beside perfect ones may change; None: no promise."""
    compares_latents: bool = True
    constant: float = 0.3
    """What the factors themselves score above, or below if low is good, beside a constant one."""
    scored: str | None = "num_factors_scored"
    """Key of the number of factors that were not left out; None: constant ones are not."""


def small_tree():
    return DecisionTreeClassifier(min_samples_leaf=2)


def newer(compute, few, headline, **promises):
    """A metric that the original does not have."""
    usual = {"highest": 1 + 1e-12, "scale": 1e-9, "octaves": 3, "dead": 0.01, "constant": 0.7}
    keys = {*headline, "num_factors_scored"}
    return Metric(compute, few, headline, keys, **(usual | promises))


PREDICTOR = {"predictor_fn": small_tree, "num_test": 100}
METRICS = {
    "compute_factor_vae": Metric(
        metrics.compute_factor_vae,
        {"num_train": 200, "num_eval": 100, "num_variance_estimate": 500},
        ["eval_accuracy"],
        {"train_accuracy", "eval_accuracy", "num_active_dims"},
        noise=0.55,
        compares_latents=False,
        scored=None,
        dead=1e-6,
    ),
    "compute_beta_vae_sklearn": Metric(
        compute_beta_vae_sklearn,
        {"num_train": 200, "num_eval": 100},
        ["eval_accuracy"],
        {"train_accuracy", "eval_accuracy"},
        noise=0.55,
        collapsed=1 / 3,
        sees_rotation=False,
        scale=None,
        compares_latents=False,
        scored=None,
        dead=1e-6,
    ),
    "compute_dci": Metric(
        metrics.compute_dci,
        FEW,
        ["disentanglement", "completeness"],
        {"informativeness_train", "informativeness_test", "disentanglement", "completeness"},
        order=0.05,  # trees choose at random between equally good latents
        dead=1e-6,
    ),
    "compute_mig": Metric(metrics.compute_mig, MANY, ["discrete_mig"], {"discrete_mig"}, dead=1e-6),
    "compute_sap": Metric(
        metrics.compute_sap,
        FEW,
        ["SAP_score"],
        {"SAP_score"},
        perfect=0.3,  # a linear classifier does not reach 1 on five values of one latent
        scale=None,
    ),
    "compute_modularity_explicitness": Metric(
        compute_modularity_explicitness,
        {"num_train": 500, "num_test": 200},
        ["modularity_score"],
        {"modularity_score", "explicitness_score_train", "explicitness_score_test"},
        noise=None,  # latents that know little, but not of all factors alike, are modular
        compares_latents=False,
    ),
    "compute_irs": Metric(
        compute_irs,
        {"num_train": 1000},
        ["IRS"],
        {"IRS", "num_active_dims"},
        noise=0.4,
        order=1e-6,  # float32 sums
        scale=None,
        compares_latents=False,
        scored=None,
        dead=1e-6,
    ),
    "compute_unsupervised_metrics": Metric(
        compute_unsupervised_metrics,
        {"num_train": 1000},
        ["mutual_info_score"],
        {
            "gaussian_total_correlation",
            "gaussian_wasserstein_correlation",
            "gaussian_wasserstein_correlation_norm",
            "mutual_info_score",
        },
        perfect=0.02,
        noise=None,
        low_is_good=True,
        highest=np.inf,
        scored=None,
    ),
    "compute_downstream_task": Metric(
        compute_downstream_task,
        {"num_train": [200], **PREDICTOR},
        ["200:mean_test_accuracy"],
        {f"200:{m}_{p}_accuracy" for m in ("mean", "min") for p in ("train", "test")}
        | {f"200:{p}_accuracy_factor_{k}" for p in ("train", "test") for k in range(3)},
        noise=0.45,
        collapsed=CHANCE,
        sees_rotation=False,
        order=0.1,
        compares_latents=False,
        scored="200:num_factors_scored",
    ),
    "compute_reduced_downstream_task": Metric(
        compute_reduced_downstream_task,
        {"num_train": [200], "correlation_measure": mutual_information_matrix, **PREDICTOR},
        ["200:mean_test_accuracy_other_factors"],
        {f"200:mean_{p}_accuracy_{k}" for p in ("train", "test") for k in ("reduced_factor",)}
        | {f"200:mean_{p}_accuracy_other_factors" for p in ("train", "test")}
        | {f"200:reduced_factor_0:mean_test_accuracy_factor_{k}" for k in range(3)}
        | {f"200:reduced_factor_2:mean_train_accuracy_{k}reduced_factor" for k in ("", "non_")},
        noise=0.45,
        collapsed=CHANCE,
        sees_rotation=False,
        order=0.1,
        scored="200:num_factors_scored",
    ),
    "compute_strong_downstream_task": Metric(
        compute_strong_downstream_task,
        {"num_train": [200], "n_experiment": 3, **PREDICTOR},
        ["200:mean_strong_test_accuracy"],
        {f"200:mean_{s}{p}_accuracy" for s in ("", "strong_") for p in ("train", "test")}
        | {"200:strong_generalization_gap"},
        noise=0.45,
        collapsed=CHANCE,
        order=0.1,
        compares_latents=False,
        scored="200:num_factors_scored",
    ),
    "compute_fairness": Metric(
        compute_fairness,
        {"num_train": 200, "num_test_points_per_class": 50, "predictor_fn": small_tree},
        ["mean_fairness:mean_pred:mean_sens", "max_fairness:mean_pred:mean_sens"],
        {"mean_fairness:pred0:sens1", "max_fairness:pred2:max_sens", "max_fairness:sens0:max_pred"}
        | {f"mean_fairness:{a}_sens:{b}_pred" for a in ("mean", "max") for b in ("mean", "max")},
        perfect=0.02,
        noise=None,
        low_is_good=True,
        sees_rotation=False,
        order=0.1,
        compares_latents=False,
    ),
    "compute_unified_scores": Metric(
        compute_unified_scores,
        {**FEW, "matrix_fns": [mutual_information_matrix, accuracy_svm_matrix]},
        [
            "mutual_information_matrix.mig",
            "mutual_information_matrix.modularity",
            "mutual_information_matrix.dci",
            "accuracy_svm_matrix.sap",
        ],
        {
            f"{matrix}_matrix.{key}"
            for matrix in ("mutual_information", "accuracy_svm")
            for key in ("area_precision", "max_precision", "dci", "mig.factor_2", "sap.factor_0")
        },
        perfect=0.3,
        noise=None,
        scale=None,
    ),
    "compute_infomec": newer(
        metrics.compute_infomec,
        {"num_train": 300},
        ["infom", "infoc"],
        noise=None,  # compares noise with noise, which is not even; explicitness tells
        order=1e-6,  # neighbours are sought in other noise
        compares_latents=False,
    ),
    "compute_med": newer(
        metrics.compute_med,
        {**MANY, "num_test": 50, "topk": 1},
        ["disentanglement", "completeness"],
        perfect=0.9,  # few points leave its many small entries something
        dead=None,  # completeness is in units of the entropy over all latents, dead ones included
    ),
    "compute_dci_es": newer(
        metrics.compute_dci_es,
        {**FEW, "probe_sizes": (1, 2, 3, 4)},
        ["explicitness"],
        perfect=0.7,  # a forest of depth 1 leaves a quarter to read
        lowest=-1.0,
        order=0.02,
        compares_latents=False,
    ),
    "compute_jemmig": newer(metrics.compute_jemmig, MANY, ["normalized_jemmig"]),
    "compute_dcimig": newer(metrics.compute_dcimig, MANY, ["dcimig"], compares_latents=False),
    "compute_mig_sup": newer(
        metrics.compute_mig_sup, MANY, ["mig_sup"], constant=0.9, compares_latents=False
    ),
    "compute_mcc": newer(
        metrics.compute_mcc, MANY, ["mcc_pearson", "mcc_spearman"], compares_latents=False
    ),
    "compute_r2": newer(
        metrics.compute_r2,
        FEW,
        ["r2_linear", "r2_kernel_ridge"],
        lowest=-1.0,
        sees_rotation=False,
        order=1e-8,
        compares_latents=False,
    ),
    "compute_dci_regression": newer(
        metrics.compute_dci_regression,
        FEW,
        ["disentanglement", "completeness"],
        order=0.05,  # trees choose at random between equally good latents
    ),
}
