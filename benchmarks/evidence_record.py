"""Keep of a study what docs/evidence.md is made from: scores, ends of runs, configurations.

    python benchmarks/evidence_record.py evidence/dsprites

brings docs/measurements/evidence/dsprites/ up to date: scores.csv as `srvae-report` writes it,
runs.csv with one row per run, and gin/ with one run's configuration of each model. Weights and
pictures are not kept. Runs of the record that the study lacks, or has only planned, are kept: a
study can be made in parts, on several machines. Delete the record's folder to begin anew.
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
        if record.is_dir():  # with steps.csv, which evidence_steps.py adds to
            shutil.copytree(record, made, dirs_exist_ok=True)
        finished = [run for run in runs if run["status"] == "finished"]
        update_rows(made / "scores.csv", "model", scores_of(study, finished), runs)
        update_rows(made / "runs.csv", "label", [narrowed(run, RUN_COLUMNS) for run in runs], runs)
        for run in reversed(finished):
            gin = study / run["folder"] / "config.gin"
            shutil.copy(gin, made / "gin" / f"{run['label']}.gin")
        shutil.rmtree(record, ignore_errors=True)
        shutil.copytree(made, record)
    print(f"{record}: {len(finished)} of the study's {len(runs)} runs finished")


def scores_of(study: Path, finished: Sequence[Entry]) -> list[Entry]:
    """Rows of the finished runs in the report's scores.csv, under the study's names of models."""
    with tempfile.TemporaryDirectory() as folder:
        written = write_report([study], Path(folder) / "report.html")
        rows = read_rows(written.scores)
    labels = {str(study / run["folder"]): {"model": run["label"]} for run in finished}
    columns = [column for column in rows[0] if column != "folder"]
    return [
        narrowed(row, columns) | labels[row["folder"]] for row in rows if row["folder"] in labels
    ]


def narrowed(row: Entry, columns: Sequence[str]) -> Entry:
    return {column: row[column] for column in columns}


def update_rows(path: Path, model: str, new: Sequence[Entry], runs: Sequence[Entry]) -> None:
    """Put a study's rows in the place of those of the same runs; `model` is the model's column."""
    groups: dict[tuple[str, int], list[Entry]] = {}
    for row in read_rows(path) if path.is_file() else []:
        groups.setdefault((row[model], int(row["seed"])), []).append(row)
    made = [(run["label"], run["seed"]) for run in runs if run["status"] != "planned"]
    groups |= {run: [] for run in made}
    for row in new:
        run = row[model], int(row["seed"])
        if run in made or run not in groups:
            groups.setdefault(run, []).append(row)
    rows = [row for group in groups.values() for row in group]
    write_rows(path, list(dict.fromkeys(column for row in rows for column in row)), rows)


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
