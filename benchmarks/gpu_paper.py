"""SR-VAE and VAE in the paper's setting for as long as there is time: OUT/paper.json, paper.txt.

    python benchmarks/gpu_paper.py OUT --seconds 150 [--rehearse]

Full width, 10 latents, batches of 64, Adam at 1e-4 on dSprites, scored as in gin/metrics/paper.gin:
whole runs of this project, model by model and seed by seed. A quarter of the time is kept for
scores. How many steps fit is worked out from speed.json; all runs of a model take as many.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from srvae_plugin.run import run

MODELS = {"srvae": "srvae_dsprites.gin", "vae": "vae_dsprites.gin"}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MOST, LEAST = 300_000, 1_000
SCORING = 20
"""Seconds that we reckon with for the scores of a run."""
TINY = [
    *("srvae_encoder.base_channels = 2", "srvae_decoder.base_channels = 2"),
    *("encoder.num_latent = 2", "model.batch_size = 8", "run.metrics = ['mig']"),
    "mig.num_train = 200",
]


def steps_per_second(out: Path, model: str) -> float:
    """Of the captured step at d = 10 and batch 64, from speed.json."""
    rows = json.loads((out / "speed.json").read_text())
    wanted = {"who": "ours", "model": model, "latents": 10, "batch": 64}
    wanted["options"] = {"step": "captured"}
    for row in rows:
        if all(row[key] == value for key, value in wanted.items()):
            return float(row["steps_per_second"])
    raise SystemExit(f"speed.json has no row of {model}")


def one(model: str, seed: int, steps: int, extra: list[str]) -> dict[str, Any]:
    begun = time.monotonic()
    bindings = [
        f"model.training_steps = {steps}",
        f"model.random_seed = {seed}",
        f"model.device = '{DEVICE}'",
        "model.eval_steps = 100",
        "model.checkpoint_every = 10000",
        "run.pictures = False",
        *extra,
    ]
    with tempfile.TemporaryDirectory() as folder:
        summary = run([MODELS[model]], bindings, Path(folder) / "run")
        curve = (Path(folder) / "run/model/scalars.csv").read_text().splitlines()
    kept = curve[:1] + curve[1 :: max(1, len(curve) // 40)]
    return {
        "model": model,
        "seed": seed,
        "steps": steps,
        "training": summary.training,
        "scores": summary.scores,
        "curve": kept,
        "took": time.monotonic() - begun,
    }


def headline(scores: dict[str, Any]) -> str:
    keys = {"factor_vae_score": "eval_accuracy", "dci": "disentanglement"}
    keys |= {"mig": "discrete_mig", "sap_score": "SAP_score"}
    found = scores.get("mean", {})
    shown = [f"{m} {found[m][k]:.3f}" for m, k in keys.items() if k in found.get(m, {})]
    return ", ".join(shown)


def text(report: list[dict[str, Any]]) -> str:
    lines = []
    for row in report:
        training = row["training"]
        lines.append(
            f"{row['model']:<6} seed {row['seed']} {row['steps']:>7} steps  "
            f"reconstruction {training['reconstruction_loss']:.2f} kl {training['kl_loss']:.2f}  "
            f"{headline(row['scores'])}  ({row['took']:.0f} s)"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder that has speed.json")
    parser.add_argument("--seconds", type=float, default=150, help="for everything")
    parser.add_argument("--seeds", type=int, default=1, help="seeds of each model")
    parser.add_argument("--rehearse", action="store_true", help="a few steps on tiny networks")
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    each = options.seconds / (len(MODELS) * options.seeds)
    report: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        for model in MODELS:
            if options.rehearse:
                steps, extra = 20, TINY
            else:
                rate = steps_per_second(options.out, model)
                share = min(each, end - time.monotonic())
                steps = int(rate * (share - SCORING) // 1000) * 1000
                steps, extra = min(steps, MOST), []
                if steps < LEAST:
                    print(f"no time left for {model}, seed {seed}")
                    continue
            print(f"{model}, seed {seed}: {steps} steps", flush=True)
            report.append(one(model, seed, steps, extra))
            (options.out / "paper.json").write_text(json.dumps(report, indent=1) + "\n")
            (options.out / "paper.txt").write_text(text(report))
            print(text(report[-1:]), end="", flush=True)


if __name__ == "__main__":
    main()
