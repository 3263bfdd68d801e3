"""A check of a model that makes all of a run: training, codes, a score, pictures, the summary."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np
import torch

from srvae_plugin.metrics import compute_mig
from srvae_plugin.models.base import Shape
from srvae_plugin.plots import pictures
from srvae_plugin.runs import summary, weights
from srvae_plugin.runs.directory import RunDirectory
from srvae_plugin.runs.representation import Representation
from srvae_plugin.runs.run import RunSummary
from srvae_plugin.runs.scoring.tried import seeded
from srvae_plugin.testing.building import BATCH, Bars, MakeModel
from srvae_plugin.training.loop import train
from srvae_plugin.training.settings import TrainingSettings
from srvae_plugin.training.weights import save_weights

_STEPS, _POINTS = 3, 48
_SHOWN = (1, 3)
"""Channels that pictures are drawn of."""


def a_tiny_run_completes(make: MakeModel, shape: Shape) -> None:
    """Nothing after training stops it: codes, a score, the pictures, the table of scores."""
    logger = logging.getLogger("srvae_plugin")
    level = logger.level
    with tempfile.TemporaryDirectory() as folder, seeded(0):
        logger.setLevel(logging.ERROR)
        try:
            _run(make, Bars(shape), shape, Path(folder))
        finally:
            logger.setLevel(level)


def _run(make: MakeModel, data: Bars, shape: Shape, folder: Path) -> None:
    settings = TrainingSettings(
        model=make(),
        training_steps=_STEPS,
        random_seed=0,
        batch_size=BATCH,
        eval_steps=1,
        checkpoint_every=2,
        log_every=2,
        device="cpu",
    )
    run = RunDirectory(folder)
    run.model.prepare()
    model, losses = train(settings, data, run.model.files)
    save_weights(model, run.model.weights, shape)
    run.model.write(losses, "")
    trained = make()
    weights.load(trained, run.model.weights)
    trained.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    random_state = np.random.RandomState(0)
    mig = compute_mig(data, Representation(trained, "mean"), random_state, num_train=_POINTS)
    done = RunSummary(run, losses, {"mean": {"mig": mig}}, {})
    if shape[0] in _SHOWN:
        curves = run.model.files.scalars
        done.pictures = pictures.save_all(trained, data, curves, run.pictures)
    summary.as_text(done)
