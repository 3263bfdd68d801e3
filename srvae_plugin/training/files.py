"""What training writes; where, is for its caller to say."""

from pathlib import Path
from typing import NamedTuple

__all__ = ["WEIGHTS", "TrainingFiles", "before"]

WEIGHTS = "model.safetensors"
"""Weights of a model, in whatever folder they lie."""


class TrainingFiles(NamedTuple):
    """Paths in the folder of one training, which is made if it does not exist."""

    checkpoint: Path
    scalars: Path
    """Table of what was logged."""
    tensorboard: Path
    """Folder of its event files, where they are asked for."""
    snapshots: Path
    """Folder of the weights that are kept on the way."""
    weights: Path
    """The trained weights."""

    @property
    def folder(self) -> Path:
        """The folder itself."""
        return self.checkpoint.parent

    def snapshot(self, step: int) -> Path:
        """Weights after so many steps."""
        return self.snapshots / f"step_{step}" / self.weights.name


def before(path: Path) -> Path:
    """Where the checkpoint before the last one is kept."""
    return path.with_name(f"{path.stem}_before{path.suffix}")
