"""A finished run in Python: its model, codes, images, curves and scores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.config.text import gin_dict
from srvae_plugin.data.from_python import as_data
from srvae_plugin.data.storage import manifest
from srvae_plugin.files import read_scalars
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.plots import pictures
from srvae_plugin.plots.curves import learning_curves
from srvae_plugin.runs import pipeline, weights
from srvae_plugin.runs.directory import RunDirectory, TrainingDirectory
from srvae_plugin.runs.representation import Representation
from srvae_plugin.runs.scores import Scores

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

__all__ = [
    "Run",
    "Runs",
    "as_observations",
    "load_run",
    "load_runs",
    "plot_decomposition",
    "plot_reconstructions",
    "plot_traversals",
]


class Run:
    """A trained model and what its run directory holds.

    Images are given as they come: an array (num, height, width, channel) or a tensor
    (num, channel, height, width), intensities in [0, 1]; what comes back is an array.

    Args:
        path: the run directory.
        model: the trained model; None: it is loaded when it is asked for.

    Example:
        >>> import numpy as np, srvae_plugin as sv, tempfile
        >>> images = np.random.default_rng(0).random((8, 64, 64), dtype=np.float32)
        >>> folder = tempfile.mkdtemp() + "/run"
        >>> model = sv.VAE(beta=1.0, num_latent=2)
        >>> run = sv.train(model, images, folder, steps=1, batch_size=2, eval_steps=1)
        >>> run.codes(images).shape
        (8, 2)
        >>> sv.load_run(folder).reconstruct(images).shape
        (8, 64, 64, 1)
    """

    def __init__(self, path: str | os.PathLike[str], model: DisentanglementModel | None = None):
        self.directory = RunDirectory(Path(path))
        self._given = model

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.directory.path

    @cached_property
    def model(self) -> DisentanglementModel:
        """The trained model, in eval mode.

        Raises:
            ValueError: the weights are damaged, or the model's own code is not imported.
        """
        return pipeline.load_model(self.path) if self._given is None else self._given.eval()

    @property
    def config(self) -> str:
        """The configuration as gin has it."""
        return self.directory.read_config()

    def codes(self, images: Any, kind: str = "mean") -> NDArray[np.float32]:
        """Codes (num, latent) of images; `kind` is "mean" or "sampled", see `Representation`."""
        return Representation(self.model, kind)(as_observations(images))

    def reconstruct(self, images: Any) -> NDArray[np.float32]:
        """The model's output (num, height, width, channel) for images, in [0, 1]."""
        return pictures.reconstructions(self.model, as_observations(images))

    def traverse(
        self, image: Any, values: Sequence[float] | NDArray[Any] | None = None
    ) -> NDArray[np.float32]:
        """Outputs (latent, value, height, width, channel) as each latent takes each value.

        Args:
            image: one image, (height, width, channel) or (channel, height, width).
            values: 11 values from -3 to 3 by default.
        """
        given = np.linspace(-pictures.RANGE, pictures.RANGE, 11) if values is None else values
        return pictures.traversals(self.model, as_observations(image[None])[0], np.asarray(given))

    @property
    def history(self) -> pandas.DataFrame:
        """What training logged, one row per logged step; the index is the step."""
        import pandas

        scalars = self.directory.model.files.scalars
        self.directory.model.check(scalars)
        columns = read_scalars(scalars) or {"step": np.empty(0)}
        return pandas.DataFrame(columns).astype({"step": int}).set_index("step")

    def scores(self, kind: str | None = None) -> Scores:
        """What the run was scored with; `kind` is needed if several representations were.

        Raises:
            ValueError: several representations were scored and `kind` does not say which.
        """
        kinds = self.directory.kinds()
        if kind is None and len(kinds) > 1:
            raise ValueError(f"{self.path} has representations {', '.join(kinds)}: say kind=...")
        return Scores(self.directory.scores(kind or kinds[0]).read_all())

    def plot_history(self) -> Figure | None:
        """Learning curves; None if nothing was logged."""
        return learning_curves(self.directory.model.files.scalars)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"


class Runs(list[Run]):
    """Several runs, of a study for example."""

    def to_frame(self) -> pandas.DataFrame:
        """One row per run: its path, its training's bindings, and the headline scores."""
        import pandas

        rows = []
        for run in self:
            config = gin_dict(manifest.checked_text(run.directory.model.gin_file()))
            scores = {score.title: score.value for score in run.scores().headline()}
            rows.append({"path": str(run.path), **config, **scores})
        return pandas.DataFrame(rows)


def load_run(path: str | os.PathLike[str], model: DisentanglementModel | None = None) -> Run:
    """A finished run.

    Args:
        path: the run directory.
        model: a model made as that of the run was, not built yet. It is needed only where the
            run's networks were given as objects, which no name stands for.

    Raises:
        ValueError: it is no run directory with a finished training, or the weights do not fit.
    """
    directory = RunDirectory(Path(path))
    directory.model.gin_file()
    if model is not None:
        weights.load(model, directory.model.weights)
    return Run(path, model)


def load_runs(*places: str | os.PathLike[str]) -> Runs:
    """All runs with a finished training in some folders, in the order of their paths.

    Raises:
        ValueError: a place does not exist or holds no run.
    """
    found = []
    for place in map(Path, places):
        runs = [path.parents[3] for path in place.rglob("train.json") if _is_training(path)]
        if not runs:
            raise ValueError(f"{place} holds no finished run: expected folders with model/ in them")
        found += sorted(runs)
    return Runs(Run(path) for path in found)


def plot_traversals(run: Run | DisentanglementModel, images: Any, columns: int = 11) -> Figure:
    """Traversals of the first image, one row per latent, the largest KL over the images first.

    Args:
        run: a run or a model.
        images: at least one; see `Run`.
        columns: how many values from -3 to 3.
    """
    model = _model(run)
    observations = as_observations(images)
    kl = pictures.latent_kl(model, observations)
    return pictures.traversal_grid(model, observations[0], kl, columns)


def plot_reconstructions(run: Run | DisentanglementModel, images: Any) -> Figure:
    """Images above the model's output for them."""
    return pictures.reconstruction_grid(_model(run), as_observations(images))


def plot_decomposition(run: Run | DisentanglementModel, images: Any) -> Figure | None:
    """What each step of a sequential model adds to the first image; None for other models."""
    model, observations = _model(run), as_observations(images)
    kl = pictures.latent_kl(model, observations)
    return pictures.decomposition_figure(model, observations[0], kl)


def as_observations(images: Any) -> NDArray[np.float32]:
    """Images as float32 (num, height, width, channel) in [0, 1]; see `data.from_python.as_data`.

    Raises:
        ValueError: they are no images, or their axes can be read in two ways.
    """
    data = as_data(images)
    return data.observations_at(np.arange(len(images)))  # type: ignore[attr-defined]


def _model(run: Run | DisentanglementModel) -> DisentanglementModel:
    return run.model if isinstance(run, Run) else run.eval()


def _is_training(aggregate: Path) -> bool:
    return TrainingDirectory(aggregate.parents[2]).aggregate == aggregate and (
        aggregate.parents[2].name == RunDirectory(aggregate.parents[3]).model.path.name
    )
