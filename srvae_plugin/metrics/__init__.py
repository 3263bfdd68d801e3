"""Disentanglement metrics: one file each, the original's numbers for the same codes and seed.

There are two ways to call each of them:

* `mig(codes, factors, *, seed=0, ...)` scores arrays, data frames or tensors, one row per point.
  Where a predictor is tested, a share of the points is held out, or `test=(codes, factors)` given.
* `compute_mig(ground_truth_data, representation_function, random_state, ...)` draws points from a
  data set and encodes them. These have disentanglement_lib's signature and result keys, and all its
  settings as keyword arguments. `compute_<name>_on_fixed_data` takes observations and labels
  instead, `compute_udr_sklearn` several models.

`compute_mig.info` says what a metric is called, where it is defined, which of its scores to look at
and which way is better.

Examples:
    >>> import numpy as np
    >>> from srvae_plugin import metrics
    >>> factors = np.argwhere(np.ones((4, 5)))
    >>> metrics.mig(factors, factors, seed=0)
    {'discrete_mig': 1.0, 'num_factors_scored': 2}
    >>> [headline.key for headline in metrics.compute_mig.info.headlines]
    ['discrete_mig']
"""

import srvae_plugin.registry  # noqa: F401  (before anything of ours registers a name)
from srvae_plugin.metrics.beta_vae import beta_vae, compute_beta_vae_sklearn
from srvae_plugin.metrics.common.fixed_data import (
    compute_dci_on_fixed_data,
    compute_mig_on_fixed_data,
    compute_sap_on_fixed_data,
    compute_unified_score_on_fixed_data,
)
from srvae_plugin.metrics.common.info import Headline, MetricInfo, metric
from srvae_plugin.metrics.dci import compute_dci, dci
from srvae_plugin.metrics.dci_es import Probing, compute_dci_es, dci_es
from srvae_plugin.metrics.dci_regressors import Regressor, compute_dci_regression, dci_regression
from srvae_plugin.metrics.dcimig import compute_dcimig, dcimig
from srvae_plugin.metrics.downstream_task import compute_downstream_task, downstream_task
from srvae_plugin.metrics.factor_vae import compute_factor_vae, factor_vae
from srvae_plugin.metrics.fairness import compute_fairness, fairness
from srvae_plugin.metrics.infomec import compute_infomec, infomec
from srvae_plugin.metrics.irs import compute_irs, irs
from srvae_plugin.metrics.jemmig import compute_jemmig, jemmig
from srvae_plugin.metrics.mcc import compute_mcc, mcc
from srvae_plugin.metrics.med import compute_med, med
from srvae_plugin.metrics.mig import compute_mig, mig
from srvae_plugin.metrics.mig_sup import compute_mig_sup, mig_sup
from srvae_plugin.metrics.modularity_explicitness import (
    compute_modularity_explicitness,
    modularity_explicitness,
)
from srvae_plugin.metrics.r2 import compute_r2, r2
from srvae_plugin.metrics.reduced_downstream_task import (
    compute_reduced_downstream_task,
    reduced_downstream_task,
)
from srvae_plugin.metrics.sap_score import compute_sap, sap
from srvae_plugin.metrics.strong_downstream_task import (
    compute_strong_downstream_task,
    strong_downstream_task,
)
from srvae_plugin.metrics.udr import compute_udr_sklearn, udr
from srvae_plugin.metrics.unified_scores import compute_unified_scores, unified_scores
from srvae_plugin.metrics.unsupervised_metrics import (
    compute_unsupervised_metrics,
    unsupervised_metrics,
)

__all__ = [
    "Headline",
    "MetricInfo",
    "Probing",
    "Regressor",
    "beta_vae",
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
    "dci",
    "dci_es",
    "dci_regression",
    "dcimig",
    "downstream_task",
    "factor_vae",
    "fairness",
    "infomec",
    "irs",
    "jemmig",
    "mcc",
    "med",
    "metric",
    "mig",
    "mig_sup",
    "modularity_explicitness",
    "r2",
    "reduced_downstream_task",
    "sap",
    "strong_downstream_task",
    "udr",
    "unified_scores",
    "unsupervised_metrics",
]
