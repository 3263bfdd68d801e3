"""ONNX: one graph for onnxruntime and whatever else reads it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gin
import torch

from srvae_plugin.config.optional import require
from srvae_plugin.files import write_bytes
from srvae_plugin.interchange.exporters import Exported, Trained
from srvae_plugin.interchange.foreign_models import FileFunction, OnnxFile

__all__ = ["FILE", "export_onnx"]


FILE = "encoder.onnx"


@gin.register("export_onnx", module="srvae_adapters", denylist=["trained", "folder"])
def export_onnx(trained: Trained, folder: Path, opset_version: int | None = None) -> Exported:
    """Write `encoder.onnx`: input `images` (batch, height, width, channel) in [0, 1], float32;
    output `codes` (batch, latent). The batch may have any size.

    Args:
        trained, folder: as for every exporter.
        opset_version: version of ONNX's operators; None is PyTorch's choice.

    Raises:
        ValueError: if a package is missing, for another representation than the mean, and for a
            model that cannot be captured as a graph or differs by more than 1e-5 in onnxruntime.
    """
    require("onnx", "onnx", "onnxscript", "onnxruntime")
    path = folder / FILE
    with _quiet():
        try:
            program = torch.onnx.export(
                trained.graph(),
                (torch.zeros(2, *trained.observation_shape),),
                input_names=["images"],
                output_names=["codes"],
                dynamic_shapes=({0: "batch"},),
                opset_version=opset_version,
                dynamo=True,
                verbose=False,
            )
            if program is None:
                raise RuntimeError("torch.onnx gave no program")
            content = program.model_proto.SerializeToString()
        except Exception as error:  # torch's classes for this have no public base
            # The first line says at which step it failed, the cause why.
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise ValueError(
                "this model's encode() cannot be written as ONNX for any batch size (use "
                f"x.shape[0], not len(x)): {reason}"
            ) from error
    write_bytes(path, content)
    difference = trained.largest_difference(FileFunction(OnnxFile(path), "NHWC"))
    return Exported(path, {"max_difference": difference})


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what PyTorch's exporter says of its own insides and of torchvision."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logger.setLevel(level)
