"""Disentanglement metrics: one file each, the original's numbers for the same codes and seed.

Every `compute_<name>(ground_truth_data, representation_function, random_state, ...)` has
disentanglement_lib's signature and result keys, and all its settings as keyword arguments.
`compute_<name>_on_fixed_data` takes observations and labels instead, `compute_udr_sklearn` several
models.
"""

from srvae_plugin.metrics.beta_vae import compute_beta_vae_sklearn
from srvae_plugin.metrics.dci import compute_dci
from srvae_plugin.metrics.dci_es import compute_dci_es
from srvae_plugin.metrics.dci_regressors import compute_dci_regression
from srvae_plugin.metrics.dcimig import compute_dcimig
from srvae_plugin.metrics.downstream_task import compute_downstream_task
from srvae_plugin.metrics.factor_vae import compute_factor_vae
from srvae_plugin.metrics.fairness import compute_fairness
from srvae_plugin.metrics.fixed_data import (
    compute_dci_on_fixed_data,
    compute_mig_on_fixed_data,
    compute_sap_on_fixed_data,
    compute_unified_score_on_fixed_data,
)
from srvae_plugin.metrics.infomec import compute_infomec
from srvae_plugin.metrics.irs import compute_irs
from srvae_plugin.metrics.jemmig import compute_jemmig
from srvae_plugin.metrics.mcc import compute_mcc
from srvae_plugin.metrics.med import compute_med
from srvae_plugin.metrics.mig import compute_mig
from srvae_plugin.metrics.mig_sup import compute_mig_sup
from srvae_plugin.metrics.modularity_explicitness import compute_modularity_explicitness
from srvae_plugin.metrics.r2 import compute_r2
from srvae_plugin.metrics.reduced_downstream_task import compute_reduced_downstream_task
from srvae_plugin.metrics.sap_score import compute_sap
from srvae_plugin.metrics.strong_downstream_task import compute_strong_downstream_task
from srvae_plugin.metrics.udr import compute_udr_sklearn
from srvae_plugin.metrics.unified_scores import compute_unified_scores
from srvae_plugin.metrics.unsupervised_metrics import compute_unsupervised_metrics

__all__ = [
    "compute_beta_vae_sklearn",
    "compute_dci",
    "compute_dci_es",
    "compute_dci_on_fixed_data",
    "compute_dci_regression",
    "compute_dcimig",
    "compute_downstream_task",
    "compute_factor_vae",
    "compute_fairness",
    "compute_infomec",
    "compute_irs",
    "compute_jemmig",
    "compute_mcc",
    "compute_med",
    "compute_mig",
    "compute_mig_on_fixed_data",
    "compute_mig_sup",
    "compute_modularity_explicitness",
    "compute_r2",
    "compute_reduced_downstream_task",
    "compute_sap",
    "compute_sap_on_fixed_data",
    "compute_strong_downstream_task",
    "compute_udr_sklearn",
    "compute_unified_score_on_fixed_data",
    "compute_unified_scores",
    "compute_unsupervised_metrics",
]
