"""Scores that come out the same again: global seeds, and a look at whether codes repeat."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.runs.representation import RepresentationFunction

__all__ = ["same_codes", "seeded", "warn_if_random"]


logger = logging.getLogger("srvae_plugin")

_NUM_TRIED = 64


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed numpy's, torch's and Python's global generators, and put them back afterwards.

    What a metric or a function of the user's draws from them is then the same for the same seed,
    and a notebook's own draws go on as if nothing had been scored.
    """
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)


def warn_if_random(
    function: RepresentationFunction, data: GroundTruthData, seed: int, name: str = "the function"
) -> None:
    """Call a function twice on 64 observations, and warn if its answers differ.

    It is then seeded and called once more: a generator of its own does not follow the global seeds.

    Raises:
        ValueError: in one line, if it cannot encode them at all.
    """
    observations = data.sample_observations(_NUM_TRIED, np.random.RandomState(seed))
    with seeded(seed):
        try:
            first, second = (np.asarray(function(observations)) for _ in range(2))
        except Exception as error:  # a function of the user's may raise anything
            reason = " ".join(str(error).split())
            raise ValueError(
                f"{name} cannot encode {_NUM_TRIED} observations of shape "
                f"{list(observations.shape[1:])}: {type(error).__name__}: {reason}"
            ) from error
    if same_codes(first, second):
        return
    with seeded(seed):
        again = np.asarray(function(observations))
    if same_codes(first, again):
        end = "repeated by the same seed"
    else:
        end = (
            "and do not repeat: it draws from a generator of its own, which --bind "
            "evaluation.random_seed does not seed"
        )
    logger.warning(
        "warning: %s is not deterministic: called twice on the same %d observations it gave "
        "different codes; the scores are of one draw, %s",
        name,
        _NUM_TRIED,
        end,
    )


def same_codes(codes: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether codes are equal but for rounding."""
    if codes.dtype.kind not in "fiub" or other.dtype.kind not in "fiub":
        return True  # whatever it is, it is refused when it is scored
    return codes.shape == other.shape and np.allclose(codes, other, 1e-4, 1e-5, equal_nan=True)
