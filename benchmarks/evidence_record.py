"""Keep of a study what docs/evidence.md is made from: scores, ends of runs, configurations.

    python benchmarks/evidence_record.py evidence/dsprites

makes docs/measurements/evidence/dsprites/ anew: scores.csv as `srvae-report` writes it, runs.csv
with one row a run, and gin/ with one run's configuration of each model. Weights and pictures are
not kept.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from srvae_plugin.report.write import write_report

RECORDS = Path(__file__).parents[1] / "docs" / "measurements" / "evidence"
RUN_COLUMNS = ("model", "dataset_name", "seed", "status", "seconds", "error")


def main(study: Path) -> None:
    record = RECORDS / study.resolve().name
    shutil.rmtree(record, ignore_errors=True)
    (record / "gin").mkdir(parents=True)
    runs = json.loads((study / "study.json").read_text())["runs"]
    keep_scores(study, record / "scores.csv")
    keep_runs(runs, record / "runs.csv")
    for run in reversed([run for run in runs if (study / run["folder"] / "config.gin").is_file()]):
        shutil.copy(study / run["folder"] / "config.gin", record / "gin" / f"{run['model']}.gin")
    print(
        f"{record}: {sum(run['status'] == 'finished' for run in runs)} of {len(runs)} runs finished"
    )


def keep_scores(study: Path, path: Path) -> None:
    """The report's scores.csv, without the column that says where the runs lay."""
    with tempfile.TemporaryDirectory() as folder:
        written = write_report([study], Path(folder) / "report.html")
        with written.scores.open(newline="") as file:
            rows = list(csv.DictReader(file))
    columns = [column for column in rows[0] if column != "folder"]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def keep_runs(runs: list[dict[str, Any]], path: Path) -> None:
    """What became of each run of the study."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, RUN_COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(runs)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
