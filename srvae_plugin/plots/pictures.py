"""Pictures of a trained model: traversals, reconstructions, decomposition, learning curves.

Latents are numbered from 0, as in the scalars that training writes, and sorted by their KL,
largest first: an unused latent has a KL near 0 and comes last.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from srvae_plugin.files import write_bytes
from srvae_plugin.models.base import Decomposition, DisentanglementModel
from srvae_plugin.models.losses import gaussian_kl
from srvae_plugin.plots.curves import learning_curves
from srvae_plugin.plots.decomposition import decomposition_page
from srvae_plugin.plots.tiles import (
    enlarge,
    grid_page,
    intensities,
    signed_number,
    slider_frames,
)

__all__ = [
    "RANGE",
    "LatentKL",
    "Observation",
    "ObservationSource",
    "Observations",
    "by_kl",
    "decomposition_figure",
    "latent_kl",
    "reconstruction_grid",
    "reconstructions",
    "save_all",
    "save_traversals",
    "traversal_animation",
    "traversal_grid",
    "traversals",
]


Observations = Float32[np.ndarray, "num height width channel"]
Observation = Float32[np.ndarray, "height width channel"]
LatentKL = Float[np.ndarray, " latent"]

RANGE = 3.0
"""Traversals set a latent to values from -3 to 3, as in the SR-VAE paper's figures."""
_FRAME_MS = 80
_KL_OBSERVATIONS = 256
_BATCH = 64
_MOVING = "traversals"
"""Name of the picture that there is as a still and moving."""


@runtime_checkable
class ObservationSource(Protocol):
    """What the pictures need of a data set; any ground-truth data of disentanglement_lib has it."""

    def sample_observations(self, num: int, random_state: np.random.RandomState) -> Observations:
        """Draw `num` observations with intensities in [0, 1]."""


@contextmanager
def _inference(model: DisentanglementModel) -> Iterator[torch.device]:
    """Evaluation mode without gradients; yields the model's device."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield next((p.device for p in model.parameters()), torch.device("cpu"))
    finally:
        for module, training in modes:
            module.training = training


def _to_torch(observations: Observations, device: torch.device) -> Tensor:
    # A copy: torch warns about memory that is read-only, as a mapped file's is.
    return torch.from_numpy(np.array(observations.transpose(0, 3, 1, 2), order="C")).to(device)


def _to_numpy(images: Tensor) -> Float32[np.ndarray, "*batch height width channel"]:
    # A diverged model is black: the pictures of the rest of a run should still be made.
    return torch.nan_to_num(images.float()).movedim(-3, -1).cpu().numpy()


def latent_kl(model: DisentanglementModel, observations: Observations) -> LatentKL:
    """KL of each latent's posterior to N(0, 1), mean over the observations, in nats: (latent,)."""
    with _inference(model) as device:
        total = torch.zeros(model.num_latent, dtype=torch.float64)
        for start in range(0, len(observations), _BATCH):
            posterior = model.encode(_to_torch(observations[start : start + _BATCH], device))
            total += gaussian_kl(*posterior).double().sum(0).cpu()
    return (total / len(observations)).numpy()


def by_kl(kl: LatentKL) -> list[int]:
    """Latents, largest KL first; equal ones in their own order."""
    return [int(latent) for latent in np.argsort(-kl, kind="stable")]


def traversals(
    model: DisentanglementModel, observation: Observation, values: Float[np.ndarray, " value"]
) -> Float32[np.ndarray, "latent value height width channel"]:
    """Output images in [0, 1] as each latent in turn takes each value."""
    with _inference(model) as device:
        x = _to_torch(observation[None], device)
        chosen = torch.from_numpy(values.astype(np.float32)).to(device)
        images = [model.traverse(x, latent, chosen) for latent in range(model.num_latent)]
    return _to_numpy(torch.stack(images))


def traversal_grid(
    model: DisentanglementModel, observation: Observation, kl: LatentKL, columns: int = 11
) -> Figure:
    """Traversals of one observation, one row per latent, sorted by KL.

    The first column is the observation itself, the others the model's output with the row's
    latent set to the value above, from -3 to 3.

    Args:
        model: a built model.
        observation: intensities in [0, 1].
        kl: KL of each latent in nats, from :func:`latent_kl`.
        columns: number of values.
    """
    values = np.linspace(-RANGE, RANGE, columns)
    order = by_kl(kl)
    outputs = traversals(model, observation, values)[order]
    inputs = np.broadcast_to(observation, (len(order), 1, *observation.shape))
    tiles = enlarge(intensities(np.concatenate([inputs, outputs], axis=1)))
    heads = {0: "input"} | {i + 1: signed_number(value) for i, value in enumerate(values)}
    title = "output with the row's latent set to"
    return grid_page(tiles, [_label(i, kl) for i in order], heads, True, title).figure()


def traversal_animation(
    model: DisentanglementModel, observation: Observation, kl: LatentKL, frames: int = 24
) -> list[Image.Image]:
    """Frames of all latents' traversals at once, one tile a latent sorted by KL.

    The value goes from -3 to 3 and back along a cosine, so that the last frame leads into the
    first; a slider below shows it. Frames share one palette and are grey for grey observations.
    """
    # The way back shows the images of the way there.
    there_and_back = np.minimum(np.arange(frames), frames - np.arange(frames))
    values = -RANGE * np.cos(2 * np.pi * np.arange(frames // 2 + 1) / frames)
    order = by_kl(kl)
    tiles = enlarge(intensities(traversals(model, observation, values)[order]))
    labels = [_label(i, kl) for i in order]
    pictures = slider_frames(tiles, labels, values, RANGE)[there_and_back]
    if observation.shape[-1] == 1:
        return [Image.fromarray(picture).convert("L") for picture in pictures]
    # Palettes of their own would make still parts of the picture flicker.
    strip = Image.fromarray(np.concatenate(list(pictures[::4])))
    palette = strip.quantize(256)
    plain = Image.Dither.NONE
    return [Image.fromarray(p).quantize(palette=palette, dither=plain) for p in pictures]


def reconstructions(model: DisentanglementModel, observations: Observations) -> Observations:
    """The model's outputs for observations, in [0, 1]."""
    with _inference(model) as device:
        starts = range(0, len(observations), _BATCH)
        parts = [_to_torch(observations[start : start + _BATCH], device) for start in starts]
        return np.concatenate([_to_numpy(model.reconstruct(part)) for part in parts])


def reconstruction_grid(model: DisentanglementModel, observations: Observations) -> Figure:
    """Observations above the model's reconstructions of them, one pair a column."""
    outputs = reconstructions(model, observations)
    tiles = enlarge(intensities(np.stack([observations, outputs])))
    return grid_page(tiles, ["input", "reconstruction"], {}).figure()


def decomposition_figure(
    model: DisentanglementModel, observation: Observation, kl: LatentKL, latents: int = 5
) -> Figure | None:
    """Decoder output and residual of every step (the SR-VAE paper's Fig. 3d).

    The first pair of rows is the deterministic chain of the observation; each further pair is the
    chain with one latent set to 3, for the latents of largest KL. The last column is the model's
    output. Residuals are drawn on one scale centred at 0, which the bar below shows. Of more than
    12 steps, 12 are shown, evenly spread.

    Args:
        model: a built model.
        observation: intensities in [0, 1].
        kl: KL of each latent in nats, from :func:`latent_kl`.
        latents: how many latents to set.

    Returns None for a model without steps.
    """
    chosen = by_kl(kl)[:latents]
    chains: list[Decomposition] = []
    with _inference(model) as device:
        x = _to_torch(observation[None], device)
        for fixed in (None, *((latent, RANGE) for latent in chosen)):
            chain = model.decompose(x, fixed)
            if chain is None:
                return None
            chains.append(chain)
    labels = [f"z{i} = {RANGE:g}\nKL {kl[i]:.2f}" for i in chosen]
    return decomposition_page(
        _to_numpy(torch.stack([chain.decoder_outputs[:, 0] for chain in chains])),
        _to_numpy(torch.stack([chain.residuals[:, 0] for chain in chains])),
        _to_numpy(torch.stack([chain.reconstruction[0] for chain in chains])),
        ["posterior\nmean", *labels],
    ).figure()


def save_all(
    model: DisentanglementModel,
    data: ObservationSource,
    scalars_csv: Path,
    output_dir: Path,
    seed: int = 0,
) -> dict[str, Path]:
    """Write every picture of a model into a folder, which is made if it does not exist.

    The files are traversals.png, traversals.gif, reconstructions.png, decomposition.png (models
    with steps only) and learning_curves.png (if training logged any step). Each appears under
    its name only when it is complete; the same model and seed give the same files.

    Args:
        model: a built model, on any device.
        data: ground-truth data, or anything with `sample_observations`; one or three channels.
        scalars_csv: what training wrote, see :func:`srvae_plugin.plots.curves.learning_curves`.
        output_dir: folder of the pictures.
        seed: chooses the observations: 256 for the KL, the first 10 of them for the
            reconstructions, the first for everything else.

    Returns the written files under their names.

    Raises:
        FileNotFoundError: if there is no `scalars_csv`.
        ValueError: if it is damaged or the images cannot be shown.
    """
    curves = learning_curves(scalars_csv)
    observations = data.sample_observations(_KL_OBSERVATIONS, np.random.RandomState(seed))
    kl = latent_kl(model, observations)
    figures = {
        _MOVING: traversal_grid(model, observations[0], kl),
        "reconstructions": reconstruction_grid(model, observations[:10]),
        "decomposition": decomposition_figure(model, observations[0], kl),
        "learning_curves": curves,
    }
    drawn = {name: figure for name, figure in figures.items() if figure is not None}
    files = {f"{name}.png": _png(figure) for name, figure in drawn.items()}
    order = " ".join(map(str, by_kl(kl)))
    # Who reads the picture can put other things about the latents in the same order.
    comment = f"latents {order}".encode()
    files[f"{_MOVING}.gif"] = _gif(traversal_animation(model, observations[0], kl), comment)
    for name, content in files.items():
        write_bytes(output_dir / name, content)
    return {name: output_dir / name for name in files}


def save_traversals(
    model: DisentanglementModel, data: ObservationSource, file: Path, seed: int = 0
) -> None:
    """Write the traversals alone, the very picture that `save_all` makes of the same model.

    Args:
        model, data, seed: see `save_all`.
        file: the picture.
    """
    observations = data.sample_observations(_KL_OBSERVATIONS, np.random.RandomState(seed))
    kl = latent_kl(model, observations)
    write_bytes(file, _png(traversal_grid(model, observations[0], kl)))


def _label(latent: int, kl: LatentKL) -> str:
    return f"z{latent}  KL {kl[latent]:.2f}"


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _gif(frames: list[Image.Image], comment: bytes) -> bytes:
    file = io.BytesIO()
    options = {"duration": _FRAME_MS, "loop": 0, "comment": comment}
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], **options)
    return file.getvalue()
