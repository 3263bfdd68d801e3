"""Watches for losses that are not finite, without waiting for the device."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor

from srvae_plugin.models.base import Losses

__all__ = ["FiniteCheck", "NonFiniteLossError", "refuse_to_go_on"]

_NEVER = torch.iinfo(torch.int64).max


class NonFiniteLossError(ValueError):
    """A loss or a weight became NaN or infinite."""


def refuse_to_go_on(what: str, step: int, path: Path) -> NoReturn:
    """Raise NonFiniteLossError that names the step and the last good checkpoint, `path`."""
    last = f"the last good checkpoint is {path}" if path.is_file() else "there is no checkpoint yet"
    raise NonFiniteLossError(
        f"training stopped at step {step}: {what}; {last}. Try a smaller learning rate "
        "(vae_optimizer.learning_rate; in Python learning_rate=)"
    )


class FiniteCheck:
    """Keeps on the device at which step each objective and each logged value first was not finite.

    `note` runs in the step and reads nothing back; `first_bad` waits for the device.

    Args:
        device: where the losses are.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._never = torch.full((), _NEVER, device=device)
        self._objectives: list[str] = []
        self._logs: list[str] = []
        self._names: tuple[str, ...] = ()
        self._first: Tensor | None = None

    def note(self, losses: Losses, step: int | Tensor) -> None:
        """Look at the losses of a step.

        Raises:
            ValueError: they have other names than those of the step before.
        """
        values = [value.detach() for value in losses.objectives.values()]
        values += [value.detach() for value in losses.logs.values()]
        flat = torch.cat(
            [value.to(self._device, non_blocking=True).reshape(-1) for value in values]
        )
        if self._first is None:
            self._objectives = list(losses.objectives)
            self._logs = [name for name, value in losses.logs.items() for _ in range(value.numel())]
            self._names = (*losses.objectives, *losses.logs)
            self._first = torch.full(flat.shape, _NEVER, device=self._device)
        elif (names := (*losses.objectives, *losses.logs)) != self._names:
            raise ValueError(
                f"losses() gave {', '.join(names)}, and {', '.join(self._names)} at the step "
                "before: expected the same names at every step"
            )
        finite = flat - flat == 0  # of infinity the difference is not a number
        now = torch.where(finite, self._never, step)
        torch.minimum(self._first, now, out=self._first)

    def reset(self) -> None:
        """Forget what was seen."""
        if self._first is not None:
            self._first.fill_(_NEVER)

    def first_bad(self) -> tuple[int, list[str]] | None:
        """The first step with an objective that is not finite, and the terms that were not then."""
        if self._first is None:
            return None
        first = self._first.tolist()
        step = min(first[: len(self._objectives)])
        if step == _NEVER:
            return None
        logs = zip(self._logs, first[len(self._objectives) :], strict=True)
        bad = list(dict.fromkeys(name for name, at in logs if at == step))
        return step, [name for name in bad if name not in ("loss", "elbo")] or self._objectives
