"""The three steps of a run, driven by gin: train, postprocess, evaluate.

`train_with_gin`, `postprocess_with_gin` and `evaluate_with_gin` have disentanglement_lib's
signatures and read its gin files.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gin

from srvae_plugin.config import gin_files
from srvae_plugin.config.data_record import record_of
from srvae_plugin.config.text import with_record
from srvae_plugin.data.held_out import to_score
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.runs import weights
from srvae_plugin.runs.directory import Records, StepDirectory, TrainingDirectory, trained_in
from srvae_plugin.runs.plan import REPRESENTATIONS, RunPlan, function_of, kind_of, run_plan
from srvae_plugin.runs.representation import Representation
from srvae_plugin.runs.scoring import (
    EvaluationSettings,
    cached,
    described_factors,
    needs_factors,
    require_factors,
    score,
)
from srvae_plugin.runs.trained_on import bound_dataset, require_shape, say_other_data
from srvae_plugin.training.loop import TrainingSettings, find_device, shape_of, train
from srvae_plugin.training.numerics import memory_format
from srvae_plugin.training.settings import check_seed
from srvae_plugin.training.weights import save_weights

__all__ = [
    "REPRESENTATIONS",
    "EvaluationSettings",
    "PostprocessSettings",
    "RunPlan",
    "bound_dataset",
    "cached",
    "described_factors",
    "evaluate_with_gin",
    "function_of",
    "kind_of",
    "load_model",
    "load_representation",
    "mean_representation",
    "needs_factors",
    "postprocess_with_gin",
    "representation_function",
    "require_factors",
    "require_shape",
    "run_plan",
    "sampled_representation",
    "say_other_data",
    "score",
    "train_with_gin",
    "training_settings",
]

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


def training_settings() -> TrainingSettings:
    """Training settings that gin holds; ConfigError where a binding is missing."""
    return gin_files.made(TrainingSettings, "srvae_plugin.model")


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
            directory.files.checkpoint.unlink(missing_ok=True)


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
        settings = gin_files.made(PostprocessSettings, "srvae_plugin.postprocess")
        bound_dataset(trained)
        settings.postprocess_fn(load_model(source.path), settings.random_seed)
        shutil.copy(source.weights, directory.weights)
        took = {"elapsed_time": time.monotonic() - begun}
        directory.write(took, gin.operative_config_str(), source.results)


def load_representation(representation_dir: str | Path) -> Representation:
    """Representation function that a postprocessing step left in a folder."""
    directory = StepDirectory(Path(representation_dir), "postprocess")
    with gin_files.only([directory.gin_file()], recorded=True):
        settings = gin_files.made(PostprocessSettings, "srvae_plugin.postprocess")
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
