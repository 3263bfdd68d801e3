"""Training checkpoints: everything a run needs to go on bit by bit as if never stopped."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from srvae_plugin.config.data_record import differing_lines, other_content
from srvae_plugin.files import replacing

_FORMAT = 1


class Checkpoint(NamedTuple):
    """What a checkpoint holds beside the tensors it puts back in place."""

    step: int
    seconds: float


def save(
    path: Path,
    at: Checkpoint,
    config: str,
    model: nn.Module,
    optimizers: dict[str, Optimizer],
    random_state: np.random.RandomState,
) -> None:
    """Write weights, optimizers, step and every random state, in one piece.

    `config` is the text of the training step's configuration, with the record of its data (see
    `data_record.with_record`); `load` compares it. Raises OSError
    if the file cannot be written; an earlier checkpoint is then still there.
    """
    content = {
        "format": _FORMAT,
        "step": at.step,
        "seconds": at.seconds,
        "config": config,
        "model": model.state_dict(),
        "optimizers": {name: optimizer.state_dict() for name, optimizer in optimizers.items()},
        "torch_rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy_rng": _pack(random_state),
    }
    try:
        with replacing(path) as temporary:
            torch.save(content, temporary)
    except RuntimeError as error:  # what torch raises when a write falls short
        reason = str(error).splitlines()[0]
        raise OSError(f"checkpoint {path} cannot be written (disk full?): {reason}") from None


def load(
    path: Path,
    config: str,
    model: nn.Module,
    optimizers: dict[str, Optimizer],
    random_state: np.random.RandomState,
) -> Checkpoint:
    """Put a checkpoint's state into these objects (nothing is unpickled but tensors).

    Raises ValueError if the file is damaged or was made under another configuration, or with data
    of another content.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["format"] != _FORMAT:
            raise KeyError("format")
    except (RuntimeError, EOFError, KeyError, TypeError, OSError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"checkpoint {path} cannot be read ({type(error).__name__}): it is damaged or of "
            "another version; start again with --overwrite"
        ) from None
    _require_same(path, content["config"], config)
    model.load_state_dict(content["model"])
    for name, optimizer in optimizers.items():
        optimizer.load_state_dict(content["optimizers"][name])
    torch.set_rng_state(content["torch_rng"])
    if content["cuda_rng"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(content["cuda_rng"])
    _unpack(content["numpy_rng"], random_state)
    return Checkpoint(content["step"], content["seconds"])


def _require_same(path: Path, saved: str, now: str) -> None:
    if other := other_content(saved, now):
        raise ValueError(
            f"checkpoint {path}: {other}. Put the former data back, or start again with --overwrite"
        )
    if changed := differing_lines(saved, now):
        raise ValueError(
            f"checkpoint {path} was made under another configuration; lines that differ: "
            f"{'; '.join(changed)}. Resume with the same gin files, or start again with "
            "--overwrite"
        )


def _pack(random_state: np.random.RandomState) -> dict[str, Any]:
    state: Any = random_state.get_state(legacy=False)
    return {
        "key": torch.from_numpy(state["state"]["key"].astype(np.int64)),
        "pos": int(state["state"]["pos"]),
        "has_gauss": int(state["has_gauss"]),
        "gauss": float(state["gauss"]),
    }


def _unpack(packed: dict[str, Any], random_state: np.random.RandomState) -> None:
    key = packed["key"].numpy().astype(np.uint32)
    random_state.set_state(("MT19937", key, packed["pos"], packed["has_gauss"], packed["gauss"]))


def seed_everything(seed: int) -> None:
    """Seed torch's, numpy's and Python's global generators."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
