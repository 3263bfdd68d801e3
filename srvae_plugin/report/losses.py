"""What a model's reconstruction loss measures: losses of two kinds are never put together."""

from __future__ import annotations

from srvae_plugin.config.text import gin_function
from srvae_plugin.models.readings import READINGS
from srvae_plugin.models.titles import is_packaged
from srvae_plugin.report.run import Settings

__all__ = ["reconstruction_of"]

_CROSS_ENTROPY, _SQUARED_ERROR = "cross-entropy", "squared error"
_NAMES = {
    "": _CROSS_ENTROPY, "bernoulli": _CROSS_ENTROPY, "bernoulli_loss": _CROSS_ENTROPY,
    "gaussian": _SQUARED_ERROR, "linear_mse": _SQUARED_ERROR, "l2_loss": _SQUARED_ERROR,
}  # fmt: skip


def reconstruction_of(config: Settings) -> str:
    """What is summed over the pixels of an image.

    Args:
        config: what gin bound for the training, as it is written.

    Returns:
        "cross-entropy", "squared error", or the name of a loss that is not one of ours. A model of
        the user's own that has none bound computes what only its code says: "that of my_vae".

    Example:
        >>> reconstruction_of({"model.model": "@vae()", "reconstruction_loss.loss_fn": "@l2_loss"})
        'squared error'
    """
    model = gin_function(config.get("model.model", ""))
    reading = READINGS.get(_bound(config, f"{model}.reading"))
    loss = (
        _bound(config, f"{model}.likelihood")
        or (reading.likelihood if reading else _bound(config, f"{model}.reconstruction_loss"))
        or _bound(config, "reconstruction_loss.loss_fn")
    )
    if not loss and model and not is_packaged(model):
        return f"that of {model}"
    if loss == "bernoulli_loss" and config.get(f"{loss}.subtract_true_image_entropy") == "True":
        return f"{_CROSS_ENTROPY} less the images' entropy"
    return _NAMES.get(loss, loss)


def _bound(config: Settings, name: str) -> str:
    """The function or the word that gin bound; "" for None and for nothing."""
    value = gin_function(config.get(name, "None").strip("'\""))
    return "" if value == "None" else value
