"""What training writes; where, is for its caller to say."""

from pathlib import Path
from typing import NamedTuple


class TrainingFiles(NamedTuple):
    """Paths in the folder of one training, which is made if it does not exist."""

    checkpoint: Path
    scalars: Path
    """Table of what was logged."""
    tensorboard: Path
    """Folder of its event files, where they are asked for."""
