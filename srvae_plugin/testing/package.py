"""All plug-ins of one package: finds their entry points and makes the checks of each."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from importlib.util import find_spec
from typing import Any

import gin

from srvae_plugin.config import gin_files, plugins
from srvae_plugin.config.plugins import GROUPS, METRIC_ARGUMENTS, Group
from srvae_plugin.models.base import Shape
from srvae_plugin.testing.checks import (
    CheckError,
    Outcome,
    called,
    outcome,
)
from srvae_plugin.testing.datasets import dataset_outcomes
from srvae_plugin.testing.exporters import exporter_outcomes
from srvae_plugin.testing.metrics import metric_outcomes, with_few_points
from srvae_plugin.testing.models import model_outcomes

KINDS = {"models": "model", "datasets": "data set", "metrics": "metric", "exporters": "exporter"}


def plugins_of(package: str) -> list[tuple[Group, EntryPoint]]:
    """Entry points of an installed distribution or importable package.

    Raises:
        ValueError: saying what to write where if there are none.
    """
    found = [
        (group, entry_point)
        for group in GROUPS
        for entry_point in entry_points(group=f"srvae_plugin.{group}")
        if package == entry_point.value.partition(":")[0].partition(".")[0]
        or (entry_point.dist and _normalized(entry_point.dist.name) == _normalized(package))
    ]
    if found:
        return found
    if not _is_installed(package):
        raise ValueError(
            f"{package!r} is not installed here: expected the name of an installed distribution "
            "or importable package; pip install -e . in its folder"
        )
    module = _normalized(package).replace("-", "_")
    raise ValueError(
        f"{package!r} registers nothing: write in its pyproject.toml "
        f'[project.entry-points."srvae_plugin.models"] my_vae = "{module}:MyVAE" (or '
        f".{', .'.join(GROUPS[1:])} in place of .models) and install it again"
    )


def check_plugin(
    group: Group, entry_point: EntryPoint, shapes: Sequence[Shape]
) -> Iterator[Outcome]:
    """Load one plug-in and make the checks of its group, with what gin binds now."""
    name = f"{KINDS[group]} {entry_point.name}"
    place = f'{entry_point.value} in [project.entry-points."srvae_plugin.{group}"]'

    def it_loads() -> None:
        own = entry_point.load()
        used = plugins.find(group, entry_point.name)
        if used is not _configurable(own):
            raise CheckError(
                f"the name {entry_point.name!r} is taken by {used.__module__}: expected another"
            )

    loads = outcome(name, it_loads)
    if loads.status != "ok":
        yield loads._replace(message=f"{loads.message}; {place}")
        return
    yield loads
    plugin = plugins.find(group, entry_point.name)
    yield from _outcomes(group, entry_point.name, plugin, shapes, name)


def _outcomes(
    group: Group, name: str, plugin: Callable[..., Any], shapes: Sequence[Shape], title: str
) -> Iterator[Outcome]:
    match group:
        case "models":
            return model_outcomes(functools.partial(called, plugin, name), shapes, title)
        case "datasets":
            return dataset_outcomes(functools.partial(called, plugin, name), title)
        case "metrics":
            return metric_outcomes(_metric(name, plugin), (), title)
        case "exporters":
            return exporter_outcomes(plugin, title)


def _metric(name: str, plugin: Callable[..., Any]) -> Callable[..., Any]:
    """The metric with few points, unless gin binds how many."""

    @functools.wraps(plugin)
    def metric(*arguments: Any, **settings: Any) -> Any:
        return called(functools.partial(plugin, *arguments, **settings), name)

    settings = set(inspect.signature(plugin).parameters) - set(METRIC_ARGUMENTS)
    bound = [each for each in settings if gin_files.bound(f"{name}.{each}") is not None]
    return with_few_points(metric, {}, bound)


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return package.isidentifier() and find_spec(package) is not None
    return True


def _configurable(plugin: Callable[..., Any]) -> Any:
    try:
        return gin.get_configurable(plugin)
    except ValueError:  # not registered
        return None


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
