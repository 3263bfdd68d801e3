"""Codes of vectors, one for each group of latents, made the scalars that metrics take.

Models that encode an image as several vectors (VCT, arXiv 2205.15375; DisDiff, arXiv 2301.13721;
EncDiff, arXiv 2402.09712; FDAE, arXiv 2402.00736) are scored after a principal component analysis
of each vector. VCT's and DisDiff's code fits it on all codes that there are and keeps one
component.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from srvae_plugin.metrics.common.checks import check_codes

__all__ = ["check_axes", "group_components"]

logger = logging.getLogger("srvae_plugin")


def check_axes(name: str, codes: NDArray[Any], pca_dim: int | None) -> None:
    """Raise ValueError unless codes have the axes that they are to be scored with.

    Args:
        name: what messages call the table.
        codes: (observation, latent), or (observation, group, dim) with `pca_dim`.
        pca_dim: components to keep of each group; None: there are no groups.
    """
    if codes.ndim == 3 and codes.size and pca_dim is None:
        groups, size = codes.shape[1:]
        raise ValueError(
            f"{name}: codes of shape {codes.shape} are {groups} vectors of {size} numbers an "
            f"observation: type --pca-dim 1 to score the first principal component of each, or "
            f"store codes.reshape(len(codes), -1) to score each of the {groups * size} numbers"
        )
    expected = "(observation, latent)" if pca_dim is None else "(observation, group, dim)"
    if codes.ndim != (2 if pca_dim is None else 3) or not codes.size:
        advice = ": leave --pca-dim out" if codes.ndim == 2 and pca_dim is not None else ""
        raise ValueError(f"{name}: codes: got shape {codes.shape}; expected {expected}{advice}")
    if codes.dtype.kind not in "fiu":
        raise ValueError(f"{name}: codes: got {codes.dtype}; expected numbers")


def group_components(
    name: str, codes: NDArray[Any], pca_dim: int | None, fit: NDArray[np.int64] | None = None
) -> NDArray[Any]:
    """The first principal components of each group: scikit-learn's PCA, one per group.

    Args:
        name: what messages call the table.
        codes: (observation, group, dim); or (observation, latent), which are returned as they are.
        pca_dim: components to keep of each group; None: there are no groups.
        fit: rows that the components are fitted on, those that the model was trained on where
            others are held out to score; None: all.

    Returns:
        (observation, group * pca_dim): the components of the first group, then of the next.

    Raises:
        ValueError: codes that are not finite, or more components than there are.
    """
    if pca_dim is None:
        return codes
    check_codes(codes.reshape(len(codes), -1), name=f"{name}: codes")
    fitted = codes if fit is None else codes[fit]
    most = min(len(fitted), codes.shape[2])
    if not 1 <= pca_dim <= most:
        raise ValueError(
            f"--pca-dim {pca_dim}: expected 1 to {most}, for {len(fitted)} rows of vectors of "
            f"{codes.shape[2]} numbers"
        )
    parts, shares = [], []
    for group in range(codes.shape[1]):
        # The exact solver: the default one draws random numbers where vectors are long.
        pca = PCA(n_components=pca_dim, svd_solver="full")
        with np.errstate(invalid="ignore", divide="ignore"):  # a group that never varies
            pca.fit(fitted[:, group])
        parts.append(pca.transform(codes[:, group]))
        shares.append(float(np.nan_to_num(pca.explained_variance_ratio_).sum()))
    logger.info(
        "%s: %d vectors of %d numbers: %d principal component%s of each, fitted on %d rows, with "
        "%s of their variance",
        name, codes.shape[1], codes.shape[2], pca_dim, "s" * (pca_dim > 1), len(fitted),
        ", ".join(f"{share:.2f}" for share in shares),
    )  # fmt: skip
    return np.concatenate(parts, axis=1)
