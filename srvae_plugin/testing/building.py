"""What the checks of models start from: a built model, images, and a look at a tensor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srvae_plugin.data.ground_truth import FactorGrid
from srvae_plugin.data.sampling.pairs import PairedData
from srvae_plugin.models.base import DisentanglementModel, Pairs, Shape
from srvae_plugin.testing.checks import CheckError, kind_of

MakeModel = Callable[[], DisentanglementModel]
"""Returns a model that is not built yet."""
BATCH = 4


class Bars(FactorGrid):
    """Pictures of a bright bar on a dark ground: its column and its row, its brightness."""

    def __init__(self, shape: Shape) -> None:
        channel, height, width = shape
        sizes = (min(4, height), min(4, width), 3)
        super().__init__(sizes, ["row", "column", "brightness"], (height, width, channel))

    def _load_observations(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        images = np.zeros((len(indices), *self.observation_shape), np.float32)
        factors = zip(*np.unravel_index(indices, self.factor_sizes), strict=True)
        for image, (row, column, level) in zip(images, factors, strict=True):
            image[row] = image[:, column] = (level + 1) / 3
        return images


def built(make: MakeModel, shape: Shape, seed: int = 0) -> DisentanglementModel:
    """A model with the parameters that this seed gives."""
    model = make()
    model.training_data(Bars(shape))
    torch.manual_seed(seed)
    model.build(shape)
    return model


def images(shape: Shape, seed: int = 1, batch: int = BATCH) -> Tensor:
    """Random images (batch, channel, height, width); torch's global generator is not used."""
    return torch.rand(batch, *shape, generator=torch.Generator().manual_seed(seed))


def batch_of(model: DisentanglementModel, x: Tensor) -> Tensor | Pairs:
    """What `losses` is given: images, or as many in pairs with labels if it is a model of pairs."""
    drawn_from = model.training_data(Bars(tuple(x.shape[1:])))  # type: ignore[arg-type]
    if not isinstance(drawn_from, PairedData):
        return x
    labels = drawn_from.draw(len(x) // 2, np.random.RandomState(0)).labels
    return Pairs(x, torch.from_numpy(labels).float())


def tensor(
    what: str, value: object, shape: tuple[int, ...] | None = None, axes: str = ""
) -> Tensor:
    """The value, a finite float32 tensor; CheckError that begins with `what` if it is not.

    `axes` explains the shape.
    """
    meaning = f", {axes}" if axes else ""
    if not isinstance(value, Tensor):
        raise CheckError(f"{what} is {kind_of(value)}: expected a tensor")
    if shape is not None and tuple(value.shape) != shape:
        raise CheckError(f"{what} has shape {tuple(value.shape)}: expected {shape}{meaning}")
    if value.dtype != torch.float32:
        raise CheckError(f"{what} has dtype {value.dtype}: expected torch.float32")
    if bad := int((~torch.isfinite(value)).sum()):
        if value.ndim == 0:
            raise CheckError(f"{what} is {value.item()}: expected a finite number")
        raise CheckError(f"{what} has NaN or inf at {bad} of {value.numel()} places: expected none")
    return value
