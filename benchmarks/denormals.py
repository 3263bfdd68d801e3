"""What denormal numbers cost a training step on a CPU, and whether leaving them out changes it.

    python benchmarks/denormals.py RUN_DIR

goes on with a run on dSprites from its checkpoint, twice, step by step in turn: with denormals
flushed to 0, as `train` does it, and without. It compares median times and every weight. Adam's
averages of a unit that no gradient reaches any more are such numbers, and so are gradients of a
squared error where a sigmoid is saturated.
"""

from __future__ import annotations

import contextlib
import copy
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

import srvae_plugin as sv
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.training.numerics import denormals_flushed
from srvae_plugin.training.updates import update_parameters

STEPS, WARM_UP, BATCH = 200, 10, 16
CPU = torch.device("cpu")


def take_step(
    model: DisentanglementModel, optimizers: dict[str, Optimizer], x: Tensor, step: int
) -> float:
    """CPU seconds of a training step whose noise depends on its number alone."""
    torch.manual_seed(step)
    begun = time.process_time()
    update_parameters(model.losses(x, step).objectives, optimizers)
    return time.process_time() - begun


def main(run_dir: Path) -> None:
    trained, data = sv.load_run(run_dir).model, sv.load_dataset("dsprites_full")
    states = torch.load(run_dir / "model" / "checkpoint.pt", weights_only=False)["optimizers"]
    pairs = []
    for _ in range(2):
        model = copy.deepcopy(trained).train()
        ((group, parameters),) = model.parameter_groups().items()
        optimizer = Adam(parameters, fused=True)
        optimizer.load_state_dict(copy.deepcopy(states[group]))
        pairs.append((model, {group: optimizer}))
    modes = contextlib.nullcontext, lambda: denormals_flushed(CPU)
    seconds: tuple[list[float], list[float]] = ([], [])
    for step in range(WARM_UP + STEPS):
        x = torch.as_tensor(data.sample_observations(BATCH, np.random.RandomState(step))).permute(
            0, 3, 1, 2
        )
        for (model, optimizers), mode, taken in zip(pairs, modes, seconds, strict=True):
            with mode():
                taken.append(take_step(model, optimizers, x, step))
    slow, fast = (1000 * statistics.median(taken[WARM_UP:]) for taken in seconds)
    (one, _), (other, _) = pairs
    weights = zip(one.parameters(), other.parameters(), strict=True)
    same = all(torch.equal(*pair) for pair in weights)
    print(f"{slow:.1f} ms a step with denormals, {fast:.1f} without: {slow / fast:.2f} times")
    print(
        f"weights after {WARM_UP + STEPS} steps: {'the same to the bit' if same else 'different'}"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
