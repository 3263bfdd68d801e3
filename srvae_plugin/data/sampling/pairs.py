"""Pairs of observations that share some of their factors, for weakly supervised models.

Which factors are shared is drawn anew for each pair. The samplings are those of the literature:

* ``"library"``: disentanglement_lib's `dynamics`. One factor or k of them, either as likely, get a
  new value, which may be the old one. k is fixed, or drawn anew from 1 .. factors - 1. The label
  is the last factor that got one.
* ``"paper"``: the generative model of Locatello et al., "Weakly-Supervised Disentanglement Without
  Compromises", ICML 2020, Section 3. k factors are those of a second, independent draw.
* ``"uniform"``: that of the repository `disentangling-correlated-factors`: k factors get a new
  value given those that are shared. On a grid without correlations it is the paper's distribution.
* ``"uniform_fixed"``: the same, and each of the k values differs from the old one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData, continuous_factors, draw_factors

__all__ = ["SAMPLINGS", "ChangedFactors", "PairDraw", "PairedData", "Sampling", "plain_data"]

Sampling = Literal["library", "paper", "uniform", "uniform_fixed"]
_TRIES = 10_000
SAMPLINGS: tuple[str, ...] = get_args(Sampling)


class PairDraw(NamedTuple):
    """Pairs: what is first and what is second, each one row per pair, and labels (pair, label)."""

    first: NDArray[Any]
    second: NDArray[Any]
    labels: NDArray[Any]


class PairedData(ABC):
    """A data set whose batches are pairs of the observations of another one.

    Args:
        data: that other one; it is what a model that was trained on the pairs is scored on.

    Attributes:
        num_labels: labels of each pair.
        seed: seed of the batches; None for the training's.
    """

    num_labels: int
    seed: int | None = None

    def __init__(self, data: GroundTruthData) -> None:
        self.data = data

    @abstractmethod
    def draw(
        self, num: int, random_state: np.random.RandomState, as_indices: bool = False
    ) -> PairDraw:
        """Draw ``num`` pairs of observations (num, height, width, channel) and their labels.

        Args:
            num: how many.
            random_state: advanced alike with and without `as_indices`.
            as_indices: give indices of the observations in their place; only where `data` has them.
        """

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """Gin bindings that make the same pairs of the same data.

        What gin cannot say stands under a name that begins with "# ", a comment.
        """

    @property
    def to_evaluate(self) -> PairedData:
        """Pairs that the losses of a trained model are taken of."""
        return self

    @property
    def observation_shape(self) -> Sequence[int]:
        """Height, width and channels of one observation."""
        return self.data.observation_shape

    @property
    def num_factors(self) -> int:
        """Number of ground-truth factors."""
        return self.data.num_factors

    def sample_observations(
        self, num: int, random_state: np.random.RandomState
    ) -> NDArray[np.float32]:
        """Draw observations of the data set itself, not in pairs."""
        return self.data.sample_observations(num, random_state)


def plain_data(data: Any) -> Any:
    """The data set that pairs are of; any other one as it is."""
    return data.data if isinstance(data, PairedData) else data


class ChangedFactors(PairedData):
    """Pairs that differ in k factors, see the samplings at the top of this file.

    Args:
        data: a data set that has an observation for every combination of its factors.
        k: how many factors may differ, 1 .. factors - 1; -1 draws it anew for each pair.
        sampling: "library", "paper", "uniform" or "uniform_fixed".

    Raises:
        ValueError: the data set has fewer than two factors or not every combination of them, or k
            or the sampling does not fit it.

    Example:
        >>> from srvae_plugin.data.dummy_data import DummyData
        >>> pairs = ChangedFactors(DummyData(), k=1, sampling="uniform_fixed")
        >>> first, second, changed = pairs.draw_factors(3, np.random.RandomState(0))
        >>> (first != second).sum(1).tolist(), changed.sum(1).tolist()
        ([1, 1, 1], [1, 1, 1])
    """

    def __init__(self, data: GroundTruthData, k: int = -1, sampling: Sampling = "library") -> None:
        super().__init__(data)
        self.k, self.sampling = k, sampling
        self.num_labels = data.num_factors
        self._sizes = [int(size) for size in data.factors_num_values]
        _require_every_combination(data)
        if sampling not in SAMPLINGS:
            raise ValueError(
                f"dynamics.sampling = {sampling!r}: expected one of {', '.join(SAMPLINGS)}"
            )
        if k != -1 and not 1 <= k < data.num_factors:
            raise ValueError(
                f"dynamics.k = {k}: expected 1 .. {data.num_factors - 1}, the number of factors "
                "that differ in a pair, or -1 to draw it anew for each"
            )
        if sampling == "uniform_fixed" and 1 in self._sizes:
            raise ValueError(
                "dynamics.sampling = 'uniform_fixed': every factor has to be able to differ, but "
                f"one of sizes {self._sizes} has a single value; take 'uniform', or leave that "
                "factor out of the ground truth"
            )

    def draw_factors(self, num: int, random_state: np.random.RandomState) -> PairDraw:
        """Draw factors of ``num`` pairs; the labels (num, factor) are 1 where one changed.

        With the library's sampling they are 1 for the last factor that changed, alone.
        """
        first = self.data.sample_factors(num, random_state)
        counts = self._counts(num, random_state)
        order = random_state.random_sample(first.shape).argsort(1)
        changed = order.argsort(1) < counts[:, None]
        second = self._changed(first, changed, random_state)
        if self.sampling == "library":
            last = np.take_along_axis(order, counts[:, None] - 1, axis=1)
            changed = np.arange(first.shape[1]) == last
        return PairDraw(first, second, changed.astype(np.int64))

    def draw(
        self, num: int, random_state: np.random.RandomState, as_indices: bool = False
    ) -> PairDraw:
        """Draw pairs of observations; see `PairedData.draw`."""
        data: Any = self.data
        first, second, labels = self.draw_factors(num, random_state)
        of = data.observation_indices if as_indices else data.sample_observations_from_factors
        return PairDraw(of(first, random_state), of(second, random_state), labels)

    def described(self) -> dict[str, Any]:
        """The bindings of `dynamics`."""
        return {"dynamics.k": self.k, "dynamics.sampling": self.sampling}

    def _counts(self, num: int, random_state: np.random.RandomState) -> NDArray[np.int64]:
        """How many factors change in each pair."""
        if self.k == -1:
            counts = random_state.randint(1, len(self._sizes), size=num)
        else:
            counts = np.full(num, self.k)
        if self.sampling == "library":
            counts = np.where(random_state.randint(2, size=num), counts, 1)
        return counts

    def _changed(
        self,
        first: NDArray[np.int64],
        changed: NDArray[np.bool_],
        random_state: np.random.RandomState,
    ) -> NDArray[np.int64]:
        """The factors with new values where they change.

        Where combinations have weights, what is drawn is kept in proportion to its weight, and
        drawn again if it is not; of the paper's sampling, if it has none.
        """
        weights_of = getattr(self.data, "weights_of", None)
        second = np.where(changed, self._new(first, random_state), first)
        if weights_of is None:
            return second
        open_rows = np.arange(len(first))
        for _ in range(_TRIES):
            weights = weights_of(second[open_rows])
            least = random_state.random_sample(len(open_rows))
            refused = weights == 0 if self.sampling == "paper" else weights <= least
            open_rows = open_rows[refused]
            if not len(open_rows):
                return second
            new = self._new(first[open_rows], random_state)
            second[open_rows] = np.where(changed[open_rows], new, first[open_rows])
        raise ValueError(
            f"dynamics.sampling = {self.sampling!r}: no partner was found in {_TRIES} draws for "
            f"the factors {first[open_rows[0]].tolist()} among the combinations that are drawn: "
            "leave out fewer, or correlate less"
        )

    def _new(
        self, first: NDArray[np.int64], random_state: np.random.RandomState
    ) -> NDArray[np.int64]:
        """New values of all factors."""
        if self.sampling == "paper":
            return self.data.sample_factors(len(first), random_state)
        if self.sampling == "uniform_fixed":
            others = draw_factors([size - 1 for size in self._sizes], len(first), random_state)
            return (first + 1 + others) % self._sizes
        return draw_factors(self._sizes, len(first), random_state)


def _require_every_combination(data: GroundTruthData) -> None:
    """Raise ValueError unless factors can be changed one by one."""
    name = type(data).__name__
    if data.num_factors < 2:
        raise ValueError(
            f"pairs that share factors need two factors or more: {name} has {data.num_factors}"
        )
    if not getattr(data, "is_grid", True) or continuous_factors(data).any():
        raise ValueError(
            f"pairs that share factors need an observation for every combination of the factors: "
            f"{name} has only some of them; take a data set that is a grid"
        )
