"""SR-VAE and its relatives on PyTorch, as a plug-in to disentanglement_lib studies."""

from srvae_plugin.model import DisentanglementModel, Gaussian, Losses
from srvae_plugin.plugins import load_dataset
from srvae_plugin.steps import (
    evaluate_with_gin,
    load_model,
    postprocess_with_gin,
    representation_function,
    train_with_gin,
)
from srvae_plugin.version import __version__

__all__ = [
    "DisentanglementModel",
    "Gaussian",
    "Losses",
    "__version__",
    "evaluate_with_gin",
    "load_dataset",
    "load_model",
    "postprocess_with_gin",
    "representation_function",
    "train_with_gin",
]
