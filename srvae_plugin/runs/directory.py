"""The run directory, laid out as disentanglement_lib's so that its users' analysis code reads it.

    <run>/config.gin, environment.json  what it is made from, and with
    <run>/model/                        weights, checkpoint, scalars.csv
    <run>/postprocessed/<kind>/         the representation
    <run>/metrics/<kind>/<metric>/      scores
    <run>/visualizations/               pictures
    <run>/exports/<kind>/<format>/      the representation in another format

Each step but the pictures has `results/{gin/<step>.gin, json/<step>_config.json,
json/<step>_results.json, aggregate/<step>.json}`, <step> being train, postprocess or evaluation,
and carries the files of the steps before it along.

Nothing else in the package knows these names.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from srvae_plugin.config.text import gin_dict
from srvae_plugin.files import new_folder, read_json, require_new, write_json, write_text
from srvae_plugin.training.files import WEIGHTS, TrainingFiles

__all__ = [
    "DECOMPOSITION",
    "EXPORT_FILE",
    "NO_STEPS",
    "STUDY_FILE",
    "TRAVERSALS",
    "Records",
    "RunDirectory",
    "ScoresDirectory",
    "Step",
    "StepDirectory",
    "TrainingDirectory",
    "is_run_directory",
    "last_step_in",
    "refused_among",
    "refused_folder",
    "run_of",
    "scored_kind",
    "trained_in",
]


Step = Literal["train", "postprocess", "evaluation"]
STUDY_FILE = "study.json"
"""In the directory of a study, whose runs lie below it."""
EXPORT_FILE = "export.json"
"""In the folder of an exported representation."""
TRAVERSALS, DECOMPOSITION = "traversals.gif", "decomposition.png"
"""Pictures that reports show, of those that `plots.pictures` makes."""
_REFUSED = ".refused.json"
_CONFIG, _ENVIRONMENT = "config.gin", "environment.json"
_CHECKPOINT, _SCALARS, _TENSORBOARD = "checkpoint.pt", "scalars.csv", "tensorboard"
_SNAPSHOTS = "snapshots"
_RESULTS, _PICTURES, _ARTIFACTS = "results", "visualizations", "artifacts"
_TRAINED = (_CHECKPOINT, _SCALARS, WEIGHTS, _RESULTS, _TENSORBOARD, _SNAPSHOTS)
"""What training leaves in its folder."""
NO_STEPS = {_RESULTS, _PICTURES, _ARTIFACTS, "tfhub", "tf_checkpoint"}
"""Folders, disentanglement_lib's too, that hold no step of a run."""


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


@dataclass(frozen=True)
class StepDirectory:
    """The folder of one step. It has the results of the steps before it, and their files."""

    path: Path
    step: Step

    @property
    def results(self) -> Path:
        """Folder of the results of this step and of those before it."""
        return self.path / _RESULTS

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
        return self.path / _ARTIFACTS

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
        return path

    def read(self) -> dict[str, Any]:
        """The results; ValueError if they are missing or damaged."""
        try:
            return read_json(self.results / "json" / f"{self.step}_results.json")
        except FileNotFoundError:
            raise ValueError(f"{self.path} holds no results of the step {self.step!r}") from None

    def dataset(self) -> dict[str, Any]:
        """Record of the data set; empty if it is damaged, or of an older version."""
        try:
            return read_json(self.results / "json" / f"{self.step}_dataset.json")
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

        The aggregate is written last: where it exists, the step is complete.

        Args:
            results: scores and times; a `uuid` is added.
            config: the step's operative gin configuration.
            previous: results folder of the step before, whose files are copied.
            records: see `Records`.
        """
        if previous is not None:
            shutil.copytree(previous, self.results, dirs_exist_ok=True)
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
        write_json(self.aggregate, merged)

    @contextmanager
    def made_anew(self, overwrite: bool) -> Iterator[StepDirectory]:
        """Yield a temporary folder that takes this one's place if all went well.

        Raises:
            ValueError: if there is something that may not be overwritten, or is not ours.
        """
        self.require_new(overwrite)
        with new_folder(self.path, overwrite) as folder:
            yield StepDirectory(folder, self.step)

    def require_new(self, overwrite: bool) -> None:
        """Raise ValueError if there is something that may not be overwritten, or is not ours."""
        require_new(self.path, overwrite)
        folder, leaves = self.path, {*_TRAINED} - {_TENSORBOARD, _SNAPSHOTS}
        there = folder.is_file() or (folder.is_dir() and any(folder.iterdir()))
        if there and not any((folder / name).exists() for name in leaves):
            raise ValueError(
                f"{folder} holds no results of ours: nothing there is overwritten; choose another "
                "folder"
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

    def prepare(self, resume: bool = False, overwrite: bool = False) -> None:
        """Make the folder, or check that it may be gone on with or replaced.

        Raises:
            ValueError: if it holds something, unless `resume` or `overwrite`, and, whatever these
                are, if nothing there was left by a training.
        """
        folder = self.path
        found = [entry.name for entry in folder.iterdir()] if folder.exists() else []
        if found and not (resume or overwrite):
            raise ValueError(
                f"{folder} exists already and is not empty: pass overwrite = True to delete it, "
                "resume = True to go on, or choose another folder"
            )
        if found and not any(name in _TRAINED or name.endswith(".tmp") for name in found):
            raise ValueError(
                f"{folder} has files that are not of a training ({', '.join(sorted(found)[:3])}): "
                "nothing there is overwritten; choose another folder"
            )
        if found and overwrite and not resume:
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True)
class ScoresDirectory:
    """The scores of one representation: a folder for each metric, called by its first name."""

    path: Path

    def of(self, metric: str) -> StepDirectory:
        """Folder of a metric, by its name in `run.metrics`."""
        return StepDirectory(self.path / metric.partition("/")[0], "evaluation")

    def refusal(self, metric: str) -> Path:
        """File that says why a metric could not be computed."""
        return self.path / f"{metric.partition('/')[0]}{_REFUSED}"

    def require_new(self, metrics: Sequence[str], resume: bool, overwrite: bool) -> None:
        """Raise ValueError if there are results, and neither is asked for."""
        folders = {metric.partition("/")[0]: self.of(metric).path for metric in metrics}
        there = [name for name, folder in folders.items() if folder.exists()]
        if there and not (resume or overwrite):
            raise ValueError(
                f"{self.path} has results of {', '.join(there)}: --resume keeps them, --overwrite "
                "replaces them"
            )

    def read_all(self) -> dict[str, dict[str, Any]]:
        """Results of every metric that was scored, by its name."""
        folders = (path for path in self.path.glob("*") if not path.name.startswith("."))
        steps = sorted((self.of(path.name) for path in folders), key=lambda step: step.path)
        return {step.path.name: step.read() for step in steps if step.is_complete()}

    def delete(self, metrics: Sequence[str]) -> None:
        """Delete the scores of these metrics."""
        for folder in (self.of(metric).path for metric in metrics):
            if folder.exists():
                shutil.rmtree(folder)


@dataclass(frozen=True)
class RunDirectory:
    """Where everything of one run lies."""

    path: Path

    @property
    def config(self) -> Path:
        """The whole gin configuration, with the record of the data set."""
        return self.path / _CONFIG

    @property
    def environment(self) -> Path:
        """What the run was made with; where it exists, the run is finished."""
        return self.path / _ENVIRONMENT

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

    def forget_later_steps(self) -> None:
        """Delete what was made from weights that have changed: codes, scores and pictures."""
        for folder in (self.representations_path, self.metrics_path, self.pictures):
            if folder.exists():
                shutil.rmtree(folder)
        self.environment.unlink(missing_ok=True)

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
        found = [
            path.name
            for path in sorted(self.representations_path.glob("*"))
            if not path.name.startswith(".") and self.representation(path.name).is_complete()
        ]
        if not found:
            raise ValueError(
                f"{self.path} is not a run directory: it has no finished postprocessed/<kind>"
            )
        return found

    def scores(self, kind: str) -> ScoresDirectory:
        """The scores of a representation."""
        return ScoresDirectory(self.metrics_path / kind)

    def export(self, kind: str, to: str) -> Path:
        """Folder of a representation in another format."""
        return self.path / "exports" / kind / to

    def picture(self, name: str) -> Path:
        """A picture that `srvae_plugin.plots.pictures` made, by name and ending."""
        return self.pictures / name

    def artifact_files(self, name: str) -> list[Path]:
        """Files of that name that metrics stored, here or where disentanglement_lib has them."""
        below = ("metrics/*/*", "*", "postprocessed/*")
        return [p for f in below for p in sorted(self.path.glob(f"{f}/{_ARTIFACTS}/**/{name}"))]

    def animations(self) -> list[Path]:
        """Traversals that disentanglement_lib drew."""
        return sorted(self.pictures.glob("animated_traversals/*.gif"))


def trained_in(folder: Path) -> TrainingDirectory:
    """The training in a run directory, or in the `model` or `postprocessed/<kind>` of one."""
    inner = RunDirectory(folder).model
    return inner if inner.path.is_dir() else TrainingDirectory(folder)


def is_run_directory(files: Iterable[str]) -> bool:
    """Whether a folder with files of these names is a run directory of ours."""
    return _CONFIG in files


def last_step_in(folder: Path) -> StepDirectory | None:
    """The last step that a folder is of; None if it is of none."""
    steps: tuple[Step, ...] = ("evaluation", "postprocess", "train")
    found = (StepDirectory(folder, step) for step in steps)
    return next((step for step in found if step.is_complete()), None)


def refused_among(files: Iterable[str]) -> list[str]:
    """Those of the files' names that say why a metric could not be computed."""
    return sorted(name for name in files if name.endswith(_REFUSED))


def refused_folder(file: Path) -> Path:
    """Folder that the metric's scores would have."""
    return file.with_name(file.name.removesuffix(_REFUSED))


def scored_kind(folder: Path) -> str:
    """Representation that the scores in a metric's folder of a run are of; "" if it is in none."""
    return folder.parent.name if folder.parent.parent.name == "metrics" else ""


def run_of(step: Path, trained: bool) -> RunDirectory:
    """Run that a step's folder is of; `trained` says whether it came from a training."""
    if step.name == "model":
        return RunDirectory(step.parent)
    if step.parent.name == "postprocessed":
        return RunDirectory(step.parents[1])
    if step.parent.parent.name == "metrics":
        return RunDirectory(step.parents[2])
    return RunDirectory(step if trained else step.parent)
