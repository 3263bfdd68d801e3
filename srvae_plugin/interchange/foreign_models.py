"""Encoders that were trained elsewhere, as files: TorchScript and ONNX.

Nothing in them is unpickled. They are called with float32 images in [0, 1] and are to return codes
(batch, latent); of several outputs the first is taken, as an encoder's mean is.

Two layouts are in use, (batch, height, width, channel), "NHWC", and (batch, channel, height,
width), "NCHW". The second is what the kit of the NeurIPS 2019 disentanglement challenge calls its
`pytorch_model.pt` with. An ONNX file declares its own; of a TorchScript file each layout is tried.
Where both would do and the codes are not the same, the user has to say which.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from srvae_plugin.config import gin_files
from srvae_plugin.config.optional import require
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.interchange.outputs import refuse_reconstruction, widths_of
from srvae_plugin.interchange.script_code import require_no_files, require_no_files_in
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.exported import check_export
from srvae_plugin.runs.scoring.tried import RESIZE, by_sides, same_codes, size_taken

__all__ = [
    "LAYOUTS",
    "READERS",
    "FileFunction",
    "ModelFile",
    "OnnxFile",
    "TorchScriptFile",
    "find_layout",
    "load_foreign",
    "open_model",
]


LAYOUTS = ("NHWC", "NCHW")
_ONNX_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
}


class ModelFile(Protocol):
    """A model as a file holds it."""

    path: Path

    def run(self, images: NDArray[np.float32]) -> Any:
        """Outputs for images in the file's own layout."""

    @property
    def declares(self) -> Sequence[Any]:
        """Axes of the input that the file declares; none if it does not say."""

    @property
    def widths(self) -> Sequence[int]:
        """Columns of the two-dimensional outputs that the file declares; none if it does not."""

    def takes(self, shape: Sequence[int]) -> bool:
        """Whether the file declares an input that a batch of images of this shape fits."""


@dataclass(frozen=True)
class FileFunction:
    """Representation function of a model file: (batch, height, width, channel) to codes."""

    file: ModelFile
    layout: str

    def __call__(self, observations: NDArray[np.float32]) -> NDArray[Any]:
        """Codes (batch, latent); ValueError for outputs of another shape."""
        images = np.moveaxis(observations, 3, 1) if self.layout == "NCHW" else observations
        outputs = self.file.run(np.ascontiguousarray(images, dtype=np.float32))
        refuse_reconstruction(self.file.widths or widths_of(outputs), images[0].size)
        first = outputs[0] if isinstance(outputs, list | tuple) and outputs else outputs
        if isinstance(first, torch.Tensor):  # numpy has no bfloat16
            first = (first.float() if first.dtype == torch.bfloat16 else first).cpu().numpy()
        if not isinstance(first, np.ndarray) or first.ndim != 2 or len(first) != len(images):
            found = getattr(first, "shape", type(first).__name__)
            raise ValueError(f"it returns {found}, expected ({len(images)}, latent)")
        if first.dtype.kind not in "fiu":
            raise ValueError(f"it returns {first.dtype}, expected numbers")
        return first


class TorchScriptFile:
    """A TorchScript archive, on the CPU and in eval mode.

    Raises:
        ValueError: if the file is missing, damaged or something else, such as a module that
            `torch.save` pickled: unpickling would run whatever code the file brings. Also if its
            code opens files, which TorchScript's can.
    """

    def __init__(self, path: Path):
        self.path = path
        require_no_files(path)
        try:
            with warnings.catch_warnings():
                for advice in (DeprecationWarning, FutureWarning):  # against TorchScript
                    warnings.simplefilter("ignore", advice)
                self._module = torch.jit.load(path, map_location="cpu").eval()
        except (RuntimeError, ValueError, OSError) as error:
            raise ValueError(
                f"{path} is damaged or not a TorchScript file (a module saved by torch.save has to "
                f"go through torch.jit.trace where its code is): {_first_line(error)}"
            ) from None
        require_no_files_in(path, self._module)
        kinds = {p.dtype for p in self._module.parameters() if p.is_floating_point()}
        self._dtype = kinds.pop() if len(kinds) == 1 else torch.float32

    def run(self, images: NDArray[np.float32]) -> Any:
        """What the module returns."""
        with torch.no_grad():
            return self._module(torch.from_numpy(images).to(self._dtype))

    @property
    def declares(self) -> Sequence[Any]:
        """None: the file does not say."""
        return ()

    @property
    def widths(self) -> Sequence[int]:
        """None: the file does not say."""
        return ()

    def takes(self, shape: Sequence[int]) -> bool:
        """True: the file does not say."""
        return True


class OnnxFile:
    """An ONNX graph with one input, run by onnxruntime on the CPU.

    A graph for batches of one fixed size is given batches of that size, the last one filled up
    with zeros.

    Raises:
        ValueError: if onnxruntime is missing, or the file is missing, damaged, or wants something
            else than a batch of images.
    """

    def __init__(self, path: Path):
        self.path = path
        (runtime,) = require("onnx", "onnxruntime")
        options = runtime.SessionOptions()
        options.log_severity_level = 4  # errors are raised; on standard error they are noise
        try:
            self._session = runtime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's classes have no common base of their own
            raise ValueError(
                f"{path} is damaged or not an ONNX file that onnxruntime can run: "
                f"{_first_line(error)}"
            ) from None
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in _ONNX_TYPES:
            found = ", ".join(f"{i.name}: {i.type} {i.shape}" for i in inputs)
            raise ValueError(
                f"{path} takes {found}: expected one input, float images with four axes"
            )
        self._name, self.shape = inputs[0].name, inputs[0].shape
        self._outputs = self._session.get_outputs()
        self._dtype = _ONNX_TYPES[inputs[0].type]

    def run(self, images: NDArray[np.float32]) -> Any:
        """The first output of the graph."""
        size = self.shape[0] if isinstance(self.shape[0], int) else len(images)
        parts = []
        for start in range(0, len(images), size):
            part = images[start : start + size]
            filled = np.zeros((size, *images.shape[1:]), self._dtype)
            filled[: len(part)] = part
            (output,) = self._session.run([self._outputs[0].name], {self._name: filled})
            parts.append(np.asarray(output)[: len(part)])
        return np.concatenate(parts)

    @property
    def declares(self) -> Sequence[Any]:
        """Axes of the input, sizes or names, the batch first."""
        return self.shape

    @property
    def widths(self) -> Sequence[int]:
        """Columns of the two-dimensional outputs."""
        shapes = [output.shape for output in self._outputs]
        return [shape[1] for shape in shapes if len(shape) == 2 and isinstance(shape[1], int)]

    def takes(self, shape: Sequence[int]) -> bool:
        """Whether the input's declared axes are these, or have names instead of sizes."""
        return all(
            not isinstance(axis, int) or axis == size
            for axis, size in zip(self.shape[1:], shape, strict=True)
        )


READERS: dict[str, Callable[[Path], ModelFile]] = {
    ".pt": TorchScriptFile,
    ".pth": TorchScriptFile,
    ".ts": TorchScriptFile,
    ".onnx": OnnxFile,
}


def open_model(path: Path) -> ModelFile:
    """Open a file by its suffix: .pt, .pth and .ts are TorchScript, .onnx is ONNX.

    Raises:
        ValueError: for another suffix, and as the readers do.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path}: expected a file that ends in {', '.join(READERS)}")
    if not path.is_file():
        raise ValueError(f"{path} not found")
    check_export(path)
    return reader(path)


def load_foreign(
    path: Path,
    layout: str | None = None,
    files: Sequence[str | Path] = (),
    bindings: Sequence[str] = (),
) -> tuple[FileFunction, GroundTruthData]:
    """Representation function of a model file, and the data set that gin binds.

    Args:
        path: a TorchScript or ONNX file.
        layout: "NHWC" or "NCHW"; None finds out.
        files, bindings: see `gin_files.configured`.

    Raises:
        ValueError: if the file cannot be used on that data set.
    """
    with gin_files.configured(files, bindings):
        data = pipeline.bound_dataset()
    return find_layout(open_model(path), data, layout), data


def find_layout(file: ModelFile, data: GroundTruthData, layout: str | None = None) -> FileFunction:
    """Representation function of a file, tried on three observations of the data set."""
    images = data.sample_observations(3, np.random.RandomState(0))
    working: dict[str, NDArray[Any]] = {}
    reasons = []
    for name in LAYOUTS if layout is None else (layout,):
        shape = images.shape[1:] if name == "NHWC" else np.moveaxis(images, 3, 1).shape[1:]
        if not file.takes(shape):
            declared = list(file.declares[1:])
            reasons.append(f"as {name}: it does not take images of {list(shape)} but {declared}")
            continue
        try:
            working[name] = FileFunction(file, name)(images)
        except Exception as error:  # a foreign model may raise anything
            reasons.append(f"as {name}: {_first_line(error)}")
    if not working:
        sizes = (size_taken(FileFunction(file, name), images.shape[1:]) for name in LAYOUTS)
        taken = next(filter(None, sizes), None)
        raise ValueError(
            f"{file.path} cannot encode this data set, images of {by_sides(images.shape[1:])} "
            f"(height, width, channels); {'; '.join(reasons)}"
            + (f"; it takes {by_sides(taken)}: {RESIZE}" if taken else "")
        )
    chosen, codes = next(iter(working.items()))
    if any(not same_codes(codes, other) for other in working.values()):
        raise ValueError(
            f"{file.path} takes images as NHWC and as NCHW and gives different codes: say which it "
            "was trained with, --layout NHWC or --layout NCHW (the challenge's kit gives NCHW)"
        )
    if not np.isfinite(codes).all():
        raise ValueError(f"{file.path} returns NaN or inf for images of this data set")
    return FileFunction(file, chosen)


def _first_line(error: Exception) -> str:
    """The line of a message that says what went wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, torch.jit.Error | RuntimeError) and "Traceback" in str(error):
        return lines[-1]
    return lines[0] if lines else type(error).__name__
