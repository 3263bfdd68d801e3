"""What an exporter is given and returns, and the comparison that an exported file has to pass.

An exporter is a function `(trained: Trained, folder: Path, **options) -> Exported` that writes
one format, found by its entry point in the group `srvae_plugin.exporters`; its options can be bound
in gin. It writes below `folder`, which is new and gets its final name once all went well.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import io
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from srvae_plugin.config.gin_files import one_line
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.runs import pipeline, weights
from srvae_plugin.runs.directory import RunDirectory, StepDirectory
from srvae_plugin.runs.representation import Representation

__all__ = [
    "CHECK_IMAGES",
    "TOLERANCE",
    "Exported",
    "MeanCodes",
    "Trained",
    "load_folder",
    "load_trained",
    "written_by_torch",
]


logger = logging.getLogger("srvae_plugin")

CHECK_IMAGES = 256
TOLERANCE = 1e-5


class Exported(NamedTuple):
    """What an exporter made.

    file: the main file, below the folder it was given.
    facts: what else to tell and to record in `export.json`, as plain values.
    """

    file: Path
    facts: dict[str, Any]


class MeanCodes(nn.Module):
    """A model as one graph: images (batch, height, width, channel) in [0, 1] to posterior means.

    The deterministic chain of a sequential model is part of it: d encoder and d - 1 decoder passes.
    """

    def __init__(self, model: DisentanglementModel):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Codes (batch, latent)."""
        return self.model.encode(images.permute(0, 3, 1, 2)).mean


@dataclasses.dataclass
class Trained:
    """A finished representation of a run.

    Args:
        run: the run directory.
        folder: `<run>/postprocessed/<kind>`, which needs no other.
        function: images (batch, height, width, channel) in [0, 1] to codes (batch, latent).
        observation_shape: (height, width, channel).
        bindings: gin bindings of the command line, stronger than what the run has.
    """

    run: Path
    folder: Path
    function: Representation
    observation_shape: tuple[int, int, int]
    bindings: Sequence[str] = ()

    @property
    def directory(self) -> StepDirectory:
        """The files in `folder`."""
        return StepDirectory(self.folder, "postprocess")

    @functools.cached_property
    def data(self) -> GroundTruthData:
        """The data set it was trained on, or what gin binds to `dataset.name`."""
        data = pipeline.bound_dataset(self.directory.gin_file())
        pipeline.require_shape(self.directory, data)
        return data

    def graph(self) -> MeanCodes:
        """A copy of the model on the CPU, without gradients, as a module to be exported.

        Raises:
            ValueError: if the representation is a sample: its noise is seeded by the bytes of the
                image, and no graph can do that.
        """
        if self.function.kind != "mean":
            raise ValueError(
                f"the representation {self.folder.name!r} is {self.function.kind}: this format "
                "holds the mean only (--representation mean); npz, parquet and sklearn take both"
            )
        module = MeanCodes(copy.deepcopy(self.function.model)).cpu().eval()
        # torch.export warns of weights in channels-last memory.
        module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        return module.requires_grad_(False)

    @functools.cached_property
    def check_images(self) -> NDArray[np.float32]:
        """256 images to compare codes on: of the data set or, if it is not there, noise."""
        random_state = np.random.RandomState(0)
        try:
            return self.data.sample_observations(CHECK_IMAGES, random_state)
        except (ValueError, OSError) as error:
            logger.warning("comparing on random pixels: no data set (%s)", one_line(error))
            shape = (CHECK_IMAGES, *self.observation_shape)
            return random_state.uniform(size=shape).astype(np.float32)

    def largest_difference(self, function: Callable[[NDArray[np.float32]], Any]) -> float:
        """Largest |difference| of an exported file's codes from the representation's own.

        Args:
            function: images (batch, height, width, channel) to codes, by the exported file; it is
                called with batches of several sizes.

        Raises:
            ValueError: if it fails, or differs by more than 1e-5 (times the largest code where that
                is above 1).
        """
        expected = self.function(self.check_images)
        try:
            parts = np.split(self.check_images, [1, 4])
            found = np.concatenate([np.asarray(function(part)) for part in parts])
        except MemoryError:
            raise
        except Exception as error:  # whatever the format's own reader raises
            raise ValueError(
                f"this model cannot be exported: the file fails on batches of 1, 3 and "
                f"{CHECK_IMAGES - 4} images (does its encode() fix the batch size, as len(x) does "
                f"where x.shape[0] does not?): {one_line(error)}"
            ) from error
        if found.shape != expected.shape:
            raise ValueError(f"the file gives codes {found.shape}, the model {expected.shape}")
        difference = float(np.abs(found - expected).max())
        allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
        if not difference <= allowed:
            raise ValueError(
                f"this model cannot be exported: the file's codes differ by {difference:.2g} from "
                f"its own, more than {allowed:.2g} (is its encode() deterministic?)"
            )
        return difference


def written_by_torch(graph: nn.Module, write: Callable[[io.BytesIO], None]) -> bytes:
    """The bytes of a file that one of torch's own writers makes of a graph.

    Short of disk or memory they end the process, or write half a file: so it is written in memory,
    of which there has to be enough for the copies that growing buffers take.

    Raises:
        MemoryError: there is not.
    """
    size = sum(tensor.nbytes for tensor in graph.state_dict().values())
    np.empty(5 * size + 2**23, np.uint8)
    content = io.BytesIO()
    write(content)
    return content.getvalue()


def load_trained(run: Path, kind: str = "mean", bindings: Sequence[str] = ()) -> Trained:
    """Load a representation of a run directory.

    Raises:
        ValueError: if it is no run directory or has no such representation.
    """
    folder = RunDirectory(run).finished_representation(kind).path
    return dataclasses.replace(load_folder(folder), run=run, bindings=bindings)


def load_folder(folder: Path) -> Trained:
    """Load a representation from a folder like `<run>/postprocessed/<kind>`, which may be a copy.

    Raises:
        ValueError: if it holds none.
    """
    function = pipeline.load_representation(folder)
    channel, height, width = weights.shape_in(StepDirectory(folder, "postprocess").weights)
    return Trained(folder, folder, function, (height, width, channel))
