"""`srvae_plugin.score`: metrics on a run, a model, a function or a model file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from srvae_plugin.data.own.from_python import as_data
from srvae_plugin.data.sampling.seeds import Seed, seed_of
from srvae_plugin.interchange.foreign_models import READERS, find_layout, open_model
from srvae_plugin.interchange.outputs import refuse_reconstruction, widths_of
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.runs.representation import Representation
from srvae_plugin.runs.scoring.score import DEFAULT_METRICS, Metrics, score_function
from srvae_plugin.runs.scoring.scores import Scores
from srvae_plugin.runs.trained import Run, load_run
from srvae_plugin.runs.trained_on import require_shape

__all__ = ["function_of", "name_of", "score"]


def score(
    representation: Any,
    data: Any,
    metrics: Metrics = DEFAULT_METRICS,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
) -> Scores:
    """Score what turns images into codes.

    Args:
        representation: a run or its directory; a model of ours; any torch module from
            (batch, channel, height, width) to codes, to a tuple that begins with them, or to a
            dictionary that has them as `embedding`, as pythae's encoders do; a function from
            (batch, height, width, channel) arrays to codes; or an ONNX or TorchScript file, which
            runs code of its author.
        data: a data set with factors, or a pair of images and their factors (image, factor).
        metrics: names (`srvae-evaluate --list metrics`), or a dictionary with the settings of each.
        seed: a whole number, a numpy Generator or a RandomState; `random_state` is the same.

    Returns:
        Scores by metric and key: those of `srvae-evaluate` for the same seed and settings.

    Raises:
        ValueError: an argument cannot be used.
        MetricsFailedError: after the others are scored, if a metric cannot be computed.

    Example:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((4, 4)))
        >>> images = np.zeros((16, 8, 8), np.float32)
        >>> images[np.arange(16), factors[:, 0], 7] = 1
        >>> images[np.arange(16), 7, factors[:, 1]] = 1
        >>> codes = lambda images: np.stack(
        ...     [images[:, :4, 7, 0].argmax(1), images[:, 7, :4, 0].argmax(1)], axis=1) / 3
        >>> score(codes, (images, factors), ["mig"])["mig"]["discrete_mig"]
        1.0
    """
    source = as_data(data)
    function = function_of(representation, source)
    number = seed_of(seed, random_state)
    return score_function(function, source, metrics, number, name_of(representation))


def name_of(representation: Any) -> str:
    """What messages call it."""
    return "the model" if isinstance(representation, nn.Module) else "the function"


def function_of(representation: Any, data: Any) -> Callable[[NDArray[np.float32]], Any]:
    """The function from images to codes of whatever `score` takes.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(representation, str | os.PathLike):
        path = Path(representation)
        if path.suffix.lower() in READERS and not path.is_dir():
            return find_layout(open_model(path), data)
        representation = load_run(path)
    if isinstance(representation, Run):
        require_shape(representation.directory.model, data)
        return Representation(representation.model)
    if isinstance(representation, DisentanglementModel):
        return Representation(representation)
    if isinstance(representation, nn.Module):
        return _of_module(representation)
    if callable(representation):
        return representation
    raise ValueError(
        f"representation: got {type(representation).__name__}; expected a run, a model, a function "
        "of images, or the path of a run directory or a model file"
    )


def _of_module(module: nn.Module) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    """Codes of a torch module in eval mode; of several outputs the first, the means.

    Between calls the module is in the mode that it had.
    """
    example = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0))

    @torch.inference_mode()
    def encode(images: NDArray[np.float32]) -> NDArray[Any]:
        x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, 1))).to(example)
        modes = [(each, each.training) for each in module.modules()]
        module.eval()
        try:
            codes = module(x)
        finally:
            for each, training in modes:
                each.training = training
        if isinstance(codes, Mapping):  # of pythae's encoders
            codes = codes.get("embedding", codes)
        refuse_reconstruction(widths_of(codes), x[0].numel())
        while isinstance(codes, tuple | list) and codes:
            codes = codes[0]
        if not isinstance(codes, torch.Tensor):
            raise ValueError(
                f"it returns a {type(codes).__name__}; expected a tensor (batch, latent), or a "
                "tuple that begins with one: score a function that takes the codes out of it"
            )
        if codes.ndim != 2 or len(codes) != len(x):
            raise ValueError(
                f"its first output is of shape {tuple(codes.shape)}, for {len(x)} images; expected "
                "codes (batch, latent): score its encoder, or a function that takes the codes out "
                "of what it returns"
            )
        return codes.float().cpu().numpy()

    encode.layout = "NCHW"  # type: ignore[attr-defined]
    return encode
