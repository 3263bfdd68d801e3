"""What a training is told: everything that gin binds under `model`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gin
import torch
from torch import nn
from torch.optim import Optimizer

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.pairs import PairedData
from srvae_plugin.models.base import DisentanglementModel, Shape
from srvae_plugin.training.callbacks import Callback
from srvae_plugin.training.capture import STEPS
from srvae_plugin.training.optimizers import make_optimizers
from srvae_plugin.training.random_states import RandomStates

__all__ = [
    "LABELS",
    "MakeOptimizers",
    "TrainingSettings",
    "check_seed",
    "find_device",
    "shape_of",
]


LABELS: tuple[str, ...] = ("num_labelled_samples", "train_percentage")
LABELS += ("supervised_data_seed", "unsupervised_data_seed")
"""Settings that only models of labels have."""
_WHOLE: tuple[str, ...] = ("training_steps", "random_seed", "batch_size", "eval_steps")
_WHOLE += ("checkpoint_every", "log_every", "keep_every")
MakeOptimizers = Callable[[Mapping[str, Iterable[nn.Parameter]]], dict[str, Optimizer]]


@gin.register("model", module="srvae_plugin", denylist=["optimizers", "built"])
@dataclass
class TrainingSettings:
    """What gin binds under `model`; the first twelve names are disentanglement_lib's.

    Args:
        model: the model with its hyperparameters, not yet built (`@sr_vae()`).
        training_steps: number of updates; 0 leaves the network as initialised.
        random_seed: seed of the parameters, the noise and the batches.
        batch_size: observations per batch, drawn at random with replacement.
        eval_steps: number of batches to average the losses over after training.
        model_seed: the name of `random_seed` in semi-supervised files.
        num_labelled_samples: number of labelled observations of a semi-supervised model; by
            default 100.
        train_percentage: share of them to train on; the rest are for evaluation.
        supervised_data_seed: seed of the labelled observations; by default 0.
        unsupervised_data_seed: seed of the batches; by default it follows from `random_seed`.
        name, model_num: not used; identifies the run in its results.
        checkpoint_every: steps between checkpoints.
        log_every: steps between rows of scalars.csv.
        device: "auto" (cuda, else mps, else cpu) or a torch device.
        channels_last: keep images and kernels in channels-last memory; "auto" does so except on
            an NVIDIA GPU, as measured to be faster.
        autocast: compute in bfloat16 where torch considers it safe.
        compile: run the model through torch.compile.
        step: "plain"; "captured", recorded once as a CUDA graph and replayed; or "auto",
            captured on an NVIDIA GPU if the model and the optimizers allow it.
        tf32: let an NVIDIA GPU round inputs of products to 10 bits of mantissa (TensorFloat-32).
        cudnn_benchmark: let cuDNN choose convolution algorithms by timing them; another process,
            including a resumed one, may choose others and differ in the last bits.
        tensorboard: write TensorBoard event files too.
        clip_norm: largest norm of the gradient of each optimizer's parameters; 0: no limit.
        clip_value: largest absolute value of a gradient entry, applied first; 0: no limit.
        ema_decay: keep an average of the weights, `average = decay * average + (1 - decay) *
            weights` after each step, starting at the initial weights, and evaluate and save that;
            0: none.
        keep_every: steps between snapshots, `snapshots/step_N/model.safetensors`; 0: none.
            A snapshot has the weights that a run of N steps would end with.
        keep_checkpoint: keep the last checkpoint of a finished training, so that it can be trained
            for more steps. With Adam it is three times the size of the weights. During training
            two are kept.
        init_from: start from the weights of another run: its directory, its `model` folder or a
            safetensors file. Names and shapes must match.
        callbacks: see `srvae_plugin.training.callbacks`; `[@wandb_callback()]`, for example.
        optimizers: makes the optimizer of each parameter group; not for gin, which binds
            `vae_optimizer` and its like.
        built: train the weights that the model has, and do not build it; not for gin. Random
            states: those that building left, from `build_early`.

    Raises:
        ValueError: a value is out of range.
    """

    model: DisentanglementModel
    training_steps: int
    random_seed: int
    batch_size: int
    eval_steps: int = 1000
    model_seed: int | None = None
    num_labelled_samples: int | None = None
    train_percentage: float | None = None
    supervised_data_seed: int | None = None
    unsupervised_data_seed: int | None = None
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
    clip_norm: float = 0.0
    clip_value: float = 0.0
    ema_decay: float = 0.0
    keep_every: int = 0
    keep_checkpoint: bool = True
    init_from: str = ""
    callbacks: Sequence[Callback] = ()
    optimizers: MakeOptimizers = make_optimizers
    built: bool | RandomStates = False

    def __post_init__(self) -> None:
        kind: Any = self.model
        if isinstance(kind, type) and getattr(kind, "takes_labels", False):
            self.model = kind()  # written without parentheses in disentanglement_lib's files
        if not isinstance(self.model, DisentanglementModel):
            raise ValueError(
                f"model.model = {self.model!r}: expected a DisentanglementModel, for example "
                "@sr_vae() with the parentheses in gin, SRVAE(num_latent=10) in Python"
            )
        self._require_whole()
        check_seed("model", self.random_seed)
        self._hand_on_labels()
        if self.step not in STEPS:
            raise ValueError(f"model.step = {self.step!r}: expected one of {', '.join(STEPS)}")
        if not (isinstance(self.channels_last, bool) or self.channels_last == "auto"):
            raise ValueError(
                f"model.channels_last = {self.channels_last!r}: expected True, False or 'auto'"
            )
        for name in ("ema_decay", "clip_norm", "clip_value"):
            value = getattr(self, name)
            if not isinstance(value, int | float):
                raise ValueError(f"model.{name} = {value!r}: expected a number, 0 for none")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"model.ema_decay = {self.ema_decay}: expected 0 up to below 1")
        if not isinstance(self.callbacks, Sequence):
            raise ValueError(f"model.callbacks = {self.callbacks!r}: expected a list of callbacks")
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise ValueError(
                    f"model.callbacks: {callback!r} is not a Callback; in gin they are written "
                    "with parentheses, [@wandb_callback()]"
                )
        least: dict[str, float] = {"training_steps": 0, "eval_steps": 0, "keep_every": 0}
        least |= {"clip_norm": 0, "clip_value": 0}
        least |= {"batch_size": 1, "checkpoint_every": 1, "log_every": 1}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise ValueError(f"model.{name} = {getattr(self, name)}: expected at least {bound}")

    def _require_whole(self) -> None:
        for name in _WHOLE:
            value = getattr(self, name)
            if isinstance(value, bool) or not hasattr(value, "__index__"):
                raise ValueError(f"model.{name} = {value!r}: expected a whole number")
            setattr(self, name, int(value))  # numpy's serve as well

    def _hand_on_labels(self) -> None:
        if self.model_seed not in (None, self.random_seed):
            raise ValueError(
                f"model.model_seed = {self.model_seed} and model.random_seed = {self.random_seed}: "
                "they are one seed; leave one of them out"
            )
        given = {name: getattr(self, name) for name in LABELS}
        options = {name: value for name, value in given.items() if value is not None}
        model: Any = self.model
        if not hasattr(model, "use_labels"):
            for name, value in options.items():
                raise ValueError(
                    f"model.{name} = {value}: {type(model).__name__} is trained without "
                    "labels; leave it out, or take a semi-supervised model such as @s2_vae()"
                )
        elif options:
            model.use_labels(**options)


def check_seed(step: str, seed: int) -> None:
    """Raise ValueError unless numpy takes the seed."""
    if not 0 <= seed < 2**32:
        raise ValueError(f"{step}.random_seed = {seed}: expected 0 .. 2**32 - 1")


def find_device(name: str) -> torch.device:
    """Resolve "auto" (and None) to cuda, mps or cpu; ValueError for one torch does not know."""
    if name in ("auto", None):
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"model.device = {name!r}: not available here ({reason})") from None


def shape_of(data: GroundTruthData | PairedData) -> Shape:
    """(channel, height, width) of a data set's observations."""
    height, width, channel = data.observation_shape
    return int(channel), int(height), int(width)
