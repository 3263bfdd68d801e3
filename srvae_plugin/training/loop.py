"""The one training loop, for every model."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import gin
import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.models.base import DisentanglementModel, Losses, Shape
from srvae_plugin.progress import Progress
from srvae_plugin.training import checkpoint
from srvae_plugin.training.allocator import keep_freed_memory
from srvae_plugin.training.batches import drawing, source_of
from srvae_plugin.training.capture import STEPS, CapturedStep, choose_step
from srvae_plugin.training.files import TrainingFiles
from srvae_plugin.training.finite import FiniteCheck
from srvae_plugin.training.numerics import memory_format, numerics
from srvae_plugin.training.optimizers import make_optimizers
from srvae_plugin.training.scalars import ScalarLog, flatten

_SHOWN = ("loss", "reconstruction_loss", "kl_loss")


@gin.register("model", module="srvae_plugin")
@dataclass
class TrainingSettings:
    """What gin binds under `model`; the first six names are disentanglement_lib's.

    Args:
        model: the model, its hyperparameters set and not yet built (`@sr_vae()`).
        training_steps: number of updates; 0 leaves the network as initialised.
        random_seed: seed of the parameters, the noise and the batches.
        batch_size: observations in a batch, drawn at random with replacement.
        eval_steps: batches that the losses are averaged over after training.
        name, model_num: not used; they identify the run in its results.
        checkpoint_every: steps between checkpoints.
        log_every: steps between rows of scalars.csv.
        device: "auto" (cuda, else mps, else cpu) or a torch device.
        channels_last: keep images and kernels in channels-last memory; "auto" does so except on a
            GPU of NVIDIA's, whichever was faster.
        autocast: compute in bfloat16 where torch deems it safe.
        compile: run the model through torch.compile.
        step: "plain"; "captured", recorded once as a CUDA graph and replayed; or "auto", which is
            captured on a GPU of NVIDIA's where the model and the optimizers allow it.
        tf32: let such a GPU round the factors of products to 10 bits (TensorFloat-32).
        cudnn_benchmark: let it choose among convolutions by their time; another process, one that
            resumes too, may choose others and differ in the last bits.
        tensorboard: write TensorBoard event files too.

    Raises ValueError for values out of range.
    """

    model: DisentanglementModel
    training_steps: int
    random_seed: int
    batch_size: int
    eval_steps: int = 1000
    name: str = ""
    model_num: int | None = None
    checkpoint_every: int = 1000
    log_every: int = 100
    device: str = "auto"
    channels_last: bool | str = "auto"
    autocast: bool = False
    compile: bool = False
    step: str = "auto"
    tf32: bool = False
    cudnn_benchmark: bool = False
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.model, DisentanglementModel):
            raise ValueError(
                f"model.model = {self.model!r}: expected a DisentanglementModel, for example "
                "@sr_vae() with the parentheses"
            )
        check_seed("model", self.random_seed)
        if self.step not in STEPS:
            raise ValueError(f"model.step = {self.step!r}: expected one of {', '.join(STEPS)}")
        if not (isinstance(self.channels_last, bool) or self.channels_last == "auto"):
            raise ValueError(
                f"model.channels_last = {self.channels_last!r}: expected True, False or 'auto'"
            )
        least = {"training_steps": 0, "eval_steps": 0}
        least |= {"batch_size": 1, "checkpoint_every": 1, "log_every": 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"model.{name} = {getattr(self, name)}: expected at least {bound}")


def check_seed(step: str, seed: int) -> None:
    """Raise ValueError unless numpy takes the seed."""
    if not 0 <= seed < 2**32:
        raise ValueError(f"{step}.random_seed = {seed}: expected 0 .. 2**32 - 1")


class NonFiniteLossError(ValueError):
    """A loss or a weight became NaN or infinite."""


class InterruptedTrainingError(RuntimeError):
    """SIGINT or SIGTERM arrived; the checkpoint is written."""

    def __init__(self, signum: int, step: int, path: Path):
        self.signum = signum
        super().__init__(
            f"{signal.Signals(signum).name} at step {step}: checkpoint written to {path}"
        )


def find_device(name: str) -> torch.device:
    """Resolve "auto" to cuda, mps or cpu; ValueError for a device torch does not know."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"model.device = {name!r}: not available here ({reason})") from None


def shape_of(data: GroundTruthData) -> Shape:
    """(channel, height, width) of a data set's observations."""
    height, width, channel = data.observation_shape
    return int(channel), int(height), int(width)


def train(
    settings: TrainingSettings,
    data: GroundTruthData,
    files: TrainingFiles,
    *,
    config: str = "",
    resume: bool = False,
) -> tuple[DisentanglementModel, dict[str, Any]]:
    """Train a model; return it with its mean losses over `eval_steps` batches.

    Args:
        settings: see `TrainingSettings`.
        data: where observations are drawn from.
        files: where the checkpoint and what is logged go.
        config: text that identifies the configuration; a checkpoint of another one is refused.
        resume: go on from the checkpoint if there is one.

    Raises NonFiniteLossError, InterruptedTrainingError, and ValueError where the model does not
    fit the data or the checkpoint is damaged.
    """
    path = files.checkpoint
    device = find_device(settings.device)
    if device.type == "cpu":
        keep_freed_memory()
    seeds = np.random.RandomState(settings.random_seed)
    batches = np.random.RandomState(seeds.randint(2**32))
    evaluation = np.random.RandomState(seeds.randint(2**32))

    checkpoint.seed_everything(settings.random_seed)
    model = settings.model
    model.build(shape_of(data))
    layout = memory_format(device, settings.channels_last)
    model.to(device).to(memory_format=layout)  # type: ignore[call-overload]
    optimizers = make_optimizers(model.parameter_groups())
    how = choose_step(settings.step, device, model, optimizers)
    source, finite = source_of(data, device), FiniteCheck(device)
    compute: Callable[[Tensor, Any], Losses] = model.losses
    if settings.compile:
        compute = _compiled(model.losses)

    at = checkpoint.Checkpoint(0, 0.0)
    if resume and path.is_file():
        at = checkpoint.load(path, config, model, optimizers, batches)
    step, begun = at.step, time.monotonic() - at.seconds

    def require_finite() -> None:
        if (bad := finite.first_bad()) is not None:
            _refuse(f"{', '.join(bad[1])} not finite", bad[0], path)

    def save() -> None:
        require_finite()
        _require_finite_weights(model, step, path)
        at = checkpoint.Checkpoint(step, time.monotonic() - begun)
        checkpoint.save(path, at, config, model, optimizers, batches)

    def losses_of(drawn: Tensor, step: int | Tensor) -> Losses:
        images = source.images(drawn.to(device, non_blocking=True))
        x = images.contiguous(memory_format=layout)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.autocast):
            return compute(x, step)

    def plain_step(drawn: Tensor, step: int | Tensor) -> Losses:
        losses = losses_of(drawn, step)
        finite.note(losses, step)
        update_parameters(losses.objectives, optimizers)
        return losses

    take: Callable[[Tensor, int], Losses] = plain_step
    if how == "captured":
        take = CapturedStep(plain_step, model, optimizers, device, forget=finite.reset)

    with stop_signals() as stopped, numerics(device, settings.tf32, settings.cudnn_benchmark):
        model.train()
        with (
            drawing(source, settings.batch_size, batches, device) as drawn,
            ScalarLog(files, step, settings.tensorboard) as scalars,
            Progress("training", settings.training_steps, step) as progress,
        ):
            while step < settings.training_steps:
                losses = take(drawn.draw(), step)
                last = step == settings.training_steps - 1
                shown = {}
                logs_now = step % settings.log_every == 0 or last
                # Only a CPU has computed the losses by now; others are not waited for.
                if logs_now or device.type == "cpu":
                    require_finite()
                if logs_now:
                    shown = flatten(losses.logs)
                    scalars.write(step, shown)
                step += 1
                progress.advance(values={k: shown[k] for k in _SHOWN if k in shown})
                if stopped or step % settings.checkpoint_every == 0 or last:
                    save()
                if stopped:
                    raise InterruptedTrainingError(stopped[0], step, path)

        model.eval()
        totals: dict[str, float] = {}
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


def _compiled(losses: Callable[[Tensor, Any], Losses]) -> Callable[[Tensor, Any], Losses]:
    """Compile them so that one graph may be gone back through once for every objective.

    torch may by default give the graph's memory to its first way back, and then refuses a second
    one, which FactorVAE's two objectives need.
    """
    import torch._functorch.config as functorch

    compiled = torch.compile(losses)

    def compute(x: Tensor, step: Any) -> Losses:
        with functorch.patch(donated_buffer=False):  # read when a graph is made, here
            return compiled(x, step)

    return compute


def update_parameters(objectives: dict[str, Tensor], optimizers: dict[str, Optimizer]) -> None:
    """Step every optimizer on the gradient of its own objective, all taken before any step."""
    for position, (group, objective) in enumerate(objectives.items(), 1):
        of_group = [p for g in optimizers[group].param_groups for p in g["params"]]
        parameters = [p for p in of_group if p.requires_grad]
        if not parameters or not objective.requires_grad:
            raise ValueError(
                f"the objective {group!r} depends on no trainable parameter: expected some with "
                f"requires_grad in the group {group!r} of parameter_groups(), and losses() to use "
                "them, not detached"
            )
        gradients = torch.autograd.grad(
            objective, parameters, retain_graph=position < len(objectives), allow_unused=True
        )
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is None:  # not used by this objective: the optimizer leaves it alone
                parameter.grad = None
                continue
            # torch's fused Adam goes through both in memory order, whatever their strides are.
            same = gradient.stride() == parameter.stride()
            parameter.grad = gradient if same else torch.empty_like(parameter).copy_(gradient)
    for optimizer in optimizers.values():
        optimizer.step()


def _require_finite_weights(model: DisentanglementModel, step: int, path: Path) -> None:
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            _refuse(f"the weights {name} are not finite", step, path)


def _refuse(what: str, step: int, path: Path) -> None:
    last = f"the last good checkpoint is {path}" if path.is_file() else "there is no checkpoint yet"
    raise NonFiniteLossError(
        f"training stopped at step {step}: {what}; {last}. Try a smaller learning rate "
        "(vae/AdamOptimizer.learning_rate)"
    )


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in the yielded list; a second one acts as it did before.

    Does nothing outside the main thread, where Python cannot set handlers.
    """
    received: list[int] = []
    former: dict[int, Any] = {}

    def restore() -> None:
        for signum, handler in former.items():
            signal.signal(signum, handler)

    def receive(signum: int, frame: FrameType | None) -> None:
        received.append(signum)
        restore()

    # ValueError is what `signal` raises outside the main thread.
    with contextlib.suppress(ValueError):
        for signum in (signal.SIGINT, signal.SIGTERM):
            former[signum] = signal.signal(signum, receive)
    try:
        yield received
    finally:
        restore()
