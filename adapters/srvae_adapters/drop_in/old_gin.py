"""What code for disentanglement_lib wants of gin: `gin.tf`, and arguments by their old names."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import gin

__all__ = ["install", "uninstall"]

_RENAMED = {"blacklist": "denylist", "whitelist": "allowlist"}
_DECORATORS = ("configurable", "register", "external_configurable")
_TF = ("gin.tf", "gin.tf.external_configurables")
_before: dict[str, Any] = {}


def install() -> None:
    """Let gin take `blacklist` and `whitelist`, and be `gin.tf` where there is no TensorFlow.

    gin's last release, 0.5, calls these arguments `denylist` and `allowlist`.
    """
    for name in _DECORATORS:
        if name not in _before:
            _before[name] = getattr(gin, name)
            setattr(gin, name, _with_old_names(_before[name]))
    if importlib.util.find_spec("tensorflow") is None and "gin.tf" not in sys.modules:
        import srvae_plugin.training.optimizers  # noqa: F401  (what external_configurables names)

        stand_in = ModuleType(_TF[0], "gin without TensorFlow.")
        stand_in.__dict__.update({k: v for k, v in vars(gin).items() if not k.startswith("__")})
        stand_in.__path__ = []
        sys.modules |= {_TF[0]: stand_in, _TF[1]: ModuleType(_TF[1])}
        vars(stand_in)["external_configurables"] = sys.modules[_TF[1]]
        vars(gin)["tf"] = stand_in


def uninstall() -> None:
    """Leave gin as it was."""
    for name, function in _before.items():
        setattr(gin, name, function)
    _before.clear()
    if isinstance(sys.modules.get(_TF[0]), ModuleType) and not hasattr(
        sys.modules[_TF[0]], "__file__"
    ):
        for name in _TF:
            del sys.modules[name]
        del vars(gin)["tf"]


def _with_old_names(decorator: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(decorator)
    def renamed(*arguments: Any, **named: Any) -> Any:
        return decorator(*arguments, **{_RENAMED.get(k, k): v for k, v in named.items()})

    return renamed
