"""The way through a diagnosis: measure, find causes, and score the codes with each undone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.sampling.seeds import Seed, seed_of
from srvae_plugin.metrics.common.mutual_information import entropy, mutual_information
from srvae_plugin.metrics.diagnosis import scoring
from srvae_plugin.metrics.diagnosis.causes import Causes, causes
from srvae_plugin.metrics.diagnosis.finding import Finding
from srvae_plugin.metrics.diagnosis.mends import Latents
from srvae_plugin.metrics.diagnosis.points import Points, points_of
from srvae_plugin.metrics.diagnosis.thresholds import DEPENDENT, GROUPS

__all__ = ["Findings", "diagnose_codes"]


class Findings(NamedTuple):
    """What a diagnosis found."""

    latents: list[str]
    """z0, z1, ..."""
    factors: list[str]
    """Names of the factors that vary."""
    shares: NDArray[np.float64]
    """(latent, factor) share of the factor's entropy that the latent tells alone."""
    told: list[float]
    """Share of each factor that a large probe tells from all latents together."""
    linear: list[float]
    """What a linear probe reads of each factor: R^2, or of classes without order the share."""
    findings: list[Finding]
    """In the order in which they are undone; none if nothing is wrong."""
    scores: dict[str, float]
    """Of the codes as they are, by the names that publications use."""
    mended: dict[str, float]
    """Of the codes with all findings undone."""
    notes: list[str]
    """What was assumed, and what could not be scored."""
    num_points: int


def diagnose_codes(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    names: Sequence[str] | None = None,
    unordered: Sequence[str] = (),
    num_points: int = 5000,
    metrics: Sequence[str] = scoring.METRICS,
) -> Findings:
    """Why codes (points, latent) score as they do for factors (points, factor).

    Args:
        codes: array, data frame or tensor.
        factors: likewise; words are classes without order, whole numbers ordered classes, other
            numbers continuous (in ten groups for metrics that need classes).
        seed: a whole number, a Generator or a RandomState.
        names: of the factors; by default those of a data frame's columns.
        unordered: names of factors whose numbers have no order.
        num_points: points used at most, drawn at random.
        metrics: what codes are scored with as they are and mended, see `scoring.METRICS`.

    Raises:
        ValueError: a wrong shape or value, or fewer than 200 points.

    Examples:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((20, 20)))
        >>> turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
        >>> found = diagnose_codes(factors @ turn, factors, metrics=["mig"])
        >>> [(one.kind, one.latents) for one in found.findings]
        [('rotated', ('z0', 'z1'))]
        >>> diagnose_codes(factors, factors, metrics=["mig"]).findings  # perfect codes
        []
    """
    number = seed_of(seed)
    stream = np.random.RandomState(number)
    scoring.check(metrics)
    points = points_of(codes, factors, names, unordered, (num_points, stream))
    latents: Latents = {f"z{j}": column for j, column in enumerate(points.codes.T)}
    work = causes(latents, points.factors, number, stream)
    notes = _notes(points)

    def scored(of: Latents) -> dict[str, float]:
        return scoring.scores(np.stack(list(of.values()), axis=1), points, metrics, number, notes)

    findings = [_finding(work, place, scored) for place in range(len(work.found))]
    before = scored(latents)
    changed = any(cause.what_if for cause in work.found) and work.latents
    after = scored(work.latents) if changed else before
    return Findings(
        list(latents), [factor.name for factor in points.factors], work.known.shares,
        [told.share for told in work.told], work.linear, findings, before, after,
        list(dict.fromkeys(notes)), len(points.codes),
    )  # fmt: skip


def _finding(work: Causes, place: int, scored: Any) -> Finding:
    cause = work.found[place]
    latents = work.with_mended(place) if cause.what_if else {}
    table = np.stack(list(latents.values()), axis=1) if latents else None
    return Finding(
        cause.kind, cause.factors, cause.latents, cause.measured, cause.what_if, table,
        scored(latents) if latents else {}, cause.needs,
    )  # fmt: skip


def _notes(points: Points) -> list[str]:
    """What is assumed of the data."""
    notes = [f"{name} does not vary among the points and is left out" for name in points.constant]
    if points.binned:
        notes.append(
            f"{', '.join(points.binned)}: continuous, in {GROUPS} groups of equal size for metrics"
            " that need classes"
        )
    classes = np.stack([factor.classes for factor in points.factors], axis=1)
    informed, own = mutual_information(classes, classes), entropy(classes)
    for first, one in enumerate(points.factors):
        for second, other in list(enumerate(points.factors))[first + 1 :]:
            share = informed[first, second] / min(own[first], own[second])
            if share >= DEPENDENT:
                notes.append(
                    f"{one.name} and {other.name} depend on each other in the data ({share:.0%} of "
                    "the smaller entropy): latents that hold both may be right"
                )
    return notes
