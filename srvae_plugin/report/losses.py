"""What a model's reconstruction loss measures: losses of two kinds are never put together."""

from __future__ import annotations

from srvae_plugin.models.readings import READINGS
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
        "cross-entropy", "squared error", or the name of a loss that is not one of ours.

    Example:
        >>> reconstruction_of({"model.model": "@vae()", "reconstruction_loss.loss_fn": "@l2_loss"})
        'squared error'
    """
    model = _plain(config.get("model.model", "")).removesuffix("()")
    own = {name: _plain(config.get(f"{model}.{name}", "None"))
           for name in ("likelihood", "reading", "reconstruction_loss")}  # fmt: skip
    reading = READINGS.get(own["reading"])
    loss = own["likelihood"] or (reading.likelihood if reading else own["reconstruction_loss"])
    loss = loss or _plain(config.get("reconstruction_loss.loss_fn", "None"))
    if loss == "bernoulli_loss" and config.get(f"{loss}.subtract_true_image_entropy") == "True":
        return f"{_CROSS_ENTROPY} less the images' entropy"
    return _NAMES.get(loss, loss)


def _plain(value: str) -> str:
    """A gin value without quotes, reference, scope and module; "" for None."""
    text = value.strip("'\"").removeprefix("@").rpartition("/")[2].rpartition(".")[2]
    return "" if text == "None" else text
