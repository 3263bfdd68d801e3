"""What the checks of models start from: a built model, images, and a look at a tensor."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from srvae_plugin.models.base import DisentanglementModel, Shape
from srvae_plugin.testing.checks import CheckError, kind_of

MakeModel = Callable[[], DisentanglementModel]
"""Returns a model that is not built yet."""
BATCH = 4


def built(make: MakeModel, shape: Shape, seed: int = 0) -> DisentanglementModel:
    """A model with the parameters that this seed gives."""
    model = make()
    torch.manual_seed(seed)
    model.build(shape)
    return model


def images(shape: Shape, seed: int = 1, batch: int = BATCH) -> Tensor:
    """Random images (batch, channel, height, width); torch's global generator is not used."""
    return torch.rand(batch, *shape, generator=torch.Generator().manual_seed(seed))


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
