"""Disentanglement metrics: one file each, the original's numbers for the same codes and seed.

Every `compute_<name>(ground_truth_data, representation_function, random_state, ...)` has
disentanglement_lib's signature and result keys, and all its settings as keyword arguments.
"""

from srvae_plugin.metrics.dci import compute_dci
from srvae_plugin.metrics.factor_vae import compute_factor_vae
from srvae_plugin.metrics.mig import compute_mig
from srvae_plugin.metrics.sap_score import compute_sap

__all__ = ["compute_dci", "compute_factor_vae", "compute_mig", "compute_sap"]
