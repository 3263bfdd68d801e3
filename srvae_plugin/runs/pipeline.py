"""The three steps of a run, driven by gin: train, postprocess, evaluate.

`train_with_gin`, `postprocess_with_gin` and `evaluate_with_gin` have disentanglement_lib's
signatures and read its gin files.
"""

from __future__ import annotations

import inspect
import logging
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import gin
import numpy as np

from srvae_plugin.config import gin_files, plugins
from srvae_plugin.config.data_record import place, record_of
from srvae_plugin.config.plugins import load_dataset
from srvae_plugin.config.text import dataset_bindings, with_record
from srvae_plugin.data.factor_kinds import CLASS, CONTINUOUS
from srvae_plugin.data.ground_truth import (
    FactorGrid,
    GroundTruthData,
    continuous_factors,
    names_of,
)
from srvae_plugin.data.held_out import to_score
from srvae_plugin.data.images_only import ImagesOnly
from srvae_plugin.data.table import FactorTable
from srvae_plugin.files import write_json, write_text
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.runs import weights
from srvae_plugin.runs.directory import Records, StepDirectory, TrainingDirectory, trained_in
from srvae_plugin.runs.repeatable import seeded
from srvae_plugin.runs.representation import (
    CachedRepresentation,
    Representation,
    RepresentationFunction,
)
from srvae_plugin.training import checkpoint
from srvae_plugin.training.loop import (
    TrainingSettings,
    check_seed,
    find_device,
    shape_of,
    train,
)
from srvae_plugin.training.numerics import memory_format
from srvae_plugin.training.weights import save_weights

logger = logging.getLogger("srvae_plugin")

REPRESENTATIONS = ("mean", "sampled")
_Settings = TypeVar("_Settings")
Files = gin_files.Texts
Bindings = str | Sequence[str] | None


@gin.register("mean_representation", module="srvae_plugin", allowlist=[])
def mean_representation(model: DisentanglementModel, seed: int) -> Representation:
    """Represent by the posterior mean (disentanglement_lib's `mean_representation`)."""
    return Representation(model, "mean", seed)


@gin.register("sampled_representation", module="srvae_plugin", allowlist=[])
def sampled_representation(model: DisentanglementModel, seed: int) -> Representation:
    """Represent by a draw from the posterior (disentanglement_lib's `sampled_representation`)."""
    return Representation(model, "sampled", seed)


@gin.register("postprocess", module="srvae_plugin")
@dataclass
class PostprocessSettings:
    """What gin binds under `postprocess`: how codes come out of a trained model."""

    postprocess_fn: Callable[..., Representation]
    random_seed: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        check_seed("postprocess", self.random_seed)


@gin.register("evaluation", module="srvae_plugin")
@dataclass
class EvaluationSettings:
    """What gin binds under `evaluation`: the metric and its seed."""

    evaluation_fn: Callable[..., dict[str, Any]]
    random_seed: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        check_seed("evaluation", self.random_seed)


@gin.register("run", module="srvae_plugin")
@dataclass
class RunPlan:
    """What gin binds under `run`: what happens after training.

    Args:
        representations: "mean", "sampled" or both, or the name of the function of your own that
            `postprocess.postprocess_fn` is bound to.
        metrics: gin names of the metrics; each is evaluated on each representation. A name may
            have a scope, as in "trees/downstream_task", with bindings of its own
            (`trees/predictor.predictor_fn = ...`); its results are then called by the scope.
        pictures: draw traversals, reconstructions, decomposition and curves.
    """

    representations: Sequence[str] = ("mean",)
    metrics: Sequence[str] = ("factor_vae_score", "dci", "mig", "sap_score")
    pictures: bool = True

    def __post_init__(self) -> None:
        for key in ("representations", "metrics"):
            if isinstance(value := getattr(self, key), str):
                raise ValueError(f"run.{key} = {value!r}: expected a list, [{value!r}]")
        function = gin_files.bound("postprocess.postprocess_fn")
        known = list(dict.fromkeys([*REPRESENTATIONS, *([kind_of(function)] if function else [])]))
        for name in self.representations:
            if name not in known:
                raise ValueError(
                    f"run.representations: unknown {name!r}; known: {', '.join(known)}"
                )
        for name in self.metrics:
            plugins.find("metrics", name.rpartition("/")[2])
        folders = [name.partition("/")[0] for name in self.metrics]
        if len(set(folders)) < len(folders):
            raise ValueError(f"run.metrics: two of {list(self.metrics)} have the same first name")


def run_plan() -> RunPlan:
    """Plan that gin holds, completed by what disentanglement_lib's files say in other words.

    Its files for metrics bind `evaluation.evaluation_fn` and no `run.metrics`, those for
    representations `postprocess.postprocess_fn` and no `run.representations`. Of two that
    contradict each other the later one wins, and gin is told, so that what is recorded is what is
    done.

    Raises ConfigError if one of two bindings that are not of a file would be dropped.
    """
    _settle("run.metrics", "evaluation.evaluation_fn", _metric_name)
    _settle("run.representations", "postprocess.postprocess_fn", kind_of)
    try:
        return gin.get_configurable(RunPlan)()
    except ValueError as error:
        raise gin_files.ConfigError(gin_files.one_line(error)) from None


def _metric_name(function: Any) -> str:
    scopes = function.scoped_selector.rpartition("/")[0]
    name = gin_files.reference_name(function)
    return f"{scopes}/{name}" if scopes else name


def kind_of(function: Any) -> str:
    """What a bound `postprocess.postprocess_fn` makes: "mean", "sampled", or its own name."""
    return gin_files.reference_name(function).removesuffix("_representation")


def function_of(kind: str) -> str:
    """Name of the function that makes a representation, of those that `run_plan` allows."""
    function = gin_files.bound("postprocess.postprocess_fn")
    if function is not None and kind_of(function) == kind:
        return function.scoped_selector
    return f"{kind}_representation"


def _settle(plan: str, step: str, name_of: Callable[[Any], str]) -> None:
    """Make the plan's list and a step's function agree: the one that was bound later wins."""
    function, listed = gin_files.bound(step), gin_files.bound(plan)
    if function is None:
        return
    name = name_of(function)
    if listed is not None and name in listed and (step.startswith("post") or len(listed) == 1):
        return
    if listed is not None and not gin_files.is_later(step, plan):
        if gin_files.is_typed(step):
            raise gin_files.ConfigError(
                f"{step} = {function} and {plan} = {listed!r} contradict each other: bind one of "
                "them"
            )
        return
    with gin.unlock_config():
        gin.bind_parameter(f"srvae_plugin.{plan}", [name])


def training_settings() -> TrainingSettings:
    """Training settings that gin holds; ConfigError where a binding is missing."""
    return _from_gin(TrainingSettings, "srvae_plugin.model")


def _from_gin(settings: type[_Settings], name: str) -> _Settings:
    """Settings of the step registered under that name; ConfigError where a binding is missing."""
    gin_files.require_bound(name)
    return gin.get_configurable(settings)()


def bound_dataset(previous: Path | None = None) -> GroundTruthData:
    """Load the data set that gin binds.

    What is not bound, and a name of "auto" as in disentanglement_lib's files, is what `previous`,
    the gin file of the step before, has; but with another name, its options are of no use and are
    left out.
    """
    recorded = dataset_bindings(previous) if previous else {}
    mine = gin_files.values_of("srvae_plugin.dataset")
    if "name" not in mine and "name" not in recorded:
        raise gin_files.ConfigError("no value bound for dataset.name")
    if "name" not in mine or mine["name"] == recorded.get("name"):
        with gin.unlock_config():
            for option in recorded.keys() - mine.keys():
                gin.bind_parameter(f"srvae_plugin.dataset.{option}", recorded[option])
    return gin.get_configurable(load_dataset)()


def say_other_data(step: StepDirectory, data: GroundTruthData) -> None:
    """Log it if the data set that gin binds is not what the model was trained on.

    The content counts, not the place: the same data may have moved.
    """
    training = step.at("train")
    before = dataset_bindings(training.gin_file())
    now = gin_files.values_of("srvae_plugin.dataset")
    record, known = training.dataset(), record_of(data)
    comparable = bool(record.get("digest") and known["digest"])
    if comparable and record["digest"] == known["digest"]:
        paths = record["paths"]
        before, now = ({k: b[k] for k in b if k not in paths} for b in (before, now))
    elif comparable and now == before:
        logger.warning(
            "%s was trained on %s with another content than that of %s, which it is scored on",
            step.path, place(record), place(known),
        )  # fmt: skip
    if before and now != before:
        logger.warning("scored on %s, trained on %s", _described(now), _described(before))
    trained = record or {"options": dataset_bindings(training.gin_file())}
    share, was = _held_out(known), _held_out(trained)
    same = record["digest"] == known["digest"] if comparable else not record
    if share > was and same:
        logger.warning(
            "warning: dataset.held_out = %g, but the model was trained %s: %s of the rows that it "
            "is scored on were trained on",
            share, f"with {was:g}" if was else "without it", "some" if was else "all",
        )  # fmt: skip


def _held_out(record: Mapping[str, Any]) -> float:
    """Share of the rows that a recorded data set holds out; 0 for none."""
    try:
        return float(record.get("options", {}).get("held_out") or 0)
    except (TypeError, ValueError):
        return 0.0


def _described(bindings: Mapping[str, Any]) -> str:
    """A data set's bindings as one phrase: the name first."""
    options = [f"{key} = {value!r}" for key, value in sorted(bindings.items()) if key != "name"]
    return (
        f"{bindings.get('name')} ({', '.join(options)})" if options else str(bindings.get("name"))
    )


def require_shape(step: StepDirectory, data: GroundTruthData) -> None:
    """Raise ValueError if a model that was trained on images of another shape is to read these."""
    channel, height, width = weights.shape_in(step.weights)
    shape = [int(side) for side in data.observation_shape]
    if shape != [height, width, channel]:
        name = gin_files.bound("dataset.name") or type(data).__name__
        raise ValueError(
            f"the model in {step.path} takes images of {height} x {width} x {channel} (height, "
            f"width, channels), those of {name} are {' x '.join(map(str, shape))}: bind the data "
            "set it was trained on, or another place of it, dataset.path"
        )


def train_with_gin(
    model_dir: str | Path,
    overwrite: bool = False,
    gin_config_files: Files = None,
    gin_bindings: Bindings = None,
    resume: bool = False,
) -> None:
    """Train the model that these gin files and bindings describe.

    Args:
        model_dir: folder for weights and results.
        overwrite: delete the folder if it exists; otherwise ValueError.
        gin_config_files, gin_bindings: see `gin_files.configured`.
        resume: go on from a checkpoint in `model_dir`, of a finished training too if it is to have
            more steps; otherwise do nothing if the step is complete.
    """
    directory = TrainingDirectory(Path(model_dir))
    if not resume:
        directory.require_new(overwrite)
    with gin_files.configured(gin_config_files, gin_bindings):
        settings = training_settings()
        if resume and directory.is_complete() and not _goes_on(directory, settings):
            return
        data = bound_dataset()
        record = record_of(data)
        begun = with_record(gin.config_str(), record)
        directory.prepare(resume, overwrite)
        model, losses = train(settings, data, directory.files, config=begun, resume=resume)
        save_weights(model, directory.weights, shape_of(data))
        scores = {**losses, "elapsed_time": losses["training_seconds"]}
        directory.write(scores, gin.operative_config_str(), records=Records(record))
        if not settings.keep_checkpoint:
            checkpoint.delete(directory.files.checkpoint)


def _goes_on(directory: TrainingDirectory, settings: TrainingSettings) -> bool:
    """Whether a finished training is to have more steps; ValueError if it cannot."""
    done = int(directory.read()["global_step"])
    if done >= settings.training_steps:
        return False
    if not directory.files.checkpoint.is_file():
        raise ValueError(
            f"{directory.path} has {done} steps and cannot go on to {settings.training_steps}: it "
            "kept no checkpoint (model.keep_checkpoint); train anew, or start from its weights "
            f"with model.init_from = '{directory.path}'"
        )
    directory.aggregate.unlink()  # not complete until the new steps are done
    return True


def load_model(run_dir: str | Path, device: str = "auto") -> DisentanglementModel:
    """Load a trained model, in eval mode.

    Args:
        run_dir: a run directory, or its `model` or `postprocessed/<kind>` folder.
        device: "auto" or a torch device.

    Raises ValueError if it is not such a folder, or the weights are damaged or do not fit.
    """
    directory = trained_in(Path(run_dir))
    with gin_files.only([directory.gin_file()], recorded=True):
        settings = training_settings()
        model = settings.model
        weights.load(model, directory.weights)
    found = find_device(device)
    layout = memory_format(found, settings.channels_last)
    return model.to(found).to(memory_format=layout).eval()  # type: ignore[call-overload]


def representation_function(
    model: DisentanglementModel | str | Path, kind: str = "mean", seed: int = 0
) -> Representation:
    """Representation function (NHWC in [0, 1] -> codes) of a model or of a run directory."""
    loaded = model if isinstance(model, DisentanglementModel) else load_model(model)
    return Representation(loaded, kind, seed)


def postprocess_with_gin(
    model_dir: str | Path,
    output_dir: str | Path,
    overwrite: bool = False,
    gin_config_files: Files = None,
    gin_bindings: Bindings = None,
) -> None:
    """Turn a trained model into a representation, in a folder that needs no other.

    Raises ValueError if `model_dir` holds no trained model or `output_dir` exists.
    """
    source, begun = TrainingDirectory(Path(model_dir)), time.monotonic()
    target = StepDirectory(Path(output_dir), "postprocess")
    target.require_new(overwrite)
    trained = source.gin_file()
    with (
        gin_files.configured(gin_config_files, gin_bindings),
        target.made_anew(overwrite) as directory,
    ):
        settings = _from_gin(PostprocessSettings, "srvae_plugin.postprocess")
        bound_dataset(trained)
        settings.postprocess_fn(load_model(source.path), settings.random_seed)
        shutil.copy(source.weights, directory.weights)
        took = {"elapsed_time": time.monotonic() - begun}
        directory.write(took, gin.operative_config_str(), source.results)


def load_representation(representation_dir: str | Path) -> Representation:
    """Representation function that a postprocessing step left in a folder."""
    directory = StepDirectory(Path(representation_dir), "postprocess")
    with gin_files.only([directory.gin_file()], recorded=True):
        settings = _from_gin(PostprocessSettings, "srvae_plugin.postprocess")
        return settings.postprocess_fn(load_model(directory.path), settings.random_seed)


def evaluate_with_gin(
    model_dir: str | Path,
    output_dir: str | Path,
    overwrite: bool = False,
    gin_config_files: Files = None,
    gin_bindings: Bindings = None,
) -> dict[str, Any]:
    """Score a representation with one metric and return the scores.

    Args:
        model_dir: folder of a postprocessing step.
        output_dir: folder for the results; ValueError if it exists and `overwrite` is false.
        gin_config_files, gin_bindings: see `gin_files.configured`.
    """
    source = StepDirectory(Path(model_dir), "postprocess")
    processed = source.gin_file()
    with gin_files.configured(gin_config_files, gin_bindings):
        whole = bound_dataset(processed)
        require_shape(source, whole)
        say_other_data(source, whole)
        data = to_score(whole)
        function = cached(load_representation(source.path), data)
        target = StepDirectory(Path(output_dir), "evaluation")
        records = Records(record_of(whole))
        return score(function, data, target, overwrite, source.results, records=records)


def score(
    function: RepresentationFunction,
    data: GroundTruthData,
    target: StepDirectory,
    overwrite: bool = False,
    previous: Path | None = None,
    identity: str | None = None,
    records: Records | None = None,
) -> dict[str, Any]:
    """Score a representation function with the metric that gin binds; write and return scores.

    `previous` is the results folder of the step before, if there was one; `identity` is written
    beside the results, to tell later what they are of; `records` with them.
    """
    settings = _from_gin(EvaluationSettings, "srvae_plugin.evaluation")
    target.require_new(overwrite)
    if needs_factors(settings.evaluation_fn):
        require_factors(data)
    with target.made_anew(overwrite) as directory:
        begun = time.monotonic()
        random_state = np.random.RandomState(settings.random_seed)
        arguments: dict[str, Any] = {"random_state": random_state}
        if "artifact_dir" in inspect.signature(settings.evaluation_fn).parameters:
            arguments["artifact_dir"] = str(directory.artifacts)
        with seeded(settings.random_seed):
            scores = dict(settings.evaluation_fn(data, function, **arguments))
        _say_what_is_no_number(scores)
        scores["elapsed_time"] = time.monotonic() - begun
        config = gin.operative_config_str()
        # Not of `data` where it is given: that may be the held out part of the recorded whole.
        known = Records(record_of(data)) if records is None else records
        directory.write(scores, config, previous, known)
        write_json(directory.factors, described_factors(data))
        if identity is not None:
            write_text(directory.identity, identity)
    return scores


def _say_what_is_no_number(scores: Mapping[str, Any]) -> None:
    values = {key: value for key, value in scores.items() if isinstance(value, float)}
    bad = [f"{key} = {value:g}" for key, value in values.items() if not math.isfinite(value)]
    if bad:
        logger.warning(
            "scores that are no number: %s%s",
            ", ".join(bad[:5]), f" and {len(bad) - 5} more" if len(bad) > 5 else "",
        )  # fmt: skip


def require_factors(data: GroundTruthData) -> None:
    """Raise ValueError if a data set has no factors: most metrics can score nothing on it."""
    if data.num_factors == 0:
        name = getattr(data, "name", type(data).__name__)
        raise ValueError(
            f"{name} has no factors of variation, which this metric needs: leave it out, or bind "
            "run.metrics = [] to train and draw only; without factors there is "
            'run.metrics = ["unsupervised_metrics"]'
        )


def needs_factors(metric: Callable[..., Any]) -> bool:
    """Whether a metric looks at factors: yes, unless its attribute `needs_factors` is False."""
    return bool(getattr(metric, "needs_factors", True))


def described_factors(data: GroundTruthData) -> dict[str, Any]:
    """What is known of a data set's factors: names, kinds, and words by name of the factor."""
    names = names_of(data)
    continuous = continuous_factors(data).tolist()
    words = getattr(data, "factor_labels", {})
    return {
        "names": names,
        "kinds": [CONTINUOUS if each else CLASS for each in continuous],
        "labels": {names[k]: list(words[k]) for k in sorted(words)},
    }


def cached(function: RepresentationFunction, data: GroundTruthData) -> RepresentationFunction:
    """Cache a representation over a finite data set; other data sets are left as they are."""
    if isinstance(data, FactorGrid | FactorTable | ImagesOnly):
        return CachedRepresentation(function, data)
    return function
