"""Factors of a kind that a metric has no use for: they are left out, and that is said.

A factor that is left out keeps its column, with `LEFT_OUT` for every value, so that indices of
factors in keys and messages stay those of the data set.
"""

from __future__ import annotations

import re
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
from srvae_plugin.metrics.codes import CodesAndFactors
from srvae_plugin.metrics.common.checks import LEFT_OUT, logger

__all__ = [
    "masked",
    "not_classes",
    "only_classes",
    "only_numbers",
    "without_factors",
    "without_words",
]

_UNORDERED = re.compile("shape|category|object.?type|instance|identity", re.IGNORECASE)


def only_classes(
    metric: str, data: GroundTruthData, samples: Sequence[CodesAndFactors]
) -> list[CodesAndFactors]:
    """Samples of a metric that needs classes, without the data set's continuous factors.

    Raises:
        ValueError: if there is no other factor.
    """
    return without_factors(samples, not_classes(metric, data))


def not_classes(metric: str, data: GroundTruthData) -> NDArray[np.bool_]:
    """(factor,) which factors are continuous: a metric that needs classes leaves them out.

    Raises:
        ValueError: if there is no other factor.
    """
    advice = (
        "bind dataset.factor_bins = 10, say, to make classes of them (dci, dci_regression, dci_es, "
        "irs and sap_score take them as they are); in Python, give classes as whole numbers"
    )
    out = continuous_factors(data)
    _say_left_out(metric, names_of(data), out, "continuous", advice)
    return out


def only_numbers(
    metric: str, data: GroundTruthData, samples: Sequence[CodesAndFactors]
) -> list[CodesAndFactors]:
    """Samples of a metric that predicts numbers, without the classes that have no order.

    A data set that declares no kinds, as the original's do, keeps all of its factors; the log names
    those that sound as if they had no order.

    Raises:
        ValueError: if there is no other factor.
    """
    if getattr(data, "factor_kinds", None) is None:
        sounding = [name for name in names_of(data) if _UNORDERED.search(name)]
        if sounding:
            logger.info(
                "%s: taken as numbers, although their values may have no order: %s",
                metric, ", ".join(sounding),
            )  # fmt: skip
    return without_words(metric, names_of(data), unordered_factors(data), samples)


def without_words(
    metric: str,
    names: Sequence[Any] | NDArray[Any],
    out: NDArray[np.bool_],
    samples: Sequence[CodesAndFactors],
) -> list[CodesAndFactors]:
    """The same of factors of these names, of which the classes without order are `out`."""
    advice = (
        "bind dataset.factor_kinds = {name: 'continuous'} for those whose numbers have a meaning, "
        "or in Python give numbers (dci takes classes)"
    )
    _say_left_out(metric, names, out, "classes without order", advice)
    return without_factors(samples, out)


def _say_left_out(
    metric: str,
    names: Sequence[Any] | NDArray[Any],
    out: NDArray[np.bool_],
    what: str,
    advice: str,
) -> None:
    if not out.any():
        return
    named = ", ".join(f"{name!r}" for name in np.array(names)[out].tolist())
    if out.all():
        raise ValueError(f"{metric}: all factors are {what} ({named}), none is left: {advice}")
    logger.warning(
        "%s: left out because %s: %s. The score is over the other factors. To include them, %s",
        metric, what, named, advice,
    )  # fmt: skip


def without_factors(
    samples: Sequence[CodesAndFactors], out: NDArray[np.bool_]
) -> list[CodesAndFactors]:
    """Samples in which the factors (factor,) that are `out` have `LEFT_OUT` for every value."""
    if not out.any():
        return list(samples)
    return [CodesAndFactors(codes, masked(factors, out)) for codes, factors in samples]


def masked(factors: NDArray[Any], out: NDArray[np.bool_]) -> NDArray[Any]:
    """The (points, factor) factors with `LEFT_OUT` in the columns that are `out`."""
    left = np.where(out, LEFT_OUT, factors)
    whole = left.dtype.kind == "f" and bool((left == np.round(left)).all())
    return left.astype(np.int64) if whole else left
