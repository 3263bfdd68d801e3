"""What may be done while a model trains: evaluate it, keep its weights, log its losses.

A callback is an object of a class derived from `Callback` that says what it does at which moment::

    class StopWatch(Callback):
        every = 500

        def on_interval(self, step, model):
            print(step, model.reconstruct(images).mean())

Training gives the same weights with callbacks as without: when `on_log` and `on_interval` return,
random states, weights and mode are what they were. What a callback raises ends the training.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from srvae_plugin.models.base import DisentanglementModel, Shape
from srvae_plugin.training.files import TrainingFiles
from srvae_plugin.training.random_states import kept_random_states
from srvae_plugin.training.weights import save_weights

__all__ = ["Callback", "Callbacks", "Snapshots", "Start"]


class Start(NamedTuple):
    """What a training begins with.

    files: where it writes.
    step: how many steps are done already; above 0 if it is resumed.
    training_steps: how many it will have done in the end.
    config: the text of its configuration; empty if nobody gave one.
    observation_shape: (channel, height, width).
    """

    files: TrainingFiles
    step: int
    training_steps: int
    config: str
    observation_shape: Shape


class Callback:
    """Does nothing; derive from it and override what you need.

    `step` counts the updates done: after the first it is 1. In `on_log` it is the number of the
    row in scalars.csv, which counts from 0 as `losses(x, step)` does.
    """

    every: int = 0
    """Steps between calls of `on_interval`; 0 for never."""

    def on_start(self, start: Start) -> None:
        """Called before the first step."""

    def on_step(self, step: int) -> None:
        """Called after every step; reading a loss or a weight here would wait for a GPU.

        It must draw no random numbers from the global generators.
        """

    def on_log(self, step: int, values: Mapping[str, float]) -> None:
        """Called with each row of scalars.csv."""

    def on_interval(self, step: int, model: DisentanglementModel) -> Mapping[str, float] | None:
        """Called every `every` steps, with the weights that a run of that many steps ends with.

        The model is in eval mode. After a kill the step of the last checkpoint may come again.
        Numbers that it returns are handed to `on_scores` of every callback.
        """
        return None

    def on_scores(self, step: int, values: Mapping[str, float]) -> None:
        """Called with the numbers that an `on_interval` returned."""

    def on_end(self, step: int, error: BaseException | None) -> None:
        """Called when training is over, well or not; `error` is what ended it."""


class Callbacks:
    """Several of them, called in their order; leaving it calls `on_end`.

    Args:
        callbacks: the callbacks.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._callbacks = list(callbacks)
        self._started: list[Callback] = []
        self._step = 0

    def __enter__(self) -> Callbacks:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        with contextlib.ExitStack() as ends:  # each of them, whatever another one raises
            for callback in reversed(self._started):
                ends.callback(callback.on_end, self._step, error)

    def start(self, start: Start) -> None:
        """Tell them that training begins."""
        self._step = start.step
        with kept_random_states():
            for callback in self._callbacks:
                self._started.append(callback)
                callback.on_start(start)

    def step(self, step: int) -> None:
        """Tell them that a step was taken."""
        self._step = step
        for callback in self._callbacks:
            callback.on_step(step)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Tell them a row of scalars."""
        if self._callbacks:
            with kept_random_states():
                for callback in self._callbacks:
                    callback.on_log(step, values)

    def due(self, step: int) -> bool:
        """Whether one of them wants the model after that step."""
        return any(each.every and step % each.every == 0 for each in self._callbacks)

    def interval(self, step: int, model: DisentanglementModel) -> None:
        """Show the model, as it will be evaluated, to those that want it after that step."""
        training = model.training
        model.eval()
        try:
            with kept_random_states(), torch.no_grad():
                for callback in self._callbacks:
                    if callback.every and step % callback.every == 0:
                        self._scores(step, callback.on_interval(step, model))
        finally:
            model.train(training)

    def _scores(self, step: int, values: Mapping[str, float] | None) -> None:
        for callback in self._callbacks if values else ():
            callback.on_scores(step, values or {})


class Snapshots(Callback):
    """Keeps the weights every so many steps, in `snapshots/step_N/model.safetensors`.

    A snapshot holds the weights that a run of N steps ends with. None is ever deleted; a resumed
    run writes one again only with the same weights.

    Args:
        every: steps between snapshots.
    """

    def __init__(self, every: int) -> None:
        self.every = every

    def on_start(self, start: Start) -> None:
        """Remember where to."""
        self._files, self._shape = start.files, start.observation_shape

    def on_interval(self, step: int, model: DisentanglementModel) -> None:
        """Write the weights."""
        save_weights(model, self._files.snapshot(step), self._shape)
