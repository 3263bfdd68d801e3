"""What a training step of each model of single images costs: python benchmarks/models.py.

The SR-VAE paper's networks at full width, 10 latents, batches of 64 random images, 64x64x1, all
on the CPU. The models take their steps in turn, so that a busy moment slows all alike; the ratio
is to the VAE's median. Peak memory comes from a fresh process for each model: the most it held
over three steps, less what importing torch and the package took. dSprites is not loaded.

    python benchmarks/models.py --steps 30 --json models.json
    python benchmarks/models.py --models vae my_vae --bind 'my_vae.beta = 1.0'
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from srvae_plugin.config import gin_files, plugins
from srvae_plugin.files import replacing
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.training.allocator import keep_freed_memory
from srvae_plugin.training.optimizers import make_optimizers
from srvae_plugin.training.updates import update_parameters

SHAPE, BATCH = (1, 64, 64), 64
BINDINGS = ["encoder.encoder_fn = @srvae_encoder", "encoder.num_latent = 10"]
BINDINGS += ["decoder.decoder_fn = @srvae_decoder"]
# What some models require; it does not change what they cost.
BINDINGS += ["vae.beta = 1.0", "beta_tc_vae.beta = 6.0", "factor_vae.gamma = 30.0"]
BINDINGS += [f"annealed_vae.{name} = 1000" for name in ("gamma", "c_max", "iteration_threshold")]
BINDINGS += ["dip_vae.lambda_od = 10.0", "dip_vae.lambda_d_factor = 10.0"]


def takes_images(name: str) -> bool:
    """Whether the model trains on images alone, without pairs or labels."""
    return plugins.find("models", name).training_data is DisentanglementModel.training_data


def training_step(name: str) -> Callable[[int], None]:
    """A function that makes one update of the model, as the training loop does."""
    keep_freed_memory()
    torch.manual_seed(0)
    model = plugins.find("models", name)()
    model.build(SHAPE)
    model.to(memory_format=torch.channels_last)
    optimizers = make_optimizers(model.parameter_groups())
    x = torch.rand(BATCH, *SHAPE).contiguous(memory_format=torch.channels_last)
    return lambda step: update_parameters(model.losses(x, step).objectives, optimizers)


def step_seconds(names: list[str], steps: int) -> dict[str, list[float]]:
    """Seconds of each model's steps, taken in turn after one step to warm up."""
    functions = {name: training_step(name) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for step in range(steps + 1):
        for name, function in functions.items():
            begun = time.perf_counter()
            function(step)
            if step:
                seconds[name].append(time.perf_counter() - begun)
    return seconds


def peak_bytes() -> int:
    """Most memory this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_of(name: str, bindings: list[str]) -> int:
    """Bytes that training takes on top of the imports, measured in a process of its own."""
    command = [sys.executable, __file__, "--memory-of", name]
    command += [f"--bind={binding}" for binding in bindings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr}")
    return int(done.stdout.split()[-1])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30, help="timed steps of each model")
    parser.add_argument("--models", nargs="+", help="gin names (default: those of single images)")
    parser.add_argument("--bind", action="append", default=[], help="a gin binding")
    parser.add_argument("--json", type=Path, help="write everything there too")
    parser.add_argument("--memory-of", metavar="NAME", help=argparse.SUPPRESS)
    return parser.parse_args()


def main(options: argparse.Namespace) -> None:
    names = options.models or [name for name in plugins.names("models") if takes_images(name)]
    # Before this process grows: on Linux a child's peak starts at its parent's.
    peaks = {name: peak_of(name, options.bind) for name in names}
    seconds = step_seconds(names, options.steps)
    reference = statistics.median(seconds.get("vae", [float("inf")]))
    rows: dict[str, dict[str, Any]] = {}
    print(f"{'model':<16}{'ms a step':>12}{'x VAE':>8}{'peak MB':>10}")
    for name in names:
        median = statistics.median(seconds[name])
        ratio, peak = median / reference, peaks[name]
        rows[name] = {"seconds": seconds[name], "ratio": ratio, "peak_bytes": peak}
        print(f"{name:<16}{median * 1e3:>12.1f}{ratio:>8.2f}{peak / 1e6:>10.0f}")
    if options.json:
        report = {"threads": torch.get_num_threads(), "torch": torch.__version__, "models": rows}
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    asked = arguments()
    with gin_files.only(bindings=[*BINDINGS, *asked.bind]):
        if asked.memory_of:
            before, function = peak_bytes(), training_step(asked.memory_of)
            for step in range(3):
                function(step)
            print(peak_bytes() - before)
        else:
            main(asked)
