"""An exponential moving average of the weights (Polyak & Juditsky, 1992), to evaluate and save."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

__all__ = ["WeightAverage"]


class WeightAverage:
    """Averages a model's trainable parameters; frozen ones and buffers are taken as they are.

    It begins at the weights that the model has now, and is not corrected for that.

    Args:
        model: the model, built and on its device.
        decay: what the average keeps of itself at each step, 0 up to below 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._names, self._weights = list(named), list(named.values())
        self._share = 1.0 - decay
        self._averages = [weight.detach().clone() for weight in self._weights]

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights of one more step in."""
        weights = [weight.detach() for weight in self._weights]
        for average, weight in zip(self._averages, weights, strict=True):
            average.lerp_(weight, self._share)

    @torch.no_grad()
    def apply(self) -> None:
        """Give the model the average, for good."""
        for weight, average in zip(self._weights, self._averages, strict=True):
            weight.copy_(average)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the average, and its own weights back on exit."""
        own = [weight.detach().clone() for weight in self._weights]
        try:
            self.apply()
            yield
        finally:
            with torch.no_grad():
                for weight, before in zip(self._weights, own, strict=True):
                    weight.copy_(before)

    def state_dict(self) -> dict[str, Tensor]:
        """The averages by the names of their parameters."""
        return dict(zip(self._names, self._averages, strict=True))

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from averages that were saved."""
        for name, average in zip(self._names, self._averages, strict=True):
            average.copy_(state[name])
