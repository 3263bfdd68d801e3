"""The ways in which the SR-VAE paper's equations can be read, see docs/sr_vae.md.

This module imports no torch: a report is made without.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LIKELIHOODS", "READINGS", "RESIDUALS", "Reading"]

RESIDUALS = ("image", "logit")
LIKELIHOODS = ("bernoulli", "gaussian", "linear_mse")


class Reading(NamedTuple):
    """One way to read the paper: what is subtracted, and what the output means."""

    residual: str
    likelihood: str
    sums_outputs: bool = False


READINGS: dict[str, Reading] = {
    "paper": Reading("image", "bernoulli"),
    "paper-logit": Reading("logit", "bernoulli"),
    "paper-gaussian": Reading("logit", "gaussian"),
    "paper-literal": Reading("logit", "linear_mse"),
    "sum": Reading("image", "bernoulli", sums_outputs=True),
}
