"""A diagnosis in words, of the record that is kept of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["changes", "listed", "rows_of", "short", "sound", "what_then", "where"]

_FAINT = 0.5
"""A factor of which less is told is called faint."""


def rows_of(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per factor: what latents tell of it, and what was found."""
    rows = []
    for k, name in enumerate(record["factors"]):
        of = np.array(record["shares"])[:, k]
        order = np.argsort(-of, kind="stable")
        kinds = [one["kind"] for one in record["findings"] if name in one["factors"]]
        if record["told"][k] < _FAINT and "not encoded" not in kinds:
            kinds.append("faint")
        rows.append(
            {
                "factor": name,
                "told": record["told"][k],
                "linear": record["linear"][k],
                "latent": record["latents"][order[0]],
                "best": float(of[order[0]]),
                "second": float(of[order[1]]) if len(order) > 1 else 0.0,
                "found": ", ".join(dict.fromkeys(kinds)) or "sound",
            }
        )
    return rows


def sound(rows: Sequence[Mapping[str, Any]]) -> str:
    """What is said where nothing was found, of the rows of the factors."""
    faint = [row["factor"] for row in rows if row["found"] == "faint"]
    if faint:
        is_ = "is" if len(faint) == 1 else "are"
        return f"Nothing to undo, but {', '.join(faint)} {is_} encoded only faintly."
    return (
        "Nothing is wrong: every factor is in one latent of its own, and a linear read-out "
        "finds it."
    )


def where(one: Mapping[str, Any]) -> str:
    """Of a finding the factors and the latents that they are in, or the latents alone."""
    latents = ", ".join(one["latents"])
    if not one["factors"]:
        return latents
    return ", ".join(one["factors"]) + (f" in {latents}" if latents else "")


def what_then(one: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """What the scores would be without a finding; empty where codes cannot tell."""
    if not one["scores"]:
        return ""
    after = one["after"]
    places = after if isinstance(after, list) else [] if after is None else [after]
    if not places:
        return f"{changes(record['scores'], one['scores'])} if {one['what_if']}"
    if len(places) == 1:
        change = changes(record["findings"][places[0]]["scores"], one["scores"])
        return f"{change} if {one['what_if']}, once {places[0] + 1} is undone"
    undone = " and ".join(str(place + 1) for place in places)
    return f"{listed(one['scores'])} if {one['what_if']}, once {undone} are undone"


def changes(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """As in: MIG .12 -> .41. Scores that stay the same are not named, unless all do."""
    both = {name: (before[name], after[name]) for name in after if name in before}
    moved = {name: ends for name, ends in both.items() if short(ends[0]) != short(ends[1])}
    if not moved:
        return f"{', '.join(both)} {'stay' if len(both) > 1 else 'stays'} as now"
    return ", ".join(f"{name} {short(a)} -> {short(b)}" for name, (a, b) in moved.items())


def listed(scores: Mapping[str, float]) -> str:
    """As in: MIG .12, SAP .03."""
    return ", ".join(f"{name} {short(value)}" for name, value in scores.items())


def short(value: float) -> str:
    """Two decimals, without the 0 before them."""
    text = f"{value:.2f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 and text != "1.00" else text
