"""A quicker stand-in for `BoostedTrees` that gives other numbers: trees on binned codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from srvae_plugin.metrics.learners.boosted_trees.learner import checked_codes, checked_labels

__all__ = ["HistogramTrees", "fit_histogram"]


@dataclass
class HistogramTrees:
    """A fitted classifier with the attributes of `BoostedTrees`."""

    classes: NDArray[Any]
    """(class,) the labels, ascending."""
    feature_importances: NDArray[np.float64]
    """(latent,) share of the summed gain of all splits, sums to 1, or 0 without a split."""
    _model: HistGradientBoostingClassifier = field(repr=False)

    def predict(self, codes: ArrayLike) -> NDArray[Any]:
        """Label of each of codes (point, latent).

        Raises:
            ValueError: another number of latents than fitted, or NaN or inf.
        """
        return self._model.predict(checked_codes(codes))


def fit_histogram(codes: ArrayLike, labels: ArrayLike, seed: int) -> HistogramTrees:
    """Fit scikit-learn's histogram trees, as close to `BoostedTrees` as their settings come.

    They cut codes into 255 bins and score splits and leaves by second derivatives, which moves
    importances and with them DCI: disentanglement by up to .08 either way at 2,000 points.
    Not for numbers to be compared with published ones.

    Args:
        codes: (point, latent), rounded to float32.
        labels: (point,), at least two classes.
        seed: of the sample that the bins are made from, above 200,000 points.

    Raises:
        ValueError: wrong shapes, codes that are NaN or inf as float32, one class only.
    """
    values = checked_codes(codes)
    classes, _ = checked_labels(labels, len(values))
    model = HistGradientBoostingClassifier(
        max_depth=3, max_leaf_nodes=None, min_samples_leaf=1, early_stopping=False,
        random_state=seed,
    )  # fmt: skip
    model.fit(values, labels)
    gains = np.zeros(values.shape[1])
    for stage in model._predictors:
        for tree in stage:
            splits = tree.nodes[tree.nodes["is_leaf"] == 0]
            np.add.at(gains, splits["feature_idx"], splits["gain"])
    if gains.sum() > 0.0:
        gains /= gains.sum()
    return HistogramTrees(classes, gains, model)
