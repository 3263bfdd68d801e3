"""From a trained model to its representation."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import SupportsIndex

import gin

from srvae_plugin.config import gin_files
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.runs import weights
from srvae_plugin.runs.described import require_rebuilt
from srvae_plugin.runs.directory import StepDirectory, TrainingDirectory, trained_in
from srvae_plugin.runs.representation import Representation
from srvae_plugin.training.numerics import memory_format
from srvae_plugin.training.settings import TrainingSettings, check_seed, find_device

__all__ = [
    "PostprocessSettings",
    "in_use",
    "load_model",
    "load_representation",
    "mean_representation",
    "represent",
    "representation_function",
    "sampled_representation",
]


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


def load_model(run_dir: str | Path, device: str = "auto") -> DisentanglementModel:
    """Load a trained model, in eval mode.

    Args:
        run_dir: a run directory, or its `model` or `postprocessed/<kind>` folder.
        device: "auto" or a torch device.

    Raises:
        ValueError: if it is not such a folder, or the weights are damaged or do not fit.

    Example:
        >>> import numpy as np, srvae_plugin as sv, tempfile
        >>> images = np.random.default_rng(0).random((8, 8, 8), dtype=np.float32)
        >>> model, folder = sv.VAE(beta=1.0, num_latent=2), tempfile.mkdtemp()
        >>> run = sv.train(model, images, folder + "/a", steps=1, eval_steps=1)
        >>> sv.load_model(run.path).num_latent
        2
    """
    directory = trained_in(Path(run_dir))
    require_rebuilt(directory.gin_file().read_text(encoding="utf-8"), run_dir)
    with gin_files.only([directory.gin_file()], recorded=True):
        settings = gin_files.made(TrainingSettings, "srvae_plugin.model")
        model = settings.model
        weights.load(model, directory.weights)
    return in_use(model, settings.channels_last, device)


def in_use(
    model: DisentanglementModel, channels_last: bool | str, device: str = "auto"
) -> DisentanglementModel:
    """The model in eval mode, without gradients, on a device and in the layout that suit it."""
    found = find_device(device)
    layout = memory_format(found, channels_last)
    model.zero_grad(set_to_none=True)
    return model.to(found).to(memory_format=layout).eval()  # type: ignore[call-overload]


def representation_function(
    model: DisentanglementModel | str | Path, kind: str = "mean", seed: SupportsIndex = 0
) -> Representation:
    """Representation function (NHWC in [0, 1] -> codes) of a model or of a run directory.

    Example:
        >>> import numpy as np, srvae_plugin as sv
        >>> model = sv.VAE(beta=1.0, num_latent=2)
        >>> model.build((1, 8, 8))
        >>> sv.representation_function(model)(np.zeros((3, 8, 8, 1), np.float32)).shape
        (3, 2)
    """
    loaded = model if isinstance(model, DisentanglementModel) else load_model(model)
    return Representation(loaded, kind, seed)


def represent(
    source: TrainingDirectory,
    target: StepDirectory,
    overwrite: bool,
    model: Callable[[], DisentanglementModel],
    bind: Callable[[Path], GroundTruthData],
) -> Representation:
    """Write the representation that gin binds, of a trained model, and return it.

    Args:
        source: the training.
        target: where it is written.
        overwrite: whether the folder may exist.
        model: gives the trained model.
        bind: gives the data set, from the gin file of the training.
    """
    begun = time.monotonic()
    with target.made_anew(overwrite) as directory:
        settings = gin_files.made(PostprocessSettings, "srvae_plugin.postprocess")
        bind(source.gin_file())
        function = settings.postprocess_fn(model(), settings.random_seed)
        shutil.copy(source.weights, directory.weights)
        took = {"elapsed_time": time.monotonic() - begun}
        directory.write(took, gin.operative_config_str(), source.results)
    return function


def load_representation(
    representation_dir: str | Path, model: DisentanglementModel | None = None
) -> Representation:
    """Representation function that a postprocessing step left in a folder.

    Args:
        representation_dir: the folder.
        model: the trained model, if it is loaded already.
    """
    directory = StepDirectory(Path(representation_dir), "postprocess")
    with gin_files.only([directory.gin_file()], recorded=True):
        settings = gin_files.made(PostprocessSettings, "srvae_plugin.postprocess")
        trained = load_model(directory.path) if model is None else model
        return settings.postprocess_fn(trained, settings.random_seed)
