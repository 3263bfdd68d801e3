"""What a report knows of one run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from srvae_plugin.report.reading import seed_of
from srvae_plugin.runs.directory import RunDirectory

__all__ = ["UNFINISHED", "DataSet", "Run", "Settings", "Where"]

Settings = dict[str, str]
"""Gin bindings as they are written, by name."""
Where = tuple[str, str]
"""Representation ("mean", "sampled") and metric."""
UNFINISHED = "training has not finished"
"""What is wrong with a run that left no training result."""


class DataSet(NamedTuple):
    """What a result says of the data it was made on."""

    name: str = ""
    """Its name in gin."""
    options: tuple[tuple[str, str], ...] = ()
    place: str = ""
    """Path of its file, absolute if it was recorded so."""
    digest: str = ""
    """Of its content; empty if it was not recorded."""


@dataclass
class Run:
    """One training, or one representation that came without one, and its scores."""

    name: str
    """Path below the folder that was given."""
    folder: Path
    config: Settings = field(default_factory=dict)
    """What gin bound for the training."""
    scores: dict[Where, dict[str, Any]] = field(default_factory=dict)
    """Of each metric, and the losses after training."""
    settings: dict[Where, Settings] = field(default_factory=dict)
    """What gin bound for each metric."""
    refused: dict[Where, str] = field(default_factory=dict)
    """Why a metric could not be computed."""
    problems: list[str] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    """Versions, device, seconds; empty if they were not written."""
    label: str = ""
    """Its model's name in the study it is of."""
    data: DataSet = field(default_factory=DataSet)
    data_label: str = ""
    """Its data set's name in the study it is of."""
    data_set: str = ""
    """What the report calls its data set."""
    scored_data: dict[Where, DataSet] = field(default_factory=dict)
    """What each metric was computed on, where that is recorded."""
    scored_on: dict[Where, str] = field(default_factory=dict)
    """What the report calls that, where it is not what the run was trained on."""
    factor_names: list[str] = field(default_factory=list)
    given_seed: int | None = None
    """Seed of a model that was trained elsewhere."""
    is_foreign: bool = False
    """Whether it is such a model, a function or a table of codes."""
    content: str = ""
    """Digest of its codes; empty if it was not recorded."""
    is_more: bool = False
    """Whether it holds further scores of a run that is there: none of those it lacks failed."""
    finished: bool = True
    """False if it has no training result: it counts as failed in every score."""
    status: str = "finished"
    """What its study says of it."""
    waits: bool = False
    """Whether its study has not come to its end yet; it does not count then."""

    @property
    def directory(self) -> RunDirectory:
        """Where its files lie, if it is one of ours."""
        return RunDirectory(self.folder)

    @property
    def scored_data_name(self) -> dict[Where, str]:
        """Gin's name of what each metric was computed on."""
        return {where: data.name for where, data in self.scored_data.items()}

    @property
    def seed(self) -> int | None:
        """Seed of the training."""
        if self.given_seed is not None:
            return self.given_seed
        return seed_of(self.config.get("model.random_seed"))

    @property
    def is_ours(self) -> bool:
        """Whether this package trained it, and not disentanglement_lib."""
        return "model.checkpoint_every" in self.config or self.directory.config.is_file()
