"""Sources of randomness: whatever numpy and scikit-learn take, as the original's random stream."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Seed", "draw_seeds", "random_state_of", "seed_of", "stream_of"]

Seed = int | np.integer[Any] | np.random.Generator | np.random.RandomState
"""A whole number, a Generator or a RandomState."""


def random_state_of(seed: Seed, random_state: Seed | None = None) -> np.random.RandomState:
    """The original's kind of random stream.

    Args:
        seed: a number seeds a new stream. A RandomState is used as it is. A Generator gives one
            number, the seed of a new stream: what follows depends on the Generator's state alone,
            and the Generator moves on.
        random_state: scikit-learn's name for it; given, it stands for `seed`.

    Raises:
        ValueError: anything else, or both at once.
    """
    if random_state is not None:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed != 0:
            raise ValueError("seed and random_state are two names of one argument: give one.")
        seed = random_state
    if isinstance(seed, np.random.RandomState):
        return seed
    if isinstance(seed, np.random.Generator):
        return np.random.RandomState(int(seed.integers(2**32)))
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(
            "seed (or random_state) must be a whole number from 0 to 2**32 - 1, a numpy Generator "
            f"or a RandomState, got {seed!r}."
        )
    return np.random.RandomState(int(seed))


def stream_of(random_state: Any) -> Any:
    """What a data set draws with: a stream of numbers as it is, of anything else a new one."""
    return random_state if hasattr(random_state, "randint") else random_state_of(random_state)


def seed_of(seed: Seed, random_state: Seed | None = None) -> int:
    """One number that stands for the seed: itself, or the next one of its stream."""
    chosen = seed if random_state is None else random_state
    stream = random_state_of(seed, random_state)
    if isinstance(chosen, int | np.integer):
        return int(chosen)
    return int(stream.randint(2**31 - 1))


def draw_seeds(random_state: np.random.RandomState, num_factors: int) -> NDArray[np.int64]:
    """(factor,) seeds of each factor's trees or classifier."""
    return np.asarray(random_state.randint(2**31 - 1, size=num_factors))
