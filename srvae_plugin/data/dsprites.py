"""The dSprites data set (Matthey et al., 2017), embedded: nothing needs to be downloaded.

Without a file of the user's, the images are re-rendered from the original's geometry: identical on
every true image we could check, and with the original's number of white pixels (to the rounding of
its published mean). :func:`verify` compares with a user's own copy of the original.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data import dsprites_renderer as renderer
from srvae_plugin.data.dsprites_original import FILE_NAME, read_original
from srvae_plugin.data.ground_truth import FactorGrid
from srvae_plugin.data.storage.array_cache import cached_array
from srvae_plugin.data.storage.byte_table import ByteTable
from srvae_plugin.data.storage.locate import expanded

__all__ = [
    "DISTINCT_IMAGES",
    "RE_RENDERED",
    "WHITE_PIXELS",
    "DSprites",
    "Verification",
    "dsprites_full",
    "dsprites_noshape",
    "verify",
]


WHITE_PIXELS = 128_328_864
DISTINCT_IMAGES = 715_706
RE_RENDERED = "re-rendered"

# The version in the names must change whenever the bytes would.
_CACHE_NAME = "dsprites-v1.npy"
_ORIGINAL_CACHE_NAME = "dsprites-original-v1-{key}.npy"
_PACKED_SHAPE = (renderer.NUM_IMAGES, renderer.PACKED_BYTES)
_SPOT_CHECKS = np.arange(0, renderer.NUM_IMAGES, 1009)

_log = logging.getLogger("srvae_plugin")


class DSprites(FactorGrid):
    """White sprites on black, 64x64x1; every combination of six factors once, 737,280 images.

    The factors are 0 color (1 value), 1 shape (3: square, ellipse, heart), 2 scale (6),
    3 orientation (40), 4 position x (32) and 5 position y (32). Orientation 0 and orientation 39
    are the same angle and the same image, as in the original.

    The images are bit-packed in a memory-mapped cache file of 377 MB, made on first use.

    Args:
        latent_factor_indices: which factors are the ground truth; all six by default.
        path: an original npz or HDF5 file. By default dlib's own copy below
            ``$DISENTANGLEMENT_LIB_DATA`` if there is one, else the embedded re-rendering.

    Raises:
        FileNotFoundError: if ``path`` does not exist.
        ValueError: if the file is damaged or something else.

    Attributes:
        source: path of the original file, or ``"re-rendered"``.
    """

    def __init__(
        self,
        latent_factor_indices: Sequence[int] | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(
            renderer.FACTOR_SIZES,
            renderer.FACTOR_NAMES,
            (renderer.IMAGE_SIZE, renderer.IMAGE_SIZE, 1),
            latent_factor_indices,
        )
        file = _original_of_dlib() if path is None else expanded(path)
        self.source = RE_RENDERED if file is None else str(file)
        self._packed = _packed_images(self.source)

    def _load_observations(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        pixels = np.unpackbits(self._packed[indices], axis=1)
        return pixels.astype(np.float32).reshape(-1, *self._observation_shape)

    def byte_table(self) -> ByteTable:
        """All images, eight pixels a byte."""
        return ByteTable(self._packed, packed=True)

    def __getstate__(self) -> dict[str, Any]:
        # A worker process maps the same file instead of receiving a copy of 377 MB.
        return {name: value for name, value in self.__dict__.items() if name != "_packed"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._packed = _packed_images(self.source)


def dsprites_full(path: str | os.PathLike[str] | None = None) -> DSprites:
    """Returns dSprites with shape, scale, orientation, position x and y as ground truth.

    Args:
        path: as in :class:`DSprites`.
    """
    return DSprites([1, 2, 3, 4, 5], path)


def dsprites_noshape(path: str | os.PathLike[str] | None = None) -> DSprites:
    """Returns dSprites with scale, orientation, position x and y as ground truth; shape is random.

    Args:
        path: as in :class:`DSprites`.
    """
    return DSprites([2, 3, 4, 5], path)


@dataclass(frozen=True)
class Verification:
    """What :func:`verify` found.

    Attributes:
        source: path of the file, or ``"re-rendered"``.
        white_pixels: number of white pixels in the whole set; expected ``WHITE_PIXELS``.
        distinct_images: number of different images; expected ``DISTINCT_IMAGES``.
        differing_images: how many images differ from the re-rendering.
        first_differing: indices of the first ten of them.
    """

    source: str
    white_pixels: int
    distinct_images: int
    differing_images: int
    first_differing: tuple[int, ...]

    @property
    def passed(self) -> bool:
        """Whether both counts are as expected and no image differs."""
        counts = (self.white_pixels, self.distinct_images)
        return counts == (WHITE_PIXELS, DISTINCT_IMAGES) and self.differing_images == 0


def verify(path: str | os.PathLike[str] | None = None) -> Verification:
    """Compares the user's original file, or the cached re-rendering, with a fresh rendering.

    Args:
        path: an original npz or HDF5 file; without it the cached re-rendering is examined.

    Raises:
        FileNotFoundError: if ``path`` does not exist.
        ValueError: if the file is damaged or something else.
    """
    packed = _packed_images(RE_RENDERED) if path is None else read_original(path)
    differing: list[int] = []
    white_pixels = 0
    digests: set[bytes] = set()
    fresh = renderer.render_all()
    for start in range(0, len(packed), 4096):
        images = packed[start : start + 4096]
        differs = (images != fresh[start : start + 4096]).any(axis=1)
        differing.extend((start + np.flatnonzero(differs)).tolist())
        white_pixels += int(np.count_nonzero(np.unpackbits(images)))
        digests.update(hashlib.blake2b(image, digest_size=16).digest() for image in images)
    source = RE_RENDERED if path is None else str(path)
    return Verification(source, white_pixels, len(digests), len(differing), tuple(differing[:10]))


def _original_of_dlib() -> Path | None:
    folder = os.environ.get("DISENTANGLEMENT_LIB_DATA")
    file = Path(folder or ".") / "dsprites" / FILE_NAME
    if not folder or not file.is_file():
        return None
    _log.info("dSprites: using the original images of %s", file)
    return file


def _packed_images(source: str) -> NDArray[np.uint8]:
    if source == RE_RENDERED:
        return cached_array(_CACHE_NAME, _PACKED_SHAPE, renderer.render_all, _matches_rendering)
    file = Path(source)
    if not file.is_file():
        return read_original(file)  # raises
    status = file.stat()
    identity = f"{file.resolve()}|{status.st_size}|{status.st_mtime_ns}"
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return cached_array(
        _ORIGINAL_CACHE_NAME.format(key=key),
        _PACKED_SHAPE,
        lambda: read_original(file),
        _has_no_blank_image,
    )


def _matches_rendering(packed: NDArray[np.uint8]) -> bool:
    factors = np.stack(np.unravel_index(_SPOT_CHECKS, renderer.FACTOR_SIZES[1:]), axis=1)
    return np.array_equal(packed[_SPOT_CHECKS], renderer.render_packed(factors))


def _has_no_blank_image(packed: NDArray[np.uint8]) -> bool:
    # A block that never reached the disk reads as zeros; no true image is all black.
    return bool(packed[_SPOT_CHECKS].any(axis=1).all())
