"""Probes of growing capacity: what a factor's error is when small and when large models predict it.

Three families, as in Eastwood et al., "DCI-ES: An Extended Disentanglement Framework with
Connections to Identifiability" (ICLR 2023, arXiv 2210.00364), from scikit-learn.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.common.checks import check_count

__all__ = [
    "FOREST",
    "MLP_EPOCHS",
    "NUM_TREES",
    "PROBES",
    "RFF_GAIN",
    "Forest",
    "Probe",
    "Task",
    "mlp",
    "random_forest",
    "rff",
]


NUM_TREES = 100  # scikit-learn's default, which the authors take
MLP_EPOCHS = 50
RFF_GAIN = 0.08  # the authors': cosines and sines of 2 pi * .08 * N(0, 1) times the codes


class Forest(NamedTuple):
    """Settings of the random forests.

    num_trees: trees of each.
    max_features: features that a split chooses among, as in scikit-learn. None: its defaults, which
        the authors take, "sqrt" for categories and all for numbers.
    """

    num_trees: int = NUM_TREES
    max_features: str | int | float | None = None

    def check(self) -> None:
        """Raise ValueError for a setting out of range."""
        check_count("num_trees", self.num_trees)
        few = self.max_features
        if isinstance(few, bool) or few is None or isinstance(few, str):
            right = few in (None, "sqrt", "log2")
        else:
            right = few >= 1 if isinstance(few, int) else 0 < few <= 1
        if not right:
            raise ValueError(
                "max_features must be None, 'sqrt', 'log2', a number of latents or a share in "
                f"(0, 1], got {few!r}."
            )


FOREST = Forest()
"""The authors'."""


class Task(NamedTuple):
    """One factor to predict from the codes, on points to fit and on points to test."""

    train_codes: NDArray[np.float64]
    """(points, latent), standardised."""
    train_target: NDArray[Any]
    """(points,): class indices if categorical, else standardised numbers."""
    test_codes: NDArray[np.float64]
    test_target: NDArray[Any]
    categorical: bool

    def loss(self, predicted: NDArray[Any]) -> float:
        """Test error relative to guessing, >= 0, 1 for a guess.

        Numbers: squared error over that of the mean, 1 - R^2. Categories: error rate over that of
        the most frequent value of the training points.
        """
        if self.categorical:
            guess = np.bincount(self.train_target).argmax()
            wrong = np.mean(predicted != self.test_target)
            return float(wrong / np.mean(self.test_target != guess))
        return float(np.mean((predicted - self.test_target) ** 2) / np.var(self.test_target))


Probe = Callable[[Task, Sequence[int], int], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""(task, sizes, seed) to capacity (sizes,) in the units of the curve, and loss (sizes,)."""


def random_forest(
    task: Task, sizes: Sequence[int], seed: int, settings: Forest = FOREST
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Random forests of growing depth; capacity is the depth.

    One forest is grown to the largest depth and cut at the others, instead of one grown for each:
    down to depth d, a tree is drawn as if grown to depth d alone. Its random numbers are others
    where a split chooses among some of the features, as scikit-learn grows the depth first.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    make = RandomForestClassifier if task.categorical else RandomForestRegressor
    features: Any = settings.max_features
    if features is None:
        features = "sqrt" if task.categorical else 1.0
    forest = make(
        n_estimators=settings.num_trees,
        max_depth=max(sizes),
        max_features=features,
        random_state=seed,
    )
    forest.fit(task.train_codes, task.train_target)
    # scikit-learn compares in float32
    codes = task.test_codes.astype(np.float32)
    votes = np.mean([_at_depths(tree.tree_, codes, sizes) for tree in forest.estimators_], axis=0)
    if task.categorical:
        losses = [task.loss(forest.classes_[vote.argmax(axis=1)]) for vote in votes]
    else:
        losses = [task.loss(vote[:, 0]) for vote in votes]
    return np.array(sizes, dtype=np.float64), np.array(losses)


def mlp(
    task: Task, sizes: Sequence[int], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Networks of one hidden layer of growing width, 0: linear; capacity is log(parameters)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    inputs = task.train_codes.shape[1]
    outputs = int(task.train_target.max()) + 1 if task.categorical else 1
    capacity, losses = [], []
    for width in sizes:
        model: Any
        if width == 0:
            model = LogisticRegression(C=1e4) if task.categorical else Ridge(alpha=1e-4)
            parameters = (inputs + 1) * outputs
        else:
            make = MLPClassifier if task.categorical else MLPRegressor
            model = make(
                hidden_layer_sizes=(width,),
                learning_rate_init=0.01,
                max_iter=MLP_EPOCHS,
                random_state=seed,
            )
            parameters = (inputs + 1) * width + (width + 1) * outputs
        with warnings.catch_warnings():
            # The number of epochs is part of the probe.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(task.train_codes, task.train_target)
        capacity.append(np.log(parameters))
        losses.append(task.loss(model.predict(task.test_codes)))
    return np.array(capacity), np.array(losses)


def rff(
    task: Task, sizes: Sequence[int], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Linear models on a growing number of random Fourier features; capacity is log(features).

    Least squares with a ridge of 1, on numbers or on one-hot categories. Larger sets of features
    contain the smaller ones.
    """
    from sklearn.linear_model import Ridge

    random_state = np.random.RandomState(seed)
    pairs = max(sizes) // 2
    directions = random_state.normal(size=(pairs, task.train_codes.shape[1])) * 2 * np.pi * RFF_GAIN
    waves = [codes @ directions.T for codes in (task.train_codes, task.test_codes)]
    target = task.train_target
    if task.categorical:
        target = np.eye(int(target.max()) + 1)[target]
    losses = []
    for size in sizes:
        train, test = (
            np.hstack([np.cos(wave[:, : size // 2]), np.sin(wave[:, : size // 2])])
            for wave in waves
        )
        predicted = Ridge(alpha=1.0).fit(train, target).predict(test)
        losses.append(task.loss(predicted.argmax(axis=1) if task.categorical else predicted))
    return np.log(np.array(sizes, dtype=np.float64)), np.array(losses)


PROBES: dict[str, tuple[Probe, tuple[int, ...]]] = {
    "random_forest": (random_forest, (1, 2, 3, 4, 8, 10, 12, 14, 16, 18, 20, 32)),
    "mlp": (mlp, (0, 8, 32, 128, 512)),
    "rff": (rff, (16, 32, 64, 128, 256, 512, 1024, 2048)),
}
"""Each family by name, and its default sizes: the authors' depths; widths and numbers of features
within their range that take seconds."""


def _at_depths(tree: Any, codes: NDArray[np.float32], depths: Sequence[int]) -> NDArray[np.float64]:
    """(depth, points, value) of the nodes that points reach in a tree cut at each depth."""
    points = np.arange(len(codes))
    node = np.zeros(len(codes), dtype=np.intp)
    values = {}
    for depth in range(max(depths) + 1):
        if depth in depths:
            values[depth] = tree.value[node, 0]
        left, right = tree.children_left[node], tree.children_right[node]
        # Leaves have no feature; theirs is -2.
        below = codes[points, np.maximum(tree.feature[node], 0)] <= tree.threshold[node]
        node = np.where(left < 0, node, np.where(below, left, right))
    return np.stack([values[depth] for depth in depths])
