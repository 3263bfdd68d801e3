"""The learners to choose from, behind one signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.utils import check_random_state

from srvae_plugin.metrics.learners.boosted_trees.histogram import fit_histogram
from srvae_plugin.metrics.learners.boosted_trees.learner import BoostedTrees

__all__ = [
    "BACKENDS",
    "BoostedTreesClassifier",
    "FittedTrees",
    "ScikitLearnTrees",
    "find_backend",
    "parallel_settings",
]


class FittedTrees(Protocol):
    """What every learner gives."""

    feature_importances: NDArray[np.float64]
    """(latent,) >= 0, sums to 1, or to 0 if nothing could be split."""

    def predict(self, codes: ArrayLike) -> NDArray[Any]:
        """Label of each of codes (point, latent)."""


class ScikitLearnTrees:
    """scikit-learn's own GradientBoostingClassifier, with its default settings."""

    def __init__(self, codes: ArrayLike, labels: ArrayLike, seed: int):
        self._model = GradientBoostingClassifier(random_state=seed).fit(codes, labels)
        self.feature_importances = np.abs(self._model.feature_importances_)

    def predict(self, codes: ArrayLike) -> NDArray[Any]:
        """Label of each of codes (point, latent)."""
        return self._model.predict(codes)


BACKENDS: dict[str, Callable[[ArrayLike, ArrayLike, int], FittedTrees]] = {
    "exact": BoostedTrees.fit,
    "sklearn": ScikitLearnTrees,
    "histogram": fit_histogram,
}
"""Learners by name: (codes, labels, seed) to fitted trees.

"exact" gives the numbers of "sklearn" for the same seed, faster, where no codes are equal, and else
those of some order of equal codes (see `learner`); "histogram" gives other numbers.
"""


def find_backend(name: str) -> Callable[[ArrayLike, ArrayLike, int], FittedTrees]:
    """Return the learner of that name; ValueError if there is none."""
    if name not in BACKENDS:
        raise ValueError(f"backend = {name!r}: expected one of {', '.join(BACKENDS)}")
    return BACKENDS[name]


def parallel_settings(compiled: bool) -> dict[str, Any]:
    """Joblib settings to fit several models at once.

    Compiled learners let go of Python's lock, so threads serve and share the codes; others need
    processes, with one thread each.
    """
    if compiled:
        return {"backend": "threading"}
    return {"backend": "loky", "inner_max_num_threads": 1}


class BoostedTreesClassifier(ClassifierMixin, BaseEstimator):
    """`BoostedTrees` with scikit-learn's interface: GradientBoostingClassifier() by other means."""

    def __init__(self, random_state: int | None = None):
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> BoostedTreesClassifier:
        """Fit to X (point, latent) and labels y (point,); ValueError as `BoostedTrees.fit`."""
        seed = self.random_state
        if seed is None:
            seed = int(check_random_state(None).randint(2**31 - 1))
        self.trees_ = BoostedTrees.fit(X, y, seed)
        self.classes_ = self.trees_.classes
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Label of each row of X (point, latent)."""
        return self.trees_.predict(X)
