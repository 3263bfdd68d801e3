"""Where everything of one run lies."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srvae_plugin.data.storage import manifest
from srvae_plugin.data.storage.leftovers import is_leftover
from srvae_plugin.data.storage.lock import LOCK
from srvae_plugin.files import as_json, delete_folder, read_json, write_text
from srvae_plugin.runs.directory.evaluations import EvaluationsDirectory
from srvae_plugin.runs.directory.scores import DIAGNOSIS, ScoresDirectory
from srvae_plugin.runs.directory.steps import ARTIFACTS, RESULTS, StepDirectory, TrainingDirectory

__all__ = ["CONFIG", "DECOMPOSITION", "EXPORT_FILE", "NO_STEPS", "TRAVERSALS", "RunDirectory"]

logger = logging.getLogger("srvae_plugin")

CONFIG, _ENVIRONMENT = "config.gin", "environment.json"
_PICTURES, _EVALUATIONS = "visualizations", "evaluations"
EXPORT_FILE = "export.json"
"""In the folder of an exported representation."""
TRAVERSALS, DECOMPOSITION = "traversals.gif", "decomposition.png"
"""Pictures that reports show, of those that `plots.pictures` makes."""
NO_STEPS = {RESULTS, _PICTURES, ARTIFACTS, "tfhub", "tf_checkpoint"}
"""Folders, disentanglement_lib's too, that hold no step of a run."""
_OF_RUN = frozenset({"model", "postprocessed", "metrics", "exports", "log.txt"})
"""The manifest of a run lists none of these: they have their own, or go on changing."""


@dataclass(frozen=True)
class RunDirectory:
    """Where everything of one run lies."""

    path: Path

    @property
    def config(self) -> Path:
        """The whole gin configuration, with the record of the data set."""
        return self.path / CONFIG

    @property
    def environment(self) -> Path:
        """What the run was made with; where it exists, the run is finished."""
        return self.path / _ENVIRONMENT

    def read_config(self) -> str:
        """The whole gin configuration; OSError or ValueError if it is missing or damaged."""
        return manifest.checked_text(self.config)

    def write_config(self, text: str) -> None:
        """Write the whole gin configuration; the run is not finished then."""
        manifest.remove(self.path)
        write_text(self.config, text)

    def read_environment(self) -> dict[str, Any]:
        """What the run was made with; FileNotFoundError, or ValueError if it is damaged."""
        manifest.check(self.environment)
        return read_json(self.environment)

    def finish(self, environment: Mapping[str, Any]) -> None:
        """Write the manifest of configuration and pictures, then what the run was made with."""
        text = as_json(environment)
        digest = hashlib.sha256(text.encode()).hexdigest()
        manifest.write(self.path, "run", _OF_RUN, {self.environment.name: digest})
        write_text(self.environment, text)

    def entries(self) -> list[Path]:
        """What lies in it, if it is there, but for the lock of who writes in it."""
        found = self.path.iterdir() if self.path.is_dir() else ()
        return sorted(path for path in found if path.name != LOCK and not is_leftover(path.name))

    def clear(self) -> None:
        """Delete all that lies in it, but for the lock.

        What says that it is finished is deleted first, and last what says that it is a run.
        """
        order = {self.environment: 0, self.config: 2}
        for path in sorted(self.entries(), key=lambda path: order.get(path, 1)):
            if path.is_dir() and not path.is_symlink():
                delete_folder(path)
            else:
                path.unlink()

    @property
    def log(self) -> Path:
        """What the process of a study's run said."""
        return self.path / "log.txt"

    @property
    def model(self) -> TrainingDirectory:
        """The training."""
        return TrainingDirectory(self.path / "model")

    @property
    def representations_path(self) -> Path:
        """Folder of all representations."""
        return self.path / "postprocessed"

    @property
    def metrics_path(self) -> Path:
        """Folder of all scores."""
        return self.path / "metrics"

    @property
    def pictures(self) -> Path:
        """Folder of the pictures."""
        return self.path / _PICTURES

    @property
    def evaluations(self) -> EvaluationsDirectory:
        """Scores and traversals on the way."""
        return EvaluationsDirectory(self.path / _EVALUATIONS)

    def reopen(self) -> None:
        """Say that the run is not finished, before its training goes on."""
        self.environment.unlink(missing_ok=True)
        manifest.remove(self.path)
        self.model.reopen()

    def forget_stale_steps(self) -> None:
        """Delete what was made from weights that have changed: codes, scores and pictures.

        The codes, by which that is seen, are deleted last.
        """
        if all(self._is_of_these_weights(path) for path in self.representations_path.glob("*")):
            return
        self.environment.unlink(missing_ok=True)
        if self.exports_path.is_dir():
            logger.warning(
                "%s was made from earlier weights: export it again if you use it", self.exports_path
            )
        for folder in (self.metrics_path, self.pictures, self.representations_path):
            delete_folder(folder)

    def _is_of_these_weights(self, folder: Path) -> bool:
        """Whether a representation, if it is one, is of the training as it is now."""
        made, trained = StepDirectory(folder, "postprocess"), self.model
        if not made.is_complete():
            return True
        steps = [step.read().get("global_step") for step in (made.at("train"), trained)]
        weights = [manifest.sha256_of(step.weights) for step in (made, trained)]
        return steps[0] == steps[1] and weights[0] == weights[1]

    def representation(self, kind: str) -> StepDirectory:
        """A representation, by its kind."""
        return StepDirectory(self.representations_path / kind, "postprocess")

    def finished_representation(self, kind: str) -> StepDirectory:
        """The same; ValueError if this is no run directory or has no such representation."""
        kinds = self.kinds()
        if kind not in kinds:
            raise ValueError(
                f"{self.path} has no representation {kind!r}; it has: {', '.join(kinds)}"
            )
        return self.representation(kind)

    def kinds(self) -> list[str]:
        """Kinds of all finished representations; ValueError if there is none."""
        self.require_folder()
        found = [
            path.name
            for path in sorted(self.representations_path.glob("*"))
            if not path.name.startswith(".") and self.representation(path.name).is_complete()
        ]
        if not found and self.model.begun():
            raise ValueError(
                f"{self.path} is not finished: the command that made it continues with --resume"
            )
        if not found:
            raise ValueError(
                f"{self.path} is not a run directory: it has no finished postprocessed/<kind>"
            )
        return found

    def require_folder(self) -> None:
        """Raise ValueError if there is no such folder."""
        if self.path.is_file():
            raise ValueError(
                f"{self.path} is not a run directory but a file: a table of codes is scored with "
                "--codes (in Python score_codes), a model file with --model (score)"
            )
        if not self.path.is_dir():
            raise ValueError(f"{self.path} is not a run directory: there is no such folder")

    def scores(self, kind: str) -> ScoresDirectory:
        """The scores of a representation."""
        return ScoresDirectory(self.metrics_path / kind)

    def diagnoses(self) -> list[tuple[str, Path]]:
        """Kind and file of each diagnosis of its representations, or of a folder of scores."""
        own = ScoresDirectory(self.path).diagnosis
        found = [("", own)] if own.is_file() else []
        return found + [
            (p.parent.name, p) for p in sorted(self.metrics_path.glob(f"*/{DIAGNOSIS}"))
        ]

    @property
    def exports_path(self) -> Path:
        """Folder of all exports."""
        return self.path / "exports"

    def export(self, kind: str, to: str) -> Path:
        """Folder of a representation in another format."""
        return self.exports_path / kind / to

    def picture(self, name: str) -> Path:
        """A picture that `srvae_plugin.plots.pictures` made, by name and ending."""
        return self.pictures / name

    def artifact_files(self, name: str) -> list[Path]:
        """Files of that name that metrics stored, here or where disentanglement_lib has them."""
        below = ("metrics/*/*", "*", "postprocessed/*")
        return [p for f in below for p in sorted(self.path.glob(f"{f}/{ARTIFACTS}/**/{name}"))]

    def animations(self) -> list[Path]:
        """Traversals that disentanglement_lib drew."""
        return sorted(self.pictures.glob("animated_traversals/*.gif"))
