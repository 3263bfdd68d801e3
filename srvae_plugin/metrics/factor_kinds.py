"""Factors of a kind that a metric has no use for: they are left out, and that is said.

A factor that is left out keeps its column, with `LEFT_OUT` for every value, so that indices of
factors in keys and messages stay those of the data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import (
    GroundTruthData,
    continuous_factors,
    names_of,
    unordered_factors,
)
from srvae_plugin.metrics.checks import LEFT_OUT, logger
from srvae_plugin.metrics.codes import CodesAndFactors


def only_classes(
    metric: str, data: GroundTruthData, samples: Sequence[CodesAndFactors]
) -> list[CodesAndFactors]:
    """Samples of a metric that needs classes, without the data set's continuous factors.

    Raises:
        ValueError: if there is no other factor.
    """
    advice = (
        "bind dataset.factor_bins = 10, say, to make classes of them (dci, dci_regression, dci_es, "
        "irs and sap_score take them as they are)"
    )
    return _without(metric, data, samples, continuous_factors(data), "continuous", advice)


def only_numbers(
    metric: str, data: GroundTruthData, samples: Sequence[CodesAndFactors]
) -> list[CodesAndFactors]:
    """Samples of a metric that predicts numbers, without the classes that have no order.

    Raises:
        ValueError: if there is no other factor.
    """
    advice = (
        "bind dataset.factor_kinds = {name: 'continuous'} for those whose numbers have a meaning "
        "(dci takes classes)"
    )
    return _without(metric, data, samples, unordered_factors(data), "classes without order", advice)


def _without(
    metric: str,
    data: GroundTruthData,
    samples: Sequence[CodesAndFactors],
    out: NDArray[np.bool_],
    what: str,
    advice: str,
) -> list[CodesAndFactors]:
    if not out.any():
        return list(samples)
    named = ", ".join(f"{name!r}" for name in np.array(names_of(data))[out].tolist())
    if out.all():
        raise ValueError(f"{metric}: all factors are {what} ({named}), none is left: {advice}")
    logger.warning(
        "%s: left out, since they are %s: %s; the score is over the other factors: %s",
        metric, what, named, advice,
    )  # fmt: skip
    return [CodesAndFactors(codes, _masked(factors, out)) for codes, factors in samples]


def _masked(factors: NDArray[Any], out: NDArray[np.bool_]) -> NDArray[Any]:
    masked = np.where(out, LEFT_OUT, factors)
    whole = masked.dtype.kind == "f" and bool((masked == np.round(masked)).all())
    return masked.astype(np.int64) if whole else masked
