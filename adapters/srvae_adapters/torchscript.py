"""TorchScript, as the NeurIPS 2019 disentanglement challenge took it.

The challenge's kit wants `representation/pytorch_model.pt` and calls it with images (batch,
channel, height, width), after turning its own (batch, height, width, channel) around. The file
takes both and tells them apart by their shape; should height, width and channel all be equal it
is the kit's.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import gin
import torch
from torch import Tensor, nn

from srvae_plugin.files import write_bytes
from srvae_plugin.interchange.exporters import Exported, Trained, written_by_torch
from srvae_plugin.interchange.foreign_models import LAYOUTS, FileFunction, TorchScriptFile

__all__ = ["FILE", "export_torchscript"]


FILE = Path("representation") / "pytorch_model.pt"


class _EitherLayout(nn.Module):
    """Scripted, not traced: the branch stays in the file."""

    def __init__(self, encoder: nn.Module, shape: tuple[int, int, int]):
        super().__init__()
        self.encoder = encoder
        self.height, self.width, self.channel = shape

    def forward(self, images: Tensor) -> Tensor:
        if images.dim() == 4:
            first, second, third = images.size(1), images.size(2), images.size(3)
            if first == self.channel and second == self.height and third == self.width:
                return self.encoder(images.permute(0, 2, 3, 1))
            if first == self.height and second == self.width and third == self.channel:
                return self.encoder(images)
        raise ValueError(
            f"images of shape {images.shape}: expected (batch, {self.channel}, {self.height}, "
            f"{self.width}) or (batch, {self.height}, {self.width}, {self.channel})"
        )


@gin.register("export_torchscript", module="srvae_adapters", allowlist=[])
def export_torchscript(trained: Trained, folder: Path) -> Exported:
    """Write `representation/pytorch_model.pt` for `torch.jit.load`; see the module.

    Raises:
        ValueError: for another representation than the mean, or if the traced model does not give
            the model's codes for batches of other sizes.
    """
    path = folder / FILE
    with warnings.catch_warnings(), torch.no_grad():
        # PyTorch advises against TorchScript, which is what the user asked for. Tracing warns of
        # Python values read from tensors; whether they matter is checked below on other batches.
        for kind in (DeprecationWarning, FutureWarning, torch.jit.TracerWarning):
            warnings.simplefilter("ignore", kind)
        traced = torch.jit.trace(trained.graph(), torch.zeros(2, *trained.observation_shape))
        scripted = torch.jit.script(_EitherLayout(traced, trained.observation_shape))
        content = written_by_torch(scripted, lambda file: torch.jit.save(scripted, file))
    write_bytes(path, content)
    file = TorchScriptFile(path)
    difference = max(trained.largest_difference(FileFunction(file, name)) for name in LAYOUTS)
    return Exported(path, {"max_difference": difference})
