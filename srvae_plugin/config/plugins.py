"""Finds models, data sets, metrics and exporters by entry point and registers them with gin.

Our own are found the same way. A package adds one with, for example::

    [options.entry_points]
    srvae_plugin.models =
        my_vae = my_package.my_vae:MyVAE

and `model.model = @my_vae()` works in any gin file. The object is registered under its entry
point's name unless its package registered it with gin already.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
import logging
import os
import re
import typing
import weakref
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, NamedTuple

import gin
from beartype import BeartypeConf
from beartype.door import is_bearable

import srvae_plugin.registry  # noqa: F401  (before anything of ours registers a name)
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.constrained import constrained
from srvae_plugin.data.storage.locate import as_typed, expanded

__all__ = [
    "GROUPS",
    "METRIC_ARGUMENTS",
    "NUMBERS",
    "Broken",
    "Group",
    "Plugins",
    "find",
    "load",
    "load_dataset",
    "made_with",
    "metric_info",
    "names",
    "nearest",
    "path_options",
    "readable",
    "registered",
]

NUMBERS = BeartypeConf(is_pep484_tower=True)
"""For beartype: an int is a fine float."""


logger = logging.getLogger("srvae_plugin")

Group = Literal["models", "datasets", "metrics", "exporters"]
GROUPS: tuple[Group, ...] = ("models", "datasets", "metrics", "exporters")
METRIC_ARGUMENTS = (
    "ground_truth_data",
    "representation_function",
    "random_state",
    "artifact_dir",
)


class Broken(NamedTuple):
    """A plug-in that could not be loaded."""

    group: Group
    name: str
    distribution: str
    error: str

    def __str__(self) -> str:
        return (
            f"plug-in {self.name!r} ({self.group}) of {self.distribution} is broken: {self.error}"
        )


class Plugins(NamedTuple):
    """Everything found, as gin-configurable objects by group and name."""

    found: dict[Group, dict[str, Callable[..., Any]]]
    broken: list[Broken]


@functools.cache
def load() -> Plugins:
    """Load and register all plug-ins, once a process; report broken ones and go on."""
    plugins = Plugins({group: {} for group in GROUPS}, [])
    for group in GROUPS:
        for entry_point in sorted(entry_points(group=f"srvae_plugin.{group}"), key=_own_first):
            try:
                if entry_point.name in plugins.found[group]:
                    raise ValueError(f"the name {entry_point.name!r} is already taken")
                # A user's own script may have parsed its gin files before, which locks gin.
                with gin.unlock_config():
                    plugins.found[group][entry_point.name] = _register(group, entry_point)
            except Exception as error:  # a plug-in's own code may raise anything
                broken = Broken(
                    group,
                    entry_point.name,
                    _distribution(entry_point),
                    f"{type(error).__name__}: {error}",
                )
                plugins.broken.append(broken)
                logger.warning("%s", broken)
    return plugins


def registered(group: Group, name: str) -> Callable[..., Any]:
    """The configurable plug-in of ours of that name, registered without loading the others.

    Raises:
        ValueError: if there is none.
    """
    for entry_point in sorted(
        entry_points(group=f"srvae_plugin.{group}", name=name), key=_own_first
    ):
        return _register(group, entry_point)
    raise ValueError(f"no {name!r} among the installed {group}")


def _own_first(entry_point: EntryPoint) -> tuple[bool, str]:
    own = entry_point.value.startswith(("srvae_plugin.", "srvae_adapters."))
    return (not own, entry_point.name)


def _distribution(entry_point: EntryPoint) -> str:
    dist = entry_point.dist
    return "an unknown distribution" if dist is None else f"{dist.name} {dist.version}"


def _register(group: Group, entry_point: EntryPoint) -> Callable[..., Any]:
    plugin = entry_point.load()
    if not callable(plugin):
        raise TypeError(f"expected a class or a function, {entry_point.value} is {plugin!r}")
    try:
        return gin.get_configurable(plugin)
    except ValueError:  # not registered by its own package
        pass
    denylist = None
    if group == "metrics":
        parameters = inspect.signature(plugin).parameters
        denylist = [name for name in METRIC_ARGUMENTS if name in parameters]
    module = entry_point.value.partition(":")[0].partition(".")[0]
    gin.register(entry_point.name, module=module, denylist=denylist)(plugin)
    return gin.get_configurable(plugin)


@functools.cache
def metric_info(name: str) -> Any:
    """What the metric of that name says about itself: its attribute `info`, None if it has none.

    Only this metric is imported, and nothing registered: reading results needs no model.

    Args:
        name: the metric's name in gin, without scope.

    Returns:
        A `srvae_plugin.metrics.MetricInfo`, or None for a metric that is not installed, is broken
        or says nothing.
    """
    found = sorted(entry_points(group="srvae_plugin.metrics", name=name), key=_own_first)
    for entry_point in found[:1]:
        try:
            return getattr(entry_point.load(), "info", None)
        except Exception as error:  # a plug-in's own code may raise anything
            logger.warning(
                "the metric %r of %s is broken: its scores are shown by their keys (%s: %s)",
                name, _distribution(entry_point), type(error).__name__, error,
            )  # fmt: skip
    return None


def names(group: Group) -> list[str]:
    """Names of all working plug-ins of a group."""
    return sorted(load().found[group])


def find(group: Group, name: str) -> Callable[..., Any]:
    """Return the configurable plug-in of that name.

    Raises:
        ValueError: naming the closest known name, or what broke if it is a broken one.
    """
    found = load().found[group]
    if name in found:
        return found[name]
    for broken in load().broken:
        if (broken.group, broken.name) == (group, name):
            raise ValueError(str(broken))
    kind = {"datasets": "data set"}.get(group, group.rstrip("s"))
    meant = (as_typed(name) if group == "datasets" else "") or nearest(name, found)
    raise ValueError(f"unknown {kind} {name!r}{meant}; known: {', '.join(sorted(found))}")


def readable(hint: Any) -> str:
    """A type as messages name it."""
    if isinstance(hint, type):
        return hint.__name__
    return re.sub(r"\b(?:typing|collections\.abc)\.", "", str(hint)).replace("Literal", "one of ")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" if a known name is close to this one, else ""."""
    lower = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1)
    return f"; did you mean {lower[close[0]]!r}?" if close else ""


@gin.register("dataset", module="srvae_plugin")
def load_dataset(name: str, **options: Any) -> GroundTruthData:
    """Return the ground-truth data set of that name (gin: `dataset.name`).

    `len` of it, `data[0]`, `.factor_names` and printing it show what it is; it is a torch Dataset
    of pairs (image, factors), too. Arrays and tensors need no `load_dataset`: `train` and `score`
    take them as they are.

    Args:
        name: disentanglement_lib's name, or a plug-in's: "dsprites_full", "color_dsprites",
            "noisy_dsprites", "teapots" and "dummy_data" are made here; "shapes3d", "cars3d",
            "smallnorb", "mpi3d_toy" and others read the official files (`path`). "npz" is a file of
            your own with the arrays `images` and `factors`; "image_folder" a folder of pictures
            (`path`) and a csv (`factors`) with a column `file` and one for each factor.
            `srvae-evaluate --list datasets` has all of them with their options.
        options: the data set's own, for example `path`, a file of the original data; in gin
            `dataset.path = "..."`. Of any grid of factors `correlations`, `constraints` and
            `rules_seed`; see `srvae_plugin.data.sampling.constrained.constrained`.

    Raises:
        ValueError: for an unknown name or option and for files that are not what they should be.

    Example:
        >>> load_dataset("dummy_data").observation_shape
        [64, 64, 1]
        >>> import pandas, PIL.Image, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> for name in ("a.png", "b.png"):
        ...     PIL.Image.new("L", (16, 16)).save(f"{folder}/{name}")
        >>> table = {"file": ["a.png", "b.png"], "shape": ["heart", "square"], "size": [1, 2]}
        >>> pandas.DataFrame(table).to_csv(f"{folder}/factors.csv", index=False)
        >>> load_dataset("image_folder", path=folder, factors=f"{folder}/factors.csv").factor_names
        ['shape', 'size']
    """
    factory = find("datasets", name)
    accepted = inspect.signature(factory).parameters
    rules = {o: options[o] for o in _RULES if o in options and o not in accepted}
    if rules:
        return _with_rules(name, options, rules)
    for option in options:
        if option not in accepted:
            raise ValueError(
                f"dataset.{option}: the data set {name!r} has no such option"
                f"{nearest(option, accepted)}; it takes {', '.join(accepted) or 'none'}"
            )
    hints = typing.get_type_hints(inspect.unwrap(factory))
    for option, value in options.items():
        if not is_bearable(value, hints.get(option, Any), conf=NUMBERS):
            raise ValueError(f"dataset.{option} = {value!r}: expected {readable(hints[option])}")
    paths = [option for option in options if option in path_options(factory)]
    found = {o: str(expanded(options[o])) for o in paths if options[o] is not None}
    texts = sorted((option, repr(value)) for option, value in options.items())
    key = (name, *texts, *map(_stamp, found.values()))
    data = _open.get(key)
    if data is None:
        data = _open[key] = factory(**options | found)
    with contextlib.suppress(TypeError):  # a data set of another's that cannot be a key
        _made[data] = (name, dict(options))
    return data


_RULES = ("correlations", "constraints", "rules_seed")


def _with_rules(name: str, options: Mapping[str, Any], rules: Mapping[str, Any]) -> GroundTruthData:
    """The data set with some of its combinations drawn more often than others, or never."""
    whole = load_dataset(name, **{o: v for o, v in options.items() if o not in rules})
    seed = rules.get("rules_seed", 0)
    data = constrained(whole, rules.get("correlations"), rules.get("constraints"), seed)
    _made[data] = (name, dict(options))
    return data


def path_options(factory: Callable[..., Any]) -> list[str]:
    """Options of a data set that are paths, by their annotation or name."""
    hints = typing.get_type_hints(inspect.unwrap(factory))
    return [
        option
        for option in inspect.signature(factory).parameters
        if "PathLike" in str(hints.get(option)) or re.search(r"(^|_)(path|dir)$", option)
    ]


def made_with(data: GroundTruthData) -> tuple[str, dict[str, Any]] | None:
    """Name and options that `load_dataset` made a data set with; None if it did not make it."""
    try:
        return _made.get(data)
    except TypeError:
        return None


def _stamp(path: str) -> tuple[int, int] | None:
    """Changes when a file is written again."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


_made: weakref.WeakKeyDictionary[GroundTruthData, tuple[str, dict[str, Any]]] = (
    weakref.WeakKeyDictionary()
)


_open: weakref.WeakValueDictionary[tuple[Any, ...], GroundTruthData] = weakref.WeakValueDictionary()
"""Data sets in use, so that the steps of a run share one."""
