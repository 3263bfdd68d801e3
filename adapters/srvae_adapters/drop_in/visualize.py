"""`visualize.visualize_model`, `visualize_dataset`, `visualize_irs`: models and data drawn."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gin
import numpy as np
import torch
from numpy.typing import NDArray

from srvae_adapters.drop_in import pictures
from srvae_adapters.drop_in.metric_parts import scalable_disentanglement_score
from srvae_plugin.config import gin_files
from srvae_plugin.config.plugins import load_dataset
from srvae_plugin.files import new_folder, require_new
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.plots.cycles import CYCLES, cycle_factor, frames_of
from srvae_plugin.plots.interventions import draw_effect, interventional_effects
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.directory import trained_in

__all__ = [
    "Codes",
    "latent_traversal_1d_multi_dim",
    "sigmoid",
    "tanh",
    "vis_all_interventional_effects",
    "visualize",
    "visualize_dataset",
    "visualize_interventional_effect",
]

_NUM_PICTURES = 64
_NUM_VARIATIONS = 16
Codes = NDArray[Any]


def sigmoid(x: Any) -> Any:
    """Intensities of logits."""
    from scipy.special import expit

    return expit(x)


def tanh(x: Any) -> Any:
    """Intensities of the activation "tanh"."""
    return np.tanh(x) / 2 + 0.5


class _Trained:
    """A model as functions of arrays, images last in channels."""

    def __init__(self, model: DisentanglementModel) -> None:
        self._model = model
        self._device = next(model.parameters()).device

    def _tensor(self, array: Codes) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(self._device)

    @torch.inference_mode()
    def encode(self, images: Codes) -> tuple[Codes, Codes]:
        posterior = self._model.encode(self._tensor(images).permute(0, 3, 1, 2))
        return posterior.mean.cpu().numpy(), posterior.logvar.cpu().numpy()

    @torch.inference_mode()
    def decode(self, codes: Codes) -> Codes:
        images = self._model.mean_image(self._model.decode(self._tensor(codes)))
        return images.permute(0, 2, 3, 1).cpu().numpy()


def visualize(
    model_dir: str,
    output_dir: str,
    overwrite: bool = False,
    num_animations: int = 5,
    num_frames: int = 20,
    fps: float = 10,
    num_points_irs: int = 10_000,
) -> None:
    """Draw a trained model: reconstructions, prior samples, traversals, animations, IRS.

    Args:
        model_dir: folder of a trained model.
        output_dir: folder for the pictures.
        overwrite: whether it may exist.
        num_animations: images whose latents are varied, in five ways each.
        num_frames: frames of an animation.
        fps: frames per second.
        num_points_irs: points to draw interventional effects from.
    """
    target = Path(output_dir)
    require_new(target, overwrite)
    training = trained_in(Path(model_dir))
    with gin_files.configured():
        gin.clear_config()
        data = pipeline.bound_dataset(training.gin_file())
    model = _Trained(pipeline.load_model(training.path))
    random_state = np.random.RandomState(0)
    with new_folder(target, overwrite) as folder:
        observed = data.sample_observations(_NUM_PICTURES, random_state)
        again = model.decode(_sampled(*model.encode(observed), random_state=random_state))
        pairs = list(np.concatenate([observed, again], axis=2))
        pictures.grid_save_images(pairs, folder / "reconstructions" / "reconstructions.jpg")
        num_latent = model.encode(observed[:1])[0].shape[1]
        codes = random_state.normal(0, 1, [_NUM_PICTURES, num_latent])
        pictures.grid_save_images(model.decode(codes), folder / "sampled" / "samples.jpg")
        posterior = model.encode(data.sample_observations(_NUM_PICTURES, random_state))
        for i, mean in enumerate(posterior[0][:num_latent]):
            grid = latent_traversal_1d_multi_dim(model.decode, mean)
            pictures.save_image(grid, folder / "traversals" / f"traversals{i}.jpg")
        for name, cycle in CYCLES.items():
            for i, base in enumerate(posterior[0][:num_animations]):
                frames = list(frames_of(model.decode, cycle, base, posterior, num_frames))
                file = folder / "animated_traversals" / f"{name}{i}.gif"
                pictures.save_animation(frames, file, fps)
        factors = data.sample_factors(num_points_irs, random_state)
        points = data.sample_observations_from_factors(factors, random_state)
        effects = folder / "interventional_effects"
        vis_all_interventional_effects(factors, model.encode(points)[0], effects)


def _sampled(mean: Codes, logvar: Codes, random_state: np.random.RandomState) -> Codes:
    return mean + np.exp(logvar / 2) * random_state.normal(size=mean.shape)


def vis_all_interventional_effects(
    gen_factors: NDArray[Any], latents: Codes, output_dir: str | Path
) -> None:
    """Write `<output_dir>/interventional_effect.png`, of (points, factor) and (points, latent)."""
    found = scalable_disentanglement_score(gen_factors, latents)
    figure = interventional_effects(
        gen_factors, latents, found["parents"], found["disentanglement_scores"]
    )
    pictures.save_figure(figure, Path(output_dir) / "interventional_effect.png")


def visualize_interventional_effect(
    gen_factors: NDArray[Any],
    latents: Codes,
    latent_dim: int,
    const_factor_idx: int,
    intervened_factor_idx: int,
    no_conditioning: bool = False,
    ax: Any = None,
    plot_legend: bool = True,
    plot_scatter: bool = True,
) -> None:
    """Draw one latent by a factor, for each value of another unless `no_conditioning`.

    Args:
        gen_factors: (points, factor) discrete values.
        latents: (points, latent).
        latent_dim, const_factor_idx, intervened_factor_idx: which.
        no_conditioning: mean, median and deviation by the factor alone.
        ax: axes of matplotlib; None: those of a new figure of pyplot.
        plot_legend: name the lines.
        plot_scatter: draw the points, too, one colour for each value of the other factor.
    """
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.figure(figsize=(10, 7)).add_subplot()
    known = gen_factors[:, const_factor_idx]
    values, latent = gen_factors[:, intervened_factor_idx], latents[:, latent_dim]
    if plot_scatter:
        ax.scatter(values, latent, c=np.unique(known, return_inverse=True)[1], cmap="tab10", s=9)
    draw_effect(ax, values, latent, None if no_conditioning else known)
    ax.set_xlabel(f"g_{intervened_factor_idx}")
    given = "" if no_conditioning else f"g_{const_factor_idx}, "
    ax.set_ylabel(f"E[z_{latent_dim}|{given}g_{intervened_factor_idx}]")
    if plot_legend:
        ax.legend()


def latent_traversal_1d_multi_dim(
    generator_fn: Callable[[Codes], NDArray[Any]],
    latent_vector: Codes,
    dimensions: NDArray[Any] | int | None = None,
    values: NDArray[Any] | int | None = None,
    transpose: bool = False,
) -> NDArray[Any]:
    """One image: in each column a latent varied, in each row a value of it.

    Args:
        generator_fn: codes (num, latent) to images.
        latent_vector: (latent,) the code that is varied.
        dimensions: indices of latents, or how many; None: all.
        values: values, or how many from -1 to 1; None: 11.
        transpose: rows and columns exchanged.

    Raises:
        ValueError: not a vector, or a number out of range.
    """
    if np.ndim(latent_vector) != 1:
        raise ValueError(f"latent_vector: expected a vector, got shape {np.shape(latent_vector)}")
    if dimensions is None:
        dimensions = len(latent_vector)
    if isinstance(dimensions, numbers.Integral):
        if not 1 <= dimensions <= len(latent_vector):
            raise ValueError(f"dimensions = {dimensions}: expected 1 to {len(latent_vector)}")
        dimensions = np.arange(dimensions)
    values = 11 if values is None else values
    if isinstance(values, numbers.Integral):
        if values < 2:
            raise ValueError(f"values = {values}: expected at least 2")
        values = np.linspace(-1.0, 1.0, int(values))
    axis = int(transpose)
    lines = []
    for latent in np.asarray(dimensions):
        codes = np.tile(latent_vector, (len(np.asarray(values)), 1))
        codes[:, latent] = values
        lines.append(np.concatenate(list(generator_fn(codes)), axis))
    return np.concatenate(lines, 1 - axis)


def visualize_dataset(
    dataset_name: str,
    output_path: str,
    num_animations: int = 5,
    num_frames: int = 20,
    fps: float = 10,
) -> None:
    """Draw a data set below `<output_path>/<dataset_name>`: each factor varied, and animations."""
    data: Any = gin.get_configurable(load_dataset)(dataset_name)
    random_state = np.random.RandomState(0)
    folder = Path(output_path) / dataset_name
    for factor in range(data.num_factors):
        rows = data.sample_factors(_NUM_VARIATIONS, random_state)
        others = [k for k in range(data.num_factors) if k != factor]
        rows[:, others] = rows[0, others]
        images = data.sample_observations_from_factors(rows, random_state)
        pictures.grid_save_images(images, folder / f"variations_of_factor{factor}.png")
    for i in range(num_animations):
        base = data.sample_factors(1, random_state)
        shown = []
        for factor, size in enumerate(data.factors_num_values):
            rows = np.repeat(base, num_frames, axis=0)
            rows[:, factor] = cycle_factor(base[0, factor], size, num_frames)
            shown.append(data.sample_observations_from_factors(rows, random_state))
        pictures.save_animation(shown, folder / f"animation{i}.gif", fps)
