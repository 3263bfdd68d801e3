"""The three steps of a run, driven by gin: train, postprocess, evaluate.

`train_with_gin`, `postprocess_with_gin` and `evaluate_with_gin` have disentanglement_lib's
signatures and read its gin files.
"""

from __future__ import annotations

import inspect
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import gin
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from srvae_plugin import gin_config, plugins, results
from srvae_plugin.data.ground_truth import FactorGrid, GroundTruthData
from srvae_plugin.data.table import FactorTable
from srvae_plugin.files import replacing, write_text
from srvae_plugin.model import DisentanglementModel
from srvae_plugin.plugins import load_dataset
from srvae_plugin.representation import (
    CachedRepresentation,
    Representation,
    RepresentationFunction,
)
from srvae_plugin.train import (
    CHECKPOINT,
    TrainingSettings,
    check_seed,
    find_device,
    shape_of,
    train,
)
from srvae_plugin.training.numerics import memory_format

WEIGHTS = "model.safetensors"
REPRESENTATIONS = ("mean", "sampled")
IDENTITY = "identity.txt"
_Settings = TypeVar("_Settings")
Files = Sequence[str | Path] | None
Bindings = Sequence[str] | None


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

    Arguments:
        representations: "mean", "sampled" or both.
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
        for name in self.representations:
            if name not in REPRESENTATIONS:
                raise ValueError(
                    f"run.representations: unknown {name!r}; known: {', '.join(REPRESENTATIONS)}"
                )
        for name in self.metrics:
            plugins.find("metrics", name.rpartition("/")[2])
        folders = [name.partition("/")[0] for name in self.metrics]
        if len(set(folders)) < len(folders):
            raise ValueError(f"run.metrics: two of {list(self.metrics)} have the same first name")


def run_plan() -> RunPlan:
    """Plan that gin holds.

    With disentanglement_lib's metric files, which bind `evaluation.evaluation_fn` and no
    `run.metrics`, it is that one metric.
    """
    function = gin_config.bound("evaluation.evaluation_fn")
    if function is None or gin_config.bound("run.metrics") is not None:
        return gin.get_configurable(RunPlan)()
    return gin.get_configurable(RunPlan)(metrics=[gin_config.reference_name(function)])


def training_settings() -> TrainingSettings:
    """Training settings that gin holds; ConfigError where a binding is missing."""
    return _from_gin(TrainingSettings, "srvae_plugin.model")


def _from_gin(settings: type[_Settings], name: str) -> _Settings:
    """Settings of the step registered under that name; ConfigError where a binding is missing."""
    gin_config.require_bound(name)
    return gin.get_configurable(settings)()


def bound_dataset(previous: Path | None = None) -> GroundTruthData:
    """Load the data set that gin binds.

    An unbound name, or "auto" as in disentanglement_lib's files, stands for the one in
    `previous`, the gin file of the step before.
    """
    name = gin_config.bound("dataset.name")
    if name in (None, "auto"):
        text = previous.read_text(encoding="utf-8") if previous else ""
        found = results.gin_dict(text).items()  # gin breaks long lines
        lines = [f"{key} = {value}" for key, value in found if key.startswith("dataset.")]
        if not lines:
            raise gin_config.ConfigError("no value bound for dataset.name")
        with gin.unlock_config():
            gin.parse_config("\n".join(lines))
    return gin.get_configurable(load_dataset)()


def train_with_gin(
    model_dir: str | Path,
    overwrite: bool = False,
    gin_config_files: Files = None,
    gin_bindings: Bindings = None,
    resume: bool = False,
) -> None:
    """Train the model that these gin files and bindings describe.

    Arguments:
        model_dir: folder for weights and results.
        overwrite: delete the folder if it exists; otherwise ValueError.
        gin_config_files, gin_bindings: see `gin_config.configured`.
        resume: go on from a checkpoint in `model_dir`; do nothing if the step is complete.
    """
    folder = Path(model_dir)
    if resume and results.is_complete(folder, "train"):
        return
    if not resume:
        results.require_new(folder, overwrite)
    with gin_config.configured(gin_config_files or (), gin_bindings or ()):
        settings = training_settings()
        data = bound_dataset()
        if folder.exists() and not resume:
            shutil.rmtree(folder)
        begun = gin.config_str()
        model, losses = train(settings, data, folder, config=begun, resume=resume)
        save_weights(model, folder / WEIGHTS, shape_of(data))
        scores = {**losses, "elapsed_time": losses["training_seconds"]}
        results.write_step(folder / "results", "train", scores, gin.operative_config_str())
    (folder / CHECKPOINT).unlink(missing_ok=True)


def save_weights(model: DisentanglementModel, path: Path, observation_shape: Sequence[int]) -> None:
    """Write weights and the shape they were built for as safetensors; OSError if it fails."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    metadata = {"observation_shape": json.dumps(list(observation_shape))}
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata)
    except SafetensorError as error:
        raise OSError(f"weights {path} cannot be written (disk full?): {error}") from None


def load_model(run_dir: str | Path, device: str = "auto") -> DisentanglementModel:
    """Load a trained model, in eval mode.

    Arguments:
        run_dir: a run directory, or its `model` or `postprocessed/<kind>` folder.
        device: "auto" or a torch device.

    Raises ValueError if it is not such a folder, or the weights are damaged or do not fit.
    """
    folder = Path(run_dir)
    folder = folder / "model" if (folder / "model").is_dir() else folder
    path = folder / WEIGHTS
    with gin_config.only([results.gin_file(folder, "train")]):
        settings = training_settings()
        model = settings.model
        try:
            with safe_open(path, "pt") as file:
                shape = json.loads(file.metadata()["observation_shape"])
            model.build(tuple(shape))
            model.load_state_dict(load_file(path))
        except (OSError, SafetensorError, RuntimeError, KeyError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"weights {path} are missing, damaged or do not fit: {reason}"
            ) from None
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
    source, begun = Path(model_dir), time.monotonic()
    trained = results.gin_file(source, "train")
    with (
        gin_config.configured(gin_config_files or (), gin_bindings or ()),
        results.new_folder(Path(output_dir), overwrite) as folder,
    ):
        settings = _from_gin(PostprocessSettings, "srvae_plugin.postprocess")
        bound_dataset(trained)
        settings.postprocess_fn(load_model(source), settings.random_seed)
        shutil.copy(source / WEIGHTS, folder / WEIGHTS)
        results.write_step(
            folder / "results",
            "postprocess",
            {"elapsed_time": time.monotonic() - begun},
            gin.operative_config_str(),
            source / "results",
        )


def load_representation(representation_dir: str | Path) -> Representation:
    """Representation function that a postprocessing step left in a folder."""
    folder = Path(representation_dir)
    with gin_config.only([results.gin_file(folder, "postprocess")]):
        settings = _from_gin(PostprocessSettings, "srvae_plugin.postprocess")
        return settings.postprocess_fn(load_model(folder), settings.random_seed)


def evaluate_with_gin(
    model_dir: str | Path,
    output_dir: str | Path,
    overwrite: bool = False,
    gin_config_files: Files = None,
    gin_bindings: Bindings = None,
) -> dict[str, Any]:
    """Score a representation with one metric and return the scores.

    Arguments:
        model_dir: folder of a postprocessing step.
        output_dir: folder for the results; ValueError if it exists and `overwrite` is false.
        gin_config_files, gin_bindings: see `gin_config.configured`.
    """
    source = Path(model_dir)
    processed = results.gin_file(source, "postprocess")
    with gin_config.configured(gin_config_files or (), gin_bindings or ()):
        data = bound_dataset(processed)
        require_factors(data)
        function = cached(load_representation(source), data)
        return score(function, data, Path(output_dir), overwrite, source / "results")


def score(
    function: RepresentationFunction,
    data: GroundTruthData,
    output_dir: Path,
    overwrite: bool = False,
    previous: Path | None = None,
    identity: str | None = None,
) -> dict[str, Any]:
    """Score a representation function with the metric that gin binds; write and return scores.

    `previous` is the results folder of the step before, if there was one; `identity` is written
    beside the results, to tell later what they are of.
    """
    settings = _from_gin(EvaluationSettings, "srvae_plugin.evaluation")
    with results.new_folder(output_dir, overwrite) as folder:
        begun = time.monotonic()
        random_state = np.random.RandomState(settings.random_seed)
        arguments: dict[str, Any] = {"random_state": random_state}
        if "artifact_dir" in inspect.signature(settings.evaluation_fn).parameters:
            arguments["artifact_dir"] = str(folder / "artifacts")
        scores = dict(settings.evaluation_fn(data, function, **arguments))
        scores["elapsed_time"] = time.monotonic() - begun
        config = gin.operative_config_str()
        results.write_step(folder / "results", "evaluation", scores, config, previous)
        if identity is not None:
            write_text(folder / IDENTITY, identity)
    return scores


def require_factors(data: GroundTruthData) -> None:
    """Raise ValueError if a data set has no factors: no metric can score anything on it."""
    if data.num_factors == 0:
        name = getattr(data, "name", type(data).__name__)
        raise ValueError(
            f"{name} has no factors of variation, so that nothing can be scored on it: bind "
            "run.metrics = [] to train and draw only"
        )


def cached(function: RepresentationFunction, data: GroundTruthData) -> RepresentationFunction:
    """Cache a representation over a finite data set; other data sets are left as they are."""
    if isinstance(data, FactorGrid | FactorTable):
        return CachedRepresentation(function, data)
    return function
