"""The scores of one representation, and the refusals beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srvae_plugin.files import put_back
from srvae_plugin.runs.directory.steps import StepDirectory

__all__ = ["DIAGNOSIS", "ScoresDirectory", "is_refusal", "refused_among", "refused_folder"]

DIAGNOSIS = "diagnosis.json"
_REFUSED = ".refused.json"


@dataclass(frozen=True)
class ScoresDirectory:
    """The scores of one representation: a folder for each metric, called by its first name."""

    path: Path

    def of(self, metric: str) -> StepDirectory:
        """Folder of a metric, by its name in `run.metrics`."""
        folder = self.path / metric.partition("/")[0]
        put_back(folder)
        return StepDirectory(folder, "evaluation")

    def refusal(self, metric: str) -> Path:
        """File that says why a metric could not be computed."""
        return self.path / f"{metric.partition('/')[0]}{_REFUSED}"

    @property
    def diagnosis(self) -> Path:
        """What was found wrong with the representation."""
        return self.path / DIAGNOSIS

    def require_new(self, metrics: Sequence[str], resume: bool, overwrite: bool) -> None:
        """Raise ValueError if there are results, and neither is asked for, or what is not ours."""
        folders = {metric.partition("/")[0]: self.of(metric).path for metric in metrics}
        there = [name for name, folder in folders.items() if folder.exists()]
        if there and not (resume or overwrite):
            raise ValueError(
                f"{self.path} has results of {', '.join(there)}: --resume keeps them, --overwrite "
                "replaces them"
            )
        for name in there if overwrite else ():
            self.of(name).require_new(overwrite)

    def read_all(self) -> dict[str, dict[str, Any]]:
        """Results of every metric that was scored, by its name."""
        folders = (path for path in self.path.glob("*") if not path.name.startswith("."))
        steps = sorted((self.of(path.name) for path in folders), key=lambda step: step.path)
        return {step.path.name: step.read() for step in steps if step.is_complete()}


def is_refusal(path: Path) -> bool:
    """Whether a file says why a metric could not be computed."""
    return path.name.endswith(_REFUSED)


def refused_among(files: Iterable[str]) -> list[str]:
    """Those of the files' names that say why a metric could not be computed."""
    return sorted(name for name in files if name.endswith(_REFUSED))


def refused_folder(file: Path) -> Path:
    """Folder that the metric's scores would have."""
    return file.with_name(file.name.removesuffix(_REFUSED))
