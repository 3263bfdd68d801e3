"""A few labelled observations beside all those without labels, for semi-supervised models."""

from __future__ import annotations

import copy
import hashlib
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData, continuous_factors, names_of
from srvae_plugin.data.sampling.labellers import Labeller, perfect_labeller
from srvae_plugin.data.sampling.pairs import PairDraw, PairedData

__all__ = ["LabelledData", "LabelledSample", "sample_labelled"]


class LabelledSample(NamedTuple):
    """Labelled observations, as disentanglement_lib draws them from a seed.

    observations: (num, height, width, channel).
    labels: (num, label).
    sizes: number of values of each label.
    indices: of the observations, in a data set that numbers them; else None.
    """

    observations: NDArray[np.float32]
    labels: NDArray[np.float32]
    sizes: list[int]
    indices: NDArray[np.int64] | None = None


def sample_labelled(
    data: GroundTruthData, num: int, seed: int, labeller: Labeller = perfect_labeller
) -> LabelledSample:
    """Draw observations and label them: factors, then observations, then what the labeller draws.

    Args:
        data: the data set.
        num: how many observations.
        seed: of all draws, so that the same ones are drawn wherever they are needed.
        labeller: see `srvae_plugin.data.sampling.labellers`.

    Raises:
        ValueError: the data set has no factors.
    """
    if not data.num_factors:
        raise ValueError(f"{type(data).__name__} has no factors, and so nothing to label")
    random_state = np.random.RandomState(seed)
    factors = data.sample_factors(num, random_state)
    found: Any = data
    indices = None
    if hasattr(data, "observation_indices") and hasattr(data, "observations_at"):
        indices = found.observation_indices(factors, random_state)
        observations = found.observations_at(indices)
    else:
        observations = data.sample_observations_from_factors(factors, random_state)
    labels, sizes = labeller(factors, data, random_state)
    return LabelledSample(observations, labels, sizes, indices)


class LabelledData(PairedData):
    """Pairs of an observation without labels and one with them.

    The first is any of the data set, the second one of a fixed few. These are drawn at random, with
    replacement, where disentanglement_lib goes through them in turn.

    Args:
        data: the data set.
        num_labelled_samples: how many observations have labels.
        train_percentage: share of them, from the first on, to train on; the others are those that
            the losses of the trained model are taken of.
        supervised_data_seed: seed of the labelled observations and of their labels.
        unsupervised_data_seed: seed of the batches; None for the training's.
        labeller: see `srvae_plugin.data.sampling.labellers`.

    Raises:
        ValueError: a number is out of range, or the data set has no factors.

    Example:
        >>> from srvae_plugin.data.dummy_data import DummyData
        >>> data = LabelledData(DummyData(), num_labelled_samples=3)
        >>> first, second, labels = data.draw(2, np.random.RandomState(0))
        >>> first.shape, second.shape, labels.shape
        ((2, 64, 64, 1), (2, 64, 64, 1), (2, 10))
    """

    def __init__(
        self,
        data: GroundTruthData,
        num_labelled_samples: int,
        train_percentage: float = 1.0,
        supervised_data_seed: int = 0,
        unsupervised_data_seed: int | None = None,
        labeller: Labeller = perfect_labeller,
    ) -> None:
        super().__init__(data)
        if (out := continuous_factors(data)).any():
            named = ", ".join(repr(name) for name in np.array(names_of(data))[out].tolist())
            raise ValueError(
                f"labels are classes, and these factors are continuous: {named}; bind "
                "dataset.factor_bins = 10, say, to make classes of them"
            )
        if num_labelled_samples < 1:
            raise ValueError(
                f"model.num_labelled_samples = {num_labelled_samples}: expected at least 1"
            )
        if not 0 < train_percentage <= 1:
            raise ValueError(
                f"model.train_percentage = {train_percentage}: expected a share above 0, up to 1"
            )
        self.options = {
            "num_labelled_samples": num_labelled_samples,
            "train_percentage": train_percentage,
            "supervised_data_seed": supervised_data_seed,
            "unsupervised_data_seed": unsupervised_data_seed,
        }
        self.seed, self._labeller = unsupervised_data_seed, labeller
        self._sample = sample_labelled(data, num_labelled_samples, supervised_data_seed, labeller)
        self.factor_sizes = self._sample.sizes
        self.num_labels = self._sample.labels.shape[1]
        self._rows = np.arange(math.ceil(num_labelled_samples * train_percentage))

    def draw(
        self, num: int, random_state: np.random.RandomState, as_indices: bool = False
    ) -> PairDraw:
        """Draw observations without labels, then rows of those with labels."""
        data: Any = self.data
        of = data.sample_indices if as_indices else data.sample_observations
        first = of(num, random_state)
        rows = self._rows[random_state.randint(len(self._rows), size=num)]
        second = self._sample.indices if as_indices else self._sample.observations
        assert second is not None
        return PairDraw(first, second[rows], self._sample.labels[rows])

    @property
    def to_evaluate(self) -> LabelledData:
        """The same with the labels that are not trained on; if there are none, with all."""
        num = len(self._sample.labels)
        if len(self._rows) == num:
            return self
        others = copy.copy(self)
        others._rows = np.arange(len(self._rows), num)
        return others

    def described(self) -> dict[str, Any]:
        """The bindings of `model`; as comments the labeller, and a digest of what it gave."""
        bound = {f"model.{name}": value for name, value in self.options.items()}
        name = getattr(self._labeller, "__qualname__", type(self._labeller).__name__)
        digest = hashlib.sha256(np.ascontiguousarray(self._sample.labels).tobytes()).hexdigest()
        return bound | {"# labeller": name, "# labels": digest[:12]}
