"""The folder that a training writes to: what it may hold already, and what is left there."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["CHECKPOINT", "SNAPSHOTS", "make_folder"]

CHECKPOINT = "checkpoint.pt"
SNAPSHOTS = "snapshots"
_LEFT = (CHECKPOINT, SNAPSHOTS, "scalars.csv", "model.safetensors", "results", "tensorboard")
"""What training leaves in its folder."""


def make_folder(folder: Path, resume: bool, overwrite: bool) -> None:
    """Make the folder of a model, or check that it may be gone on with or replaced.

    Raises ValueError if it holds something, unless `resume` or `overwrite`, and, whatever these
    are, if nothing there was left by a training.
    """
    found = [entry.name for entry in folder.iterdir()] if folder.exists() else []
    if found and not (resume or overwrite):
        raise ValueError(
            f"{folder} exists already and is not empty: pass overwrite = True to delete it, "
            "resume = True to go on, or choose another folder"
        )
    if found and not any(name in _LEFT or name.endswith(".tmp") for name in found):
        raise ValueError(
            f"{folder} has files that are not of a training ({', '.join(sorted(found)[:3])}): "
            "nothing there is overwritten; choose another folder"
        )
    if found and overwrite and not resume:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
