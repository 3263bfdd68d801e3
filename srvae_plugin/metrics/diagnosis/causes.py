"""Decides what is wrong: each cause is tried by undoing it, and named if that brings something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.diagnosis import probes
from srvae_plugin.metrics.diagnosis.groups import Group, carried, groups_of, tells_nothing
from srvae_plugin.metrics.diagnosis.information import Known, gaps, known, shares
from srvae_plugin.metrics.diagnosis.mends import Latents, mended
from srvae_plugin.metrics.diagnosis.points import Factor
from srvae_plugin.metrics.diagnosis.rotations import Rotation, rotations
from srvae_plugin.metrics.diagnosis.thresholds import (
    ADDS,
    DEAD,
    FALSE_ALARM,
    GAIN,
    KEEPS,
    NONLINEAR,
    NOT_ENCODED,
    RING,
    SHARED,
)

__all__ = ["Cause", "Causes", "causes"]


class Cause(NamedTuple):
    """One cause, and the mend that undoes it."""

    kind: str
    factors: tuple[str, ...]
    latents: tuple[str, ...]
    measured: str
    what_if: str = ""
    out: tuple[str, ...] = ()
    """Latents that the mend takes away."""
    new: Mapping[str, NDArray[np.float64]] = {}
    """Latents that it adds."""
    needs: tuple[int, ...] = ()
    """Places of the causes that are undone first: their mends made latents that it takes away."""


class Causes:
    """The causes found so far, and the codes as they are with all of them undone."""

    def __init__(
        self,
        latents: Latents,
        factors: list[Factor],
        seed: int,
        random_state: np.random.RandomState,
    ) -> None:
        self.original, self.latents, self.factors = latents, latents, factors
        self.found: list[Cause] = []
        everything = np.stack(list(latents.values()), axis=1)
        self.halves = probes.Halves.of(everything, seed)
        self.known: Known = known(everything, factors, random_state)
        moving = everything[:, np.ptp(everything, axis=0) > 0]
        self.told = [probes.told(moving, factor, self.halves, test=True) for factor in factors]
        self.linear = [
            probes.linear(moving, f, self.halves) if moving.size else 0.0 for f in factors
        ]
        self.made_by: dict[str, int] = {}
        """Place of the cause whose mend made a latent."""

    def is_encoded(self, factor: int) -> bool:
        """Whether all latents together tell of the factor."""
        told = self.told[factor]
        return told.p_value <= FALSE_ALARM and told.share >= NOT_ENCODED

    def is_bent(self, factor: int) -> bool:
        """Whether a linear probe misses much of what there is."""
        of = self.factors[factor]
        return probes.allowed(self.told[factor].share, of) - self.linear[factor] >= NONLINEAR

    def add(self, cause: Cause) -> None:
        """Note a cause and undo it."""
        before = {self.made_by[name] for name in cause.out if name in self.made_by}
        cause = cause._replace(needs=tuple(sorted(before)))
        for name in cause.new:
            self.made_by[name] = len(self.found)
        self.found.append(cause)
        self.latents = mended(self.latents, cause.out, cause.new)

    def with_mended(self, place: int) -> Latents:
        """The original latents with one cause undone, and those that must be before it."""
        needed = {place}
        for before in range(place, -1, -1):
            if before in needed:
                needed |= set(self.found[before].needs)
        latents = self.original
        for needs in sorted(needed):
            latents = mended(latents, self.found[needs].out, self.found[needs].new)
        return latents

    def table(self, names: Sequence[str]) -> NDArray[np.float64]:
        """(points, latent) some of the latents as they are now."""
        return np.stack([self.latents[name] for name in names], axis=1)

    def told_by(self, names: Sequence[str], factor: int) -> float:
        """Share of a factor that these latents tell together."""
        return probes.told(self.table(names), self.factors[factor], self.halves).share

    def gain(self, out: Sequence[str], new: Latents, factor: int) -> float:
        """How much wider the gap between the factor's best latents is after a mend."""
        after = mended(self.latents, out, new)
        of = [self.factors[factor]]
        before = gaps(self.table(list(self.latents)), of)
        if not after:
            return 0.0
        return float((gaps(np.stack(list(after.values()), axis=1), of) - before)[0])


def causes(
    latents: Latents, factors: list[Factor], seed: int, random_state: np.random.RandomState
) -> Causes:
    """Everything that is wrong with codes, in the order in which it is undone."""
    work = Causes(latents, factors, seed, random_state)
    encoded = [k for k in range(len(factors)) if work.is_encoded(k)]
    for k in sorted(set(range(len(factors))) - set(encoded)):
        told = work.told[k]
        said = f"a large probe on all latents tells {_percent(told.share)} of it, "
        if told.p_value > FALSE_ALARM:
            said += f"no more than chance would (p = {told.p_value:.2g})"
        else:
            said += f"under the {_percent(NOT_ENCODED)} that would count"
        work.add(Cause("not encoded", (factors[k].name,), (), said))
    _idle(work, encoded)
    _within_factors(work, encoded)
    for rotation in rotations(work.latents, [factors[k] for k in encoded], seed):
        _unrotate(work, rotation, encoded)
    _mixed(work, encoded)
    _bent(work, encoded)
    return work


def _idle(work: Causes, encoded: Sequence[int]) -> None:
    """Latents that tell of nothing: leave them out, if the others tell as much without them."""
    names = list(work.latents)
    idle = [name for name, none in zip(names, tells_nothing(work.known), strict=True) if none]
    live = [name for name in names if name not in idle]
    moving = [name for name in idle if np.ptp(work.latents[name]) > 0]
    if moving and live and any(work.told_by(live, k) < _most(work, k) for k in encoded):
        idle = [name for name in idle if name not in moving]  # they tell with others
    variances = {name: float(work.latents[name].var()) for name in names}
    usual = np.median([variances[name] for name in live]) if live else max(variances.values())
    for kind in ("dead", "noise"):
        mine = tuple(n for n in idle if (variances[n] <= DEAD * usual) == (kind == "dead"))
        if mine:
            less = f" less than {_percent(DEAD)} as much as the others" if kind == "dead" else ""
            each = "varies" if len(mine) == 1 else "vary"
            tell = "tells" if len(mine) == 1 else "tell"
            said = f"{_named(mine)} {each}{less} and {tell} of no factor"
            work.add(Cause(kind, (), mine, said, f"{_named(mine)} were left out", mine))


def _most(work: Causes, factor: int) -> float:
    return (1 - ADDS) * work.told[factor].share


def _groups(work: Causes, factors: Sequence[int]) -> list[tuple[list[str], Group]]:
    """What hangs together in the latents as they are now."""
    names = list(work.latents)
    if not names:
        return []
    now = Known(shares(work.table(names), work.factors), work.known.chance)
    of = groups_of(carried(now), factors)
    return [([names[j] for j in group.latents], group) for group in of]


def _within_factors(work: Causes, encoded: Sequence[int]) -> None:
    """Factors in several latents that hold nothing else: rings, copies, parts."""
    for names, group in _groups(work, encoded):
        if len(group.factors) == 1 and len(names) > 1:
            _one_factor(work, names, group.factors[0])
        elif len(names) > len(group.factors) > 1:
            _spare(work, names, group.factors)


def _one_factor(work: Causes, names: list[str], k: int) -> None:
    factor = work.factors[k]
    if factor.ordered and work.is_bent(k) and len(np.unique(factor.values)) > 4:
        fit, angle = probes.ring(work.table(names), factor, work.halves)
        if fit >= RING:
            said = f"a ring explains {_percent(fit)}, a line {_percent(work.linear[k])}"
            text = f"{_named(names)} were replaced by their angle"
            new = {f"angle of {factor.name}": angle}
            if work.gain(names, new, k) < GAIN:
                return
            work.add(Cause("periodic", (factor.name,), tuple(names), said, text, tuple(names), new))
            return
    alone = {name: work.told_by([name], k) for name in names}
    best = max(alone, key=lambda name: alone[name])
    together = work.told_by(names, k)
    copies = [name for name in names if name != best]
    if alone[best] < KEEPS * together:
        copies = _copies(work, names, [k])
    if copies and work.gain(copies, {}, k) >= GAIN:
        left = [name for name in names if name not in copies]
        said = f"{_named(left)} alone: {_percent(work.told_by(left, k))} of it; all together: "
        said += _percent(together)
        _leave_out(work, (factor.name,), names, copies, said)
        names = left
    if len(names) > 1 and alone[best] < KEEPS * together:
        together = work.told_by(names, k)
        said = f"the best latent alone: {_percent(alone[best])} of it; all together: "
        said += _percent(together)
        if work.gain(names, _read(work, [k], names), k) >= GAIN:
            _merge(work, "split", [k], names, said, f"{_named(names)} were merged into one")


def _copies(work: Causes, names: Sequence[str], factors: Sequence[int]) -> list[str]:
    """Latents without which the others tell as much of some factors."""
    left = list(names)
    least = {k: (1 - ADDS) * work.told_by(names, k) for k in factors}
    order = shares(work.table(names), [work.factors[k] for k in factors]).sum(axis=1).argsort()
    for name in (names[j] for j in order):
        rest = [other for other in left if other != name]
        if rest and all(work.told_by(rest, k) >= least[k] for k in factors):
            left = rest
    return [name for name in names if name not in left]


def _spare(work: Causes, names: list[str], factors: Sequence[int]) -> None:
    """More latents than factors: those that add nothing, if leaving them out widens a gap."""
    copies = _copies(work, names, factors)
    gains = {k: work.gain(copies, {}, k) for k in factors}
    if not copies or max(gains.values()) < GAIN or min(gains.values()) < -GAIN:
        return
    called = tuple(work.factors[k].name for k in factors if gains[k] >= GAIN)
    said = f"without {_named(copies)} the others tell as much"
    _leave_out(work, called, names, copies, said)


def _leave_out(
    work: Causes, factors: tuple[str, ...], names: Sequence[str], out: Sequence[str], said: str
) -> None:
    text = f"{_named(out)} were left out"
    work.add(Cause("duplicated", factors, tuple(names), said, text, tuple(out)))


def _merge(
    work: Causes, kind: str, factors: Sequence[int], names: Sequence[str], said: str, text: str
) -> None:
    """Replace latents by what a large probe makes of them, one latent per factor."""
    called = tuple(work.factors[k].name for k in factors)
    new = _read(work, factors, names)
    work.add(Cause(kind, called, tuple(names), said, text, tuple(names), new))


def _read(work: Causes, factors: Sequence[int], names: Sequence[str]) -> Latents:
    """What a large probe makes of latents, one latent per factor."""
    table = work.table(names)
    return {
        _merged(work, k, names): probes.predicted(table, work.factors[k], work.halves)
        for k in factors
    }


def _unrotate(work: Causes, rotation: Rotation, encoded: Sequence[int]) -> None:
    parts = [f"{name} {gap[0]:.2f} to {gap[1]:.2f}" for name, gap in rotation.gaps.items()]
    said = f"gap between the best two latents, held-out points: {', '.join(parts)}"
    names = tuple(rotation.latents)
    new = {
        f"r{name[1:]}" if name.startswith("z") else f"r({name})": column
        for name, column in rotation.new.items()
    }
    text = f"{_named(names)} were unrotated"
    work.add(Cause("rotated", tuple(rotation.gaps), names, said, text, names, new))
    mine = [k for k in encoded if work.factors[k].name in rotation.gaps]
    for latents, group in _groups(work, mine):
        if len(group.factors) == 1 and len(latents) > 1:
            _one_factor(work, latents, group.factors[0])


def _named_already(work: Causes, kinds: Sequence[str]) -> set[str]:
    return {name for cause in work.found if cause.kind in kinds for name in cause.factors}


def _mixed(work: Causes, encoded: Sequence[int]) -> None:
    """Latents that hold several factors still, and factors that no single latent tells."""
    done = _named_already(work, ("split", "periodic"))
    for names, group in _groups(work, [k for k in encoded if work.factors[k].name not in done]):
        if len(group.factors) > 1:
            if not _is_mixed(work, names, group.factors):
                continue
            said = [_told_of(work, names, k) for k in group.factors]
            text = f"{_named(names)} were told apart by a large probe, one latent per factor"
            _merge(work, "mixed", group.factors, names, "; ".join(said), text)
        elif not names:
            _told_together(work, group.factors[0])


def _is_mixed(work: Causes, names: Sequence[str], factors: Sequence[int]) -> bool:
    """Whether a latent tells of two factors, or telling them apart widens a gap."""
    of = np.sort(shares(work.table(names), [work.factors[k] for k in factors]), axis=1)
    if of[:, -2].max() >= SHARED:
        return True
    new = _read(work, factors, names)
    return max(work.gain(names, new, k) for k in factors) >= GAIN


def _told_together(work: Causes, k: int) -> None:
    """A factor that several latents tell together and none alone."""
    names, factor = list(work.latents), work.factors[k]
    spare = _copies(work, names, [k])
    mine = [name for name in names if name not in spare]
    said = f"no latent alone tells of it, {_named(mine)} together tell "
    said += _percent(work.told_by(mine, k))
    text = f"one more latent held what they tell of {factor.name}"
    new = {_merged(work, k, mine): probes.predicted(work.table(mine), factor, work.halves)}
    work.add(Cause("mixed", (factor.name,), tuple(mine), said, text, (), new))


def _merged(work: Causes, k: int, names: Sequence[str]) -> str:
    return f"{work.factors[k].name} of {'+'.join(names)}"


def _told_of(work: Causes, names: Sequence[str], k: int) -> str:
    of = shares(work.table(names), [work.factors[k]])[:, 0]
    best = int(of.argmax())
    return f"{names[best]} tells {_percent(float(of[best]))} of {work.factors[k].name}"


def _bent(work: Causes, encoded: Sequence[int]) -> None:
    """Factors that a large probe reads and a linear one does not."""
    done = _named_already(work, ("split", "periodic", "mixed"))
    for names, group in _groups(work, [k for k in encoded if work.factors[k].name not in done]):
        if bent := [k for k in group.factors if work.is_bent(k)]:
            # Latents that are replaced go on telling of the group's other factors.
            text = f"{_named(names)} were read by a large probe"
            said = "; ".join(_missed(work, k) for k in bent)
            new = _read(work, group.factors, names)
            called = tuple(work.factors[k].name for k in bent)
            work.add(Cause("non-linear", called, tuple(names), said, text, tuple(names), new))


def _missed(work: Causes, k: int) -> str:
    told, read = work.told[k].share, work.linear[k]
    said = f"a large probe tells {_percent(told)} of it, "
    if not work.factors[k].ordered:
        return f"{said}a linear one {_percent(read)}"
    worth = probes.allowed(told, work.factors[k])
    return f"{said}which is worth an R^2 of {worth:.2f}; a linear one has {read:.2f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _named(names: Sequence[str]) -> str:
    """As in: latents z2 and z7."""
    parts = list(names)
    if len(parts) == 1:
        return f"latent {parts[0]}"
    return f"latents {', '.join(parts[:-1])} and {parts[-1]}"
