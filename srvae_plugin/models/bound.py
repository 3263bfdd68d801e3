"""gin's losses and networks with what is bound when a model is made, for as long as it lives."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import gin
from gin import config as gin_state

__all__ = ["as_bound_now"]

_Bindings = dict[Any, dict[str, Any]]

_one_at_a_time = threading.RLock()


def as_bound_now(configurable: Callable[..., Any]) -> Callable[..., Any]:
    """A configurable that is always called with the bindings of this moment.

    gin looks bindings up at each call. A loss that a model keeps would thus become another one
    as soon as the model's configuration is left, such as that of a loaded model. Other threads must
    not bind anything during a call.

    Raises:
        ValueError: gin does not know the configurable.

    Example:
        >>> import torch
        >>> from srvae_plugin.models.losses import make_reconstruction_loss
        >>> x, logits = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
        >>> parsed = gin.parse_config("reconstruction_loss.loss_fn = @l2_loss")
        >>> loss = as_bound_now(make_reconstruction_loss)
        >>> gin.clear_config()
        >>> loss(x, logits)
        tensor([1.])
    """
    function = gin.get_configurable(configurable)
    bound = {key: dict(values) for key, values in gin_state._CONFIG.items()}

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _one_at_a_time, _holding(bound):
            return function(*args, **kwargs)

    return call


@contextlib.contextmanager
def _holding(bound: _Bindings) -> Iterator[None]:
    before, gin_state._CONFIG = gin_state._CONFIG, bound
    try:
        yield
    finally:
        gin_state._CONFIG = before
