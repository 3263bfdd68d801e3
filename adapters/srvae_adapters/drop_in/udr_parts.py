"""`evaluation.udr.metrics.udr` of disentanglement_lib's later versions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.udr import lasso_strengths, spearman_strengths

__all__ = ["lasso_correlation_matrix", "spearman_correlation_conv"]


def lasso_correlation_matrix(
    vec1: NDArray[Any], vec2: NDArray[Any], random_state: Any = None
) -> NDArray[np.float64]:
    """Absolute weights (latent of vec1, latent of vec2) by lasso; nothing in it is random."""
    del random_state
    return lasso_strengths(vec1, vec2)


def spearman_correlation_conv(vec1: NDArray[Any], vec2: NDArray[Any]) -> NDArray[np.float64]:
    """Absolute rank correlations (latent of vec1, latent of vec2)."""
    return spearman_strengths(vec1, vec2)
