"""The three steps of a run, driven by gin: train, postprocess, evaluate.

`train_with_gin`, `postprocess_with_gin` and `evaluate_with_gin` have disentanglement_lib's
signatures and read its gin files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gin

from srvae_plugin.config import gin_files
from srvae_plugin.config.data_record import record_of
from srvae_plugin.config.text import with_record
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.held_out import to_score
from srvae_plugin.files import require_one
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.runs.directory import (
    Records,
    RunDirectory,
    StepDirectory,
    TrainingDirectory,
    holding_run,
)
from srvae_plugin.runs.locks import only_writer_of

# The steps and what they are made of are asked for here, by plug-ins too.
from srvae_plugin.runs.plan import (
    RunPlan as RunPlan,
    function_of as function_of,
    run_plan as run_plan,
)
from srvae_plugin.runs.represent import (
    in_use as in_use,
    load_model as load_model,
    load_representation as load_representation,
    represent as represent,
    representation_function as representation_function,
)
from srvae_plugin.runs.scoring.one_metric import (
    Beside as Beside,
    EvaluationSettings as EvaluationSettings,
    cached as cached,
    needs_factors as needs_factors,
    require_factors as require_factors,
    score as score,
)
from srvae_plugin.runs.trained_on import (
    bound_dataset as bound_dataset,
    require_shape as require_shape,
    say_other_data as say_other_data,
)
from srvae_plugin.runs.weights import require_start
from srvae_plugin.training import checkpoint
from srvae_plugin.training.loop import TrainingSettings, shape_of, train
from srvae_plugin.training.weights import save_weights

__all__ = [
    "Bindings",
    "Files",
    "evaluate_with_gin",
    "postprocess_with_gin",
    "train_in",
    "train_with_gin",
    "training_settings",
    "validate_with_gin",
]

Files = gin_files.Texts
Bindings = str | Sequence[str] | None


def training_settings() -> TrainingSettings:
    """Training settings that gin holds; ConfigError where a binding is missing.

    Semi-supervised files call the seed `model.model_seed`; of it and `model.random_seed` the one
    that was bound later wins.
    """
    one, other = "srvae_plugin.model.random_seed", "srvae_plugin.model.model_seed"
    if gin_files.bound(other) is not None:
        later = other if gin_files.is_later(other, one) else one
        with gin.unlock_config():
            for name in (one, other):
                gin.bind_parameter(name, gin_files.bound(later))
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
    require_one(resume, overwrite)
    directory = TrainingDirectory(Path(model_dir))
    with (
        only_writer_of(directory.path),
        gin_files.configured(gin_config_files, gin_bindings),
    ):
        if not resume:
            directory.require_new(overwrite)
        train_in(directory, training_settings(), bound_dataset, resume, overwrite)


def train_in(
    directory: TrainingDirectory,
    settings: TrainingSettings,
    bind: Callable[[], GroundTruthData],
    resume: bool,
    overwrite: bool = False,
    begin: Callable[[], None] | None = None,
) -> DisentanglementModel | None:
    """Train within a configuration; return the model, or None if the training was complete.

    Args:
        directory: where; whoever calls this has its lock.
        settings: what gin bound.
        bind: gives the data set.
        resume, overwrite: see `train_with_gin`.
        begin: called when all is checked, before the first file of a former training changes.
    """
    if resume and directory.is_complete() and not _goes_on(directory, settings):
        directory.check_all()
        return None
    data = bind()
    record = record_of(data)
    config = with_record(gin.config_str(), record)
    if settings.init_from and not (resume and directory.files.checkpoint.is_file()):
        require_start(settings.init_from, directory.path)
    directory.prepare(resume, overwrite)
    run = holding_run(directory.path)
    if run is not None and overwrite and not resume:
        RunDirectory(run).evaluations.delete_all()  # of the training that was deleted
    begin = begin or directory.reopen
    model, losses = train(
        settings, data, directory.files, config=config, resume=resume, begin=begin
    )
    save_weights(model, directory.weights, shape_of(data))
    scores = {**losses, "elapsed_time": losses["training_seconds"]}
    directory.write(scores, gin.operative_config_str(), records=Records(record))
    checkpoint.finish(directory.files.checkpoint, settings.keep_checkpoint)
    return model


def _goes_on(directory: TrainingDirectory, settings: TrainingSettings) -> bool:
    """Whether a finished training is to have more steps; ValueError if it cannot."""
    done = int(directory.read()["global_step"])
    checkpoint.require_more_steps(str(directory.path), done, settings.training_steps)
    if done == settings.training_steps:
        return False
    if not directory.files.checkpoint.is_file():
        raise ValueError(
            f"{directory.path} has {done} steps and cannot continue to {settings.training_steps}: "
            "it kept no checkpoint (model.keep_checkpoint); train it again, or start from its "
            f"weights with model.init_from = '{directory.path}'"
        )
    return True


def postprocess_with_gin(
    model_dir: str | Path,
    output_dir: str | Path,
    overwrite: bool = False,
    gin_config_files: Files = None,
    gin_bindings: Bindings = None,
) -> None:
    """Turn a trained model into a representation, in a folder that needs no other.

    Raises:
        ValueError: if `model_dir` holds no trained model or `output_dir` exists.
    """
    source = TrainingDirectory(Path(model_dir))
    target = StepDirectory(Path(output_dir), "postprocess")
    source.gin_file()
    with only_writer_of(target.path), gin_files.configured(gin_config_files, gin_bindings):
        target.require_new(overwrite)
        represent(source, target, overwrite, lambda: load_model(source.path), bound_dataset)


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
    target = StepDirectory(Path(output_dir), "evaluation")
    processed = source.gin_file()
    with only_writer_of(target.path), gin_files.configured(gin_config_files, gin_bindings):
        target.require_new(overwrite)
        whole = bound_dataset(processed)
        require_shape(source, whole)
        say_other_data(source, whole)
        data = to_score(whole)
        function = cached(load_representation(source.path), data)
        records = Records(record_of(whole))
        beside = Beside(source.results, None, records)
        return score(function, data, target, overwrite, beside)


def validate_with_gin(
    model_dir: str | Path,
    output_dir: str | Path,
    overwrite: bool = False,
    gin_config_files: Files = None,
    gin_bindings: Bindings = None,
) -> dict[str, Any]:
    """Score a few labelled observations as disentanglement_lib's validation files say.

    Args:
        model_dir, output_dir, overwrite, gin_config_files, gin_bindings: see `evaluate_with_gin`.
    """
    bindings = [*gin_files.as_list(gin_bindings), "evaluation.evaluation_fn = @validation"]
    return evaluate_with_gin(model_dir, output_dir, overwrite, gin_config_files, bindings)
