"""Training checkpoints: everything a run needs to go on bit by bit as if never stopped."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import random
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim import Optimizer

from srvae_plugin.config.data_record import differences, other_content
from srvae_plugin.data.storage.manifest import sha256_of
from srvae_plugin.files import UnwritableError, replacing
from srvae_plugin.training.average import WeightAverage
from srvae_plugin.training.files import before

logger = logging.getLogger("srvae_plugin")

__all__ = [
    "FREE",
    "Checkpoint",
    "State",
    "finish",
    "load",
    "require_more_steps",
    "save",
    "seed_everything",
    "steps_done",
]

_FORMATS = (1, 2)
"""From 2 on the file ends with its digest."""
_MARK = b"\nsrvae_plugin sha256 "
_TAIL = len(_MARK) + 64
_BLOCK = 1 << 20
_PLACE = ("capturable",)
"""Settings of an optimizer that go with the device."""
_NO_STEPS = ("training_steps", "eval_steps", "checkpoint_every", "keep_every", "keep_checkpoint")
_WATCHED = ("run.evaluate_every", "run.keep_every")
FREE = frozenset((*(f"model.{name}" for name in _NO_STEPS), *_WATCHED))
"""Bindings that change nothing of a step: a checkpoint may be continued with others.

A schedule that depends on the number of steps has it in a binding of its own, which must not
change.
"""


class Checkpoint(NamedTuple):
    """What a checkpoint holds beside the tensors it puts back in place."""

    step: int
    seconds: float
    curve: str | None = None
    """Digest of the table of scalars; None in one of an older version."""


class State(NamedTuple):
    """All that a training changes, and what a checkpoint therefore holds.

    model, optimizers: as they are.
    random_state: what the next batches are drawn with; those drawn ahead do not count.
    average: the average of the weights, if one is kept.
    device: where they are.
    """

    model: nn.Module
    optimizers: dict[str, Optimizer]
    random_state: np.random.RandomState
    average: WeightAverage | None = None
    device: torch.device = torch.device("cpu")


def save(path: Path, at: Checkpoint, config: str, state: State) -> None:
    """Write weights, optimizers, step and every random state, in one piece.

    Args:
        path: the file.
        at: where the training is.
        config: the text of the training step's configuration, with the record of its data (see
            `data_record.with_record`); `load` compares it.
        state: what is written.

    Raises:
        OSError: the file cannot be written; an earlier checkpoint is then still there.
    """
    on_gpu = state.device.type == "cuda"
    content: dict[str, Any] = {
        "format": _FORMATS[-1],
        "step": at.step,
        "seconds": at.seconds,
        "curve": at.curve,
        "config": config,
        "model": state.model.state_dict(),
        "optimizers": {name: each.state_dict() for name, each in state.optimizers.items()},
        "torch_rng": torch.get_rng_state(),
        "cuda_rng": [torch.cuda.get_rng_state(state.device)] if on_gpu else [],
        "numpy_rng": _pack(state.random_state.get_state(legacy=False)),
        "global_rng": {
            "numpy": _pack(np.random.get_state(legacy=False)),
            "python": random.getstate(),
        },
    }
    if state.average is not None:
        content["average"] = state.average.state_dict()
    try:
        with replacing(path) as temporary:
            torch.save(content, temporary)
            digest = sha256_of(temporary)
            with temporary.open("ab") as file:
                file.write(_MARK + digest.encode())
            _keep(path)
    except RuntimeError as error:  # what torch raises when a write falls short
        reason = str(error).splitlines()[0]
        said = f"checkpoint {path} cannot be written (disk full?): {reason}"
        raise UnwritableError(said, errno.ENOSPC) from None


def finish(path: Path, keep: bool) -> None:
    """Delete what a finished training needs no more: the checkpoint before the last one.

    Args:
        path: the last one.
        keep: whether it is kept, to go on from for more steps; the one before is then kept too
            if the last one is not whole.
    """
    if not keep:
        path.unlink(missing_ok=True)
    if not keep or (path.is_file() and _is_whole(path)):
        before(path).unlink(missing_ok=True)


def _keep(path: Path) -> None:
    """Give the checkpoint that is there the name of the one before; it keeps its own, too.

    A damaged one does not take the place of a whole one.
    """
    if not path.is_file() or not _is_whole(path):
        return
    second = path.with_name(f".{before(path).name}.tmp")
    second.unlink(missing_ok=True)
    try:
        os.link(path, second)
    except OSError:  # a file system without links
        shutil.copyfile(path, second)
    os.replace(second, before(path))


def load(path: Path, config: str, state: State) -> Checkpoint:
    """Put a checkpoint's state into these objects (nothing is unpickled but tensors).

    Args:
        path: the file.
        config: see `save`; what changes no step that was taken may differ (`FREE`), so that a
            finished training can go on for more steps.
        state: what the checkpoint is put into.

    Raises:
        ValueError: the file is damaged or was made under another configuration, or with data
            of another content.
    """
    path, content = _read_either(path)
    _require_same(path, content["config"], config)
    model, average = state.model, state.average
    try:
        model.load_state_dict(content["model"])
        for name, optimizer in state.optimizers.items():
            _load(optimizer, content["optimizers"][name])
        if average is not None:
            average.load_state_dict(content["average"])
    except (RuntimeError, KeyError, ValueError) as error:
        raise ValueError(
            f"checkpoint {path} is of another model or other optimizers "
            f"({str(error).splitlines()[0]}): resume with the same ones, or start again with "
            "overwrite"
        ) from None
    torch.set_rng_state(content["torch_rng"])
    if content["cuda_rng"] and state.device.type == "cuda":
        # Older versions kept the states of all GPUs.
        place = min(state.device.index or 0, len(content["cuda_rng"]) - 1)
        torch.cuda.set_rng_state(content["cuda_rng"][place], state.device)
    state.random_state.set_state(_unpack(content["numpy_rng"]))
    if known := content.get("global_rng"):  # older versions left them as the seed has them
        np.random.set_state(_unpack(known["numpy"]))
        random.setstate(known["python"])
    return Checkpoint(content["step"], content["seconds"], content.get("curve"))


def _load(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Load an optimizer's state but for where it is computed, which may have changed since."""
    own = [{k: group[k] for k in _PLACE if k in group} for group in optimizer.param_groups]
    optimizer.load_state_dict(saved)
    for group, place in zip(optimizer.param_groups, own, strict=True):
        group |= place


def steps_done(path: Path) -> int | None:
    """Steps that a checkpoint has behind it; None if there is no checkpoint.

    A finished training whose checkpoint was kept can go on if this is less than its settings ask
    for.

    Raises:
        ValueError: the file is damaged.
    """
    return int(_read_either(path)[1]["step"]) if path.is_file() else None


def require_more_steps(what: str, done: int, asked: int) -> None:
    """Raise ValueError if a training, named by `what`, took more steps than are asked for."""
    if done > asked:
        raise ValueError(
            f"{what} has {done} steps behind it, model.training_steps = {asked} asks "
            f"for fewer: bind at least {done}, or train another run; snapshots (model.keep_every) "
            "keep earlier weights"
        )


def _read_either(path: Path) -> tuple[Path, dict[str, Any]]:
    """The content of a checkpoint or, if it is damaged, of the one before; and which it is."""
    try:
        return path, _read(path)
    except ValueError as error:
        second = before(path)
        if not second.is_file():
            raise
        content = _read(second)
        logger.warning(
            "%s; continuing from the one before, %s, of step %s", error, second, content["step"]
        )
        return second, content


def _read(path: Path) -> dict[str, Any]:
    try:
        signed = _is_signed(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["format"] not in _FORMATS:
            raise KeyError("format")
        if content["format"] > 1 and not signed:
            raise EOFError("no digest")
    except Exception as error:  # torch's reader raises whatever the bytes lead to
        raise ValueError(
            f"checkpoint {path} cannot be read ({type(error).__name__}): it is damaged or of "
            "another version; start again with --overwrite (in Python overwrite=True)"
        ) from None
    return content


def _is_whole(path: Path) -> bool:
    try:
        return _is_signed(path)
    except (OSError, ValueError):
        return False


def _is_signed(path: Path) -> bool:
    """Whether a file ends with its digest; ValueError if that is of other bytes."""
    digest, left = hashlib.sha256(), path.stat().st_size - _TAIL
    if left < 0:
        return False
    with path.open("rb") as file:
        while left and (block := file.read(min(_BLOCK, left))):
            digest.update(block)
            left -= len(block)
        tail = file.read()
    if not tail.startswith(_MARK):
        return False
    if tail[len(_MARK) :] != digest.hexdigest().encode():
        raise ValueError("its sha256 is another")
    return True


def _require_same(path: Path, saved: str, now: str) -> None:
    if other := other_content(saved, now):
        raise ValueError(
            f"checkpoint {path}: {other}. Restore the earlier data, or start again with "
            "--overwrite (in Python overwrite=True)"
        )
    changed = [each for each in differences(saved, now) if each.name not in FREE]
    if changed:
        raise ValueError(
            f"checkpoint {path} was made under another configuration: "
            f"{'; '.join(map(str, changed))}. Resume with the same settings, or start again with "
            "--overwrite"
        )


def _pack(state: Any) -> dict[str, Any]:
    """The state of a numpy generator as tensors and numbers."""
    return {
        "key": torch.from_numpy(state["state"]["key"].astype(np.int64)),
        "pos": int(state["state"]["pos"]),
        "has_gauss": int(state["has_gauss"]),
        "gauss": float(state["gauss"]),
    }


def _unpack(packed: dict[str, Any]) -> tuple[str, NDArray[np.uint32], int, int, float]:
    key = packed["key"].numpy().astype(np.uint32)
    return "MT19937", key, packed["pos"], packed["has_gauss"], packed["gauss"]


def seed_everything(seed: int) -> None:
    """Seed torch's, numpy's and Python's global generators."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
