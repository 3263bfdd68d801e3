"""Scores of every metric at small settings, see metric_promises."""

import functools

import numpy as np
from metric_cases import GRIDS, CachedLookUp, IndexGrid, factors_themselves
from metric_promises import METRICS

from srvae_plugin.data.ground_truth import FactorGrid

TINY = GRIDS["tiny"]


class HiddenFactor(FactorGrid):
    """A grid with a factor that is not ground truth: making an observation draws random numbers."""

    def __init__(self, sizes, ground_truth):
        super().__init__(sizes, "abcd", (1, 1, 1), latent_factor_indices=ground_truth)

    def _load_observations(self, indices):
        return indices.astype(np.float32).reshape(-1, 1, 1, 1)


def score(name, codes, sizes=TINY, data=None, function=None, seed=0, **changes):
    compute, few = METRICS[name][:2]
    data = data or IndexGrid(sizes)
    function = function or CachedLookUp(codes, data)
    return compute(data, function, np.random.RandomState(seed), **(few | changes))


@functools.cache
def standard(name, representation):
    """The scores of a representation of TINY at the small settings."""
    return score(name, representation(TINY))


def headline(name, codes, **others):
    known = callable(codes) and not others
    scores = standard(name, codes) if known else score(name, codes, **others)
    return np.array([scores[key] for key in METRICS[name].headline])


def rotated(sizes):
    size = len(sizes)
    rotation = np.linalg.qr(np.random.RandomState(3).normal(size=(size, size)))[0]
    return (factors_themselves(sizes) @ rotation).astype(np.float32)


def pure_noise(sizes):
    shape = (np.prod(sizes), 5)
    return np.random.RandomState(5).normal(size=shape).astype(np.float32)
