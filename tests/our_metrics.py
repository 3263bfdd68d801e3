"""Our metrics by the original's names, called with settings as metric_cases writes them."""

import gin
import numpy as np

from srvae_plugin import metrics
from srvae_plugin.metrics.common import fixed_data
from srvae_plugin.metrics.unified_scores import MATRICES

OURS = {
    "factor_vae_score": metrics.compute_factor_vae,
    "beta_vae_sklearn": metrics.compute_beta_vae_sklearn,
    "dci": metrics.compute_dci,
    "mig": metrics.compute_mig,
    "sap_score": metrics.compute_sap,
    "modularity_explicitness": metrics.compute_modularity_explicitness,
    "irs": metrics.compute_irs,
    "unsupervised_metrics": metrics.compute_unsupervised_metrics,
    "downstream_task": metrics.compute_downstream_task,
    "reduced_downstream_task": metrics.compute_reduced_downstream_task,
    "strong_downstream_task": metrics.compute_strong_downstream_task,
    "fairness": metrics.compute_fairness,
    "unified_scores": metrics.compute_unified_scores,
    "mig_validation": fixed_data.compute_mig_on_fixed_data,
    "sap_score_validation": fixed_data.compute_sap_on_fixed_data,
    "dci_validation": fixed_data.compute_dci_on_fixed_data,
    "unified_score_validation": fixed_data.compute_unified_score_on_fixed_data,
}


def scores(metric, data, function, seed, settings):
    """Our scores; settings with a dot in their name are bound in gin, and stay bound."""
    arguments = {name: value for name, value in settings.items() if "." not in name}
    gin.clear_config()
    gin.parse_config([f"{name} = {settings[name]}" for name in settings if "." in name])
    if "matrix_fns" in arguments:
        names = arguments["matrix_fns"]
        arguments["matrix_fns"] = [{f.__name__: f for f in MATRICES}[name] for name in names]
    random_state = np.random.RandomState(seed)
    if "num_points" not in arguments:
        return OURS[metric](data, function, random_state, **arguments)
    factors, observations = data.sample(arguments.pop("num_points"), random_state)
    return OURS[metric](observations, factors.T, function, **arguments)
