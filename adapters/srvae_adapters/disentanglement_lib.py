"""For disentanglement_lib itself, on TensorFlow 1: a folder that its own steps read.

TensorFlow 1 and today's PyTorch have no Python version in common. So the export is a file of
plain arrays, with a script that makes the TF1-Hub module there::

    srvae-export runs/seed3 --to disentanglement_lib --output exported
    (its environment)  python exported/make_tfhub.py
    (its environment)  dlib_evaluate --input_dir exported --gin_config mig.gin --output_dir mig

The folder then holds what one of its postprocessing steps leaves: `tfhub/` and `results/`.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import gin
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from srvae_adapters import tf1_hub
from srvae_plugin.files import copy_tree, write_bytes
from srvae_plugin.interchange.exporters import Exported, Trained
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.models.networks import GaussianEncoder
from srvae_plugin.models.sr_vae import ResidualVAE
from srvae_plugin.models.vae import BaseVAE
from srvae_plugin.runs.directory import StepDirectory

__all__ = ["SCRIPT", "Arrays", "describe", "export_disentanglement_lib"]


SCRIPT = "make_tfhub.py"
_EXAMPLES = 32


class Arrays(dict[str, NDArray[Any]]):
    """Arrays of the file by name."""

    def layers(self, name: str, module: nn.Module) -> list[dict[str, Any]]:
        """Add a network's weights and describe it: one dictionary a layer, with its operation.

        Raises:
            ValueError: for a layer that the script has no operation for.
        """
        if isinstance(module, nn.Sequential):
            parts = (self.layers(f"{name}/{key}", part) for key, part in module.named_children())
            return [layer for part in parts for layer in part]
        if isinstance(module, nn.ReLU):
            return [{"op": "relu"}]
        if isinstance(module, nn.Tanh):
            return [{"op": "tanh"}]
        if isinstance(module, nn.LeakyReLU):
            return [{"op": "leaky_relu", "slope": module.negative_slope}]
        if isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
            return [{"op": "flatten"}]
        if isinstance(module, nn.Unflatten) and (module.dim, len(_shape(module))) == (1, 3):
            return [{"op": "unflatten", "shape": _shape(module)}]
        if isinstance(module, nn.Linear):
            return [{"op": "linear", **self._weights(name, module)}]
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and _is_plain(module):
            op = "conv" if isinstance(module, nn.Conv2d) else "conv_transpose"
            sizes = {"stride": list(module.stride), "padding": list(module.padding)}
            return [{"op": op, **self._weights(name, module), **sizes}]
        raise ValueError(
            f"the network has {module}, which cannot be written for TensorFlow 1: expected a "
            "Sequential of Linear, plain Conv2d and ConvTranspose2d, ReLU, LeakyReLU, Tanh, "
            "Flatten(1) and Unflatten(1, (channel, height, width))"
        )

    def _weights(self, name: str, module: Any) -> dict[str, str]:
        weight, bias = module.weight, module.bias
        if bias is None:
            out = weight.shape[1 if isinstance(module, nn.ConvTranspose2d) else 0]
            bias = torch.zeros(out)
        for part, tensor in (("weight", weight), ("bias", bias)):
            self[f"{name}/{part}"] = tensor.detach().float().cpu().numpy()
        return {part: f"{name}/{part}" for part in ("weight", "bias")}


def _shape(module: nn.Unflatten) -> list[int]:
    return [int(size) for size in module.unflattened_size]


def _is_plain(module: Any) -> bool:
    """Whether a convolution has none of the options that the script does not know."""
    return (
        module.groups == 1
        and tuple(module.dilation) == (1, 1)
        and tuple(module.output_padding) == (0, 0)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )


def describe(model: DisentanglementModel) -> tuple[dict[str, Any], Arrays]:
    """How a model encodes, as plain values, and its weights.

    Raises:
        ValueError: for a model that encodes in another way than the VAE or the SR-VAE.
    """
    own = type(model)
    sequential = isinstance(model, ResidualVAE) and model.sequential
    base = ResidualVAE if isinstance(model, ResidualVAE) else BaseVAE
    methods = ("encode", "sample", "steps") if sequential else ("encode", "sample")
    if not isinstance(model, BaseVAE) or any(
        getattr(own, name) is not getattr(base, name) for name in methods
    ):
        raise ValueError(
            f"{own.__name__} encodes in its own way, which cannot be written for TensorFlow 1: "
            "known are encoder networks and the SR-VAE's chain (--to npz writes codes)"
        )
    if not isinstance(model.encoder, GaussianEncoder):
        raise ValueError(
            f"the encoder is a {type(model.encoder).__name__}, which cannot be written for "
            "TensorFlow 1: expected srvae_plugin.models.networks.GaussianEncoder"
        )
    arrays = Arrays()
    networks = {
        "encoder": arrays.layers("encoder", model.encoder.body),
        "mean": arrays.layers("mean", model.encoder.mean),
        "logvar": arrays.layers("logvar", model.encoder.logvar),
    }
    description = {"num_latent": model.num_latent, "sequential": sequential, "networks": networks}
    if isinstance(model, ResidualVAE) and sequential:
        networks["decoder"] = arrays.layers("decoder", model.decoder)
        description["subtracts"] = model.residual
    return description, arrays


@gin.register("export_disentanglement_lib", module="srvae_adapters", allowlist=[])
def export_disentanglement_lib(trained: Trained, folder: Path) -> Exported:
    """Write `representation.npz`, the script that turns it into `tfhub/`, and `results/`.

    The file has the networks' weights, how they are applied (`description`, JSON) and 32 images
    with their codes, on which the script checks the module it made. "sampled" stays random: the
    module draws anew at every call, as disentanglement_lib's does.

    Raises:
        ValueError: for a model or a network that the script cannot rebuild.
    """
    model = trained.function.model
    description, arrays = describe(model)
    description["observation_shape"] = list(trained.observation_shape)
    description["kind"] = trained.function.kind
    images = np.ascontiguousarray(trained.check_images[:_EXAMPLES], np.float32)
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    with torch.inference_mode():
        mean, logvar = model.encode(x.to(next(model.parameters()).device))
    arrays["example_images"] = images
    arrays["example_mean"], arrays["example_logvar"] = mean.cpu().numpy(), logvar.cpu().numpy()
    path = folder / tf1_hub.FILE
    arrays["description"] = np.array(json.dumps(description))
    content = io.BytesIO()
    np.savez_compressed(content, **dict[str, Any](arrays))
    write_bytes(path, content.getvalue())
    write_bytes(folder / SCRIPT, Path(tf1_hub.__file__).read_bytes())
    copy_tree(trained.directory.results, StepDirectory(folder, "postprocess").results)
    weights = sum(array.size for name, array in arrays.items() if "/" in name)
    return Exported(path, {"weights": weights, "next": f"in its environment: python {SCRIPT}"})
