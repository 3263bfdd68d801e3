"""What `srvae-evaluate --diagnose` found wrong with runs, for the page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from srvae_plugin.files import read_json
from srvae_plugin.metrics.diagnosis.words import changes, rows_of, sound, what_then, where
from srvae_plugin.report.models import Model
from srvae_plugin.report.parts.figures import hinton
from srvae_plugin.report.parts.pictures import latent_order
from srvae_plugin.report.reading import or_note
from srvae_plugin.report.run import Run

__all__ = ["MOST", "Diagnosed", "diagnoses"]

MOST = 12
"""Runs that are shown at most."""


class Diagnosed(NamedTuple):
    """A run of which something was found, or of which it was found that nothing is wrong."""

    model: Model
    run: Run
    kind: str
    points: int
    rows: list[dict[str, Any]]
    """One per factor."""
    found: list[dict[str, str]]
    """One per finding: `kind`, `where`, `measured`, `then`, `advice`."""
    sound: str
    """That there is nothing to undo, if there is nothing."""
    together: str
    """Scores with everything undone; empty if nothing changes."""
    notes: list[str]
    picture: Markup
    """Latents x factors."""


def diagnoses(models: Sequence[Model], notes: list[str]) -> list[Diagnosed]:
    """All that was found, in the order of models and runs; what cannot be read is noted."""
    found: list[Diagnosed] = []
    more = 0
    for model in models:
        for run in model.runs:
            for kind, path in run.directory.diagnoses():
                if len(found) >= MOST:
                    more += 1
                    continue
                try:
                    found.append(_diagnosed(model, run, kind, path, notes))
                except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
                    notes.append(f"{path} is left out: it is not a diagnosis, or damaged: {error}")
    if more:
        notes.append(f"the first {MOST} diagnoses are shown, and {more} more are not")
    return found


def _diagnosed(model: Model, run: Run, kind: str, path: Path, notes: list[str]) -> Diagnosed:
    record = read_json(path)
    shares = np.array(record["shares"], dtype=np.float64)
    latents, factors = list(record["latents"]), [str(name) for name in record["factors"]]
    if shares.shape != (len(latents), len(factors)):
        raise ValueError(f"shares have the shape {shares.shape}")
    order = or_note(partial(latent_order, run), notes) or []
    title = f"share of each factor's entropy that a latent of {run.name} carries"
    found = [
        {
            "kind": str(one["kind"]), "where": where(one), "measured": str(one["measured"]),
            "then": what_then(one, record), "advice": str(one["advice"]),
        }
        for one in record["findings"]
    ]  # fmt: skip
    changed = record["mended"] != record["scores"]
    rows = rows_of(record)
    return Diagnosed(
        model, run, kind, int(record["num_points"]), rows, found,
        "" if found else sound(rows),
        changes(record["scores"], record["mended"]) if changed else "",
        [str(note) for note in record["notes"]],
        Markup(hinton(shares, factors, title, order, 1.0)),
    )  # fmt: skip
