"""The whole contract between a model and what trains, scores or shows it.

A model is written once against :class:`DisentanglementModel`; the training loop, the
representation function, the metrics and the pictures know nothing else of it.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

import srvae_plugin.registry  # noqa: F401  (before anything of ours registers a name)
from srvae_plugin.data.sampling.pairs import PairedData
from srvae_plugin.models.titles import Titles

__all__ = [
    "Decomposition",
    "DisentanglementModel",
    "Gaussian",
    "Images",
    "Latents",
    "Losses",
    "Pairs",
    "Scalar",
    "Shape",
    "check_traversal",
    "takes_tensor_step",
]

Images = Float[Tensor, "batch channel height width"]
"""Pixel intensities in [0, 1], or logits shaped like them; a vector is a pixel of many channels."""
Latents = Float[Tensor, "batch latent"]
Scalar = Float[Tensor, ""]
Shape = tuple[int, int, int]
"""(channel, height, width) of one observation; (features, 1, 1) of a vector."""


class Gaussian(NamedTuple):
    """A diagonal Gaussian: mean and log variance, each (batch, latent).

    Example:
        >>> posterior = Gaussian(torch.zeros(1, 2), torch.zeros(1, 2))
        >>> posterior.sample(torch.ones(1, 2))
        tensor([[1., 1.]])
    """

    mean: Latents
    logvar: Latents

    def sample(self, noise: Latents) -> Latents:
        """Reparameterize: mean + sigma * noise, noise being standard normal."""
        return self.mean + torch.exp(0.5 * self.logvar) * noise


class Losses(NamedTuple):
    """What one batch gives.

    objectives: one scalar per optimizer, in nats per image, to be minimized.
    logs: detached tensors for the curves: scalars (`loss`, `reconstruction_loss`, `kl_loss`,
        `regularizer`, `elbo`) and vectors over the latents (`kl`).

    Example:
        >>> loss = torch.tensor(2.0)
        >>> Losses({"vae": loss}, {"loss": loss.detach()}).objectives
        {'vae': tensor(2.)}
    """

    objectives: dict[str, Scalar]
    logs: dict[str, Tensor]


class Pairs(NamedTuple):
    """A batch of pairs, what a model of pairs has its losses of.

    images: (2 * batch, channel, height, width), the first of each pair, then the second of each.
    labels: (batch, label), what is known of each pair.
    """

    images: Images
    labels: Float[Tensor, "batch label"]


_Method = TypeVar("_Method", bound=Callable[..., Losses])


def takes_tensor_step(losses: _Method) -> _Method:
    """Mark a model's `losses` as fit to be recorded as a CUDA graph and replayed at every step.

    It takes `step` as a tensor () too, reads no value back from the device, and what it does
    depends on its arguments, parameters, buffers and torch's generator alone, never on what Python
    keeps between calls. Without the mark a model is trained the plain way.
    """
    losses.takes_tensor_step = True  # type: ignore[attr-defined]
    return losses


class Decomposition(NamedTuple):
    """The steps of a sequential model: all images (step, batch, channel, height, width).

    decoder_outputs: X_1 .. X_d, as pixel intensities.
    residuals: Y_1 .. Y_d, what the encoder read at each step (Y_1 is the observation).
    reconstruction: (batch, channel, height, width), the final output as pixel intensities.
    """

    decoder_outputs: Float[Tensor, "step batch channel height width"]
    residuals: Float[Tensor, "step batch channel height width"]
    reconstruction: Images


class DisentanglementModel(nn.Module, ABC):
    """Base class of every model.

    The constructor takes hyperparameters only, as disentanglement_lib's models do
    (`model.model = @vae()`); :meth:`build` creates the parameters once the shape of the data is
    known and the seed is set.

    Example:
        >>> from srvae_plugin.models.losses import bernoulli_nll
        >>> from srvae_plugin.models.vae import vae_losses
        >>> class Linear(DisentanglementModel):
        ...     num_latent = 2
        ...
        ...     def build(self, shape):
        ...         self.to_latent = nn.Linear(64, 4)
        ...         self.to_image = nn.Sequential(nn.Linear(2, 64), nn.Unflatten(1, shape))
        ...
        ...     def encode(self, x):
        ...         return Gaussian(*self.to_latent(x.flatten(1)).chunk(2, dim=1))
        ...
        ...     def decode(self, z):
        ...         return self.to_image(z)
        ...
        ...     def losses(self, x, step):
        ...         posterior = self.encode(x)
        ...         logits = self.decode(posterior.sample(torch.randn_like(posterior.mean)))
        ...         return vae_losses(bernoulli_nll(logits, x), posterior, 1.0)
        >>> model = Linear()
        >>> model.build((1, 8, 8))
        >>> sorted(model.losses(torch.zeros(3, 1, 8, 8), 0).objectives)
        ['vae']
    """

    title: ClassVar[str] = ""
    """Name in publications, as text in the class's own body; see `models.titles`."""
    title_with_beta: ClassVar[str] = ""
    """The name where `beta` is not 1, if it is another."""
    holds_gradients_back: ClassVar[bool] = False
    """Whether `losses` keeps gradients from some parameters on purpose, which checks then allow."""
    num_latent: int
    made_with: tuple[tuple[Any, ...], dict[str, Any]]
    """What the constructor was given, so that a run can record it."""
    trained_in: Path | None = None
    """The run directory whose weights it has, if it was trained or loaded in Python."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Keep the arguments in `made_with`."""
        model = super().__new__(cls)
        model.__dict__["made_with"] = (args, kwargs)
        return model

    @property
    def published_name(self) -> str:
        """Its name in publications with these settings; that of its class if it has no title."""
        own = vars(type(self))
        titles = Titles(own.get("title", ""), own.get("title_with_beta", ""))
        return titles.fill(vars(self)) or type(self).__name__

    def extra_repr(self) -> str:
        """The number of latents, and hyperparameters that are kept under the names they came by."""
        names = ["num_latent", *inspect.signature(type(self)).parameters]
        plain = {name: getattr(self, name, None) for name in names}
        return ", ".join(
            f"{name}={value!r}"
            for name, value in plain.items()
            if isinstance(value, bool | int | float | str)
        )

    @abstractmethod
    def build(self, observation_shape: Shape) -> None:
        """Create all parameters for observations of this (channel, height, width).

        Raises:
            ValueError: the architecture cannot take that shape.
        """

    @abstractmethod
    def encode(self, x: Images) -> Gaussian:
        """Approximate posterior q(z|x), deterministic; x is (batch, channel, height, width)."""

    @abstractmethod
    def decode(self, z: Latents) -> Images:
        """Logits of the decoder for z (batch, latent), shaped like the observations."""

    @abstractmethod
    def losses(self, x: Any, step: int) -> Losses:
        """Objectives and logs of one batch; `step` counts from 0 (for annealed terms).

        `x` is images, or `Pairs` of a model whose `training_data` gives pairs.

        Noise comes from torch's global generator, so that a checkpoint can hold its state. Marked
        with `takes_tensor_step`, it can be recorded once and replayed on a GPU.
        """

    def training_data(self, data: Any) -> Any:
        """What batches are drawn from, made of the data set; called before `build`.

        The data set itself, and `losses` gets images; a model of pairs gives a
        `srvae_plugin.data.sampling.pairs.PairedData`, as it is if `data` is one, and its `losses`
        gets :class:`Pairs`.
        """
        if isinstance(data, PairedData):
            raise ValueError(
                f"{type(self).__name__} is trained on single observations: expected the data set "
                f"itself, not {type(data).__name__} of it"
            )
        return data

    def parameter_groups(self) -> Mapping[str, Iterable[nn.Parameter]]:
        """Parameters of each optimizer, under the keys of `Losses.objectives`.

        Group `g` is trained by what gin binds to `g_optimizer`.
        """
        return {"vae": list(self.parameters())}

    def sample(self, x: Images, noise: Latents) -> Latents:
        """Draw z ~ q(z|x) with the given standard normal noise (batch, latent)."""
        return self.encode(x).sample(noise)

    def mean_image(self, logits: Images) -> Images:
        """Pixel intensities in [0, 1] of the decoder's logits."""
        return torch.sigmoid(logits)

    def reconstruct(self, x: Images) -> Images:
        """Output image in [0, 1] for z at the posterior mean."""
        return self.mean_image(self.decode(self.encode(x).mean))

    def traverse(
        self, x: Images, latent: int, values: Float[Tensor, " value"]
    ) -> Float[Tensor, "value channel height width"]:
        """Output images (value, channel, height, width) as one latent of x takes each value.

        `x` holds one observation, (1, channel, height, width).

        Raises:
            ValueError: several observations, or a latent outside 0 .. num_latent - 1.
        """
        check_traversal(x, latent, self.num_latent)
        z = self.encode(x).mean.repeat(len(values), 1)
        z[:, latent] = values
        return self.mean_image(self.decode(z))

    def decompose(self, x: Images, fixed: tuple[int, float] | None = None) -> Decomposition | None:
        """Step-by-step images of a sequential model; None for a model without steps.

        `fixed` = (latent, value) sets one latent instead of taking its posterior mean.
        """
        return None


def check_traversal(x: Images, latent: int, num_latent: int) -> None:
    """Raise ValueError unless x is one observation and the latent exists."""
    if len(x) != 1:
        raise ValueError(f"x holds {len(x)} observations: expected 1, (1, channel, height, width)")
    if not 0 <= latent < num_latent:
        raise ValueError(f"latent = {latent}: expected 0 .. {num_latent - 1}")
