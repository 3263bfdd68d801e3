"""A first look at what is to be scored: whether it encodes the data, and whether codes repeat."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.runs.representation import RepresentationFunction, TabulatedCodes

__all__ = ["RESIZE", "by_sides", "content_of", "same_codes", "seeded", "size_taken", "tried"]


logger = logging.getLogger("srvae_plugin")

_NUM_TRIED = 64
_SIDES = (28, 32, 48, 64, 84, 96, 112, 128, 160, 224, 256)
_CHANNELS = (1, 3)
RESIZE = "score it on data of that size, such as a pair (images, factors) of resized images"


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


def tried(
    function: RepresentationFunction, data: GroundTruthData, name: str = "the function"
) -> NDArray[Any]:
    """Codes of 64 observations, by two calls; a warning if these differ, or those of each half.

    Where two calls differ, it is seeded and called once more: a generator of its own does not
    follow the global seeds. Where the halves differ, a code depends on the rest of its batch.

    Raises:
        ValueError: in one line, if it cannot encode them at all.
    """
    observations = data.sample_observations(_NUM_TRIED, np.random.RandomState(0))
    with seeded(0):
        try:
            first, second = (np.asarray(function(observations)) for _ in range(2))
            halves = [np.asarray(function(half)) for half in np.split(observations, 2)]
        except Exception as error:  # a function of the user's may raise anything
            raise ValueError(_cannot_encode(name, function, observations, error)) from error
    if same_codes(first, second):
        if not same_codes(first, np.concatenate(halves)):
            logger.warning(
                "%s gives an observation another code when others are in its batch: the scores "
                "depend on the size of the batches; a torch module with BatchNorm wants .eval()",
                name,
            )
        return first
    with seeded(0):
        again = np.asarray(function(observations))
    if same_codes(first, again):
        end = "repeated by the same seed"
    else:
        end = (
            "and do not repeat: it draws from a generator of its own, which --bind "
            "evaluation.random_seed does not seed"
        )
    logger.warning(
        "%s is not deterministic: called twice on the same %d observations it gave "
        "different codes; the scores are of one draw, %s",
        name,
        _NUM_TRIED,
        end,
    )
    return first


def _cannot_encode(
    name: str,
    function: RepresentationFunction,
    observations: NDArray[np.float32],
    error: Exception,
) -> str:
    """What to say of a function that raised an error."""
    shape = observations.shape[1:]
    reason = " ".join(str(error).split())
    if getattr(function, "layout", "NHWC") == "NCHW":
        given = f"tensors (batch, {shape[2]}, {shape[0]}, {shape[1]})"
    else:
        given = f"arrays (batch, {', '.join(map(str, shape))})"
    text = (
        f"{name} cannot encode {_NUM_TRIED} observations of {by_sides(shape)} (height, width, "
        f"channels), given as {given}"
    )
    if taken := size_taken(function, shape):
        text += f"; it takes {by_sides(taken)}: {RESIZE}"
    return f"{text}: {type(error).__name__}: {reason}"


def by_sides(shape: Sequence[int]) -> str:
    """A shape as one reads it."""
    return " x ".join(map(str, shape))


def size_taken(function: RepresentationFunction, shape: Sequence[int]) -> tuple[int, ...] | None:
    """A usual shape of images, (height, width, channel), that a function encodes; None: none of
    these. Other channels are tried first.

    Args:
        function: see `RepresentationFunction`.
        shape: one that it does not encode.
    """
    if tuple(shape[:2]) == (1, 1):
        return None  # vectors
    sides = [tuple(shape[:2]), *((side, side) for side in _SIDES)]
    for other in ((*size, channels) for size in sides for channels in _CHANNELS):
        with contextlib.suppress(Exception), seeded(0):  # it may raise anything
            codes = np.asarray(function(np.zeros((2, *other), np.float32)))
            if other != tuple(shape) and codes.ndim == 2 and len(codes) == 2:
                return other
    return None


def content_of(function: Any, codes: NDArray[Any] | None = None) -> str:
    """Hex digits that tell a model's codes from another's on the same data.

    Of a table they are of all rows, whatever their order: how a file is written does not count.

    Args:
        function: what is scored.
        codes: of a function, what `tried` gave; how its code looks does not count.
    """
    if isinstance(function, TabulatedCodes):
        codes = np.asarray(function.codes_at(np.arange(function.data.num_observations)))
        if type(function.data) is FactorTable:
            factors = function.data.factors_at(np.arange(len(codes)))
            columns = np.concatenate([np.asarray(factors, np.float64), codes], axis=1)
            codes = codes[np.lexsort(columns.T[::-1])]
    if codes is None or codes.dtype.kind not in "fiub":  # it is refused when it is scored
        return ""
    exact = np.ascontiguousarray(codes, dtype=np.float32) + np.float32(0)  # -0 is 0
    return hashlib.sha256(f"{exact.shape}".encode() + exact.tobytes()).hexdigest()


def same_codes(codes: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether codes are equal but for rounding."""
    if codes.dtype.kind not in "fiub" or other.dtype.kind not in "fiub":
        return True  # whatever it is, it is refused when it is scored
    return codes.shape == other.shape and np.allclose(codes, other, 1e-4, 1e-5, equal_nan=True)
