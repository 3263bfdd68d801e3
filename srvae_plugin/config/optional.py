"""Packages that only some formats need."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["require"]


def require(extra: str, *packages: str) -> list[Any]:
    """Import packages of an extra of this distribution and return them.

    Args:
        extra: name of the extra in setup.cfg.
        packages: their names, the same for import and for pip.

    Raises:
        ValueError: saying what to install if one is missing or broken.
    """
    try:
        return [importlib.import_module(name) for name in packages]
    except ImportError as error:
        raise ValueError(
            f"{', '.join(packages)} needed, and {error.name or 'one of them'} cannot be imported "
            f"({error}): pip install {' '.join(packages)}, or this package with [{extra}]"
        ) from None
