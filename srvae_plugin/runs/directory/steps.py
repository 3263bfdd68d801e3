"""The folder of one step of a run, and of its training."""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from srvae_plugin.config.text import gin_dict
from srvae_plugin.data.storage import manifest
from srvae_plugin.data.storage.leftovers import is_leftover
from srvae_plugin.files import (
    as_json,
    copy_tree,
    delete_folder,
    new_folder,
    read_json,
    require_new,
    write_json,
    write_text,
)
from srvae_plugin.training.files import WEIGHTS, TrainingFiles, before

__all__ = ["ARTIFACTS", "RESULTS", "Records", "Step", "StepDirectory", "TrainingDirectory"]

logger = logging.getLogger("srvae_plugin")

Step = Literal["train", "postprocess", "evaluation"]
RESULTS, ARTIFACTS = "results", "artifacts"
_CHECKPOINT, _SCALARS, _TENSORBOARD = "checkpoint.pt", "scalars.csv", "tensorboard"
_BEFORE = before(Path(_CHECKPOINT)).name
_SNAPSHOTS = "snapshots"
_TRAINED = (_CHECKPOINT, _BEFORE, _SCALARS, WEIGHTS, RESULTS, _TENSORBOARD, _SNAPSHOTS)
"""What training leaves in its folder."""
_UNLISTED = frozenset({_CHECKPOINT, _BEFORE, _TENSORBOARD})
"""Of a step's files its manifest does not list these: checkpoints carry their own digest."""


class Records(NamedTuple):
    """What is written beside the results of a step."""

    dataset: Mapping[str, Any] | None = None
    """The data set it was made on, see `data_record`."""
    foreign_model: Mapping[str, Any] | None = None
    """The model that was scored, if it was not trained here."""

    def by_name(self, step: Step) -> dict[str, Mapping[str, Any]]:
        """Those that there are, by the names of their files."""
        named = {f"{step}_dataset": self.dataset, "foreign_model": self.foreign_model}
        return {name: record for name, record in named.items() if record is not None}


_NO_RECORDS = Records()
_noted: list[Path] = []
"""The folder of which it was said that it has no manifest."""


@dataclass(frozen=True)
class StepDirectory:
    """The folder of one step. It has the results of the steps before it, and their files."""

    path: Path
    step: Step

    @property
    def results(self) -> Path:
        """Folder of the results of this step and of those before it."""
        return self.path / RESULTS

    @property
    def weights(self) -> Path:
        """Weights of the model, in the folders of a training and of a representation."""
        return self.path / WEIGHTS

    @property
    def identity(self) -> Path:
        """Text that says what scores are of."""
        return self.path / "identity.txt"

    @property
    def factors(self) -> Path:
        """Names, kinds and words of the factors that a metric was scored with."""
        return self.path / "factors.json"

    @property
    def artifacts(self) -> Path:
        """Folder of what a metric stores beside its scores."""
        return self.path / ARTIFACTS

    @property
    def aggregate(self) -> Path:
        """All results in one dictionary; it is written last."""
        return self.results / "aggregate" / f"{self.step}.json"

    def at(self, step: Step) -> StepDirectory:
        """The same folder as that of an earlier step, of whose files it has copies."""
        return StepDirectory(self.path, step)

    def is_complete(self) -> bool:
        """Whether it holds its final results."""
        return self.aggregate.is_file()

    def gin_file(self) -> Path:
        """The operative gin configuration of the finished step; ValueError if it is missing."""
        path = self.results / "gin" / f"{self.step}.gin"
        if not path.is_file():
            raise ValueError(
                f"{self.path} is not the folder of a finished step {self.step!r}: no {path}"
            )
        self.check(path)
        return path

    def check(self, path: Path) -> None:
        """Compare one of its files with the manifest; ValueError if it is damaged or missing.

        Says once in a process that a folder has none: one of an older version, or
        disentanglement_lib's.
        """
        if not manifest.check(path) and self.is_complete() and not _noted:
            _noted.append(self.path)
            logger.info(
                "%s has no manifest (it is from an older version or not from this package): its "
                "files cannot be checked for damage", self.path,
            )  # fmt: skip

    def check_all(self) -> None:
        """Compare all its files with the manifest; ValueError as `check`."""
        self.check(self.aggregate)
        manifest.check_all(self.path)

    def read(self) -> dict[str, Any]:
        """The results; ValueError if they are missing or damaged."""
        path = self.results / "json" / f"{self.step}_results.json"
        self.check(path)
        try:
            return read_json(path)
        except FileNotFoundError:
            raise ValueError(f"{self.path} holds no results of the step {self.step!r}") from None

    def read_identity(self) -> str:
        """The text that says what scores are of, empty if there is none; ValueError if damaged."""
        self.check(self.identity)
        return manifest.checked_text(self.identity) if self.identity.is_file() else ""

    def dataset(self) -> dict[str, Any]:
        """Record of the data set; empty if there is none.

        Raises:
            ValueError: if it is not what the manifest lists; without one, what is damaged is taken
                for none.
        """
        path = self.results / "json" / f"{self.step}_dataset.json"
        self.check(path)
        try:
            return read_json(path)
        except (ValueError, FileNotFoundError):
            return {}

    def write(
        self,
        results: Mapping[str, Any],
        config: str,
        previous: Path | None = None,
        records: Records = _NO_RECORDS,
    ) -> None:
        """Write results under disentanglement_lib's names.

        The aggregate is written last: where it exists, the step is complete. The manifest, just
        before, has its digest already.

        Args:
            results: scores and times; a `uuid` is added.
            config: the step's operative gin configuration.
            previous: results folder of the step before, whose files are copied.
            records: see `Records`.
        """
        if previous is not None:
            copy_tree(previous, self.results)
        write_text(self.results / "gin" / f"{self.step}.gin", config)
        json_files = self.results / "json"
        write_json(json_files / f"{self.step}_config.json", gin_dict(config))
        named = {**results, "uuid": str(uuid.uuid4())}
        write_json(json_files / f"{self.step}_results.json", named)
        for name, record in records.by_name(self.step).items():
            write_json(json_files / f"{name}.json", record)
        merged: dict[str, Any] = {}
        for path in sorted(json_files.glob("*.json")):
            merged.update({f"{path.stem}.{k}": value for k, value in read_json(path).items()})
        text = as_json(merged)
        self.seal({self.aggregate: text})
        write_text(self.aggregate, text)

    def seal(self, coming: Mapping[Path, str] = {}) -> None:
        """Write the manifest of what is there, and of texts that are about to be written."""
        names = {path.relative_to(self.path).as_posix(): text for path, text in coming.items()}
        more = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in names.items()}
        manifest.write(self.path, self.step, _UNLISTED, more)

    @contextmanager
    def made_anew(self, overwrite: bool) -> Iterator[StepDirectory]:
        """Yield a temporary folder that takes this one's place if all went well.

        Raises:
            ValueError: if there is something that may not be overwritten, or is not ours.
        """
        self.require_new(overwrite)
        with new_folder(self.path, overwrite) as folder:
            made = StepDirectory(folder, self.step)
            yield made
            if made.is_complete():  # files may have come after the results
                made.seal()

    def require_new(self, overwrite: bool) -> None:
        """Raise ValueError if there is something that may not be overwritten, or is not ours."""
        require_new(self.path, overwrite)
        folder, leaves = self.path, {*_TRAINED} - {_TENSORBOARD, _SNAPSHOTS}
        there = folder.is_file() or (folder.is_dir() and any(folder.iterdir()))
        if there and not any((folder / name).exists() for name in leaves):
            raise ValueError(
                f"{folder} holds no results of this package: nothing there is overwritten; choose "
                "another folder"
            )


class TrainingDirectory(StepDirectory):
    """The folder of a training."""

    def __init__(self, path: Path):
        super().__init__(path, "train")

    @property
    def files(self) -> TrainingFiles:
        """What training writes before it is done."""
        return TrainingFiles(
            self.path / _CHECKPOINT,
            self.path / _SCALARS,
            self.path / _TENSORBOARD,
            self.path / _SNAPSHOTS,
            self.weights,
        )

    def begun(self) -> bool:
        """Whether there is something that a training would go on from, or that is finished."""
        return self.files.checkpoint.is_file() or self.is_complete()

    def prepare(self, resume: bool = False, overwrite: bool = False) -> None:
        """Make the folder, or check that it may be continued or replaced.

        Raises:
            ValueError: if it holds something, unless `resume` or `overwrite`, and, whatever these
                are, if nothing there was left by a training.
        """
        folder = self.path
        names = [entry.name for entry in folder.iterdir()] if folder.exists() else []
        found = [name for name in names if not is_leftover(name)]
        if found and not (resume or overwrite):
            raise ValueError(
                f"{folder} exists already and is not empty: pass overwrite = True to delete it, "
                "resume = True to continue, or choose another folder"
            )
        if found and not any(name in _TRAINED for name in found):
            raise ValueError(
                f"{folder} has files that do not belong to a training "
                f"({', '.join(sorted(found)[:3])}): nothing there is overwritten; choose another "
                "folder"
            )
        if found and overwrite and not resume:
            delete_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)

    def reopen(self) -> None:
        """Say that the training is not finished, before its files change."""
        self.aggregate.unlink(missing_ok=True)
        manifest.remove(self.path)
