"""`srvae_plugin.diagnose`: why a run, a model, a function or a table of codes scores low."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from torch import nn

from srvae_plugin.data.own.from_python import as_data
from srvae_plugin.data.sampling.seeds import Seed, seed_of
from srvae_plugin.interchange.scoring import function_of, name_of
from srvae_plugin.metrics.diagnosis.scoring import METRICS
from srvae_plugin.runs.scoring.diagnosis import (
    POINTS,
    Diagnosis,
    diagnosis_of_codes,
    diagnosis_of_function,
)
from srvae_plugin.runs.scoring.tried import tried
from srvae_plugin.runs.trained import Run

__all__ = ["diagnose"]


def diagnose(
    representation: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    num_points: int = POINTS,
    metrics: Sequence[str] = METRICS,
    names: Sequence[str] | None = None,
    unordered: Sequence[str] = (),
) -> Diagnosis:
    """Why a representation scores low: what is wrong, factor by factor, and the scores without it.

    Each cause is decided by trying: latents are turned, merged, left out or read by a large probe,
    and what is named is what then changes. See docs/diagnosis.md for the causes and the lines that
    are drawn.

    Args:
        representation: codes (points, latent) as an array, data frame or tensor; or a run or its
            directory, a model, a torch module, a function of images, or an ONNX or TorchScript
            file, as `srvae_plugin.score` takes them.
        factors: of codes, (points, factor); of anything else a data set with factors, or a pair of
            images and their factors.
        seed: a whole number, a numpy Generator or a RandomState; `random_state` is the same.
        num_points: points that are looked at.
        metrics: what codes are scored with: some of mig, sap, dci, modularity_explicitness, mcc,
            factor_vae, dcimig, mig_sup, med.
        names: of the factors of codes; by default those of a data frame's columns.
        unordered: names of factors of codes whose numbers have no order.

    Returns:
        What was found: `print` it, or see `.findings`, `.to_frame()` and `.figure()`.

    Raises:
        ValueError: an argument cannot be used.

    Example:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((20, 20)))
        >>> codes = factors @ np.array([[0.8, 0.6], [-0.6, 0.8]])
        >>> found = diagnose(codes, factors, metrics=["mig"], names=["height", "width"])
        >>> [(one["kind"], one["factors"]) for one in found.findings]
        [('rotated', ['height', 'width'])]
        >>> found.scores["MIG"] < 0.3 < 0.9 < found.mended["MIG"]
        True
    """
    number = seed_of(seed, random_state)
    if _is_model(representation):
        if names is not None or unordered:
            raise ValueError("names and unordered go with codes: a data set says its own")
        data = as_data(factors)
        function = function_of(representation, data)
        if not hasattr(function, "codes_at"):
            tried(function, data, name_of(representation))
        return diagnosis_of_function(
            function, data, seed=number, num_points=num_points, metrics=metrics
        )
    return diagnosis_of_codes(
        representation, factors, seed=number, names=names, unordered=unordered,
        num_points=num_points, metrics=metrics,
    )  # fmt: skip


def _is_model(representation: Any) -> bool:
    known = isinstance(representation, str | os.PathLike | Run | nn.Module)
    is_array = hasattr(representation, "shape")
    return known or (callable(representation) and not is_array)
