"""Keep of a study what docs/evidence.md is made from: scores, ends of runs, configurations.

    python benchmarks/evidence_record.py evidence/dsprites

makes docs/measurements/evidence/dsprites/ anew: scores.csv as `srvae-report` writes it, runs.csv
with one row per run, and gin/ with one run's configuration of each model. Weights and pictures are
not kept.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srvae_plugin.report.write import write_report

RECORDS = Path(__file__).parents[1] / "docs" / "measurements" / "evidence"
RUN_COLUMNS = ("label", "dataset_name", "seed", "status", "error")
IMAGES = 1000
"""Fixed images whose reconstruction evidence_steps.py measures."""
Entry = dict[str, Any]
"""What study.json says of a run."""


def main(study: Path) -> None:
    try:
        runs = json.loads((study / "study.json").read_text())["runs"]
    except FileNotFoundError:
        sys.exit(f"{study} is no study: it has no study.json")
    record = RECORDS / study.resolve().name
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "record"
        (made / "gin").mkdir(parents=True)
        finished = [run for run in runs if run["status"] == "finished"]
        keep_scores(study, finished, made / "scores.csv")
        write_rows(made / "runs.csv", RUN_COLUMNS, runs)
        for run in reversed(finished):
            gin = study / run["folder"] / "config.gin"
            shutil.copy(gin, made / "gin" / f"{run['label']}.gin")
        if (record / "steps.csv").is_file():  # evidence_steps.py adds to it
            shutil.copy(record / "steps.csv", made)
        shutil.rmtree(record, ignore_errors=True)
        shutil.copytree(made, record)
    print(f"{record}: {len(finished)} of {len(runs)} runs finished")


def keep_scores(study: Path, finished: Sequence[Entry], path: Path) -> None:
    """Rows of the finished runs in the report's scores.csv, without the folders they lay in."""
    with tempfile.TemporaryDirectory() as folder:
        written = write_report([study], Path(folder) / "report.html")
        rows = read_rows(written.scores)
    folders = {str(study / run["folder"]) for run in finished}
    columns = [column for column in rows[0] if column != "folder"]
    write_rows(path, columns, [row for row in rows if row["folder"] in folders])


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Entry]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
