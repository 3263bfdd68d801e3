"""What was scored, as a digest: two models under one label and seed are told apart by it."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.runs.representation import TabulatedCodes
from srvae_plugin.runs.scoring.repeatable import seeded

__all__ = ["content_of"]


_NUM_TRIED = 64


def content_of(function: Any, data: GroundTruthData) -> str:
    """Return hex digits that tell a model's codes from another's on the same data.

    Of a table they are of all rows, whatever their order, and of a function of its codes for 64
    observations: how a file is written, and what its code looks like, does not count.
    """
    if isinstance(function, TabulatedCodes):
        codes = np.asarray(function.codes_at(np.arange(function.data.num_observations)))
        if type(function.data) is FactorTable:
            factors = function.data.factors_at(np.arange(len(codes)))
            columns = np.concatenate([np.asarray(factors, np.float64), codes], axis=1)
            codes = codes[np.lexsort(columns.T[::-1])]
    else:
        observations = data.sample_observations(_NUM_TRIED, np.random.RandomState(0))
        with seeded(0):
            codes = np.asarray(function(observations))
    if codes.dtype.kind not in "fiub":  # it is refused when it is scored
        return ""
    exact = np.ascontiguousarray(codes, dtype=np.float32) + np.float32(0)  # -0 is 0
    return hashlib.sha256(f"{exact.shape}".encode() + exact.tobytes()).hexdigest()
