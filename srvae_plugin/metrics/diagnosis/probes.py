"""What several latents tell of a factor together: a large probe, and linear ones.

Each half of the points is predicted by a probe that was fitted on the other half.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.metrics.diagnosis.information import shares
from srvae_plugin.metrics.diagnosis.points import Factor
from srvae_plugin.metrics.diagnosis.thresholds import FEWEST_POINTS, SHUFFLES

__all__ = ["Halves", "Told", "allowed", "linear", "predicted", "ring", "told"]

_TREES = 20
_LEAF = 3
_DOUBTS = (0.02, 0.1, 0.3, 0.6, 0.9)
"""Of every prediction one of these parts is the factor's own distribution, the part that does best:
without it, trees that see little would be worse than no prediction, and a weak signal 0."""


class Halves(NamedTuple):
    """The points in two halves, and a seed for what is fitted on them."""

    seed: int
    first: NDArray[np.int64]
    second: NDArray[np.int64]

    @classmethod
    def of(cls, codes: NDArray[np.float64], seed: int) -> Halves:
        """Halves of all points; points of equal codes (points, latent) are in one half.

        A small grid of observations that is drawn from has copies, and a probe would know those of
        the other half by heart. Of fewer different codes than `FEWEST_POINTS` the halves are drawn
        without regard to that.
        """
        groups = np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1)
        if groups.max() + 1 < FEWEST_POINTS:
            groups = np.arange(len(codes))
        order = np.random.RandomState(seed).permutation(groups.max() + 1)
        is_first = order[groups] < (groups.max() + 1) / 2
        return cls(seed, np.flatnonzero(is_first), np.flatnonzero(~is_first))


class Told(NamedTuple):
    """What a large probe tells of a factor."""

    share: float
    """Of the entropy of the factor's classes."""
    p_value: float
    """How often shuffled values were told as well, of `SHUFFLES` and itself."""


def told(codes: NDArray[np.float64], factor: Factor, by: Halves, test: bool = False) -> Told:
    """Share of a factor that a forest of trees on these latents tells of points not seen.

    The share is 1 less the cross entropy of its predictions over the entropy. `test` compares the
    predictions with shuffled values.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    if not codes.shape[1]:
        return Told(0.0, 1.0)
    logs, share = _classified(_forest(ExtraTreesClassifier, by.seed), codes, factor.classes, by)
    if not test:
        return Told(share, 0.0)
    classes, points = factor.classes, np.arange(len(factor.classes))
    seen = float(logs[points, classes].mean())
    stream = np.random.RandomState(by.seed)
    shuffled = [
        logs[points, classes[stream.permutation(len(classes))]].mean() for _ in range(SHUFFLES)
    ]
    return Told(share, float(1 + np.sum(np.array(shuffled) >= seen)) / (SHUFFLES + 1))


def _classified(
    model: Any, codes: NDArray[np.float64], classes: NDArray[np.int64], by: Halves
) -> tuple[NDArray[np.float64], float]:
    """(points, class) logarithms of a classifier's predictions, and the share that they tell."""
    prior, entropy = _prior(classes)

    def fit(train: Any, target: Any, part: Any) -> NDArray[np.float64]:
        model.fit(train, target)
        chances = np.zeros((len(part), len(prior)))
        chances[:, model.classes_] = model.predict_proba(part)
        return chances

    logs = _logs(_by_halves(codes, classes, by, fit), prior, classes)
    seen = float(logs[np.arange(len(classes)), classes].mean())
    return logs, float(np.clip(1 + seen / entropy, 0.0, 1.0))


def _prior(classes: NDArray[np.int64]) -> tuple[NDArray[np.float64], float]:
    """(class,) how frequent each class is, and the entropy of that in nats."""
    prior = np.bincount(classes) / len(classes)
    return prior, -float(np.sum(prior[prior > 0] * np.log(prior[prior > 0])))


def _logs(
    chances: NDArray[np.float64], prior: NDArray[np.float64], classes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(points, class) logarithms of the predictions, with as much doubt as does best."""
    points = np.arange(len(classes))
    tried = [np.log((1 - doubt) * chances + doubt * prior) for doubt in _DOUBTS]
    return max(tried, key=lambda logs: float(logs[points, classes].mean()))


def linear(codes: NDArray[np.float64], factor: Factor, by: Halves) -> float:
    """What a linear probe reads: R^2 of an ordered factor, the share of a factor without order."""
    if factor.ordered:
        return float(_r2(codes, factor.values[:, np.newaxis], by)[0])
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=500)
    return _classified(model, _standard(codes), factor.classes, by)[1]


def allowed(share: float, factor: Factor) -> float:
    """What a linear probe could read if the information that there is were linear.

    Of an ordered factor the R^2 of a Gaussian channel with as much information.
    """
    if not factor.ordered:
        return share
    return float(1 - np.exp(-2 * share * _prior(factor.classes)[1]))


def ring(
    codes: NDArray[np.float64], factor: Factor, by: Halves
) -> tuple[float, NDArray[np.float64]]:
    """How far an ordered factor lies on a ring in these latents, and each point's angle on it.

    The smaller R^2 of linear probes of the sine and the cosine of the factor as an angle, all its
    values being one turn.
    """
    known, places = np.unique(factor.values, return_inverse=True)
    angle = 2 * np.pi * places.reshape(-1) / len(known)
    target = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    at = _by_halves(codes, target, by, _least_squares)
    return float(_explained(at, target).min()), _cut(at, len(known))


def _cut(at: NDArray[np.float64], num_values: int) -> NDArray[np.float64]:
    """Angles of sines and cosines; the ring is cut halfway between the last and the first value."""
    half = np.pi / num_values
    return (np.arctan2(at[:, 0], at[:, 1]) + half) % (2 * np.pi)


def predicted(codes: NDArray[np.float64], factor: Factor, by: Halves) -> NDArray[np.float64]:
    """(points,) the factor as a large probe tells it from these latents, of points not seen.

    Of an ordered factor the expected value or the likeliest class, whichever tells more of it: of
    two values that look alike (a V) the expected one is between them, and tells nothing.
    """
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    def of(kind: Any, target: NDArray[Any]) -> NDArray[np.float64]:
        def fit(train: Any, given: Any, part: Any) -> Any:
            return _forest(kind, by.seed).fit(train, given).predict(part)

        return _by_halves(codes, target, by, fit).astype(np.float64)

    likeliest = of(ExtraTreesClassifier, factor.classes)
    if not factor.ordered:
        return likeliest
    both = np.stack([of(ExtraTreesRegressor, factor.values), likeliest], axis=1)
    return both[:, int(shares(both, [factor])[:, 0].argmax())]


def _forest(kind: Any, seed: int) -> Any:
    # All latents are tried at every split: with a few of them at random, latents that tell nothing
    # would change what the others tell.
    return kind(_TREES, min_samples_leaf=_LEAF, max_features=None, random_state=seed)


def _r2(codes: NDArray[np.float64], target: NDArray[np.float64], by: Halves) -> NDArray[np.float64]:
    return np.clip(_explained(_by_halves(codes, target, by, _least_squares), target), 0.0, 1.0)


def _explained(at: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 - ((at - target) ** 2).mean(axis=0) / target.var(axis=0)


def _least_squares(train: Any, target: Any, part: Any) -> NDArray[np.float64]:
    def with_one(table: Any) -> Any:
        return np.column_stack([table, np.ones(len(table))])

    return with_one(part) @ np.linalg.lstsq(with_one(train), target, rcond=1e-10)[0]


def _by_halves(
    codes: NDArray[np.float64],
    target: NDArray[Any],
    by: Halves,
    fit: Callable[[Any, Any, Any], NDArray[Any]],
) -> NDArray[Any]:
    """Predictions of every point by what `fit` makes of the half that it is not in."""
    halves = by.first, by.second
    parts = [fit(codes[h], target[h], codes[o]) for o, h in (halves, halves[::-1])]
    made = np.zeros((len(codes), *parts[0].shape[1:]), dtype=parts[0].dtype)
    for half, part in zip(halves, parts, strict=True):
        made[half] = part
    return made


def _standard(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = codes.std(axis=0)
    return (codes - codes.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
