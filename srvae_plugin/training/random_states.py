"""States of the global random generators."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["RandomStates"]


class RandomStates(NamedTuple):
    """States of torch's, numpy's and Python's global generators."""

    torch: Tensor
    cuda: Sequence[Tensor]
    numpy: Any
    python: Any

    @classmethod
    def now(cls) -> RandomStates:
        """Their states now."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return cls(torch.get_rng_state(), cuda, np.random.get_state(), random.getstate())

    def put_back(self) -> None:
        """Let the generators go on from these states."""
        torch.set_rng_state(self.torch)
        if self.cuda:
            torch.cuda.set_rng_state_all(list(self.cuda))
        np.random.set_state(self.numpy)
        random.setstate(self.python)
