"""What all encoders share: two linear heads, and how networks are initialised."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from srvae_plugin.models.base import Gaussian, Images, Shape

__all__ = ["GaussianEncoder", "initialize", "parameters_of", "positive", "require_64"]


class GaussianEncoder(nn.Module):
    """A body with two linear heads: mean and log variance of each latent."""

    def __init__(self, body: nn.Module, features: int, num_latent: int):
        super().__init__()
        self.num_latent = num_latent
        self.body = body
        self.mean = nn.Linear(features, num_latent)
        self.logvar = nn.Linear(features, num_latent)

    def forward(self, x: Images) -> Gaussian:
        """Posterior parameters of x, each (batch, latent)."""
        features = self.body(x)
        return Gaussian(self.mean(features), self.logvar(features))


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """What a function, or a class, takes by position; an empty list where it does not say.

    Of a class that gin has registered, what its constructor takes: gin's own takes anything.
    """
    try:
        if isinstance(function, type):
            parameters = [*inspect.signature(function.__init__).parameters.values()][1:]  # type: ignore[misc]
        else:
            parameters = [*inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        return []
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p for p in parameters if p.kind in places or p.kind == p.VAR_POSITIONAL]


def _glorot_uniform(module: nn.Module) -> nn.Module:
    """Initialise as TensorFlow's layers do: Glorot uniform weights, zero biases."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


def initialize(module: nn.Module, initializer: str) -> nn.Module:
    """Initialise a network in place and return it.

    Args:
        module: the network.
        initializer: "pytorch" (leave torch's own default) or "glorot_uniform" (what TensorFlow
            1.14's layers use, hence every published number of disentanglement_lib).

    Raises:
        ValueError: another name.
    """
    if initializer == "glorot_uniform":
        return _glorot_uniform(module)
    if initializer == "pytorch":
        return module
    raise ValueError(f"initializer = {initializer!r}: expected 'pytorch' or 'glorot_uniform'")


def require_64(name: str, shape: Shape) -> None:
    """Raise ValueError unless images are 64 x 64, as the network of that name takes them."""
    if shape[1:] != (64, 64):
        raise ValueError(
            f"{name} takes 64x64 images, this data set has {shape[1]}x{shape[2]}; "
            "conv_encoder_any and conv_decoder_any take any size, as do fc_encoder and fc_decoder"
        )


def positive(name: str, value: int) -> int:
    """The value; ValueError that names it if it is below 1."""
    if value < 1:
        raise ValueError(f"{name} = {value}: expected an integer of at least 1")
    return value
