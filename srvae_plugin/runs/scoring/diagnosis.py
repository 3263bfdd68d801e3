"""Why a score is low: the diagnosis of a representation, in words, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from srvae_plugin.data.ground_truth import GroundTruthData, names_of, unordered_factors
from srvae_plugin.data.own.given_factors import require_one_order
from srvae_plugin.data.sampling.held_out import to_score
from srvae_plugin.data.sampling.seeds import Seed, seed_of
from srvae_plugin.files import read_json, write_json
from srvae_plugin.metrics.common.arrays import as_array
from srvae_plugin.metrics.common.drawing import Source
from srvae_plugin.metrics.diagnosis import Findings, diagnose_codes
from srvae_plugin.metrics.diagnosis.scoring import METRICS
from srvae_plugin.metrics.diagnosis.words import (
    changes,
    listed,
    rows_of,
    short,
    sound,
    what_then,
    where,
)
from srvae_plugin.plots.diagnosis import told_figure
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.representation import RepresentationFunction
from srvae_plugin.runs.scoring.tried import seeded

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

__all__ = ["POINTS", "Diagnosis", "diagnosis_of_codes", "diagnosis_of_function"]

POINTS = 5000
"""Points that are looked at unless something else is asked for."""


class Diagnosis:
    """What is wrong with a representation, and what its scores would be without it.

    Example:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((20, 20)))
        >>> found = diagnosis_of_codes(factors, factors, metrics=["mig"])
        >>> found.findings
        []
        >>> found.scores
        {'MIG': 1.0}
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.record = record
        """Everything that was found, as JSON has it."""

    @property
    def findings(self) -> list[dict[str, Any]]:
        """One dictionary per finding, in the order in which they are undone.

        `kind`, `factors`, `latents`, `measured`, `what_if`, `scores` without it, `advice`, and
        `after`, the places of the findings that are undone first.
        """
        return list(self.record["findings"])

    @property
    def scores(self) -> dict[str, float]:
        """Scores of the codes as they are."""
        return dict(self.record["scores"])

    @property
    def mended(self) -> dict[str, float]:
        """Scores of the codes with every finding undone."""
        return dict(self.record["mended"])

    def to_frame(self) -> pandas.DataFrame:
        """One row per factor: what the latents carry of it, and what is wrong.

        Columns: `factor`; `told`, the share that all latents carry; `linear`, what a linear
        read-out gets; `latent`, the best one; `best` and `second`, what the best two carry;
        `found`.
        """
        import pandas

        return pandas.DataFrame(rows_of(self.record))

    def figure(self) -> Figure:
        """Share of each factor that each latent carries, as a matplotlib figure."""
        found = [row["found"] for row in rows_of(self.record)]
        return told_figure(
            np.array(self.record["shares"]), self.record["told"], self.record["latents"],
            self.record["factors"], found,
        )  # fmt: skip

    def __repr__(self) -> str:
        record, rows = self.record, rows_of(self.record)
        lines = [
            f"{len(record['factors'])} factors in {len(record['latents'])} latents, "
            f"{record['num_points']:,} points",
            *_columns(rows),
            "",
            f"scores as they are: {listed(self.scores)}",
        ]
        for number, one in enumerate(self.findings, 1):
            lines += [
                "",
                f"{number}. {one['kind']}: {where(one)}",
                f"   seen by: {one['measured']}",
            ]
            lines += [f"   {what_then(one, record)}"] if one["scores"] else []
            lines += [f"   try: {one['advice']}"]
        if not self.findings:
            lines += ["", sound(rows)]
        if self.mended != self.scores:
            lines += ["", f"with all of this undone: {changes(self.scores, self.mended)}"]
        return "\n".join([*lines, *(f"note: {note}" for note in record["notes"])])

    @classmethod
    def read(cls, path: Path) -> Diagnosis:
        """One that was written; ValueError if the file is damaged or missing."""
        try:
            record = read_json(path)
        except FileNotFoundError:
            raise ValueError(f"{path} does not exist: srvae-evaluate --diagnose makes it") from None
        if missing := {"factors", "latents", "shares", "findings", "scores"} - record.keys():
            raise ValueError(f"{path} is not a diagnosis: it has no {sorted(missing)[0]!r}")
        return cls(record)

    def write(self, path: Path) -> None:
        """Write the record as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, dict(self.record))


def diagnosis_of_codes(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    names: Sequence[str] | None = None,
    unordered: Sequence[str] = (),
    num_points: int = POINTS,
    metrics: Sequence[str] = METRICS,
) -> Diagnosis:
    """Diagnose codes (points, latent) with factors (points, factor); see `diagnose_codes`."""
    require_one_order(codes, factors)
    number = seed_of(seed)
    found = diagnose_codes(
        as_array(codes), factors, seed=number, names=names, unordered=unordered,
        num_points=num_points, metrics=metrics,
    )  # fmt: skip
    return Diagnosis(_record(found) | {"seed": number})


def diagnosis_of_function(
    function: RepresentationFunction,
    data: GroundTruthData,
    *,
    seed: Seed = 0,
    num_points: int = POINTS,
    metrics: Sequence[str] = METRICS,
) -> Diagnosis:
    """Diagnose a representation function on points that are drawn from a data set.

    Raises:
        ValueError: a data set without factors, or codes that cannot be used.
    """
    pipeline.require_factors(data)
    number, scored = seed_of(seed), to_score(data)
    if not hasattr(function, "codes_at"):
        function = pipeline.cached(function, scored)
    with seeded(number):
        codes, factors = Source.of(scored, function, number).draw(num_train=num_points)[0]
    names = names_of(scored)
    without_order = [name for name, no in zip(names, unordered_factors(scored), strict=True) if no]
    return diagnosis_of_codes(
        codes, factors, seed=number, names=names, unordered=without_order, num_points=num_points,
        metrics=metrics,
    )  # fmt: skip


def _record(found: Findings) -> dict[str, Any]:
    findings = [
        {
            "kind": one.kind, "factors": list(one.factors), "latents": list(one.latents),
            "measured": one.measured, "what_if": one.what_if, "advice": one.advice,
            "scores": dict(one.scores), "after": list(one.after),
        }
        for one in found.findings
    ]  # fmt: skip
    return {
        "num_points": found.num_points, "latents": found.latents, "factors": found.factors,
        "shares": found.shares.tolist(), "told": list(found.told), "linear": list(found.linear),
        "scores": dict(found.scores), "mended": dict(found.mended), "findings": findings,
        "notes": list(found.notes),
    }  # fmt: skip


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table of the factors."""
    head = ("factor", "all carry", "linear", "best latent", "second", "found")
    cells = [
        (r["factor"], short(r["told"]), short(r["linear"]), f"{r['latent']} {short(r['best'])}",
         short(r["second"]), r["found"])
        for r in rows
    ]  # fmt: skip
    table = [head, *cells]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
