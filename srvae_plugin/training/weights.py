"""A model's weights as a safetensors file, and from one into another model."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from srvae_plugin.data.storage import manifest
from srvae_plugin.files import UnwritableError, replacing
from srvae_plugin.training.files import WEIGHTS

__all__ = [
    "digest_of_weights",
    "fitting_weights",
    "load_weights",
    "save_weights",
    "weights_file",
    "weights_of",
]

_NAMED = 3
"""Differences that a message names."""


def save_weights(model: nn.Module, path: Path, observation_shape: Sequence[int]) -> None:
    """Write weights and the shape they were built for, in one piece.

    Args:
        model: whose weights.
        path: the file.
        observation_shape: (channel, height, width) that the model was built for.

    Raises:
        OSError: the file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict().items():
        kept = tensor.cpu().contiguous()
        place = kept.untyped_storage().data_ptr()
        # safetensors takes no tied weights: each name gets its own copy.
        tensors[name] = kept.clone() if place in seen else kept
        seen.add(place)
    metadata = {"observation_shape": json.dumps(list(observation_shape))}
    try:
        with replacing(path) as temporary:
            temporary.touch()
            mode = temporary.stat().st_mode
            save_file(tensors, temporary, metadata)
            temporary.chmod(mode)  # as of every other file: safetensors lets nobody else read it
    except SafetensorError as error:
        said = f"weights {path} cannot be written (disk full?): {error}"
        raise UnwritableError(said, errno.ENOSPC) from None


def weights_file(source: str | Path) -> Path:
    """The file with the weights of a run; ValueError if there is none.

    Args:
        source: a run directory, its `model` folder, a snapshot's folder or a safetensors file.
    """
    path = Path(source).expanduser()
    places = [path] if path.is_file() else [path / WEIGHTS, path / "model" / WEIGHTS]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise ValueError(
            f"no weights in {path}: expected a run directory, its model folder or a .safetensors "
            f"file; looked for {' and '.join(map(str, places))}"
        )
    return found


def weights_of(source: str | Path) -> dict[str, Tensor]:
    """Read the weights of a run.

    Args:
        source: see `weights_file`.

    Raises:
        ValueError: there are none, or they cannot be read.
    """
    found = weights_file(source)
    manifest.check(found)
    try:
        return load_file(found)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"weights {found} cannot be read, they are damaged: {error}") from None


def digest_of_weights(model: nn.Module) -> str:
    """SHA-256 of a model's weights, the same on every device and in every layout."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}".encode())
        digest.update(plain.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def load_weights(model: nn.Module, source: str | Path | Mapping[str, Tensor]) -> None:
    """Give a model the weights of another one of the same names and shapes.

    Args:
        model: the model, built.
        source: see `weights_of`; or a state dict.

    Raises:
        ValueError: there are no weights, or they do not fit; nothing is changed then.
    """
    model.load_state_dict(fitting_weights(model, source))


def fitting_weights(
    model: nn.Module, source: str | Path | Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The weights that `load_weights` gives a model; it raises the same."""
    given = source if isinstance(source, Mapping) else weights_of(source)
    where = "the weights given" if isinstance(source, Mapping) else f"the weights of {source}"
    own = model.state_dict()
    shapes = [
        f"{name} is {tuple(given[name].shape)}, expected {tuple(own[name].shape)}"
        for name in own
        if name in given and given[name].shape != own[name].shape
    ]
    wrong = [
        _listed("missing", own.keys() - given.keys()),
        _listed("not of this model", given.keys() - own.keys()),
        _listed("of another shape", shapes),
    ]
    if found := [each for each in wrong if each]:
        raise ValueError(
            f"{where} do not fit {type(model).__name__}: {'; '.join(found)}. Train the same "
            "network with the same number of latents on images of the same shape"
        )
    return dict(given)


def _listed(what: str, names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return f"{what}: {', '.join(listed[:_NAMED])}{more}" if listed else ""
