"""From a trained model to a numpy function, and the cache that every metric shares."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable
from functools import cached_property
from typing import Any, SupportsIndex

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from srvae_plugin.data.ground_truth import FactorGrid
from srvae_plugin.data.images_only import ImagesOnly
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.data.own.table_rows import TableRows
from srvae_plugin.metrics.common.checks import check_codes
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.progress import Progress
from srvae_plugin.training.batches import DeviceImages, source_of
from srvae_plugin.training.numerics import memory_format, numerics
from srvae_plugin.training.settings import check_seed

__all__ = [
    "CachedRepresentation",
    "Codes",
    "Observations",
    "Representation",
    "RepresentationFunction",
    "TabulatedCodes",
    "code_keys",
]


Observations = Float[np.ndarray, "batch height width channel"]
Codes = Float[np.ndarray, "batch latent"]


RepresentationFunction = Callable[[Observations], Codes]
"""Maps observations (batch, height, width, channel) in [0, 1] to codes (batch, latent)."""


_ON_GPU = 4096
"""Observations that a GPU encodes at once."""


class Representation:
    """The representation function of a model, deterministic and in float32.

    Args:
        model: a built model; it stays as it is, on its device, but is set to eval mode. Weights
            in channels-last memory, as `load_model` gives them, are faster on a CPU.
        kind: "mean", or "sampled": a draw from q(z|x), as disentanglement_lib's postprocessing
            has them. The noise of a draw is seeded by `seed` and the pixels of the observation,
            so that the same observation always gets the same code, whatever the batch;
            disentanglement_lib draws anew at every call.
        seed: seed of "sampled".
        batch_size: observations encoded at once; None: 64 on a CPU, 4,096 on a GPU.

    Raises:
        ValueError: for another kind, or a model that is not built.
    """

    layout = "NCHW"
    """How the model itself is given images."""

    def __init__(
        self,
        model: DisentanglementModel,
        kind: str = "mean",
        seed: SupportsIndex = 0,
        batch_size: int | None = None,
    ):
        if kind not in ("mean", "sampled"):
            raise ValueError(f"kind = {kind!r}: expected 'mean' or 'sampled'")
        parameter = next(model.parameters(), None)
        if parameter is None:
            raise ValueError(
                f"the {type(model).__name__} has no weights yet: train it, "
                "srvae_plugin.train(model, data, ...), or build it, model.build((channel, height, "
                "width))"
            )
        self.model = model.eval()
        self.kind, self.seed = kind, operator.index(seed)  # numpy's integers serve as well
        check_seed("representation", self.seed)
        self._device = parameter.device
        self._layout = memory_format(self._device)
        self.batch_size = batch_size or (_ON_GPU if self._device.type == "cuda" else 64)

    def __call__(self, observations: Observations) -> Codes:
        """Codes of the observations, in batches."""
        starts = range(0, len(observations), self.batch_size)
        parts = [self._encode(observations[i : i + self.batch_size]) for i in starts]
        return np.concatenate(parts) if parts else np.zeros((0, self.model.num_latent), np.float32)

    def of_rows(self, data: Any) -> Callable[[NDArray[np.int64]], Codes] | None:
        """A function from indices to the codes of a data set's observations, all on a GPU.

        None where that is not possible: on another device, for a data set that does not fit or
        makes its images on the host, and for "sampled", which reads every pixel there.
        """
        if self._device.type != "cuda" or self.kind != "mean":
            return None
        source = source_of(data, self._device)
        return self._rows_encoder(source) if isinstance(source, DeviceImages) else None

    def _rows_encoder(self, source: DeviceImages) -> Callable[[NDArray[np.int64]], Codes]:
        def encode(indices: NDArray[np.int64]) -> Codes:
            rows = torch.from_numpy(indices).to(self._device)
            parts = [self._mean(source.images(part)) for part in rows.split(self.batch_size)]
            return torch.cat(parts).cpu().numpy()

        return torch.inference_mode()(encode)

    @torch.inference_mode()
    def _encode(self, observations: Observations) -> Codes:
        x = torch.from_numpy(np.ascontiguousarray(observations, dtype=np.float32))
        x = x.permute(0, 3, 1, 2).to(self._device)
        if self.kind == "mean":
            return self._mean(x).cpu().numpy()
        x = x.contiguous(memory_format=self._layout)
        noise = np.stack([self._noise(image) for image in observations])
        with numerics(self._device, tf32=False):
            return self.model.sample(x, torch.from_numpy(noise).to(x)).float().cpu().numpy()

    def _mean(self, x: Tensor) -> Tensor:
        with numerics(self._device, tf32=False):
            return self.model.encode(x.contiguous(memory_format=self._layout)).mean.float()

    def _noise(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        digest = hashlib.blake2b(
            np.ascontiguousarray(image, dtype=np.float32).tobytes(),
            digest_size=16,
            key=self.seed.to_bytes(8, "little"),
        ).digest()
        generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
        return generator.standard_normal(self.model.num_latent, dtype=np.float32)


class CachedRepresentation:
    """A representation function that encodes each observation of a finite data set once.

    Metrics ask `codes_at` for the codes of observation indices and so never make an image
    twice. Called like a plain function it encodes what it is given, without the cache.

    Args:
        function: any representation function that is deterministic.
        data: the data set whose indices `codes_at` takes.
        batch_size: observations made and encoded at once; None: 256, or on a GPU as many as
            the function encodes at once.
    """

    def __init__(
        self,
        function: RepresentationFunction,
        data: FactorGrid | FactorTable | ImagesOnly,
        batch_size: int | None = None,
    ):
        self.function, self.data = function, data
        self.batch_size = batch_size or max(256, getattr(function, "batch_size", 0))
        self._encode: Callable[[NDArray[np.int64]], Any] | None = None
        self.num_encoded = 0
        """Observations encoded so far; never above `data.num_observations`."""
        self._known = np.zeros(data.num_observations, dtype=bool)
        self._codes: NDArray[np.float32] | None = None

    def __call__(self, observations: Observations) -> Codes:
        """Codes of these observations, computed anew."""
        return self.function(observations)

    def codes_at(self, indices: NDArray[np.int64]) -> Codes:
        """Codes (len(indices), latent) of the observations with these indices."""
        wanted = np.zeros_like(self._known)
        wanted[indices] = True
        missing = np.flatnonzero(wanted & ~self._known)
        if self._encode is None:
            of_rows = getattr(self.function, "of_rows", lambda data: None)(self.data)
            self._encode = of_rows or (lambda rows: self.function(self.data.observations_at(rows)))
        if len(missing):
            with Progress("encoding", len(missing), unit="images") as progress:
                for start in range(0, len(missing), self.batch_size):
                    part = missing[start : start + self.batch_size]
                    self._store(part, np.asarray(self._encode(part)))
                    progress.advance(len(part))
        if self._codes is None:
            raise ValueError("codes_at got no indices")
        return self._codes[indices]

    def _store(self, indices: NDArray[np.int64], codes: NDArray[Any]) -> None:
        if codes.ndim != 2 or len(codes) != len(indices):
            raise ValueError(
                f"the representation function returned shape {codes.shape} for {len(indices)} "
                f"observations: expected ({len(indices)}, latent)"
            )
        if self._codes is None:
            self._codes = np.zeros((len(self._known), codes.shape[1]), dtype=codes.dtype)
        if codes.shape[1] != self._codes.shape[1]:
            raise ValueError(
                f"the representation function returned {codes.shape[1]} latents after "
                f"{self._codes.shape[1]}: expected the same number for every batch"
            )
        if codes.dtype != self._codes.dtype:
            self._codes = self._codes.astype(np.result_type(codes, self._codes))
        self._codes[indices] = codes
        self._known[indices] = True
        self.num_encoded += len(indices)


def code_keys(codes: NDArray[Any]) -> NDArray[Any]:
    """One sortable key for each row of codes (row, latent), equal where the codes are equal."""
    codes = codes.astype(np.float64, order="C") + 0.0  # -0 is 0
    return codes.view(np.dtype((np.void, codes.itemsize * codes.shape[1]))).reshape(-1)


class TabulatedCodes:
    """Codes known beforehand, one row per observation of `data`, in the data set's own order.

    Raises:
        ValueError: if the numbers of rows differ or the codes are not finite numbers.
    """

    def __init__(self, codes: NDArray[Any], data: FactorGrid | FactorTable | ImagesOnly):
        self.data = data
        self._codes = check_codes(codes, data.num_observations, "codes")

    @cached_property
    def table_rows(self) -> TableRows | None:
        """The rows of a table, sorted by factors and codes, as metrics draw them."""
        if not isinstance(self.data, FactorTable):
            return None
        return self.data.rows_by_content(self._keys)

    def _keys(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        return code_keys(self._codes[rows])

    def codes_at(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Codes (len(indices), latent) of the observations with these indices."""
        return self._codes[indices]

    def __call__(self, observations: NDArray[Any]) -> NDArray[Any]:
        """Codes of row numbers, as a `FactorTable` has observations; ValueError for images."""
        if observations.shape[1:] != (1, 1, 1):
            raise ValueError("a table of codes cannot encode images: it knows its own rows only")
        return self._codes[observations[:, 0, 0, 0].astype(np.int64)]
