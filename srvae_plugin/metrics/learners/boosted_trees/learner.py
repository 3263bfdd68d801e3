"""Gradient boosted trees: scikit-learn's GradientBoostingClassifier at its defaults, faster.

Friedman, "Greedy function approximation: a gradient boosting machine" (Annals of Statistics 2001):
100 stages of one tree of depth 3 a class, exact splits, learning rate 0.1.

How close it comes to scikit-learn 1.9 for the same seed: where no two points have the same code of
a latent (as float32, to which both round), importances are equal to 1e-12 and predictions are
equal. Of splits that are equal up to rounding, scikit-learn takes the one that its rounding
favours, of those equal to the last bit the latent drawn first; both are followed. With equal codes,
its rounding depends on the order in which a quicksort leaves them. Here they stay in the order of
the points, which is as good a choice, and such ties may come out otherwise: importances and
predictions then differ from scikit-learn's by no more than those of its own seeds differ.
Versions before 1.9 wrote the score of a split (`friedman_mse`) differently and may take the other
of two equal splits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit
from scipy.stats import gmean

from srvae_plugin.metrics.learners.boosted_trees.arrays import (
    NODES,
    SAME_VALUE,
    Points,
    Workspace,
)
from srvae_plugin.metrics.learners.boosted_trees.search import MAX_BINS
from srvae_plugin.metrics.learners.boosted_trees.stages import (
    add_predictions,
    fill_residuals,
    fit_trees,
)

__all__ = ["NUM_STAGES", "BoostedTrees", "checked_codes", "checked_labels"]


NUM_STAGES = 100
_MAX_SEED = 2**31 - 1


@dataclass
class BoostedTrees:
    """A fitted classifier; make one with `BoostedTrees.fit`."""

    classes: NDArray[Any]
    """(class,) the labels, ascending."""
    feature_importances: NDArray[np.float64]
    """(latent,) share of the decrease of impurity, sums to 1, or 0 if nothing could be split."""
    _start: NDArray[np.float64] = field(repr=False)
    _splits: NDArray[np.int16] = field(repr=False)
    _thresholds: NDArray[np.float64] = field(repr=False)
    _leaves: NDArray[np.float64] = field(repr=False)

    @classmethod
    def fit(cls, codes: ArrayLike, labels: ArrayLike, seed: int) -> BoostedTrees:
        """Fit to codes (point, latent) and labels (point,).

        Args:
            codes: numbers; rounded to float32 as in scikit-learn.
            labels: class of each point, at least two different ones.
            seed: in [0, 2**32), as `random_state` of scikit-learn.

        Raises:
            ValueError: wrong shapes, codes that are NaN or inf as float32, one class only.
        """
        values = checked_codes(codes)
        classes, encoded = checked_labels(labels, len(values))
        start = _prior(encoded)
        shape = (NUM_STAGES, len(start), NODES)
        splits, thresholds = np.full(shape, -1, np.int16), np.zeros(shape)
        leaves, importances = np.zeros(shape), np.zeros((len(start), values.shape[1]))
        random_state = np.random.RandomState(seed)
        seeds = np.array(
            [random_state.randint(0, _MAX_SEED) for _ in range(shape[0] * shape[1])]
        ).reshape(shape[:2])
        points = _points(values)
        raw = np.repeat(start[:, None], len(values), axis=1)
        residuals = np.empty_like(raw)
        scratch = _workspace(points)
        for stage in range(NUM_STAGES):
            fill_residuals(raw, encoded, residuals)
            fit_trees(
                points, scratch, residuals, encoded, seeds[stage], raw, splits[stage],
                thresholds[stage], leaves[stage], importances,
            )  # fmt: skip
        total = importances.sum(axis=0)
        if total.sum() > 0.0:
            total /= total.sum()
        # What rounding alone makes of a split may be below 0.
        return cls(classes, np.abs(total), start, splits, thresholds, leaves)

    def predict(self, codes: ArrayLike) -> NDArray[Any]:
        """Label of each of codes (point, latent).

        Raises:
            ValueError: another number of latents than fitted, or NaN or inf.
        """
        values = checked_codes(codes)
        if values.shape[1] != len(self.feature_importances):
            raise ValueError(
                f"codes must have the {len(self.feature_importances)} latents that were fitted, "
                f"got {values.shape[1]}."
            )
        raw = np.repeat(self._start[:, None], len(values), axis=1)
        add_predictions(values.T.copy(), self._splits, self._thresholds, self._leaves, raw)
        best = (raw[0] >= 0.0).astype(np.int64) if len(raw) == 1 else raw.argmax(axis=0)
        return self.classes[best]


def checked_codes(codes: ArrayLike) -> NDArray[np.float32]:
    """The codes as float32 (point, latent), or ValueError if they are not finite or not that."""
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(codes, dtype=np.float32)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"codes must be (point, latent) and not empty, got shape {values.shape}.")
    if not np.isfinite(values).all():
        raise ValueError("codes must be finite as float32, got NaN, inf or numbers beyond 3e38.")
    return values


def checked_labels(labels: ArrayLike, num_points: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The classes (class,) and which of them each label is; ValueError if fewer than two."""
    if np.shape(labels) != (num_points,):
        raise ValueError(f"labels must have shape ({num_points},), got {np.shape(labels)}.")
    classes, encoded = np.unique(np.asarray(labels), return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"labels must have at least two classes, got {classes} only.")
    return classes, encoded.astype(np.int64)


def _prior(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(tree,) raw prediction to start from: the frequencies of the classes in link space."""
    tiny = np.finfo(np.float64).eps
    frequency = np.clip(np.bincount(labels) / len(labels), tiny, 1 - tiny)
    if len(frequency) == 2:
        return np.array([logit(frequency[1])])
    return np.log(frequency / gmean(frequency))


def _points(codes: NDArray[np.float32]) -> Points:
    values = np.ascontiguousarray(codes.T)
    num_latents, n = values.shape
    order = np.argsort(values, axis=1, kind="stable").astype(np.int32)
    ascending = np.take_along_axis(values, order, axis=1)
    most = min(MAX_BINS, 2**16 // num_latents)  # cells are counted in 16 bits
    cells = np.empty((n, num_latents), np.uint16)
    num_bins = np.empty(num_latents, np.int64)
    bin_start = np.zeros((num_latents, most + 1), np.int64)
    has_inside = np.zeros((num_latents, most), np.bool_)
    for j, codes_j in enumerate(ascending):
        cuts = 1 + np.flatnonzero(codes_j[1:] > codes_j[:-1] + SAME_VALUE)
        if len(cuts) >= most:
            near = np.searchsorted(cuts, np.linspace(0, n, most + 1)[1:-1])
            cuts = np.unique(cuts[np.minimum(near, len(cuts) - 1)])
        edges = np.concatenate([[0], cuts, [n]])
        num_bins[j] = len(edges) - 1
        bin_start[j, : len(edges)] = edges
        cells[order[j], j] = j * most + np.repeat(np.arange(len(edges) - 1), np.diff(edges))
        has_inside[j, : len(edges) - 1] = codes_j[edges[:-1]] != codes_j[edges[1:] - 1]
    return Points(values, order, ascending, cells, num_bins, bin_start, has_inside)


def _workspace(points: Points) -> Workspace:
    num_latents, n = points.values.shape
    histograms = (NODES // 2, points.has_inside.size)
    return Workspace(
        rows=np.empty(n, np.int32),
        spare=np.empty(n, np.int32),
        node=np.empty(n, np.uint8),
        first=np.zeros(2 * NODES, np.int64),
        last=np.zeros(2 * NODES, np.int64),
        feature=np.empty(NODES, np.int64),
        threshold=np.zeros(NODES),
        drawn=np.empty((NODES, num_latents), np.int64),
        num_drawn=np.zeros(NODES, np.int64),
        varies=np.empty((NODES, num_latents), np.bool_),
        mark=np.zeros(n, np.bool_),
        counts=np.zeros(histograms),
        totals=np.zeros(histograms),
        ups=np.zeros(histograms),
        score=np.empty(num_latents),
        before=np.zeros((points.has_inside.size, 2)),
    )
