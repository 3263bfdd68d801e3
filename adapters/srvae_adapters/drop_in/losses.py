"""`methods.shared.losses`: reconstruction losses of images (num, height, width, channel)."""

from __future__ import annotations

import gin
from torch import Tensor

from srvae_plugin.models import losses

__all__ = ["bernoulli_loss", "l2_loss", "make_reconstruction_loss"]

_bernoulli = gin.get_configurable(losses.bernoulli_loss)
_l2 = gin.get_configurable(losses.l2_loss)
_bound = gin.get_configurable(losses.make_reconstruction_loss)


def _channels_first(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2)


def bernoulli_loss(
    true_images: Tensor,
    reconstructed_images: Tensor,
    activation: str,
    **subtract: bool,
) -> Tensor:
    """Bernoulli loss (num,) in nats; `subtract_true_image_entropy` makes a perfect one cost 0."""
    images = _channels_first(true_images), _channels_first(reconstructed_images)
    return _bernoulli(*images, activation, **subtract)


def l2_loss(true_images: Tensor, reconstructed_images: Tensor, activation: str) -> Tensor:
    """Sum of squared errors (num,)."""
    return _l2(_channels_first(true_images), _channels_first(reconstructed_images), activation)


def make_reconstruction_loss(true_images: Tensor, reconstructed_images: Tensor) -> Tensor:
    """The loss that gin binds."""
    return _bound(_channels_first(true_images), _channels_first(reconstructed_images))
