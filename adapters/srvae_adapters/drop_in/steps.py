"""The steps: train, postprocess, evaluate. Each reads what gin holds, or gin files, as there."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gin
import numpy as np

from srvae_adapters.drop_in import results
from srvae_plugin.config import gin_files, plugins
from srvae_plugin.data.sampling.held_out import to_score
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.directory import trained_in
from srvae_plugin.runs.scoring.udr import gaussian_function
from srvae_plugin.training.settings import LABELS

__all__ = [
    "Texts",
    "evaluate",
    "evaluate_udr",
    "evaluate_with_gin",
    "postprocess",
    "postprocess_with_gin",
    "train",
    "train_semi_supervised",
    "train_semi_supervised_with_gin",
    "train_with_gin",
    "validate",
    "validate_with_gin",
]

Texts = Sequence[str] | None

plugins.load()  # the original's modules import all metrics, models and networks


@contextlib.contextmanager
def _given(step: str, values: dict[str, Any]) -> Iterator[None]:
    """Bind what a caller gives a step beside what gin holds."""
    with gin_files.restored(), gin.unlock_config():
        for name, value in values.items():
            gin.bind_parameter(f"srvae_plugin.{step}.{name}", value)
        yield


@contextlib.contextmanager
def _configured(files: Texts, bindings: Texts) -> Iterator[None]:
    """Add files and bindings; afterwards gin holds nothing, as the original leaves it."""
    try:
        with gin_files.configured(files, bindings):
            yield
    finally:
        gin.clear_config()


def train_with_gin(
    model_dir: str | Path,
    overwrite: bool = False,
    gin_config_files: Texts = None,
    gin_bindings: Texts = None,
) -> None:
    """Train the model that gin files and bindings describe."""
    with _configured(gin_config_files, gin_bindings):
        pipeline.train_with_gin(model_dir, overwrite)


def train(model_dir: str | Path, overwrite: bool = False, **settings: Any) -> None:
    """Train the model that gin binds, or that is given.

    Args:
        model_dir: folder for weights and results.
        overwrite: whether it may exist.
        settings: the parameters of `model` in gin: `model`, `training_steps`, `batch_size` ...
    """
    with _given("model", settings):
        pipeline.train_with_gin(model_dir, overwrite)


def train_semi_supervised_with_gin(
    model_dir: str | Path,
    overwrite: bool = False,
    gin_config_files: Texts = None,
    gin_bindings: Texts = None,
) -> None:
    """Train the semi-supervised model that gin files and bindings describe, or another one."""
    with _configured(gin_config_files, gin_bindings):
        train_semi_supervised(model_dir, overwrite)


def train_semi_supervised(model_dir: str | Path, overwrite: bool = False, **settings: Any) -> None:
    """See `train`. As in the original, a model without labels is trained without them.

    It may be bound without parentheses, `@vae`.
    """
    bound = settings.get("model") or gin_files.bound("srvae_plugin.model.model")
    kind: Any = getattr(bound, "configurable", bound)
    kind = getattr(kind, "wrapped", kind)
    plain = isinstance(kind, type) and not getattr(kind, "takes_labels", False)
    with _given("model", settings | (dict.fromkeys(LABELS) if plain else {})):
        if plain and "model" not in settings:
            gin_files.bind_reference("srvae_plugin.model.model", f"{bound.selector}()")
        pipeline.train_with_gin(model_dir, overwrite)


def postprocess_with_gin(
    model_dir: str | Path,
    output_dir: str | Path,
    overwrite: bool = False,
    gin_config_files: Texts = None,
    gin_bindings: Texts = None,
) -> None:
    """Turn a trained model into a representation."""
    with _configured(gin_config_files, gin_bindings):
        pipeline.postprocess_with_gin(model_dir, output_dir, overwrite)


def postprocess(
    model_dir: str | Path, output_dir: str | Path, overwrite: bool = False, **settings: Any
) -> None:
    """The same as gin binds it, or as given: `postprocess_fn`, `random_seed`, `name`."""
    with _given("postprocess", settings):
        pipeline.postprocess_with_gin(model_dir, output_dir, overwrite)


def evaluate_with_gin(
    model_dir: str | Path,
    output_dir: str | Path,
    overwrite: bool = False,
    gin_config_files: Texts = None,
    gin_bindings: Texts = None,
) -> None:
    """Score a representation with one metric."""
    with _configured(gin_config_files, gin_bindings):
        pipeline.evaluate_with_gin(model_dir, output_dir, overwrite)


def evaluate(
    model_dir: str | Path, output_dir: str | Path, overwrite: bool = False, **settings: Any
) -> None:
    """The same as gin binds it, or as given: `evaluation_fn`, `random_seed`, `name`."""
    with _given("evaluation", settings):
        pipeline.evaluate_with_gin(model_dir, output_dir, overwrite)


def validate_with_gin(
    model_dir: str | Path,
    output_dir: str | Path,
    overwrite: bool = False,
    gin_config_files: Texts = None,
    gin_bindings: Texts = None,
) -> None:
    """Score a few labelled observations with one metric."""
    with _configured(gin_config_files, gin_bindings):
        validate(model_dir, output_dir, overwrite)


def validate(
    model_dir: str | Path, output_dir: str | Path, overwrite: bool = False, **settings: Any
) -> None:
    """The same as gin binds it, or as given: `validation_fn`, `random_seed` ...

    Results are written under the original's names, `validation_results.json` and so on, too.
    """
    with _given("validation", settings):
        pipeline.validate_with_gin(model_dir, output_dir, overwrite)
    results.as_step(Path(output_dir) / "results", "evaluation", "validation")


def evaluate_udr(
    model_dirs: Sequence[str | Path], output_dir: str | Path, *given: Any, **settings: Any
) -> None:
    """Rank trained models by UDR; `evaluation.udr.evaluate.evaluate`.

    Args:
        model_dirs: folders of trained models.
        output_dir: where its folder `results` is written.
        given: `evaluation_fn` and `random_seed`, if they are not bound.
        settings: the same by name.
    """
    begun = time.monotonic()
    folders = [trained_in(Path(folder)) for folder in model_dirs]
    named = dict(zip(("evaluation_fn", "random_seed", "name"), given, strict=False)) | settings
    with _given("evaluation", named):
        chosen = gin_files.made(pipeline.EvaluationSettings, "srvae_plugin.evaluation")
        data = to_score(pipeline.bound_dataset(folders[0].gin_file()))
        models = [gaussian_function(pipeline.load_model(folder.path)) for folder in folders]
        random_state = np.random.RandomState(chosen.random_seed)
        scores = dict(chosen.evaluation_fn(data, models, random_state=random_state))
        scores["elapsed_time"] = time.monotonic() - begun
        target = Path(output_dir) / "results"
        results.update_result_directory(target, "evaluation", scores, folders[0].results)
