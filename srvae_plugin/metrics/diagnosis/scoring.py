"""Scores of codes as they are and mended, by the metrics' own functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.dci import compute_dci, dci
from srvae_plugin.metrics.dcimig import compute_dcimig, dcimig
from srvae_plugin.metrics.diagnosis.points import Points
from srvae_plugin.metrics.factor_vae import compute_factor_vae, factor_vae
from srvae_plugin.metrics.mcc import compute_mcc, mcc
from srvae_plugin.metrics.med import compute_med, med
from srvae_plugin.metrics.mig import compute_mig, mig
from srvae_plugin.metrics.mig_sup import compute_mig_sup, mig_sup
from srvae_plugin.metrics.modularity_explicitness import (
    compute_modularity_explicitness,
    modularity_explicitness,
)
from srvae_plugin.metrics.sap_score import compute_sap, sap

__all__ = ["METRICS", "OFFERED", "check", "scores"]

METRICS = ("mig", "sap", "dci", "modularity_explicitness", "mcc")
"""What codes are scored with unless something else is asked for."""
_CORES: dict[str, tuple[Callable[..., Any], Any]] = {
    "mig": (mig, compute_mig),
    "sap": (sap, compute_sap),
    "dci": (dci, compute_dci),
    "modularity_explicitness": (modularity_explicitness, compute_modularity_explicitness),
    "mcc": (mcc, compute_mcc),
    "factor_vae": (factor_vae, compute_factor_vae),
    "dcimig": (dcimig, compute_dcimig),
    "mig_sup": (mig_sup, compute_mig_sup),
    "med": (med, compute_med),
}
OFFERED = tuple(_CORES)
"""What can be asked for."""


def check(metrics: Sequence[str]) -> None:
    """Raise ValueError for a metric that is not offered."""
    for name in metrics:
        if name not in _CORES:
            raise ValueError(f"metrics: no {name!r} here; expected some of {', '.join(OFFERED)}")


def scores(
    codes: NDArray[np.float64],
    points: Points,
    metrics: Sequence[str],
    seed: int,
    notes: list[str],
) -> dict[str, float]:
    """Headline scores by the names that publications use; what has none is noted."""
    found: dict[str, float] = {}
    for name in metrics:
        core, computed = _CORES[name]
        if name == "mcc" and not points.are_numbers:
            continue  # numbers of classes without order have no correlation
        try:
            result = core(codes, points.scored, seed=seed)
        except ValueError as error:
            notes.append(f"{computed.info.title}: {error}")
            continue
        found |= {line.title: float(result[line.key]) for line in computed.info.headlines}
    return found
