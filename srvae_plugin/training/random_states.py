"""States of the global random generators."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["RandomStates", "kept_random_states"]


class RandomStates(NamedTuple):
    """States of torch's, numpy's and Python's global generators."""

    torch: Tensor
    cuda: Sequence[Tensor]
    numpy: Any
    python: Any

    @classmethod
    def now(cls) -> RandomStates:
        """Their states now."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        return cls(torch.get_rng_state(), cuda, np.random.get_state(), random.getstate())

    def put_back(self) -> None:
        """Let the generators go on from these states."""
        torch.set_rng_state(self.torch)
        if self.cuda:
            torch.cuda.set_rng_state_all(list(self.cuda))
        np.random.set_state(self.numpy)
        random.setstate(self.python)


@contextlib.contextmanager
def kept_random_states() -> Iterator[None]:
    """Put torch's, numpy's and Python's global generators back as they were."""
    states = RandomStates.now()
    try:
        yield
    finally:
        states.put_back()
