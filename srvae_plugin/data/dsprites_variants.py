"""dSprites in random colours, on random noise and on "The Scream" (Locatello et al., 2019).

What is random beside the sprite is drawn anew for each observation and is no factor, in
disentanglement_lib's order: factors, remaining factors, then colours. The same `RandomState` gives
the same observation, to the rounding to float32.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srvae_plugin.data.drawing import DrawnData
from srvae_plugin.data.dsprites import DSprites, dsprites_full
from srvae_plugin.data.ground_truth import draw_factors
from srvae_plugin.data.sampling.seeds import stream_of
from srvae_plugin.data.storage.bounded import open_file
from srvae_plugin.data.storage.locate import Origin, PathLike

__all__ = [
    "SCREAM",
    "AbstractDSprites",
    "ColorDSprites",
    "NoisyDSprites",
    "PaintedDSprites",
    "ScreamDSprites",
    "abstract_dsprites",
    "color_dsprites",
    "noisy_dsprites",
    "painting",
    "scream_dsprites",
]


SCREAM = Origin(
    "scream_dsprites",
    ("scream/scream.jpg",),
    "https://upload.wikimedia.org/wikipedia/commons/f/f4/The_Scream.jpg",
    option="scream_path",
)

_CHUNK = 256


class PaintedDSprites(DrawnData):
    """dSprites of 64x64x3 whose pixels depend on random numbers beside the factors.

    Beside the observations asked for, 256 of them are held in double precision (25 MB).

    Args:
        sprites: the black and white data set.
    """

    def __init__(self, sprites: DSprites) -> None:
        self._sprites = sprites
        self.source = sprites.source

    @property
    def num_factors(self) -> int:
        """Number of ground-truth factors."""
        return self._sprites.num_factors

    @property
    def factors_num_values(self) -> list[int]:
        """Number of values of each ground-truth factor."""
        return self._sprites.factors_num_values

    @property
    def factor_names(self) -> list[str]:
        """Name of each ground-truth factor."""
        return self._sprites.factor_names

    @property
    def observation_shape(self) -> list[int]:
        """Height, width and channels of one observation."""
        return [*self._sprites.observation_shape[:2], 3]

    def sample_factors(self, num: int, random_state: np.random.RandomState) -> NDArray[np.int64]:
        """Draws ``num`` rows of factors, as dSprites does."""
        return self._sprites.sample_factors(num, random_state)

    def sample_observations_from_factors(
        self, factors: NDArray[np.integer[Any]], random_state: np.random.RandomState
    ) -> NDArray[np.float32]:
        """Draws one observation for each row of factors: float32 (num, 64, 64, 3) in [0, 1].

        Raises:
            ValueError: as dSprites has it, if the factors do not exist.
        """
        factors, random_state = np.asarray(factors), stream_of(random_state)
        indices = self._sprites.observation_indices(self._of_sprites(factors), random_state)
        observations = np.empty((len(indices), *self.observation_shape), np.float32)
        for start in range(0, len(indices), _CHUNK):
            part = slice(start, start + _CHUNK)
            sprites = self._sprites.observations_at(indices[part])
            observations[part] = self._paint(sprites, factors[part], random_state)
        return observations

    def _of_sprites(self, factors: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """Returns the factors of the black and white data set."""
        return factors

    @abstractmethod
    def _paint(
        self,
        sprites: NDArray[np.float32],
        factors: NDArray[np.integer[Any]],
        random_state: np.random.RandomState,
    ) -> NDArray[np.floating[Any]]:
        """Returns (num, 64, 64, 3) in [0, 1] of black and white (num, 64, 64, 1).

        It must draw the same numbers for several parts of a batch as for the whole batch.
        """


class ColorDSprites(PaintedDSprites):
    """Sprites of one colour each on black: red, green and blue uniform in [0.5, 1]."""

    def _paint(
        self,
        sprites: NDArray[np.float32],
        factors: NDArray[np.integer[Any]],
        random_state: np.random.RandomState,
    ) -> NDArray[np.floating[Any]]:
        return sprites * random_state.uniform(0.5, 1, [len(sprites), 1, 1, 3])


class NoisyDSprites(PaintedDSprites):
    """White sprites on noise: each channel of each background pixel uniform in [0, 1]."""

    def _paint(
        self,
        sprites: NDArray[np.float32],
        factors: NDArray[np.integer[Any]],
        random_state: np.random.RandomState,
    ) -> NDArray[np.floating[Any]]:
        noise = random_state.uniform(0, 1, [*sprites.shape[:3], 3])
        return np.minimum(sprites + noise, 1)


class ScreamDSprites(PaintedDSprites):
    """Sprites that invert a random patch of the painting, tinted by a random colour.

    The background is the mean of a patch of 64x64 and a colour uniform in [0, 1]; on the sprite it
    is one minus that. The painting is first made to fit 350x274 by Pillow's bicubic filter; Pillow
    7 changed how it decodes a large JPEG for that, so that older versions differ in the last bits.

    Args:
        sprites: the black and white data set.
        scream: the painting, RGB of at least 65x65 (height, width, 3) in [0, 1].
    """

    def __init__(self, sprites: DSprites, scream: NDArray[np.float64]) -> None:
        super().__init__(sprites)
        self._scream = scream

    def _paint(
        self,
        sprites: NDArray[np.float32],
        factors: NDArray[np.integer[Any]],
        random_state: np.random.RandomState,
    ) -> NDArray[np.floating[Any]]:
        height, width = self._scream.shape[0] - 64, self._scream.shape[1] - 64
        painted = np.empty((*sprites.shape[:3], 3))
        for background in painted:
            y = random_state.randint(0, height)
            x = random_state.randint(0, width)
            background[:] = self._scream[y : y + 64, x : x + 64]
            background += random_state.uniform(0, 1, size=3)
            background /= 2
        return np.where(sprites == 1, 1 - painted, painted)


class AbstractDSprites(PaintedDSprites):
    """Sprites of six colours on five greys; the orientation is random and no factor.

    The factors are background and object colour, shape, scale, position x and position y
    (van Steenkiste et al., "Are Disentangled Representations Helpful for Abstract Visual
    Reasoning?", NeurIPS 2019).

    Args:
        sprites: the black and white data set, with shape, scale and both positions as factors.
    """

    BACKGROUNDS = np.repeat(np.linspace(0, 1, 5)[:, None], 3, axis=1)
    OBJECTS = np.array(
        [
            [0.9096231780824386, 0.5883403686424795, 0.3657680693481871],
            [0.6350181801577739, 0.6927729880940552, 0.3626904230371999],
            [0.3764832455369271, 0.7283900430001952, 0.5963114605342514],
            [0.39548987063404156, 0.7073922557810771, 0.7874577552076919],
            [0.6963644829189117, 0.6220697032672371, 0.899716387820763],
            [0.90815966835861, 0.5511103319168646, 0.7494337214212151],
        ]
    )
    """Red, green and blue of each value of the two colours."""

    @property
    def num_factors(self) -> int:
        """Number of ground-truth factors."""
        return len(self.factors_num_values)

    @property
    def factors_num_values(self) -> list[int]:
        """Number of values of each ground-truth factor."""
        return [len(self.BACKGROUNDS), len(self.OBJECTS), *self._sprites.factors_num_values]

    @property
    def factor_names(self) -> list[str]:
        """Name of each ground-truth factor."""
        return ["background color", "object color", *self._sprites.factor_names]

    def sample_factors(self, num: int, random_state: np.random.RandomState) -> NDArray[np.int64]:
        """Draws ``num`` rows of factors, one factor after the other."""
        return draw_factors(self.factors_num_values, num, random_state)

    def _of_sprites(self, factors: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        if factors.ndim != 2 or factors.shape[1] != self.num_factors:
            raise ValueError(
                f"factors: got shape {factors.shape}; expected (num, {self.num_factors}), one "
                f"column for each of {self.factor_names}"
            )
        for column, name, size in zip(
            factors.T[:2], self.factor_names, self.factors_num_values, strict=False
        ):
            for value in column[(column < 0) | (column >= size)][:1]:
                raise ValueError(
                    f"factors: got {value} for the factor {name!r}; expected 0 to {size - 1}"
                )
        return factors[:, 2:]

    def _paint(
        self,
        sprites: NDArray[np.float32],
        factors: NDArray[np.integer[Any]],
        random_state: np.random.RandomState,
    ) -> NDArray[np.floating[Any]]:
        background = self.BACKGROUNDS[factors[:, 0]][:, None, None]
        return np.where(sprites == 1, self.OBJECTS[factors[:, 1]][:, None, None], background)


def abstract_dsprites(path: PathLike | None = None) -> AbstractDSprites:
    """Returns dSprites of six colours on five greys, in random orientations.

    Args:
        path: as in :class:`srvae_plugin.data.dsprites.DSprites`.
    """
    return AbstractDSprites(DSprites([1, 2, 4, 5], path))


def color_dsprites(path: PathLike | None = None) -> ColorDSprites:
    """Returns dSprites in random colours; shape, scale, orientation, position x and y are factors.

    Args:
        path: as in :class:`srvae_plugin.data.dsprites.DSprites`.
    """
    return ColorDSprites(dsprites_full(path))


def noisy_dsprites(path: PathLike | None = None) -> NoisyDSprites:
    """Returns dSprites on noise; shape, scale, orientation, position x and y are factors.

    Args:
        path: as in :class:`srvae_plugin.data.dsprites.DSprites`.
    """
    return NoisyDSprites(dsprites_full(path))


def scream_dsprites(
    path: PathLike | None = None, scream_path: PathLike | None = None
) -> ScreamDSprites:
    """Returns dSprites on the painting; shape, scale, orientation, position x and y are factors.

    Args:
        path: as in :class:`srvae_plugin.data.dsprites.DSprites`.
        scream_path: scream.jpg, or its folder; by default ``scream/scream.jpg`` below
            ``$DISENTANGLEMENT_LIB_DATA``.

    Raises:
        FileNotFoundError: if the painting is missing.
        ValueError: if it is damaged or not an RGB picture of at least 65x65.
    """
    return ScreamDSprites(dsprites_full(path), painting(scream_path))


def painting(scream_path: PathLike | None = None) -> NDArray[np.float64]:
    """Returns the painting, RGB in [0, 1], as :class:`ScreamDSprites` takes it.

    Args:
        scream_path: as in :func:`scream_dsprites`.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged or not an RGB picture of at least 65x65.
    """
    file = SCREAM.find(scream_path)
    with SCREAM.reading(file):
        return _painting(file)


_KINDS = ("JPEG", "PNG")


def _painting(file: Path) -> NDArray[np.float64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with open_file(file) as stream, Image.open(stream, formats=_KINDS) as picture:
            picture.thumbnail((350, 274))
            pixels = np.asarray(picture)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or min(pixels.shape[:2]) < 65:
        raise ValueError(
            f"expected an RGB picture of at least 65x65 within 350x274, found {pixels.shape}"
        )
    return pixels / 255.0
