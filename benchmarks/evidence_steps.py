"""Score the weights that a study kept on the way: who is ahead after how many steps.

    python benchmarks/evidence_steps.py evidence/dsprites_long [--steps 1000 3000 10000 30000]

adds to docs/measurements/evidence/dsprites_long/steps.csv what is not in it yet: of every finished
run the scores of its snapshots (`model.keep_every`) with the run's own metrics and settings, and
the reconstruction loss of 1,000 images, the same ones for all. The step that the run ended with has
the run's own scores.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from evidence_record import IMAGES, RECORDS, Entry, read_rows, write_rows

from srvae_plugin.config.text import record_in
from srvae_plugin.report.keys import numbers
from srvae_plugin.runs.directory import RunDirectory
from srvae_plugin.runs.run import Checked, check
from srvae_plugin.runs.scoring.bound_scoring import bound_scoring
from srvae_plugin.training.weights import load_weights

STEPS = (1000, 3000, 10000, 30000)
COLUMNS = ("model", "seed", "step", "metric", "key", "value")
BATCH = 50
Row = dict[str, Any]


def main(study: Path, steps: Sequence[int]) -> None:
    """Score what is missing, run by run; each run's rows are kept as soon as they are there."""
    entries = json.loads((study / "study.json").read_text(encoding="utf-8"))["runs"]
    file = RECORDS / study.resolve().name / "steps.csv"
    rows: list[Row] = [*read_rows(file)] if file.is_file() else []
    known = {(row["model"], int(row["seed"]), int(row["step"])) for row in rows}
    file.parent.mkdir(parents=True, exist_ok=True)
    for entry in entries:
        wanted = [s for s in steps if (entry["label"], entry["seed"], s) not in known]
        if entry["status"] == "finished" and wanted:
            rows += rows_of(entry, study / entry["folder"], wanted)
            write_rows(file, COLUMNS, rows)
            print(f"{entry['label']}, seed {entry['seed']}: steps {wanted}", flush=True)


def rows_of(entry: Entry, folder: Path, steps: Iterable[int]) -> list[Row]:
    """Rows of one run at these steps."""
    run = RunDirectory(folder)
    checked = check([str(run.config)], [])
    assert record_in(checked.config) == record_in(run.read_config()), "other data than it had"
    model, scoring = checked.settings.model, bound_scoring(checked, None)
    last, rows = checked.settings.training_steps, []
    for step in steps:
        load_weights(model, run.model.files.snapshot(step))
        model.eval()
        if step == last:
            scores = run.scores("mean").read_all()
        else:
            scores = scoring.score(model).scores["mean"]
        scores = {**scores, "training": {"reconstruction_loss": reconstruction(checked)}}
        own = {"model": entry["label"], "seed": entry["seed"], "step": step}
        rows += [own | row for row in flat(scores)]
    return rows


def flat(scores: dict[str, Any]) -> Iterator[Row]:
    for metric, found in scores.items():
        for key, value in numbers(found).items():
            yield {"metric": metric, "key": key, "value": value}


def reconstruction(checked: Checked) -> float:
    """Mean loss, in nats an image, of images and noise that are the same for every model."""
    data, random, model = checked.bound.data, np.random.RandomState(0), checked.settings.model
    torch.manual_seed(0)
    losses = []
    with torch.no_grad():
        for _ in range(IMAGES // BATCH):
            images = torch.from_numpy(data.sample_observations(BATCH, random)).permute(0, 3, 1, 2)
            losses.append(float(model.losses(images, 0).logs["reconstruction_loss"]))
    return float(np.mean(losses))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    options = parser.parse_args()
    main(options.study, options.steps)
