"""What was found of a model while it was trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srvae_plugin.data.storage import manifest
from srvae_plugin.files import delete_folder, put_back, read_json

__all__ = ["EvaluationsDirectory"]


@dataclass(frozen=True)
class EvaluationsDirectory:
    """What was found of a model while it was trained: a folder for each step it was looked at."""

    path: Path

    def of(self, step: int) -> Path:
        """Folder of a step."""
        folder = self.path / f"step_{step}"
        put_back(folder)
        return folder

    @staticmethod
    def scores_in(folder: Path) -> Path:
        """The scores in a step's folder."""
        return folder / "scores.json"

    @staticmethod
    def traversals_in(folder: Path) -> Path:
        """The traversals in a step's folder."""
        return folder / "traversals.png"

    def steps(self) -> list[int]:
        """Steps that there are scores of, ascending."""
        named = (path.name.removeprefix("step_") for path in self.path.glob("step_*"))
        return sorted(int(n) for n in named if n.isdecimal() and self._is_complete(int(n)))

    def read(self, step: int) -> dict[str, Any]:
        """What `scores_in` holds; OSError or ValueError if it is missing or damaged."""
        file = self.scores_in(self.of(step))
        manifest.check(file)
        return read_json(file)

    def delete(self, step: int) -> None:
        """Delete what was found at a step."""
        delete_folder(self.of(step))

    def delete_all(self) -> None:
        """Delete what was found at any step."""
        for step in self.steps():
            self.delete(step)

    def _is_complete(self, step: int) -> bool:
        return self.scores_in(self.of(step)).is_file()
