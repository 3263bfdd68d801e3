"""Logistic regression with cross-validated regularisation: scikit-learn's numbers, sooner.

The optimizer, its starting points and its stopping rules are those of scikit-learn 1.9's
`LogisticRegressionCV(Cs=10, cv=KFold(5), scoring="accuracy")`. It stops after at most a hundred
steps, far from the minimum on hard codes, where the last bit of a loss decides which labels are
predicted; every sum is therefore taken in scikit-learn's order, and the weights come out bit by bit
the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import KFold
from sklearn.utils import check_array, check_X_y

from srvae_plugin.metrics.learners.softmax_kernel import losses_and_gradients

__all__ = ["CS", "NUM_FOLDS", "Path", "SoftmaxRegressionCV"]


CS = np.logspace(-4, 4, 10)
"""Inverse strengths of regularisation, weakest last."""
NUM_FOLDS = 5
_OPTIONS = {"maxiter": 100, "maxls": 50, "gtol": 1e-4, "ftol": 64 * np.finfo(float).eps}


class SoftmaxRegressionCV(ClassifierMixin, BaseEstimator):
    """L2-regularised softmax regression; the strength with the best accuracy over five folds.

    Two classes are left to scikit-learn's own, which writes their loss differently.

    Raises:
        ValueError: in `fit`, for fewer points than folds or a single class.
    """

    def fit(
        self, X: ArrayLike, y: ArrayLike, paths: Sequence[Path | None] | None = None
    ) -> SoftmaxRegressionCV:
        """Fit to X (point, latent), finite numbers, and labels y (point,).

        `paths` are what `path` gives for the same X, y and every fold, if that is known already.
        """
        codes, labels = check_X_y(X, y, dtype=np.float64)
        self.classes_, classes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"labels: got the one class {self.classes_[0]}; expected at least two")
        if len(self.classes_) < 3:
            folds = KFold(NUM_FOLDS)
            model = LogisticRegressionCV(Cs=CS, cv=folds, scoring="accuracy").fit(codes, labels)
            self.coef_, self.intercept_ = model.coef_, model.intercept_
            return self

        found = [self.path(X, y, fold) for fold in range(NUM_FOLDS)] if paths is None else paths
        known = [path for path in found if path is not None]
        best = int(np.argmax(np.sum([path.accuracies for path in known], axis=0)))
        start = np.mean([path.coefs[best] for path in known], axis=0)
        coef = _minimum(codes, classes, CS[best], start)
        self.coef_, self.intercept_ = coef[:-1].T, coef[-1]
        return self

    def path(self, X: ArrayLike, y: ArrayLike, fold: int) -> Path | None:
        """The part of `fit` that belongs to one of NUM_FOLDS folds; None for two classes or one.

        Folds do not depend on each other.
        """
        codes, labels = check_X_y(X, y, dtype=np.float64)
        names, classes = np.unique(labels, return_inverse=True)
        split = list(KFold(NUM_FOLDS).split(codes))[fold]
        return _path(codes, classes, len(names), *split) if len(names) > 2 else None

    def predict(self, X: ArrayLike) -> NDArray[np.generic]:
        """Label of each row of X (point, latent)."""
        codes = check_array(X, dtype=np.float64)
        logits = codes @ self.coef_.T + self.intercept_
        if len(self.classes_) == 2:
            return self.classes_[(logits[:, 0] > 0).astype(int)]
        return self.classes_[np.argmax(logits, axis=1)]


@dataclass
class Path:
    """The minima for each of CS on the points of a fold, and what they are worth."""

    coefs: list[NDArray[np.float64]]
    """For each of CS: (latent + 1, class), the intercepts last."""
    accuracies: list[float]
    """For each of CS, on the points left out."""


def _path(
    codes: NDArray[np.float64],
    classes: NDArray[np.int64],
    num_classes: int,
    train: NDArray[np.intp],
    test: NDArray[np.intp],
) -> Path:
    """The minimum for each of CS, from the one before, and its accuracy on the fold left out."""
    coef = np.zeros((codes.shape[1] + 1, num_classes))
    path = Path([], [])
    for c in CS:
        coef = _minimum(codes[train], classes[train], c, coef)
        path.coefs.append(coef)
        predicted = np.argmax(codes[test] @ coef[:-1] + coef[-1], axis=1)
        path.accuracies.append(float(np.mean(predicted == classes[test])))
    return path


def _minimum(
    codes: NDArray[np.float64], classes: NDArray[np.int64], c: float, start: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Minimize the mean of -log p(class) plus |weights|^2 / (2 c n); the intercepts are free."""
    num = len(codes)
    strength = 1.0 / (c * num)
    losses, pointwise = np.empty(num), np.empty((num, start.shape[1]))

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        coef = flat.reshape(start.shape)
        weights = coef[:-1]
        gradient = np.empty_like(coef)
        # np.dot lets other threads run, which matmul does not at these shapes.
        np.dot(codes, weights, out=pointwise)
        losses_and_gradients(pointwise, coef[-1], classes, losses, gradient[-1])
        gradient[:-1] = np.dot(pointwise.T, codes).T + strength * weights
        squares = np.ravel(weights) @ np.ravel(weights)
        value = float(np.sum(losses) / num) + float(0.5 * strength * squares)
        return value, gradient.ravel()

    found = minimize(loss, start.ravel(), method="L-BFGS-B", jac=True, options=_OPTIONS)
    return found.x.reshape(start.shape)
