"""Finds latents that are linear mixtures of factors, by turning them back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.diagnosis.information import gaps
from srvae_plugin.metrics.diagnosis.mends import Latents, Turn, turn_of
from srvae_plugin.metrics.diagnosis.points import Factor
from srvae_plugin.metrics.diagnosis.thresholds import GAIN, TAKES_PART

__all__ = ["Rotation", "rotations"]


class Rotation(NamedTuple):
    """Latents that a turn separates."""

    latents: list[str]
    new: Latents
    """The latents that take their place, one for each."""
    gaps: Mapping[str, tuple[float, float]]
    """Gap between the best two latents before and after, of the factors that gain, on points that
    the turn was not fitted on."""


def rotations(latents: Latents, factors: Sequence[Factor], seed: int) -> list[Rotation]:
    """Groups of latents whose turn widens the gap of at least one factor; none if none does."""
    names = [name for name, column in latents.items() if np.ptp(column) > 0]
    if len(names) < 2 or len(factors) < 2:
        return []
    codes = np.stack([latents[name] for name in names], axis=1)
    gains = _gains(codes, factors, seed)
    gaining = [k for k, (before, after) in enumerate(gains) if after - before >= GAIN]
    if not gaining:
        return []
    turn = turn_of(codes, factors)
    found: list[Rotation] = []
    # Latents of small parts are left where they are, unless a factor needs them.
    for least in (TAKES_PART, TAKES_PART / 3):
        found = []
        for group in _groups(codes, turn, factors, gaining, least):
            found += _rotation(names, codes, factors, group, seed)
        if {factors[k].name for k in gaining} <= {name for one in found for name in one.gaps}:
            break
    return found


def _rotation(
    names: Sequence[str],
    codes: NDArray[np.float64],
    factors: Sequence[Factor],
    group: tuple[list[int], list[int]],
    seed: int,
) -> list[Rotation]:
    """The turn of these latents alone, if it is enough."""
    chosen, of = group
    mine = [factors[k] for k in of]
    rest = [j for j in range(codes.shape[1]) if j not in chosen]
    gains = _gains(codes[:, chosen], mine, seed, (codes[:, rest], factors))
    if any(after - before < -GAIN for before, after in gains):
        return []
    gained = {f.name: g for f, g in zip(factors, gains, strict=True) if g[1] - g[0] >= GAIN}
    if not gained:
        return []
    turned = turn_of(codes[:, chosen], mine)(codes[:, chosen])
    new = {names[chosen[j]]: column for j, column in enumerate(turned.T)}
    return [Rotation([names[j] for j in chosen], new, gained)]


def _gains(
    codes: NDArray[np.float64],
    factors: Sequence[Factor],
    seed: int,
    beside: tuple[NDArray[np.float64], Sequence[Factor]] | None = None,
) -> list[tuple[float, float]]:
    """Gap of each factor before and after the turn, fitted on one half and seen on the other.

    `beside` has latents that stay as they are, and the factors to look at if they are others.
    """
    fit, see = np.array_split(np.random.RandomState(seed).permutation(len(codes)), 2)
    turn = turn_of(codes[fit], [_part(factor, fit) for factor in factors])
    others, looked_at = beside or (np.zeros((len(codes), 0)), factors)
    seen = [_part(factor, see) for factor in looked_at]
    before = gaps(np.hstack([codes[see], others[see]]), seen)
    after = gaps(np.hstack([turn(codes[see]), others[see]]), seen)
    return list(zip(before.tolist(), after.tolist(), strict=True))


def _part(factor: Factor, rows: NDArray[np.int64]) -> Factor:
    return factor._replace(
        values=factor.values[rows], scored=factor.scored[rows], classes=factor.classes[rows]
    )


def _groups(
    codes: NDArray[np.float64],
    turn: Turn,
    factors: Sequence[Factor],
    gaining: Sequence[int],
    least: float,
) -> list[tuple[list[int], list[int]]]:
    """Latents that the directions of factors that gain have in common, and all their factors."""
    taking = turn.weights(codes.std(axis=0)) >= least
    parts: dict[int, set[int]] = {k: set() for k in range(len(factors))}
    for column, owner in enumerate(turn.owners):
        parts[owner] |= set(np.flatnonzero(taking[:, column]).tolist())
    found: list[set[int]] = []
    for k in gaining:
        near = [latents for latents in found if latents & parts[k]]
        found = [latents for latents in found if latents not in near]
        found.append(parts[k].union(*near))
    return [
        (sorted(latents), [k for k, part in parts.items() if part and part <= latents])
        for latents in found
        if len(latents) > 1
    ]
