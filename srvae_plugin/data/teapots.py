"""Teapots (Eastwood and Williams, ICLR 2018), re-created: five continuous factors.

The original 200,000 images come from a renderer and a teapot that are not available. Without a
file of the user's, images are drawn from Newell's teapot, see
:mod:`srvae_plugin.data.teapots_renderer`: the same factors with the same distributions, 64 x 64
RGB, the camera centred, no background; not the same images. Scores published for Teapots are
indicative beside ours.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data import teapots_renderer as renderer
from srvae_plugin.data.image_table import ImageTable, bin_factors
from srvae_plugin.data.sampling.held_out import SomeImages
from srvae_plugin.data.storage.array_cache import streamed_array
from srvae_plugin.data.storage.locate import expanded
from srvae_plugin.data.storage.mapped_images import MappedImages, StoredImages
from srvae_plugin.data.storage.npz_arrays import read_array
from srvae_plugin.data.storage.own_images import NpzImages

__all__ = [
    "FACTOR_NAMES",
    "NUM_IMAGES",
    "RE_CREATED",
    "RenderedTeapots",
    "Split",
    "draw_factors",
    "split_rows",
    "teapots",
    "zero_shot_rows",
]


Split = Literal["all", "train", "validation", "test", "gap"]

NUM_IMAGES = 200_000
_MOST = 10 * NUM_IMAGES
"""Takes a gigabyte: the number may be a stranger's, in a run directory."""
FACTOR_NAMES = ("azimuth", "elevation", "red", "green", "blue")
RE_CREATED = "re-created"

_HIGHEST = (2 * math.pi, math.pi / 2, 1.0, 1.0, 1.0)
# The version must change whenever the bytes would.
_CACHE_NAME = "teapots-v1-{seed}-{num}.npy"
_CHUNK = 1024


def teapots(
    path: str | os.PathLike[str] | None = None,
    num_images: int | None = None,
    seed: int = 0,
    split: Split = "all",
    test_split: Split | None = None,
    zero_shot_gap: bool = False,
    factor_bins: int | None = None,
    stored: bool = False,
) -> ImageTable:
    """Returns RGB teapots and their five continuous factors, drawn uniformly and independently.

    Azimuth in [0, 2 pi], elevation in [0, pi / 2] (radians), red, green and blue in [0, 1]; a fixed
    set of images, drawn row by row, see :class:`srvae_plugin.data.own.table.FactorTable`.

    The first 80 % of the images are the training set, the next 10 % the validation set, the last
    10 % the test set, as in the original's experiments. Memory: half a kilobyte an image, 110 MB
    for all 200,000; drawing takes well under a millisecond an image.

    Args:
        path: the original teapots.npz, with the arrays ``images`` (image, 64, 64, 3) and ``gts``
            (image, 5). By default the re-creation.
        num_images: size of the re-creation, 200,000 by default, at most ten times as many; the
            first images are the same for any size.
        seed: seed of the re-creation's factors.
        split: which images there are: "all", "train", "validation", "test" or, with
            `zero_shot_gap`, "gap".
        test_split: which images metrics test on, if not others of `split`. With split "train" and
            test_split "test", models and regressors are fitted on the first 80 % and the regressors
            tested on the last 10 %.
        zero_shot_gap: leave out the images seen from above pi / 4 whose red exceeds both green and
            blue by more than .15, of all splits but "gap", which is them.
        factor_bins: turn each factor into as many classes of equal width, for metrics that need
            classes.
        stored: draw all images once into the cache folder (12 kB an image, 2.5 GB for all) and
            map them from there, for training that is faster than drawing. The images are the same.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged or something else, or for options that contradict.
        OSError: if `stored` and the cache cannot be written.
    """
    images: StoredImages
    if path is None:
        factors = draw_factors(NUM_IMAGES if num_images is None else num_images, seed)
        images = _drawn_once(factors, seed) if stored else RenderedTeapots(factors)
    elif num_images is not None or stored or seed:
        raise ValueError(
            "dataset.path is bound: its images are given, so that num_images, seed and stored have "
            "no meaning; unbind them, or dataset.path"
        )
    else:
        images, factors = _original(expanded(path))
    rows, tests = _chosen_rows(factors, split, test_split, zero_shot_gap)
    chosen = np.concatenate([rows, tests])
    return ImageTable(
        bin_factors(factors, factor_bins)[chosen],
        SomeImages(images, chosen).at,
        images.image_shape,
        list(FACTOR_NAMES),
        len(tests),
        RE_CREATED if path is None else str(expanded(path)),
    )


def draw_factors(num: int, seed: int) -> NDArray[np.float64]:
    """Draws (num, 5) factors: azimuth, elevation, red, green and blue of each image in turn.

    Raises:
        ValueError: if `num` is below 10, too few to split, or above `_MOST`, or `seed` is no seed.
    """
    if num < 10:
        raise ValueError(f"dataset.num_images = {num}: expected at least 10, one to test on")
    if num > _MOST:
        raise ValueError(f"dataset.num_images = {num}: expected at most {_MOST:,}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"dataset.seed = {seed}: expected 0 .. 2**32 - 1")
    return np.random.RandomState(seed).uniform(size=(num, 5)) * _HIGHEST


def zero_shot_rows(factors: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Which images are in the gap that the original's zero-shot experiment tests on, (image,)."""
    _, elevation, red, green, blue = factors.T
    return (elevation > math.pi / 4) & (red > green + 0.15) & (red > blue + 0.15)


def split_rows(num: int, split: Split, gap: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Row numbers of a split of `num` images, without those in the gap unless it is the gap.

    Raises:
        ValueError: if there is no such split, or no image in it.
    """
    train, rest = num * 8 // 10, num * 9 // 10
    parts = {"all": (0, num), "train": (0, train), "validation": (train, rest), "test": (rest, num)}
    if split == "gap" and gap is not None:
        rows = np.flatnonzero(gap)
    elif split in parts:
        rows = np.arange(*parts[split])
        rows = rows if gap is None else rows[~gap[rows]]
    else:
        raise ValueError(
            f"dataset.split, dataset.test_split: got {split!r}; expected one of {sorted(parts)}, "
            "or 'gap' if dataset.zero_shot_gap = True"
        )
    if not len(rows):
        raise ValueError(
            f"dataset.num_images = {num}: no image is in the split {split!r}; add some"
        )
    return rows.astype(np.int64)


def _chosen_rows(
    factors: NDArray[np.float64], split: Split, test_split: Split | None, zero_shot_gap: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers of `split` and of `test_split`; ValueError if they overlap."""
    gap = zero_shot_rows(factors) if zero_shot_gap else None
    rows = split_rows(len(factors), split, gap)
    if test_split is None:
        return rows, np.empty(0, np.int64)
    tests = split_rows(len(factors), test_split, gap)
    if np.isin(tests, rows).any():
        raise ValueError(
            f"dataset.test_split = {test_split!r}: shares images with dataset.split = {split!r}; "
            "expected another of train, validation, test and gap"
        )
    return rows, tests


class RenderedTeapots:
    """Teapots that are drawn when asked for, in 8 bits a channel as if they had been stored.

    Args:
        factors: (image, 5), as :func:`srvae_plugin.data.teapots_renderer.render` takes them.
    """

    def __init__(self, factors: NDArray[np.float64]) -> None:
        self.factors = factors

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels."""
        return renderer.IMAGE_SIZE, renderer.IMAGE_SIZE, 3

    def __len__(self) -> int:
        return len(self.factors)

    def at(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Images of these indices: float32 (num, 64, 64, 3) in [0, 1]."""
        return np.divide(_bytes(self.factors[indices]), 255, dtype=np.float32)


def _bytes(factors: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.rint(255 * renderer.render(factors)).astype(np.uint8)


def _drawn_once(factors: NDArray[np.float64], seed: int) -> MappedImages:
    def chunks() -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(factors), _CHUNK):
            yield _bytes(factors[start : start + _CHUNK])

    name = _CACHE_NAME.format(seed=seed, num=len(factors))
    shape = (len(factors), renderer.IMAGE_SIZE, renderer.IMAGE_SIZE, 3)
    return MappedImages(streamed_array(name, shape, chunks))


def _original(file: Path) -> tuple[NpzImages, NDArray[np.float64]]:
    """Images and factors of an original file, or one in its format."""
    images = NpzImages(file)
    factors = read_array(file, "gts")
    if factors.shape != (len(images), 5) or factors.dtype.kind != "f":
        raise ValueError(
            f"{file}: gts: got {factors.dtype} of shape {factors.shape}; expected floating point "
            f"numbers of shape ({len(images)}, 5): {', '.join(FACTOR_NAMES)}"
        )
    if len(images) < 10 or images.image_shape[2] != 3:
        raise ValueError(
            f"{file}: images: got {len(images)} of shape {images.image_shape}; expected at least "
            "10 RGB images"
        )
    outside = ~((factors >= -1e-3) & (factors <= np.add(_HIGHEST, 1e-3)))  # NaN is outside
    if outside.any():
        row, column = np.argwhere(outside)[0]
        raise ValueError(
            f"{file}: gts: got {factors[row, column]} in row {row} for {FACTOR_NAMES[column]}; "
            f"expected 0 to {_HIGHEST[column]:.4f}"
        )
    return images, factors.astype(np.float64)
