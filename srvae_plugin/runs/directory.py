"""The run directory, laid out as disentanglement_lib's so that its users' analysis code reads it.

    <run>/config.gin, environment.json  what it is made from, and with
    <run>/model/                        weights, checkpoint, scalars.csv
    <run>/postprocessed/<kind>/         the representation
    <run>/metrics/<kind>/<metric>/      scores
    <run>/visualizations/               pictures
    <run>/evaluations/step_N/           scores and traversals on the way, where they are asked for
    <run>/exports/<kind>/<format>/      the representation in another format

Each step but the pictures has `results/{gin/<step>.gin, json/<step>_config.json,
json/<step>_results.json, aggregate/<step>.json}`, <step> being train, postprocess or evaluation,
and carries the files of the steps before it along.

Nothing else in the package knows these names.
"""

from __future__ import annotations

import hashlib
import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from srvae_plugin.config.text import gin_dict
from srvae_plugin.data.storage import manifest
from srvae_plugin.data.storage.leftovers import is_leftover
from srvae_plugin.data.storage.lock import LOCK
from srvae_plugin.files import (
    as_json,
    copy_tree,
    delete_folder,
    new_folder,
    parse_json,
    put_back,
    read_json,
    require_new,
    write_json,
    write_text,
)
from srvae_plugin.training.files import WEIGHTS, TrainingFiles, before

__all__ = [
    "DECOMPOSITION",
    "EXPORT_FILE",
    "NO_STEPS",
    "STUDY_FILE",
    "TRAVERSALS",
    "EvaluationsDirectory",
    "Records",
    "RunDirectory",
    "ScoresDirectory",
    "Step",
    "StepDirectory",
    "TrainingDirectory",
    "holding_run",
    "is_refusal",
    "is_run_directory",
    "last_step_in",
    "read_study_record",
    "refused_among",
    "refused_folder",
    "run_of",
    "runs_below",
    "scored_kind",
    "trained_in",
    "write_study_record",
]


logger = logging.getLogger("srvae_plugin")

Step = Literal["train", "postprocess", "evaluation"]
STUDY_FILE, _STUDY_FORMAT = "study.json", 2
"""In the directory of a study, whose runs lie below it."""
EXPORT_FILE = "export.json"
"""In the folder of an exported representation."""
TRAVERSALS, DECOMPOSITION = "traversals.gif", "decomposition.png"
"""Pictures that reports show, of those that `plots.pictures` makes."""
_REFUSED = ".refused.json"
_DIAGNOSIS = "diagnosis.json"
_CONFIG, _ENVIRONMENT = "config.gin", "environment.json"
_CHECKPOINT, _SCALARS, _TENSORBOARD = "checkpoint.pt", "scalars.csv", "tensorboard"
_BEFORE = before(Path(_CHECKPOINT)).name
_SNAPSHOTS = "snapshots"
_RESULTS, _PICTURES, _ARTIFACTS = "results", "visualizations", "artifacts"
_EVALUATIONS = "evaluations"
_TRAINED = (_CHECKPOINT, _BEFORE, _SCALARS, WEIGHTS, _RESULTS, _TENSORBOARD, _SNAPSHOTS)
"""What training leaves in its folder."""
NO_STEPS = {_RESULTS, _PICTURES, _ARTIFACTS, "tfhub", "tf_checkpoint"}
"""Folders, disentanglement_lib's too, that hold no step of a run."""
_UNLISTED = frozenset({_CHECKPOINT, _BEFORE, _TENSORBOARD})
"""Of a step's files its manifest does not list these: checkpoints carry their own digest."""
_OF_RUN = frozenset({"model", "postprocessed", "metrics", "exports", "log.txt"})
"""Nor does the manifest of a run list what has its own, or goes on changing."""


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
                "%s has no manifest (it is of an older version, or not of this package): whether "
                "its files are whole is not checked", self.path,
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

    def begun(self) -> bool:
        """Whether there is something that a training would go on from, or that is finished."""
        return self.files.checkpoint.is_file() or self.is_complete()

    def prepare(self, resume: bool = False, overwrite: bool = False) -> None:
        """Make the folder, or check that it may be gone on with or replaced.

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
                "resume = True to go on, or choose another folder"
            )
        if found and not any(name in _TRAINED for name in found):
            raise ValueError(
                f"{folder} has files that are not of a training ({', '.join(sorted(found)[:3])}): "
                "nothing there is overwritten; choose another folder"
            )
        if found and overwrite and not resume:
            delete_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)

    def reopen(self) -> None:
        """Say that the training is not finished, before its files change."""
        self.aggregate.unlink(missing_ok=True)
        manifest.remove(self.path)


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
        return self.path / _DIAGNOSIS

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
                "%s was made from former weights: export again what is used", self.exports_path
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
                f"{self.path} is not finished: the command that made it goes on with --resume"
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
            (p.parent.name, p) for p in sorted(self.metrics_path.glob(f"*/{_DIAGNOSIS}"))
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
        return [p for f in below for p in sorted(self.path.glob(f"{f}/{_ARTIFACTS}/**/{name}"))]

    def animations(self) -> list[Path]:
        """Traversals that disentanglement_lib drew."""
        return sorted(self.pictures.glob("animated_traversals/*.gif"))


def trained_in(folder: Path) -> TrainingDirectory:
    """The training in a run directory, or in the `model` or `postprocessed/<kind>` of one."""
    inner = RunDirectory(folder).model
    return inner if inner.path.is_dir() else TrainingDirectory(folder)


def runs_below(place: Path) -> list[RunDirectory]:
    """Runs with a finished training in a folder, in the order of their paths.

    Raises:
        ValueError: there is no such folder, or no such run.
    """
    if not place.is_dir():
        raise ValueError(f"{place} is no folder of runs: it does not exist")
    found = []
    for folder, folders, _ in os.walk(place):
        run = RunDirectory(Path(folder))
        if run.model.is_complete():
            found.append(run)
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))
    if not found:
        raise ValueError(f"{place} holds no finished run: expected folders with model/ in them")
    return found


def is_run_directory(files: Iterable[str]) -> bool:
    """Whether a folder with files of these names is a run directory of ours."""
    return _CONFIG in files


def write_study_record(path: Path, content: Mapping[str, Any]) -> None:
    """Write a study's record with its own digest: it changes too often for a manifest."""
    sealed = {"format": _STUDY_FORMAT, **content}
    write_json(path, {**sealed, "sha256": _digest_of(sealed)})


def read_study_record(path: Path) -> dict[str, Any]:
    """The record of a study.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged.
    """
    content = parse_json(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("no dictionary")
    digest = content.pop("sha256", None)  # older ones have none
    if content.get("format") == _STUDY_FORMAT and digest != _digest_of(content):
        raise ValueError("its sha256 is not that of its content")
    return content


def _digest_of(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(as_json(content).encode()).hexdigest()


def last_step_in(folder: Path) -> StepDirectory | None:
    """The last step that a folder is of; None if it is of none."""
    steps: tuple[Step, ...] = ("evaluation", "postprocess", "train")
    found = (StepDirectory(folder, step) for step in steps)
    return next((step for step in found if step.is_complete()), None)


def holding_run(folder: Path) -> Path | None:
    """What would be the run directory of a step, of scores or of an export, by its place."""
    if folder.name == "model":
        return folder.parent
    if folder.parent.name in ("postprocessed", "metrics"):
        return folder.parents[1]
    if folder.parent.parent.name in ("metrics", "exports"):
        return folder.parents[2]
    return None


def is_refusal(path: Path) -> bool:
    """Whether a file says why a metric could not be computed."""
    return path.name.endswith(_REFUSED)


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
