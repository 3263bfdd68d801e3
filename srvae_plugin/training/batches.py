"""Where batches come from, on the host or on the device, by the same random numbers.

What is *drawn* is what travels to the device for one step: images, or, where the device holds the
whole data set, their indices. `images` turns it into observations there. Both ways take the same
numbers from the same stream and give the same observations.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.pairs import PairedData
from srvae_plugin.data.storage.byte_table import ByteTable, byte_table_of
from srvae_plugin.models.base import Pairs

__all__ = [
    "Batches",
    "DeviceImages",
    "DevicePairs",
    "HostImages",
    "HostPairs",
    "Prefetched",
    "Source",
    "drawing",
    "laid_out",
    "source_of",
]

_log = logging.getLogger("srvae_plugin")

_SHARE = 0.5
"""Of the device's free memory that a data set may take."""
_AHEAD = 3
"""Batches that are made before they are needed."""


class Source(Protocol):
    """A data set that batches are drawn from."""

    def draw(self, num: int, random_state: np.random.RandomState) -> Tensor:
        """Draw what travels to the device, in the host's memory."""

    def images(self, drawn: Tensor) -> Tensor | Pairs:
        """What was drawn, now on the device, as images (batch, channel, height, width)."""


class HostImages:
    """A data set that makes its images on the host.

    Args:
        data: the data set.
    """

    def __init__(self, data: GroundTruthData) -> None:
        self._data = data

    def draw(self, num: int, random_state: np.random.RandomState) -> Tensor:
        """Draw images (num, height, width, channel)."""
        return torch.from_numpy(self._data.sample_observations(num, random_state)).float()

    def images(self, drawn: Tensor) -> Tensor:
        """The same images, channels second."""
        return drawn.permute(0, 3, 1, 2)


class DeviceImages:
    """A data set whose images lie on a device; what is drawn is their indices.

    Args:
        data: a data set with `sample_indices`.
        table: its images.
        device: where they are put.
    """

    def __init__(self, data: Any, table: ByteTable, device: torch.device) -> None:
        self._data, self._packed = data, table.packed
        self._shape = tuple(data.observation_shape)
        self._rows = _upload(table.rows, device)
        self._white = torch.full((), 255.0, device=device)
        self._shifts = torch.arange(7, -1, -1, device=device, dtype=torch.uint8)

    def draw(self, num: int, random_state: np.random.RandomState) -> Tensor:
        """Draw indices (num,)."""
        return torch.from_numpy(self._data.sample_indices(num, random_state))

    def images(self, drawn: Tensor) -> Tensor:
        """The images of these indices."""
        rows = self._rows.index_select(0, drawn)
        if self._packed:
            pixels = (rows[:, :, None] >> self._shifts & 1).float()
        else:
            # A division by a tensor rounds once, one by a number can be a product with 1 / 255.
            pixels = rows.float() / self._white
        return pixels.view(-1, *self._shape).permute(0, 3, 1, 2)


class HostPairs:
    """Pairs that are made on the host; a row of what is drawn is both images and the labels.

    Args:
        pairs: the data set of pairs.
    """

    def __init__(self, pairs: PairedData) -> None:
        self._pairs, self._shape = pairs, tuple(pairs.observation_shape)

    def draw(self, num: int, random_state: np.random.RandomState) -> Tensor:
        """Draw pairs (num, pixels of the first, those of the second, labels)."""
        parts = [part.reshape(num, -1) for part in self._pairs.draw(num, random_state)]
        return torch.from_numpy(np.concatenate(parts, axis=1, dtype=np.float32))

    def images(self, drawn: Tensor) -> Pairs:
        """The same pairs, channels second."""
        pixels = math.prod(self._shape)
        first, second, labels = drawn.split([pixels, pixels, self._pairs.num_labels], dim=1)
        images = torch.cat([first, second]).view(-1, *self._shape)
        return Pairs(images.permute(0, 3, 1, 2), labels)


class DevicePairs:
    """Pairs of images that lie on a device; what is drawn is their indices and the labels.

    Args:
        pairs: the data set of pairs, of one with `observation_indices`.
        images: the source of single images.
    """

    def __init__(self, pairs: PairedData, images: DeviceImages) -> None:
        self._pairs, self._images = pairs, images

    def draw(self, num: int, random_state: np.random.RandomState) -> Tensor:
        """Draw (num, 2 + labels) integers."""
        first, second, labels = self._pairs.draw(num, random_state, as_indices=True)
        parts = [first[:, None], second[:, None], labels]
        return torch.from_numpy(np.concatenate(parts, axis=1, dtype=np.int64))

    def images(self, drawn: Tensor) -> Pairs:
        """The images of these indices, and the labels."""
        indices = torch.cat([drawn[:, 0], drawn[:, 1]])
        return Pairs(self._images.images(indices), drawn[:, 2:].float())


def laid_out(batch: Tensor | Pairs, layout: torch.memory_format) -> Tensor | Pairs:
    """A batch with its images in this memory format."""
    if isinstance(batch, Pairs):
        return batch._replace(images=batch.images.contiguous(memory_format=layout))
    return batch.contiguous(memory_format=layout)


def _upload(rows: np.ndarray, device: torch.device) -> Tensor:
    """Bytes to a device, piece by piece: the file that they lie in is never read as a whole."""
    uploaded = torch.empty(rows.shape, dtype=torch.uint8, device=device)
    step = max(1, (64 << 20) // max(1, rows[0].nbytes))
    for start in range(0, len(rows), step):
        part = np.array(rows[start : start + step])
        uploaded[start : start + step] = torch.from_numpy(part).to(device)
    return uploaded


def source_of(data: GroundTruthData | PairedData, device: torch.device) -> Source:
    """The data set on a GPU if it fits in half of the memory that is free there, else on the host.

    On a CPU it stays where it is.
    """
    if isinstance(data, PairedData):
        single = source_of(data.data, device)
        return DevicePairs(data, single) if isinstance(single, DeviceImages) else HostPairs(data)
    if device.type != "cuda":
        return HostImages(data)
    table = byte_table_of(data)
    free = torch.cuda.mem_get_info(device)[0]
    if table is None or table.rows.nbytes > _SHARE * free:
        why = "it is made image by image" if table is None else "it does not fit"
        _log.info("batches are made on the host and sent to the GPU: %s", why)
        return HostImages(data)
    return DeviceImages(data, table, device)


def drawing(
    source: Source, num: int, random_state: np.random.RandomState, device: torch.device
) -> Batches:
    """Batches of `num` observations for a device."""
    pin = device.type == "cuda"
    if pin and isinstance(source, HostImages | HostPairs):
        return Prefetched(source, num, random_state, pin)
    return Batches(source, num, random_state, pin)


class Batches:
    """Batches, drawn when they are asked for.

    Args:
        source: where they are drawn from.
        num: observations in a batch.
        random_state: what they are drawn with.
        pin: put them in pinned memory, from which a GPU copies while other work goes on.
    """

    def __init__(
        self, source: Source, num: int, random_state: np.random.RandomState, pin: bool = False
    ) -> None:
        self._source, self._num, self._random_state, self._pin = source, num, random_state, pin

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def draw(self) -> Tensor:
        """What the next batch is made of."""
        return self._make(self._random_state)

    def settle(self) -> None:
        """Return when nothing reads the data set."""

    def _make(self, random_state: np.random.RandomState) -> Tensor:
        drawn = self._source.draw(self._num, random_state)
        return drawn.pin_memory() if self._pin else drawn


class Prefetched(Batches):
    """The same batches, made by a thread while the device computes.

    `random_state` is always as if only the batches handed out had been drawn, so that a checkpoint
    can hold it.
    """

    def __init__(
        self, source: Source, num: int, random_state: np.random.RandomState, pin: bool = False
    ) -> None:
        super().__init__(source, num, random_state, pin)
        self._ahead: deque[Future[tuple[Tensor, Any]]] = deque()
        self._pool = ThreadPoolExecutor(1, "batches")
        self._threads_own: np.random.RandomState | None = None

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def draw(self) -> Tensor:
        """What the next batch is made of."""
        if self._threads_own is None:
            self._threads_own = np.random.RandomState()
            self._threads_own.set_state(self._random_state.get_state())
        while len(self._ahead) < _AHEAD:
            self._ahead.append(self._pool.submit(self._make_ahead, self._threads_own))
        drawn, state = self._ahead.popleft().result()
        self._random_state.set_state(state)
        return drawn

    def settle(self) -> None:
        """Return when nothing reads the data set."""
        wait(self._ahead)

    def _make_ahead(self, random_state: np.random.RandomState) -> tuple[Tensor, Any]:
        return self._make(random_state), random_state.get_state()
