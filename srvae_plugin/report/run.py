"""What a report knows of one run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Settings = dict[str, str]
"""Gin bindings as they are written, by name."""
Where = tuple[str, str]
"""Representation ("mean", "sampled") and metric."""


@dataclass
class Run:
    """One training, or one representation that came without one, and its scores."""

    name: str
    """Path below the folder that was given."""
    folder: Path
    config: Settings = field(default_factory=dict)
    """What gin bound for the training."""
    training: dict[str, Any] = field(default_factory=dict)
    """Losses after training, seconds."""
    scores: dict[Where, dict[str, Any]] = field(default_factory=dict)
    settings: dict[Where, Settings] = field(default_factory=dict)
    """What gin bound for each metric."""
    problems: list[str] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    """Versions, device, seconds; empty if they were not written."""
    label: str = ""
    """Its model's name in the study it is of."""
    data_set: str = ""
    finished: bool = True
    """False if it has no training result: it counts as failed in every score."""
    waits: bool = False
    """Whether its study has not come to its end yet; it does not count then."""

    @property
    def seed(self) -> int | None:
        """Seed of the training."""
        text = self.config.get("model.random_seed", "")
        return int(text) if text.lstrip("-").isdigit() else None

    @property
    def is_ours(self) -> bool:
        """Whether this package trained it, and not disentanglement_lib."""
        return "model.checkpoint_every" in self.config or (self.folder / "config.gin").is_file()
