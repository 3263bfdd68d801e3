"""Training from Python: objects in, a run directory and a `Run` out. gin takes no part."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from srvae_plugin.config import gin_files
from srvae_plugin.config.data_record import record_of
from srvae_plugin.config.text import with_record
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.pairs import plain_data
from srvae_plugin.data.sampling.seeds import Seed
from srvae_plugin.files import delete_folder, require_one
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.runs.described import (
    described_data,
    described_model,
    described_pairs,
    described_training,
)
from srvae_plugin.runs.directory import Records, RunDirectory
from srvae_plugin.runs.environment import environment
from srvae_plugin.runs.locks import only_writer_in
from srvae_plugin.runs.on_the_way import Evaluations, named_scoring, usual_metrics
from srvae_plugin.runs.scoring.score import Metrics
from srvae_plugin.runs.trained import Run
from srvae_plugin.runs.weights import require_start
from srvae_plugin.training import checkpoint, loop
from srvae_plugin.training.optimizers import Rate
from srvae_plugin.training.plain import prepared
from srvae_plugin.training.settings import shape_of
from srvae_plugin.training.weights import save_weights

__all__ = ["train"]

_POSTPROCESS = (
    "postprocess.postprocess_fn = @mean_representation",
    "postprocess.random_seed = 0",
)


def train(
    model: DisentanglementModel,
    data: Any,
    directory: str | os.PathLike[str],
    *,
    steps: int,
    batch_size: int | None = None,
    learning_rate: Rate = None,
    seed: Seed = 0,
    optimizer: str | Optimizer | Callable[..., Any] = "Adam",
    init_from: str | os.PathLike[str] | Run | None = None,
    evaluate_every: int = 0,
    metrics: Metrics | None = None,
    keep_every: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    **settings: Any,
) -> Run:
    """Train a model and leave a run directory that every command can read.

    A bar shows how far it is, or lines on standard error where that is no terminal; Ctrl-C stops it
    with its checkpoint written, and the same call with `resume=True` goes on as if never stopped.

    Args:
        model: the model, not built yet: its weights are drawn from the seed. If `optimizer` holds
            the weights of a model that is built, these are trained.
        data: a data set of ours, an array, a tensor, a torch Dataset or a DataLoader; see
            `srvae_plugin.data.own.from_python.as_data`.
        directory: the run directory to be made.
        steps: number of updates.
        batch_size: observations in a batch; by default 64, or the DataLoader's.
        learning_rate: a number, or a function of `global_step`; by default the optimizer's own.
        seed: seed of the weights, the noise and the batches: a whole number, a numpy Generator or a
            RandomState.
        optimizer: a name ("Adam", "AdamW", "RMSPropOptimizer", ...), a class, a function of the
            parameters, or an optimizer.
        init_from: start from the weights of another run: the `Run`, its directory, a snapshot's
            folder or a safetensors file. Names and shapes must be the same.
        evaluate_every: steps between evaluations on the way: scores as `srvae_plugin.score` gives
            them of a run that ends there, and traversals, in `evaluations/step_N` of the
            directory. `Run.history` and `Run.scores(step=N)` have the scores; 0 for none. The
            weights are the same with them as without.
        metrics: what is scored on the way, see `srvae_plugin.score`; by default FactorVAE, DCI, MIG
            and SAP, or the unsupervised metrics of data without factors. At the end nothing is
            scored by itself.
        keep_every: steps between snapshots of the weights, `model/snapshots/step_N`; 0 for none.
        resume: go on from the checkpoint in the directory, for more steps too; a training that was
            stopped before its first checkpoint begins anew.
        overwrite: delete the directory first.
        settings: further fields of `TrainingSettings`: `device`, `log_every`, `checkpoint_every`,
            `callbacks`, `ema_decay`, `clip_norm`, ... One has another default than in gin:
            `eval_steps`, the batches that the losses are averaged over after training, is a tenth
            of `steps`, at least 10 and at most gin's 1,000.

    Returns:
        The run, its model in eval mode.

    Raises:
        ValueError: an argument cannot be used, there is something in the directory already, or gin
            holds bindings, which would count without being recorded.
        NonFiniteLossError: a loss or a weight is not finite.
        InterruptedTrainingError: a signal arrived; `resume` goes on.

    Example:
        >>> import numpy as np, srvae_plugin as sv, tempfile
        >>> images = np.random.default_rng(0).random((8, 32, 32), dtype=np.float32)
        >>> model = sv.SRVAE(num_latent=2, beta=1.0)
        >>> run = sv.train(model, images, tempfile.mkdtemp() + "/a", steps=1, eval_steps=1)
        >>> sorted(run.history.columns)[:2]
        ['elbo', 'kl_0']
    """
    require_one(resume, overwrite)
    if held := gin_files.held_bindings():
        raise ValueError(
            f"gin holds {', '.join(held[:5])}: the run would not record what the model reads of "
            "it; call gin.clear_config() before the model is made and give arguments, or call "
            "train_with_gin"
        )
    begun, run = time.monotonic(), RunDirectory(Path(directory))
    options: dict[str, Any] = {"steps": steps, "batch_size": batch_size, "seed": seed}
    options |= {"learning_rate": learning_rate, "optimizer": optimizer, "keep_every": keep_every}
    options |= {"init_from": _source(init_from), **settings}
    ready, source, config = prepared(model, data, **options)
    plain = plain_data(source)
    evaluations = _evaluations(run, plain, evaluate_every, metrics)
    with only_writer_in(run.path):
        if resume:
            _require_checkpoint(run)
        if ready.init_from and (overwrite or not run.model.begun()):
            if not ready.built:
                loop.build_early(ready, source)
            require_start(ready.init_from, run.path, model)
        if evaluate_every or run.evaluations.path.exists():
            ready.callbacks = [*ready.callbacks, evaluations]
        _make_room(run, resume, overwrite)
        run.model.prepare(resume)
        model.trained_in = run.path  # an earlier run of the same object reads its own weights
        model, losses = loop.train(
            ready, source, run.model.files, config=config, resume=resume, begin=run.reopen
        )
        shape, record = shape_of(plain), record_of(plain)
        save_weights(model, run.model.weights, shape)
        lines = described_model(model, shape)
        lines += described_training(ready, optimizer, learning_rate)
        lines += described_pairs(source)
        bound = described_data(plain)
        text = "\n".join([*lines, *bound, ""])
        run.write_config(with_record(text, record))
        scores = {**losses, "elapsed_time": losses["training_seconds"]}
        run.model.write(scores, text, records=Records(record))
        run.forget_stale_steps()
        represented = time.monotonic()
        with run.representation("mean").made_anew(overwrite=True) as mean:
            shutil.copy(run.model.weights, mean.weights)
            took = {"elapsed_time": time.monotonic() - represented}
            mean.write(took, "\n".join([*_POSTPROCESS, *bound, ""]), run.model.results)
        device = str(next(model.parameters()).device)
        made = environment(device, torch.get_num_threads(), time.monotonic() - begun)
        run.finish({**made, "data_source": getattr(plain, "source", None)})
        checkpoint.finish(run.model.files.checkpoint, ready.keep_checkpoint)
        return Run(run.path, model, plain)


def _source(init_from: str | os.PathLike[str] | Run | None) -> str:
    if isinstance(init_from, Run):
        return str(init_from.path)
    return "" if init_from is None else os.fspath(init_from)


def _evaluations(
    run: RunDirectory, data: GroundTruthData, every: int, metrics: Metrics | None
) -> Evaluations:
    """What looks at the model on the way."""
    if isinstance(every, bool) or not isinstance(every, int) or every < 0:
        raise ValueError(f"evaluate_every = {every!r}: expected a number of steps, or 0 for never")
    if not every:
        if metrics is not None:
            raise ValueError(
                "metrics: nothing is scored without evaluate_every; srvae_plugin.score(run, data, "
                "metrics) scores the run that train returns"
            )
        return Evaluations(0, run.evaluations)
    chosen = usual_metrics(data) if metrics is None else metrics
    return Evaluations(every, run.evaluations, named_scoring(data, chosen, 0), data)


def _require_checkpoint(run: RunDirectory) -> None:
    """Refuse to train anew over what is finished; delete snapshots of what has to begin anew."""
    if run.model.files.checkpoint.is_file():
        return
    if run.model.is_complete():
        raise ValueError(
            f"{run.path} is finished and kept no checkpoint to continue from (keep_checkpoint): "
            f"load_run({str(run.path)!r}) reads it; overwrite=True trains again, init_from starts "
            "another run from its weights"
        )
    delete_folder(run.model.files.snapshots)


def _make_room(run: RunDirectory, resume: bool, overwrite: bool) -> None:
    if resume or not run.entries():
        return
    if not overwrite:
        raise ValueError(
            f"{run.path} exists: resume=True continues it, overwrite=True deletes it; or name "
            "another folder"
        )
    files = run.config, run.model.files.checkpoint, run.model.files.scalars
    if not any(file.is_file() for file in files):
        raise ValueError(f"{run.path} is not a run directory: overwrite=True does not delete it")
    run.clear()
