"""A model's name in publications, read from its class without importing it.

A class says it in its own body, as text: `title = "SR-VAE"`, and `title_with_beta = "SR-beta-VAE"`
for a `beta` other than 1. `{dip_type}` in it stands for that setting, in capitals. A subclass is
another model and inherits neither. This module imports no torch: a report is made without.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Mapping
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Titles", "is_packaged", "published_name", "titles_of"]


class Titles(NamedTuple):
    """What a class says of its name; both are "" if it says nothing."""

    title: str = ""
    with_beta: str = ""

    def fill(self, settings: Mapping[str, Any]) -> str:
        """The name with these settings; values are Python's or as gin writes them."""
        text = self.title
        if self.with_beta and _number(settings.get("beta", 1)) not in (None, 1.0):
            text = self.with_beta
        return re.sub(r"\{(\w+)\}", lambda m: _capitals(settings.get(m[1], "")), text).rstrip("-")


def published_name(gin_name: str, settings: Mapping[str, Any]) -> str:
    """Name in publications of the model that gin knows as `gin_name`.

    Args:
        gin_name: the name of its entry point, `sr_vae` say.
        settings: its hyperparameters by name, as gin writes them.

    Returns:
        Its title, or `gin_name` where its class has none or cannot be found.

    Example:
        >>> published_name("sr_vae", {"beta": "4.0"})
        'SR-beta-VAE'
        >>> published_name("dip_vae", {"dip_type": "'ii'"})
        'DIP-VAE-II'
        >>> published_name("vae_of_someone", {})
        'vae_of_someone'
    """
    titles = titles_of(gin_name)
    return titles.fill(settings) if titles.title else gin_name


@functools.cache
def titles_of(gin_name: str) -> Titles:
    """What the class behind that entry point says, from its source; our own class comes first."""
    found = entry_points(group="srvae_plugin.models", name=gin_name) if gin_name else ()
    for entry_point in sorted(found, key=_own_first):
        module, _, name = entry_point.value.partition(":")
        return _in_source(module, name)
    return Titles()


@functools.cache
def is_packaged(gin_name: str) -> bool:
    """Whether gin knows a model of this package by that name."""
    found = entry_points(group="srvae_plugin.models", name=gin_name) if gin_name else ()
    return any(entry_point.value.startswith("srvae_plugin.") for entry_point in found)


def _own_first(entry_point: EntryPoint) -> bool:
    return not entry_point.value.startswith("srvae_plugin.")


def _in_source(module: str, name: str, hops: int = 5) -> Titles:
    try:
        spec = _spec(module)
        if spec is None or spec.origin is None:
            return Titles()
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    except (ImportError, OSError, SyntaxError, ValueError):
        return Titles()
    package = module if spec.submodule_search_locations else module.rpartition(".")[0]
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            said = dict(filter(None, map(_text, node.body)))
            return Titles(said.get("title", ""), said.get("title_with_beta", ""))
        if isinstance(node, ast.ImportFrom) and hops:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _in_source(_absolute(node, package), alias.name, hops - 1)
    return Titles()


def _spec(module: str) -> ModuleSpec | None:
    """Where a module is, without importing it or the packages that it is in."""
    top, *inner = module.split(".")
    spec, name = find_spec(top), top
    for part in inner:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    return spec


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])


def _text(node: ast.stmt) -> tuple[str, str] | None:
    """Name and value of an assignment of text to one name."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target: ast.expr = node.targets[0]
    elif isinstance(node, ast.AnnAssign):
        target = node.target
    else:
        return None
    value = node.value.value if isinstance(node.value, ast.Constant) else None
    return (target.id, value) if isinstance(target, ast.Name) and isinstance(value, str) else None


def _capitals(value: Any) -> str:
    return str(value).strip("'\"").upper()


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
