"""A finished run in Python: its model, codes, images, curves and scores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.config.gin_sources import import_modules
from srvae_plugin.config.text import gin_dict, gin_function
from srvae_plugin.data.own.from_python import as_data
from srvae_plugin.data.sampling.seeds import Seed, seed_of
from srvae_plugin.data.storage import manifest
from srvae_plugin.files import read_scalars
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.plots import pictures
from srvae_plugin.plots.curves import learning_curves
from srvae_plugin.plots.inline import shown_inline
from srvae_plugin.runs import pipeline, weights
from srvae_plugin.runs.described import registered_name
from srvae_plugin.runs.directory import RunDirectory, runs_below
from srvae_plugin.runs.representation import Representation
from srvae_plugin.runs.scoring.kept_scores import score_and_keep
from srvae_plugin.runs.scoring.score import DEFAULT_METRICS, Metrics
from srvae_plugin.runs.scoring.scores import Scores, flat_scores, without_times

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

__all__ = [
    "Run",
    "RunOrModel",
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
        data: what it was trained on, if that is at hand.

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

    def __init__(
        self,
        path: str | os.PathLike[str],
        model: DisentanglementModel | None = None,
        data: Any = None,
    ):
        self.directory = RunDirectory(Path(path))
        self._given, self._data = model, data

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.directory.path

    @property
    def model(self) -> DisentanglementModel:
        """The trained model, in eval mode; read from the directory if it was trained on elsewhere.

        Raises:
            ValueError: the weights are damaged, or the model's own code is not imported.
        """
        given = self._given
        if given is None or getattr(given, "trained_in", self.path) != self.path:
            return self._loaded
        return given.eval()

    @cached_property
    def _loaded(self) -> DisentanglementModel:
        return pipeline.load_model(self.path)

    @property
    def config(self) -> str:
        """The configuration as gin has it."""
        return self.directory.read_config()

    def codes(self, images: Any, kind: str = "mean") -> NDArray[np.float32]:
        """Codes (num, latent) of images; `kind` is "mean" or "sampled", see `Representation`.

        Raises:
            ValueError: they are no images, or not of the model's shape.
        """
        return Representation(self.model, kind)(self._observations(images))

    def reconstruct(self, images: Any) -> NDArray[np.float32]:
        """The model's output (num, height, width, channel) for images, as `mean_image` has it."""
        return pictures.reconstructions(self.model, self._observations(images))

    def traverse(
        self, image: Any, values: Sequence[float] | NDArray[Any] | None = None
    ) -> NDArray[np.float32]:
        """Outputs (latent, value, height, width, channel) as each latent takes each value.

        Args:
            image: one image, (height, width, channel) or (channel, height, width).
            values: 11 values from -3 to 3 by default.
        """
        given = np.linspace(-pictures.RANGE, pictures.RANGE, 11) if values is None else values
        return pictures.traversals(self.model, self._observations(image[None])[0], np.array(given))

    def _observations(self, images: Any) -> NDArray[np.float32]:
        found = as_observations(images)
        channel, height, width = weights.shape_in(self.directory.model.weights)
        if found.shape[1:] != (height, width, channel):
            shapes = [" x ".join(map(str, s)) for s in (found.shape[1:], (height, width, channel))]
            raise ValueError(
                f"images: got shape {tuple(images.shape)}, observations of {shapes[0]} (height, "
                f"width, channels); the model of {self.path} takes {shapes[1]}"
            )
        return found

    @property
    def history(self) -> pandas.DataFrame:
        """What training logged, one row per logged step; the index is the step.

        With `evaluate_every` it has the scores on the way, too: a column such as
        `mig.discrete_mig` for each number, `sampled/mig.discrete_mig` if several representations
        were scored, and NaN where a step was not evaluated, or not logged. Both losses and scores
        in the row N are of the weights after N updates.
        """
        import pandas

        scalars = self.directory.model.files.scalars
        self.directory.model.check(scalars)
        columns = read_scalars(scalars) or {"step": np.empty(0)}
        logged = pandas.DataFrame(columns).astype({"step": int}).set_index("step")
        found = self.directory.evaluations
        scores = {step: flat_scores(found.read(step)["scores"]) for step in found.steps()}
        if not any(scores.values()):
            return logged
        return logged.join(pandas.DataFrame.from_dict(scores, orient="index"), how="outer")

    def scores(self, kind: str | None = None, *, step: int | None = None) -> Scores:
        """The scores that are kept in the directory, by `evaluate`, the commands or on the way.

        Args:
            kind: the representation, if there are several.
            step: the scores on the way, after so many steps; None: those of the trained model.

        Raises:
            ValueError: there are several representations and `kind` does not say which, or the
                step was not evaluated.
        """
        if step is not None:
            return self._scores_at(step, kind)
        return without_times(self.directory.scores(self._kind(kind)).read_all())

    def evaluate(
        self,
        metrics: Metrics = DEFAULT_METRICS,
        data: Any = None,
        *,
        seed: Seed = 0,
        random_state: Seed | None = None,
        kind: str | None = None,
        overwrite: bool = False,
    ) -> Scores:
        """Score the run and keep the scores in its directory, as `srvae-evaluate` does.

        `scores()` and `srvae-report` show them. What is there already, of the same weights, data,
        settings and seed, is not computed again. `sv.score` scores without keeping anything.

        Args:
            metrics: names, or a dictionary with the settings of each, as in `sv.score`.
            data: as in `sv.score`; by default what it was trained on.
            seed: a whole number, a numpy Generator or a RandomState; `random_state` is the same.
            kind: the representation, if there are several.
            overwrite: replace scores of other data, settings or seeds.

        Returns:
            The scores of these metrics.

        Raises:
            ValueError: an argument cannot be used, or there are scores made otherwise.
            MetricsFailedError: after the others are scored, if a metric cannot be computed.

        Example:
            >>> import numpy as np, srvae_plugin as sv, tempfile
            >>> factors = np.argwhere(np.ones((8, 8)))
            >>> images = np.zeros((64, 8, 8), np.float32)
            >>> images[np.arange(64), factors[:, 0], factors[:, 1]] = 1
            >>> model, folder = sv.VAE(beta=1.0, num_latent=2), tempfile.mkdtemp() + "/run"
            >>> run = sv.train(model, (images, factors), folder, steps=1, eval_steps=1)
            >>> kept = run.evaluate(["mig"])
            >>> sv.load_run(folder).scores() == kept
            True
        """
        return score_and_keep(
            self.directory,
            self._kind(kind),
            self.model,
            metrics,
            self._data if data is None else data,
            seed_of(seed, random_state),
            overwrite,
        )

    def _kind(self, kind: str | None) -> str:
        kinds = self.directory.kinds()
        if kind is None and len(kinds) > 1:
            raise ValueError(f"{self.path} has representations {', '.join(kinds)}: say kind=...")
        if kind is not None and kind not in kinds:
            raise ValueError(
                f"{self.path} has no representation {kind!r}; it has {', '.join(kinds)}"
            )
        return kind or kinds[0]

    def _scores_at(self, step: int, kind: str | None) -> Scores:
        found = self.directory.evaluations
        if step not in (steps := found.steps()):
            there = ", ".join(map(str, steps)) or "none"
            raise ValueError(f"{self.path} was not evaluated at step {step}; it was at: {there}")
        scores = found.read(step)["scores"]
        if kind is None and len(scores) > 1:
            raise ValueError(f"{self.path} has representations {', '.join(scores)}: say kind=...")
        if kind is not None and kind not in scores:
            raise ValueError(f"step {step} of {self.path} has no representation {kind!r}")
        return without_times(scores[kind] if kind else next(iter(scores.values()), {}))

    def plot_history(self) -> Figure | None:
        """Learning curves; None if nothing was logged."""
        return shown_inline(learning_curves(self.directory.model.files.scalars))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"


RunOrModel = Run | DisentanglementModel | str | os.PathLike[str]
"""A run, a model, or the directory of a run."""


class Runs(list[Run]):
    """Several runs, of a study for example: a list.

    Example:
        >>> import numpy as np, srvae_plugin as sv, tempfile
        >>> images = np.random.default_rng(0).random((8, 8, 8), dtype=np.float32)
        >>> model, folder = sv.VAE(beta=1.0, num_latent=2), tempfile.mkdtemp()
        >>> run = sv.train(model, images, folder + "/a", steps=1, eval_steps=1)
        >>> len(sv.load_runs(folder).to_frame())
        1
    """

    def to_frame(self, differing: bool = False) -> pandas.DataFrame:
        """One row per run: its path, its training's bindings, and the headline scores.

        Args:
            differing: leave out settings that all runs have in common.
        """
        import pandas

        rows, titles = [], {"path"}
        for run in self:
            config = gin_dict(manifest.checked_text(run.directory.model.gin_file()))
            scores = {score.title: score.value for score in run.scores().headline()}
            rows.append({"path": str(run.path), **config, **scores})
            titles |= scores.keys()
        frame = pandas.DataFrame(rows)
        settings = [name for name in frame if name not in titles]
        same = [name for name in settings if frame[name].nunique(dropna=False) == 1]
        return frame.drop(columns=same) if differing and len(frame) > 1 else frame


def load_run(
    path: str | os.PathLike[str],
    model: DisentanglementModel | None = None,
    imports: str | Sequence[str] = (),
) -> Run:
    """A finished run.

    Args:
        path: the run directory.
        model: a model made as that of the run was, not built yet. It is needed only where the
            run's networks were given as objects, or its class is one of a script or a notebook.
        imports: modules of yours that define the run's model or networks, by name: a run directory
            imports nothing of its own accord. `--import` is the same for the commands.

    Raises:
        ValueError: it is no run directory with a finished training, or the weights do not fit.

    Example:
        >>> import numpy as np, srvae_plugin as sv, tempfile
        >>> images = np.random.default_rng(0).random((8, 8, 8), dtype=np.float32)
        >>> model, folder = sv.VAE(beta=1.0, num_latent=2), tempfile.mkdtemp()
        >>> run = sv.train(model, images, folder + "/a", steps=1, eval_steps=1)
        >>> sv.load_run(folder + "/a").codes(images).shape
        (8, 2)
    """
    directory = RunDirectory(Path(path))
    directory.require_folder()
    if not directory.model.path.is_dir() and (below := _names_below(directory.path)):
        raise ValueError(
            f"{path} is not a run directory but has runs in it ({below}): load_runs({str(path)!r}) "
            "loads them all"
        )
    if directory.model.begun() and not directory.model.is_complete():
        raise ValueError(
            f"{path}: its training is not finished: train(..., resume=True) or the same command "
            "with --resume continues it"
        )
    directory.model.gin_file()
    _import(imports)
    if model is not None:
        _require_class(model, directory)
        weights.load(model, directory.model.weights)
        model.trained_in = directory.path
    return Run(path, model)


def _require_class(model: DisentanglementModel, directory: RunDirectory) -> None:
    """Refuse a model of another class than the one that the run names."""
    recorded = gin_dict(directory.model.gin_file().read_text(encoding="utf-8")).get("model.model")
    own = registered_name(type(model))
    if recorded and own and gin_function(recorded).rpartition(".")[2] != own:
        raise ValueError(
            f"{directory.path} is a run of {gin_function(recorded)}: got model, a "
            f"{type(model).__name__}; leave it out, or make one of that class"
        )


def _names_below(path: Path) -> str:
    """Some names of the runs in a folder; empty if it has none."""
    try:
        names = [str(run.path.relative_to(path)) for run in runs_below(path)]
    except ValueError:
        return ""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def load_runs(*places: str | os.PathLike[str], imports: str | Sequence[str] = ()) -> Runs:
    """All runs with a finished training in some folders, in the order of their paths.

    Args:
        places: folders: of runs, of studies, or above them.
        imports: see `load_run`.

    Raises:
        ValueError: a place does not exist or holds no run.

    Example:
        >>> import numpy as np, srvae_plugin as sv, tempfile
        >>> images = np.random.default_rng(0).random((8, 8, 8), dtype=np.float32)
        >>> model, folder = sv.VAE(beta=1.0, num_latent=2), tempfile.mkdtemp()
        >>> run = sv.train(model, images, folder + "/a", steps=1, eval_steps=1)
        >>> [run.path.name for run in sv.load_runs(folder)]
        ['a']
    """
    _import(imports)
    return Runs(Run(run.path) for place in places for run in runs_below(Path(place)))


def _import(modules: str | Sequence[str]) -> None:
    import_modules([modules] if isinstance(modules, str) else modules, asked_by="imports: ")


def plot_traversals(run: RunOrModel, images: Any, columns: int = 11) -> Figure:
    """Traversals of the first image, one row per latent, the largest KL over the images first.

    Args:
        run: a run, its directory or a model.
        images: at least one; see `Run`.
        columns: how many values from -3 to 3.

    Example:
        >>> import numpy as np, srvae_plugin as sv, tempfile
        >>> images = np.random.default_rng(0).random((8, 8, 8), dtype=np.float32)
        >>> model, folder = sv.VAE(beta=1.0, num_latent=2), tempfile.mkdtemp()
        >>> run = sv.train(model, images, folder + "/a", steps=1, eval_steps=1)
        >>> sv.plot_traversals(run, images).savefig(folder + "/traversals.png")
    """
    model, observations = _model_and_observations(run, images)
    kl = pictures.latent_kl(model, observations)
    return shown_inline(pictures.traversal_grid(model, observations[0], kl, columns))


def plot_reconstructions(run: RunOrModel, images: Any) -> Figure:
    """Images above the model's output for them.

    Example:
        >>> import numpy as np, srvae_plugin as sv, tempfile
        >>> images = np.random.default_rng(0).random((8, 8, 8), dtype=np.float32)
        >>> model, folder = sv.VAE(beta=1.0, num_latent=2), tempfile.mkdtemp()
        >>> run = sv.train(model, images, folder + "/a", steps=1, eval_steps=1)
        >>> sv.plot_reconstructions(run, images[:4]).savefig(folder + "/reconstructions.png")
    """
    return shown_inline(pictures.reconstruction_grid(*_model_and_observations(run, images)))


def plot_decomposition(run: RunOrModel, images: Any) -> Figure | None:
    """What each step of a sequential model adds to the first image; None for other models.

    Example:
        >>> import numpy as np, srvae_plugin as sv, tempfile
        >>> images = np.random.default_rng(0).random((8, 8, 8), dtype=np.float32)
        >>> model, folder = sv.SRVAE(num_latent=2), tempfile.mkdtemp()
        >>> run = sv.train(model, images, folder + "/a", steps=1, eval_steps=1)
        >>> sv.plot_decomposition(run, images).savefig(folder + "/decomposition.png")
    """
    model, observations = _model_and_observations(run, images)
    kl = pictures.latent_kl(model, observations)
    return shown_inline(pictures.decomposition_figure(model, observations[0], kl))


def as_observations(images: Any) -> NDArray[np.float32]:
    """Images as float32 (num, height, width, channel) in [0, 1]; see `as_data`.

    Raises:
        ValueError: they are no images, or their axes can be read in two ways.
    """
    data = as_data(images)
    return data.observations_at(np.arange(len(images)))  # type: ignore[attr-defined]


def _model_and_observations(
    run: RunOrModel, images: Any
) -> tuple[DisentanglementModel, NDArray[np.float32]]:
    if isinstance(run, str | os.PathLike):
        run = load_run(run)
    if isinstance(run, Run):
        return run.model, run._observations(images)
    return run.eval(), as_observations(images)
