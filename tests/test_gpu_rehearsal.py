"""The GPU benchmark's rehearsal: the same steps with the CPU as device."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks/gpu.sh"


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    out = tmp_path_factory.mktemp("gpu") / "out"
    command = ["bash", SCRIPT, out, "--budget", "240", "--rehearse"]
    # A GPU that is here is not used.
    environment = os.environ | {"PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return out, done


def test_it_ends_well(rehearsed):
    out, done = rehearsed
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no time left" not in done.stdout
    assert " skipped" in (out / "tests.txt").read_text()
    assert json.loads((out / "machine.json").read_text())["packages"]["torch"]


def test_every_row_was_measured(rehearsed):
    out, _ = rehearsed
    rows = json.loads((out / "speed.json").read_text())
    assert {row["who"] for row in rows} == {"plain", "pythae", "ours", "encode", "side by side"}
    for row in rows:
        if row["who"] == "pythae" and "No module named" in row.get("error", ""):
            continue  # pythae need not be here
        assert row.get("steps_per_second", row.get("images_per_second"))
    ours = next(row for row in rows if (row["who"], row["model"]) == ("ours", "srvae"))
    plain = next(row for row in rows if (row["who"], row["model"]) == ("plain", "srvae"))
    ratio = ours["steps_per_second"] / plain["steps_per_second"]
    assert ours["ratios"]["plain"] == pytest.approx(ratio)


def test_both_models_were_trained_and_scored(rehearsed):
    out, _ = rehearsed
    runs = json.loads((out / "paper.json").read_text())
    assert [(run["model"], run["steps"]) for run in runs] == [("srvae", 20), ("vae", 20)]
    for run in runs:
        assert 0 <= run["scores"]["mig"]["discrete_mig"] <= 1
        assert run["training"]["global_step"] == 20
    assert "mig" in (out / "paper.txt").read_text()
