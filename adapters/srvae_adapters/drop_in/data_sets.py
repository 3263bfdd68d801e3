"""`data.ground_truth`: the base class, data sets by class, and their helpers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data import cars3d, dsprites_variants, mpi3d, shapes3d
from srvae_plugin.data.dsprites import DSprites
from srvae_plugin.data.image_grid import ImageGrid
from srvae_plugin.data.storage.locate import DATA_FOLDER

__all__ = [
    "BACKGROUND_COLORS",
    "CARS3D_PATH",
    "DSPRITES_PATH",
    "MPI3D",
    "OBJECT_COLORS",
    "SCREAM_PATH",
    "SHAPES3D_PATH",
    "AbstractDSprites",
    "ColorDSprites",
    "GroundTruthData",
    "NoisyDSprites",
    "ScreamDSprites",
    "SplitDiscreteStateSpace",
    "StateSpaceAtomIndex",
    "Stream",
    "tf_data_set_from_ground_truth_data",
]

Stream = np.random.RandomState
BACKGROUND_COLORS = dsprites_variants.AbstractDSprites.BACKGROUNDS
OBJECT_COLORS = dsprites_variants.AbstractDSprites.OBJECTS


def _place(name: str) -> str:
    return os.path.join(os.environ.get(DATA_FOLDER, "."), name)


# Where the original's modules look for their files; ours look there when they are asked.
DSPRITES_PATH = _place("dsprites/dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz")
SCREAM_PATH = _place(dsprites_variants.SCREAM.names[0])
CARS3D_PATH = _place(cars3d.ORIGIN.names[0])
SHAPES3D_PATH = _place(shapes3d.ORIGIN.names[1])


class GroundTruthData:
    """Base of data sets of a user's own: two methods and three properties to write."""

    @property
    def num_factors(self) -> int:
        """Number of factors."""
        raise NotImplementedError

    @property
    def factors_num_values(self) -> list[int]:
        """Number of values of each factor."""
        raise NotImplementedError

    @property
    def observation_shape(self) -> Sequence[int]:
        """Height, width and channels of one observation."""
        raise NotImplementedError

    def sample_factors(self, num: int, random_state: Stream) -> NDArray[np.int64]:
        """Draw rows of factors."""
        raise NotImplementedError

    def sample_observations_from_factors(
        self, factors: NDArray[np.int64], random_state: Stream
    ) -> NDArray[Any]:
        """Draw one observation for each row of factors."""
        raise NotImplementedError

    def sample(self, num: int, random_state: Stream) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Draw rows of factors, then their observations."""
        factors = self.sample_factors(num, random_state)
        return factors, self.sample_observations_from_factors(factors, random_state)

    def sample_observations(self, num: int, random_state: Stream) -> NDArray[Any]:
        """Draw observations."""
        return self.sample(num, random_state)[1]


class ColorDSprites(dsprites_variants.ColorDSprites):
    """Sprites of random colours."""

    def __init__(self, latent_factor_indices: Sequence[int] | None = None) -> None:
        super().__init__(DSprites(latent_factor_indices))


class NoisyDSprites(dsprites_variants.NoisyDSprites):
    """Sprites on noise."""

    def __init__(self, latent_factor_indices: Sequence[int] | None = None) -> None:
        super().__init__(DSprites(latent_factor_indices))


class ScreamDSprites(dsprites_variants.ScreamDSprites):
    """Sprites on the painting, which lies below $DISENTANGLEMENT_LIB_DATA."""

    def __init__(self, latent_factor_indices: Sequence[int] | None = None) -> None:
        super().__init__(DSprites(latent_factor_indices), dsprites_variants.painting())


class AbstractDSprites(dsprites_variants.AbstractDSprites):
    """Sprites of six colours on five greys, in random orientations."""

    def __init__(self) -> None:
        super().__init__(DSprites([1, 2, 4, 5]))


def MPI3D(mode: str = "mpi3d_toy") -> ImageGrid:
    """The MPI3D data set of that name."""
    return mpi3d.mpi3d(mode)


class SplitDiscreteStateSpace:
    """Grid of factors of which some are the ground truth and the others are drawn.

    Args:
        factor_sizes: number of values of each factor.
        latent_factor_indices: those that are the ground truth.
    """

    def __init__(self, factor_sizes: Sequence[int], latent_factor_indices: Sequence[int]) -> None:
        self.factor_sizes = factor_sizes
        self.num_factors = len(factor_sizes)
        self.latent_factor_indices = latent_factor_indices
        self.observation_factor_indices = [
            k for k in range(self.num_factors) if k not in latent_factor_indices
        ]

    @property
    def num_latent_factors(self) -> int:
        """Number of factors that are the ground truth."""
        return len(self.latent_factor_indices)

    def sample_latent_factors(self, num: int, random_state: Stream) -> NDArray[np.int64]:
        """Draw rows of these, one factor after the other."""
        factors = np.zeros((num, self.num_latent_factors), dtype=np.int64)
        for column, factor in enumerate(self.latent_factor_indices):
            factors[:, column] = self._sample_factor(factor, num, random_state)
        return factors

    def sample_all_factors(
        self, latent_factors: NDArray[np.int64], random_state: Stream
    ) -> NDArray[np.int64]:
        """Rows of all factors: these, and the others drawn."""
        num = len(latent_factors)
        factors = np.zeros((num, self.num_factors), dtype=np.int64)
        factors[:, self.latent_factor_indices] = latent_factors
        for factor in self.observation_factor_indices:
            factors[:, factor] = self._sample_factor(factor, num, random_state)
        return factors

    def _sample_factor(self, i: int, num: int, random_state: Stream) -> NDArray[np.int64]:
        return random_state.randint(self.factor_sizes[i], size=num)


class StateSpaceAtomIndex:
    """Where each combination of factors is among the rows of a table.

    Args:
        factor_sizes: number of values of each factor.
        features: (row, factor), every combination once.

    Raises:
        ValueError: a combination is missing.
    """

    def __init__(self, factor_sizes: Sequence[int], features: NDArray[np.integer[Any]]) -> None:
        self.factor_sizes = factor_sizes
        number = int(np.prod(factor_sizes))
        self.factor_bases = number / np.cumprod(factor_sizes)
        places = self._features_to_state_space_index(features)
        if len(np.unique(places)) != number:
            raise ValueError("features: not every combination of factors has a row")
        self.state_space_to_save_space_index = np.zeros(number, dtype=np.int64)
        self.state_space_to_save_space_index[places] = np.arange(number)

    def features_to_index(self, features: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """The rows of combinations."""
        return self.state_space_to_save_space_index[self._features_to_state_space_index(features)]

    def _features_to_state_space_index(
        self, features: NDArray[np.integer[Any]]
    ) -> NDArray[np.int64]:
        if np.any(features >= np.asarray(self.factor_sizes)) or np.any(features < 0):
            raise ValueError(f"features: expected values from 0 to less than {self.factor_sizes}")
        return np.asarray(np.dot(features, self.factor_bases), dtype=np.int64)


def tf_data_set_from_ground_truth_data(ground_truth_data: Any, random_seed: int) -> Any:
    """An endless torch IterableDataset of observations, in the original's order of draws."""
    from torch.utils.data import IterableDataset

    class Observations(IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            random_state = Stream(random_seed)
            while True:
                yield ground_truth_data.sample_observations(1, random_state)[0]

    return Observations()
