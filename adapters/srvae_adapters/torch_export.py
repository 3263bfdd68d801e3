"""A `torch.export` program: the graph with its weights, without the model's code."""

from __future__ import annotations

from pathlib import Path

import gin
import torch

from srvae_plugin.files import write_bytes
from srvae_plugin.interchange.exporters import Exported, Trained, written_by_torch

__all__ = ["FILE", "export_torch_export"]


FILE = "encoder.pt2"


@gin.register("export_torch_export", module="srvae_adapters", allowlist=[])
def export_torch_export(trained: Trained, folder: Path) -> Exported:
    """Write `encoder.pt2` for `torch.export.load`.

    It takes images (batch, height, width, channel) in [0, 1], any number of them, and gives codes
    (batch, latent).

    Raises:
        ValueError: for another representation than the mean, or a model whose `encode` cannot be
            captured as one graph.
    """
    path = folder / FILE
    # An example of two: torch.export takes a size of one for a constant.
    example = (torch.zeros(2, *trained.observation_shape),)
    batch = ({0: torch.export.Dim("batch", min=1)},)
    graph = trained.graph()
    try:
        program = torch.export.export(graph, example, dynamic_shapes=batch)
    except MemoryError:
        raise
    except Exception as error:  # torch's classes for this have no public base
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            "this model's encode() is no graph that torch.export can capture for any batch size "
            f"(use x.shape[0], not len(x)): {reason}"
        ) from error
    content = written_by_torch(graph, lambda file: torch.export.save(program, file))
    write_bytes(path, content)
    module = torch.export.load(path).module()
    difference = trained.largest_difference(lambda x: module(torch.from_numpy(x)).numpy())
    return Exported(path, {"max_difference": difference})
