"""Which latents take part in which factors, and what hangs together by that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.diagnosis.information import Known
from srvae_plugin.metrics.diagnosis.thresholds import CARRIES, TELLS

__all__ = ["Group", "carried", "groups_of", "tells_nothing"]

_SAFETY = 1.5
"""Times the most that chance gave in 20 shuffles: about four and a half deviations."""


class Group(NamedTuple):
    """Latents and factors that hang together."""

    latents: list[int]
    factors: list[int]


def carried(known: Known) -> NDArray[np.bool_]:
    """(latent, factor) whether the latent takes part in the factor."""
    line = np.maximum(known.shares.max(axis=0) * CARRIES, _nothing(known))
    return np.asarray(known.shares >= line)


def tells_nothing(known: Known) -> NDArray[np.bool_]:
    """(latent,) whether a latent tells no more of any factor than chance does."""
    return np.asarray((known.shares < _nothing(known)).all(axis=1))


def _nothing(known: Known) -> NDArray[np.float64]:
    return np.maximum(known.chance * _SAFETY, TELLS)


def groups_of(carried: NDArray[np.bool_], factors: Sequence[int]) -> list[Group]:
    """Connected latents and factors, of some factors, by their first factor."""
    left, found = list(factors), []
    while left:
        mine, latents = [left.pop(0)], set[int]()
        grown = True
        while grown:
            more = set(np.flatnonzero(carried[:, mine].any(axis=1)).tolist())
            near = [k for k in left if carried[sorted(more), k].any()]
            grown = bool(near) or more != latents
            latents = more
            mine += near
            left = [k for k in left if k not in near]
        found.append(Group(sorted(latents), sorted(mine)))
    return found
