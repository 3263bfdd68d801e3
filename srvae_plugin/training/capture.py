"""A training step recorded once as a CUDA graph and replayed from then on.

The networks are so small that a GPU waits for the next kernel most of the time: SR-VAE with ten
latents launches more than a thousand a step. A graph launches them all at once. It replays what was
done with the same memory, so that all that changes between steps has to lie in it: the batch, the
number of the step, weights, moments, the random generator's counter.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from srvae_plugin.models.base import DisentanglementModel, Losses
from srvae_plugin.training.schedules import is_scheduled

_log = logging.getLogger("srvae_plugin")

__all__ = [
    "STEPS",
    "CapturedStep",
    "Record",
    "choose_step",
    "record_graph",
    "refuse_to_wait",
]

STEPS = ("auto", "plain", "captured")
_WARM_UP = 3
_CAPTURABLE = (Adam, AdamW)
"""Optimizers whose state is all tensors, zero at the start."""

Record = Callable[[Callable[[], Losses], torch.device], tuple[Callable[[], None], Losses]]
"""Records a function on a device; returns what replays it, and what it returned, in memory that
lasts."""


def choose_step(
    mode: str, device: torch.device, model: DisentanglementModel, optimizers: Mapping[str, Any]
) -> str:
    """What `model.step` = mode comes to, "plain" or "captured"; says why a GPU cannot capture.

    Raises:
        ValueError: "captured" is asked for and cannot be had.
    """
    if mode == "plain" or (mode == "auto" and device.type != "cuda"):
        return "plain"
    why = _why_not(device, model, optimizers)
    if why is None:
        return "captured"
    if mode == "captured":
        raise ValueError(f"model.step = 'captured': {why}; leave it at 'auto' or 'plain'")
    _log.info("the training step is not captured as a CUDA graph, which would be faster: %s", why)
    return "plain"


def _why_not(
    device: torch.device, model: DisentanglementModel, optimizers: Mapping[str, Any]
) -> str | None:
    if device.type != "cuda":
        return f"it needs an NVIDIA GPU, and the device is {device}"
    if not getattr(type(model).losses, "takes_tensor_step", False):
        return (
            f"{type(model).__name__}.losses is not marked with "
            "@srvae_plugin.models.base.takes_tensor_step"
        )
    for name, optimizer in optimizers.items():
        if type(optimizer) not in _CAPTURABLE:
            return f"{name}_optimizer is {type(optimizer).__name__}, not Adam or AdamW"
        if is_scheduled(optimizer):
            return (
                f"{name}_optimizer.learning_rate is a schedule, which a recording does not follow"
            )
    return None


def record_graph(
    function: Callable[[], Losses], device: torch.device
) -> tuple[Callable[[], None], Losses]:
    """Record a function as a CUDA graph, without doing what it does."""
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(device)
    # Other threads, which make batches, may allocate memory meanwhile.
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        outputs = function()
    return graph.replay, outputs


class CapturedStep:
    """A step that is recorded when it is first taken, and replayed.

    Before it is recorded it runs a few times, so that libraries choose their kernels and optimizers
    make their state; all of that is put back. What it returns lies in memory that the next step
    overwrites.

    Args:
        take: the step; it waits for nothing on the device, and takes the number of the step as a
            tensor.
        model, optimizers: what it changes.
        device: where they are.
        forget: undoes what else it changed.
        record: how it is recorded.
    """

    def __init__(
        self,
        take: Callable[[Tensor, Any], Losses],
        model: nn.Module,
        optimizers: Mapping[str, Optimizer],
        device: torch.device,
        forget: Callable[[], None] = lambda: None,
        record: Record = record_graph,
    ) -> None:
        self._take, self._model, self._optimizers = take, model, optimizers
        self._device, self._forget, self._record = device, forget, record
        self._step = torch.zeros((), dtype=torch.int64, device=device)
        self._drawn: Tensor | None = None
        self._replay: Callable[[], None] | None = None

    def __call__(self, drawn: Tensor, step: int) -> Losses:
        """Take the step."""
        if self._drawn is None:
            self._drawn = drawn.to(self._device, copy=True)
            self._capture()
        if self._replay is None:
            return self._take(drawn, step)
        if self._settings() != self._recorded:
            raise ValueError(
                "the optimizer's settings, such as its learning rate, were changed during the "
                "training, and a step that is captured as a CUDA graph keeps those of the first: "
                "take model.step = 'plain' (in Python step='plain')"
            )
        self._drawn.copy_(drawn, non_blocking=True)
        self._step.fill_(step)
        self._replay()
        return self._losses

    def _settings(self) -> list[dict[str, Any]]:
        """Numbers of every parameter group, which a recording does not follow."""
        return [
            {key: value for key, value in group.items() if key != "params"}
            for optimizer in self._optimizers.values()
            for group in optimizer.param_groups
        ]

    def _run(self) -> Losses:
        losses = self._take(self._drawn, self._step)  # type: ignore[arg-type]
        objectives = {name: value.detach() for name, value in losses.objectives.items()}
        return Losses(objectives, losses.logs)

    def _capture(self) -> None:
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["capturable"] = True
            for parameter, state in optimizer.state.items():
                for key, value in state.items():  # Adam counts its steps on the CPU otherwise
                    state[key] = value.to(parameter.device)
        before = _Snapshot(self._model, self._optimizers, self._device)
        waits = self._warm_up()
        for parameter in self._model.parameters():
            parameter.grad = None
        if waits is None:
            self._replay, self._losses = self._record(self._run, self._device)
            self._recorded = self._settings()
        else:
            # Recording would fail, and leave torch's generator and allocator in pieces.
            _log.warning(
                "the training step is not captured because it waits for the GPU: %s", waits
            )
        before.restore()
        self._forget()

    def _warm_up(self) -> str | None:
        """Run the step a few times; return what waits for the device, or None."""
        if self._device.type != "cuda":
            self._run()
            return None
        stream = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP - 1):
                self._run()
            try:
                with refuse_to_wait():
                    self._run()
            except RuntimeError as error:
                if "synchroniz" not in str(error):
                    raise
                return str(error).splitlines()[0]
            finally:
                torch.cuda.current_stream(self._device).wait_stream(stream)
        return None


@contextlib.contextmanager
def refuse_to_wait() -> Iterator[None]:
    """Meanwhile whatever waits for the GPU is an error."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that it may miss some
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


class _Snapshot:
    """Weights, optimizers' state and random states, put back in the memory where they lie."""

    def __init__(
        self, model: nn.Module, optimizers: Mapping[str, Optimizer], device: torch.device
    ) -> None:
        self._device, self._optimizers = device, optimizers
        self._weights = [(t, t.detach().clone()) for t in (*model.parameters(), *model.buffers())]
        self._moments = {
            (name, parameter, key): value.clone() for name, parameter, key, value in self._states()
        }
        self._random = torch.get_rng_state()
        self._device_random = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def _states(self) -> list[tuple[str, Tensor, str, Tensor]]:
        return [
            (name, parameter, key, value)
            for name, optimizer in self._optimizers.items()
            for parameter, state in optimizer.state.items()
            for key, value in state.items()
        ]

    @torch.no_grad()
    def restore(self) -> None:
        for tensor, before in self._weights:
            tensor.copy_(before)
        for name, parameter, key, value in self._states():
            before_it = self._moments.get((name, parameter, key))
            value.copy_(before_it) if before_it is not None else value.zero_()
        torch.set_rng_state(self._random)
        if self._device_random is not None:
            torch.cuda.set_rng_state(self._device_random, self._device)
