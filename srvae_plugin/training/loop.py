"""The one training loop, for every model."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.pairs import PairedData
from srvae_plugin.models.base import DisentanglementModel, Losses
from srvae_plugin.progress import Progress
from srvae_plugin.training import checkpoint
from srvae_plugin.training.allocator import keep_freed_memory
from srvae_plugin.training.average import WeightAverage
from srvae_plugin.training.batches import drawing, laid_out, source_of
from srvae_plugin.training.callbacks import Callback, Callbacks, Snapshots, Start
from srvae_plugin.training.capture import CapturedStep, choose_step
from srvae_plugin.training.files import TrainingFiles
from srvae_plugin.training.finite import FiniteCheck, refuse_to_go_on
from srvae_plugin.training.interrupts import InterruptedTrainingError, stop_signals
from srvae_plugin.training.numerics import denormals_flushed, memory_format, numerics
from srvae_plugin.training.random_states import RandomStates, kept_random_states
from srvae_plugin.training.scalars import Rows, ScalarLog, TensorBoard, flatten
from srvae_plugin.training.schedules import set_learning_rates
from srvae_plugin.training.settings import (
    TrainingSettings,
    find_device,
    shape_of,
)
from srvae_plugin.training.updates import Clipping, compiled, update_parameters
from srvae_plugin.training.weights import load_weights

__all__ = ["build_early", "train"]

_log = logging.getLogger("srvae_plugin")
_SHOWN = ("loss", "reconstruction_loss", "kl_loss")


def train(
    settings: TrainingSettings,
    data: GroundTruthData | PairedData,
    files: TrainingFiles,
    *,
    config: str = "",
    resume: bool = False,
    begin: Callable[[], None] = lambda: None,
) -> tuple[DisentanglementModel, dict[str, Any]]:
    """Train a model; return it with its mean losses over `eval_steps` batches.

    Args:
        settings: see `TrainingSettings`.
        data: where observations, or pairs of them, are drawn from.
        files: where the checkpoint, what is logged and snapshots go.
        config: text that identifies the configuration; a checkpoint of another one is refused.
        resume: go on from the checkpoint if there is one, of a training that was
            stopped or of one that is to have more steps now.
        begin: called when the checkpoint and the table of scalars are checked, before either
            changes; callbacks have started by then.

    Raises:
        NonFiniteLossError: a loss or a weight is not finite.
        InterruptedTrainingError: a signal arrived.
        ValueError: the model does not fit the data, or the checkpoint is damaged.
    """
    path = files.checkpoint
    device = find_device(settings.device)
    if device.type == "cpu":
        keep_freed_memory()
    seeds = np.random.RandomState(settings.random_seed)
    batches = np.random.RandomState(seeds.randint(2**32))
    evaluation = np.random.RandomState(seeds.randint(2**32))

    model, resumed = settings.model, resume and path.is_file()
    drawn_from = model.training_data(data)
    if isinstance(drawn_from, PairedData) and drawn_from.seed is not None:
        batches = np.random.RandomState(drawn_from.seed)
    checkpoint.seed_everything(settings.random_seed)
    if isinstance(settings.built, RandomStates):
        settings.built.put_back()
    elif not settings.built:
        given = list(model.parameters())  # held, so that no new one is where one of them was
        model.build(shape_of(data))
        kept = {id(parameter) for parameter in model.parameters()}
        if not resumed and any(id(parameter) not in kept for parameter in given):
            _log.warning(
                "the model was built already: its weights are replaced by new ones, drawn with the "
                "seed; init_from starts from the weights of a run or a file"
            )
    if settings.init_from and not resumed:
        load_weights(model, settings.init_from)
    layout = memory_format(device, settings.channels_last)
    model.to(device).to(memory_format=layout)  # type: ignore[call-overload]
    optimizers = settings.optimizers(model.parameter_groups())
    average = WeightAverage(model, settings.ema_decay) if settings.ema_decay else None
    how = choose_step(settings.step, device, model, optimizers)
    source, finite = source_of(drawn_from, device), FiniteCheck(device)
    compute: Callable[[Any, Any], Losses] = model.losses
    if settings.compile:
        compute = compiled(model.losses)
    clipping = Clipping(settings.clip_norm, settings.clip_value)
    clipped = (clipping,) if any(clipping) else ()

    state = checkpoint.State(model, optimizers, batches, average, device)
    at = checkpoint.load(path, config, state) if resumed else checkpoint.Checkpoint(0, 0.0)
    checkpoint.require_more_steps(f"checkpoint {path}", at.step, settings.training_steps)
    step, begun = at.step, time.monotonic() - at.seconds
    rows = Rows(step, settings.log_every, resumed and step == settings.training_steps, at.curve)

    def require_finite(weights: bool = False) -> None:
        if (bad := finite.first_bad()) is not None:
            refuse_to_go_on(f"{', '.join(bad[1])} not finite", bad[0], path)
        for name, parameter in model.named_parameters() if weights else ():
            if not torch.isfinite(parameter).all():
                refuse_to_go_on(f"the weights {name} are not finite", step, path)

    def save() -> None:
        require_finite(weights=True)
        at = checkpoint.Checkpoint(step, time.monotonic() - begun, scalars.seen())
        checkpoint.save(path, at, config, state)

    def losses_of(drawn: Tensor, step: int | Tensor) -> Losses:
        x = laid_out(source.images(drawn.to(device, non_blocking=True)), layout)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.autocast):
            return compute(x, step)

    def plain_step(drawn: Tensor, step: int | Tensor) -> Losses:
        losses = losses_of(drawn, step)
        finite.note(losses, step)
        update_parameters(losses.objectives, optimizers, *clipped)
        return losses

    take: Callable[[Tensor, int], Losses] = plain_step
    if how == "captured":
        take = CapturedStep(plain_step, model, optimizers, device, forget=finite.reset)

    with (
        stop_signals() as stopped,
        numerics(device, settings.tf32, settings.cudnn_benchmark),
        Callbacks(_callbacks(settings)) as callbacks,
    ):
        start = Start(files, step, settings.training_steps, config, shape_of(data))
        callbacks.start(start)
        model.train()
        with (
            drawing(source, settings.batch_size, batches, device) as drawn,
            ScalarLog(files.scalars, rows, begin) as scalars,
            Progress("training", settings.training_steps, step) as progress,
        ):
            while step < settings.training_steps:
                set_learning_rates(optimizers, step)
                with denormals_flushed(device):
                    losses = take(drawn.draw(), step)
                if average is not None:
                    average.update()
                last = step == settings.training_steps - 1
                shown = {}
                logs_now = step % settings.log_every == 0 or last
                # Only a CPU has computed the losses by now; others are not waited for.
                if logs_now or device.type == "cpu":
                    require_finite()
                if logs_now:
                    shown = flatten(losses.logs)
                    scalars.write(step, shown)
                    callbacks.log(step, shown)
                step += 1
                callbacks.step(step)
                progress.advance(values={k: shown[k] for k in _SHOWN if k in shown})
                if callbacks.due(step):
                    require_finite(weights=True)
                    drawn.settle()  # a callback may read the data set
                    with average.applied() if average is not None else contextlib.nullcontext():
                        callbacks.interval(step, model)
                if stopped or step % settings.checkpoint_every == 0 or last:
                    save()
                if stopped:
                    raise InterruptedTrainingError(stopped[0], step, path)
            if not resumed and step == 0:
                save()  # a training of no steps can be given more, too

        model.eval()
        if average is not None:
            average.apply()
        totals: dict[str, float] = {}
        if isinstance(drawn_from, PairedData) and drawn_from.to_evaluate is not drawn_from:
            source = source_of(drawn_from.to_evaluate, device)
        with (
            torch.no_grad(),
            drawing(source, settings.batch_size, evaluation, device) as drawn,
            Progress("evaluation", settings.eval_steps, unit="batches") as bar,
        ):
            for _ in range(settings.eval_steps):
                for name, value in flatten(losses_of(drawn.draw(), step).logs).items():
                    totals[name] = totals.get(name, 0.0) + value / settings.eval_steps
                bar.advance()
                if stopped:
                    raise InterruptedTrainingError(stopped[0], step, path)
    return model, {**totals, "global_step": step, "training_seconds": time.monotonic() - begun}


def build_early(settings: TrainingSettings, data: GroundTruthData | PairedData) -> None:
    """Build the model with the weights that `train` would give it; `train` goes on from there.

    The global random generators are left as they were.
    """
    settings.model.training_data(data)
    with kept_random_states():
        checkpoint.seed_everything(settings.random_seed)
        settings.model.build(shape_of(data))
        settings.built = RandomStates.now()


def _callbacks(settings: TrainingSettings) -> list[Callback]:
    """Those that settings ask for by themselves, then the user's."""
    snapshots = [Snapshots(settings.keep_every)] if settings.keep_every else []
    tensorboard = [TensorBoard()] if settings.tensorboard else []
    return [*snapshots, *tensorboard, *settings.callbacks]
