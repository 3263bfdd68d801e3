"""SR-VAE and VAE in the paper's setting for as long as there is time: OUT/paper.json, paper.txt.

    python benchmarks/gpu_paper.py OUT --seconds 150 [--rehearse]

Full width, 10 latents, batches of 64, Adam at 1e-4 on dSprites, with TF32, scored as in
gin/metrics/paper.gin: a whole run of this project for each model, all at once, each in a process of
its own. How many steps fit is worked out from speed.json; all models take as many. Each run is
written when it is trained, and again after each group of scores, the dearest last.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch

from srvae_plugin.files import write_text
from srvae_plugin.runs.directory import RunDirectory
from srvae_plugin.runs.evaluate import evaluate_representation
from srvae_plugin.runs.run import run

MODELS = {"srvae": "srvae_dsprites.gin", "vae": "vae_dsprites.gin"}
GROUPS = [["mig", "sap_score"], ["factor_vae_score"], ["dci"]]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MOST, LEAST = 300_000, 500
STARTING, SCORING = 15, 50
"""Seconds that we reckon with for processes to start and for the scores of a run."""
SHARED = 0.85
"""Of the steps that a GPU would take for one model after the other, what it takes for all at once;
a guess, which has to hold for all to be finished."""
TINY = [
    *("srvae_encoder.base_channels = 2", "srvae_decoder.base_channels = 2"),
    *("encoder.num_latent = 2", "model.batch_size = 8", "model.eval_steps = 3"),
]
TINY_SCORES = ["mig.num_train = 200", "sap_score.num_train = 200", "sap_score.num_test = 100"]


def steps_per_second(out: Path, model: str) -> float:
    """Of the captured step with TF32 at d = 10 and batch 64, from speed.json."""
    rows = json.loads((out / "speed.json").read_text())
    wanted = {"who": "ours", "model": model, "latents": 10, "batch": 64}
    wanted["options"] = {"step": "captured", "tf32": True}
    for row in rows:
        if all(row[key] == value for key, value in wanted.items()) and "steps_per_second" in row:
            return float(row["steps_per_second"])
    raise SystemExit(f"speed.json has no steps per second of {model}, captured, with TF32")


def steps_that_fit(out: Path, seconds: float) -> int:
    """Updates that each model can take, so that all are scored in time; in hundreds."""
    one_of_each = sum(1 / steps_per_second(out, model) for model in MODELS)
    fit = SHARED * (seconds - STARTING - SCORING) / one_of_each
    return min(MOST, int(fit // 100) * 100)


def one(model: str, seed: int, steps: int, rehearse: bool) -> None:
    """Train a model and score it; print what is known, a line of JSON each time more is."""
    begun = time.monotonic()
    bindings = [
        f"model.training_steps = {steps}",
        f"model.random_seed = {seed}",
        f"model.device = '{DEVICE}'",
        "model.tf32 = True",
        "model.eval_steps = 50",
        "model.checkpoint_every = 10000",
        "run.pictures = False",
        "run.metrics = []",
        *(TINY if rehearse else []),
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        summary = run([MODELS[model]], bindings, path)
        curve = (path / "model/scalars.csv").read_text().splitlines()
        found: dict[str, Any] = {
            "model": model,
            "seed": seed,
            "steps": steps,
            "training": summary.training,
            "scores": {},
            "curve": curve[:1] + curve[1 :: max(1, len(curve) // 40)],
        }
        sizes = TINY_SCORES if rehearse else []
        for group in [[], *GROUPS[: 1 if rehearse else None]]:
            if group:
                scores = evaluate_representation(
                    group, RunDirectory(path), "mean", [MODELS[model]], sizes
                )
                found["scores"] |= scores
            found["took"] = time.monotonic() - begun
            print(json.dumps(found), flush=True)


def headline(scores: dict[str, Any]) -> str:
    keys = {"factor_vae_score": "eval_accuracy", "dci": "disentanglement"}
    keys |= {"mig": "discrete_mig", "sap_score": "SAP_score"}
    shown = [f"{m} {scores[m][k]:.3f}" for m, k in keys.items() if k in scores.get(m, {})]
    return ", ".join(shown) or "not scored"


def text(report: list[dict[str, Any]]) -> str:
    lines = []
    for row in report:
        training = row["training"]
        lines.append(
            f"{row['model']:<6} seed {row['seed']} {row['steps']:>7} steps  "
            f"reconstruction {training['reconstruction_loss']:.2f} kl {training['kl_loss']:.2f}  "
            f"{headline(row['scores'])}  ({row['took']:.0f} s, "
            f"{training['training_seconds']:.0f} of them training)"
        )
    return "\n".join(lines) + "\n"


class Report:
    """What the runs said last, in paper.json and paper.txt."""

    def __init__(self, out: Path) -> None:
        self._out, self._lock = out, threading.Lock()
        self._rows: dict[str, dict[str, Any]] = {}

    def follow(self, model: str, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            if not line.startswith("{"):
                continue
            row = json.loads(line)
            with self._lock:
                self._rows[model] = row
                rows = [self._rows[name] for name in MODELS if name in self._rows]
                write_text(self._out / "paper.json", json.dumps(rows, indent=1) + "\n")
                write_text(self._out / "paper.txt", text(rows))
                print(text([row]), end="", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder that has speed.json")
    parser.add_argument("--seconds", type=float, default=150, help="for everything")
    parser.add_argument("--seed", type=int, default=0, help="of every model")
    parser.add_argument("--rehearse", action="store_true", help="a few steps on tiny networks")
    parser.add_argument("--one", choices=MODELS, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, help="updates; as many as fit if not given")
    options = parser.parse_args()
    if options.one:
        one(options.one, options.seed, options.steps, options.rehearse)
        return
    end = time.monotonic() + options.seconds
    steps = options.steps or (
        20 if options.rehearse else steps_that_fit(options.out, options.seconds)
    )
    if steps < LEAST and not (options.rehearse or options.steps):
        sys.exit(f"no time left: {steps} steps fit")
    print(f"{steps} steps of {' and '.join(MODELS)}, seed {options.seed}", flush=True)
    report, followers, processes = Report(options.out), [], []
    for model in MODELS:
        command = [sys.executable, __file__, str(options.out), "--one", model]
        command += ["--steps", str(steps), "--seed", str(options.seed)]
        command += ["--rehearse"] * options.rehearse
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        followers.append(threading.Thread(target=report.follow, args=(model, processes[-1])))
        followers[-1].start()
    failed = False
    for model, process in zip(MODELS, processes, strict=True):
        try:
            failed |= process.wait(max(0.0, end - time.monotonic())) != 0
        except subprocess.TimeoutExpired:
            process.kill()
            failed = True
            print(f"{model} was not done in time", flush=True)
    for follower in followers:
        follower.join()
    sys.exit(failed)


if __name__ == "__main__":
    main()
