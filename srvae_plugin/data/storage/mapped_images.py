"""Images that stay on disk until asked for, shared by processes."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.storage.byte_table import ByteTable

__all__ = ["MappedImages", "StoredImages"]


class StoredImages(Protocol):
    """Images of one size that are read when asked for."""

    def __len__(self) -> int: ...

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels."""

    def at(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the images of these indices, float32 in [0, 1]."""


class MappedImages:
    """Images as whole bytes, usually memory-mapped; see :class:`StoredImages`.

    What is mapped is pickled by its place in the file, so that a worker process maps the same
    pages instead of receiving a copy of gigabytes.

    Args:
        images: uint8 of shape (num, height, width, channel), a ``numpy.memmap`` of a whole array
            or a plain array.

    Raises:
        ValueError: if the array has another type or shape, or is empty.
    """

    def __init__(self, images: NDArray[np.uint8]) -> None:
        if images.dtype != np.uint8 or images.ndim != 4 or not images.size:
            raise ValueError(
                f"images: got {images.dtype} of shape {images.shape}; expected uint8 of shape "
                "(num, height, width, channel), none of them 0"
            )
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels."""
        return self._images.shape[1:]

    def at(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the images of these indices, float32 in [0, 1]: value / 255."""
        return np.divide(self._images[indices], 255, dtype=np.float32)

    def stored(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images of these indices as they are stored."""
        return self._images[indices]

    def byte_table(self) -> ByteTable:
        """All images, as they are stored."""
        return ByteTable(self._images)

    def __getstate__(self) -> dict[str, Any]:
        images = self._images
        if not isinstance(images, np.memmap) or images.filename is None:
            return {"array": images}
        return {"file": str(images.filename), "offset": images.offset, "shape": images.shape}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "array" in state:
            self._images = state["array"]
            return
        file, offset, shape = state["file"], state["offset"], state["shape"]
        try:
            self._images = np.memmap(file, np.uint8, "r", offset, shape)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{file}: the images that this data set maps are gone or changed ({error}); "
                "load the data set again"
            ) from None
