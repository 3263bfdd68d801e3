"""Which bindings a run reads: those of its steps and of all that these can come to call.

From the steps on, references (`@name`) are followed as gin scopes them, and for what code asks gin
for by itself (`encoder`, `discretizer`) the code is looked through. It is not run: where it could
use something, that counts as read.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from gin import config as gin_state

from srvae_plugin.config import gin_files, gin_sources, plugins
from srvae_plugin.config.gin_files import ConfigError
from srvae_plugin.config.gin_sources import Key

__all__ = [
    "Root",
    "binds_default",
    "idle_bindings",
    "require_no_dataset",
    "require_read",
    "roots_of",
    "steps_of_metric",
    "steps_of_run",
    "steps_of_scoring",
    "text_of",
]


_ASKS_BY_NAME = {"get_configurable", "query_parameter", "get_bindings", "bound", "find"}
"""Functions that take the name of a configurable as a string."""
_NOT_LOOKED_THROUGH = {"torch", "numpy", "scipy", "sklearn", "matplotlib", "gin", "joblib", "numba"}
_NOT_LOOKED_THROUGH |= {"PIL", "pandas", "jaxtyping", "beartype", "safetensors", "tqdm", "rich"}
_NOT_LOOKED_THROUGH |= {"tensorflow", "jax", "tensorflow_datasets", *sys.stdlib_module_names}


class Root(NamedTuple):
    """Where reading begins: a configurable, its scope, and which parameters (None: all)."""

    name: str
    scope: str = ""
    parameters: Sequence[str] | None = None


def steps_of_run(metrics: Iterable[str], groups: Iterable[str] = ()) -> list[Root]:
    """What `srvae-run` reads, for metrics as `run.metrics` names them and parameter groups."""
    own = [Root(f"srvae_plugin.{name}") for name in ("model", "run", "postprocess")]
    optimizers = [Root(f"{group}_optimizer") for group in groups]
    representations = [Root(f"srvae_plugin.{kind}_representation") for kind in ("mean", "sampled")]
    return [*own, *representations, *optimizers, *steps_of_scoring(metrics)]


def steps_of_scoring(metrics: Iterable[str]) -> list[Root]:
    """What scoring reads."""
    roots = [Root("srvae_plugin.evaluation"), Root("srvae_plugin.dataset")]
    roots += [Root("srvae_plugin.run", "", ("metrics", "representations"))]
    for metric in metrics:
        scope, _, function = metric.rpartition("/")
        roots.append(Root(function, scope))
    return roots


def steps_of_metric() -> list[Root]:
    """What the one metric reads that `evaluation.evaluation_fn` is bound to."""
    return [Root("srvae_plugin.evaluation"), Root("srvae_plugin.dataset")]


def roots_of(function: Any) -> list[Root]:
    """Root of a configurable object; none of one that gin does not know."""
    return [Root(entry.selector) for entry in _configurables(function)]


def require_read(roots: Iterable[Root], bindings: gin_files.Texts = ()) -> None:
    """Refuse bindings that nothing reads, and warn of those in files that the user named.

    It is called within `gin_files.configured`. Packaged files, disentanglement_lib's, what files
    include and what a finished run recorded serve many models, and may bind what one does not read.

    Raises:
        ConfigError: naming such a one of `bindings`, and what to bind instead.
    """
    read = _Reading(roots)
    idle = [key for key in gin_sources.made if key not in read.keys]
    typed = gin_files.as_list(bindings)
    for key in idle:
        source = gin_sources.made[key]
        if source.named in typed and not source.file:
            raise ConfigError(f"binding {source.named!r} has no effect here{read.instead(key)}")
    by_file: dict[str, list[str]] = {}
    unread = {(name, "gin.macro", "value") for name in gin_files.unread_macros()}  # said already
    for key in (key for key in idle if key not in unread):
        source = gin_sources.made[key]
        if source.file == source.named and gin_sources.is_users(source.file):
            by_file.setdefault(source.file, []).append(_written(key))
    if by_file:
        said = "; ".join(f"{file}: {', '.join(sorted(names))}" for file, names in by_file.items())
        plugins.logger.warning("these have no effect here: %s", said)


def text_of(roots: Iterable[Root]) -> str:
    """All bindings that are read from some roots on, one per line; those to defaults are left out.

    It is called within `gin_files.configured`.
    """
    read = _Reading(roots).keys
    lines = [
        f"{_written((scope, selector, name))} = {value!r}"
        for (scope, selector), values in gin_state._CONFIG.items()
        for name, value in values.items()
        if (scope, selector, name) in read and not _is_default(selector, name, value)
    ]
    return "\n".join(sorted(lines))


def _is_default(selector: str, name: str, value: Any) -> bool:
    try:
        parameter = inspect.signature(gin_state._REGISTRY[selector].wrapped).parameters[name]
    except (TypeError, ValueError, KeyError):
        return False
    return type(parameter.default) is type(value) and parameter.default == value


def binds_default(line: str) -> bool:
    """Whether a line such as `mig.num_train = 10000` binds what is there without it.

    A tuple is the same as a list of the same: gin has lists only.
    """
    key, _, text = line.partition(" = ")
    selector, _, name = key.rpartition(".")
    try:
        wrapped = gin_state._REGISTRY.get_match(selector.rpartition("/")[2]).wrapped
        default = inspect.signature(wrapped).parameters[name].default
        value = ast.literal_eval(text)
    except (AttributeError, TypeError, ValueError, KeyError, SyntaxError):
        return False
    if isinstance(value, list | tuple) and isinstance(default, list | tuple):
        return list(value) == list(default)
    return type(value) is type(default) and value == default


def require_no_dataset(but: Sequence[str], why: str) -> None:
    """Refuse bindings of a data set that is not looked at, and warn of those in files.

    It is called within `gin_files.configured`.

    Args:
        but: parameters of `dataset` that hold nevertheless.
        why: why it is not looked at and what to do, as the end of a sentence.

    Raises:
        ConfigError: naming a binding of the command line.
    """
    name = gin_files.bound("dataset.name")
    factory = plugins.load().found["datasets"].get(name) if isinstance(name, str) else None
    own = {entry.selector for entry in _configurables(factory)}
    by_file: dict[str, list[str]] = {}
    for key, source in gin_sources.made.items():
        of_dataset = key[1] == "srvae_plugin.dataset" and key[2] not in but
        if not of_dataset and key[1] not in own:
            continue
        if not source.file:
            raise ConfigError(f"binding {source.named!r} would be ignored: {why}")
        by_file.setdefault(source.file, []).append(_written(key))
    for file, names in by_file.items():
        plugins.logger.warning("%s of %s will be ignored: %s", ", ".join(sorted(names)), file, why)


def idle_bindings(roots: Iterable[Root], bindings: Sequence[str]) -> dict[str, str]:
    """Those of the bindings that nothing reads, each with what to bind instead.

    It is called within `gin_files.configured`.
    """
    read = _Reading(roots)
    return {
        source.named: read.instead(key)
        for key, source in gin_sources.made.items()
        if key not in read.keys and source.named in bindings
    }


class _Reading:
    """All that is read from some roots on."""

    def __init__(self, roots: Iterable[Root]):
        self.keys: set[Key] = set()
        self._seen: set[tuple[str, str]] = set()
        self._waiting: deque[tuple[str, str]] = deque()
        self._scopes_by_code = False
        for root in roots:
            for entry in _entries(root.name):
                self._visit(root.scope, entry, root.parameters)
        self._data_set()
        while self._waiting:
            scope, selector = self._waiting.popleft()
            if (scope, selector) not in self._seen:
                self._seen.add((scope, selector))
                self._visit(scope, gin_state._REGISTRY[selector])
        if self._scopes_by_code:
            reached = {selector for _, selector in self._seen}
            self.keys |= {key for key in gin_sources.made if key[1] in reached}

    def _data_set(self) -> None:
        """The factory of the bound data set, which is found by name."""
        name = gin_files.bound("dataset.name")
        factory = plugins.load().found["datasets"].get(name) if isinstance(name, str) else None
        if factory is not None:
            self._waiting += [("", entry.selector) for entry in _configurables(factory)]

    def _visit(self, scope: str, entry: Any, parameters: Sequence[str] | None = None) -> None:
        self._seen.add((scope, entry.selector))
        bound: dict[str, tuple[str, Any]] = {}
        parts = scope.split("/") if scope else []
        for depth in range(len(parts) + 1):
            partial = "/".join(parts[:depth])
            values = gin_state._CONFIG.get((partial, entry.selector), {})
            bound.update({name: (partial, value) for name, value in values.items()})
        for name, (partial, value) in bound.items():
            if parameters is None or name in parameters:
                self.keys.add((partial, entry.selector, name))
                self._follow(scope, value)
        for name, value in _defaults(entry.wrapped).items():
            if name not in bound:
                self._waiting += [(scope, inner.selector) for inner in _configurables(value)]
        used = _used_by(entry.wrapped)
        self._scopes_by_code |= used.scopes
        self._waiting += [(scope, selector) for selector in used.selectors]
        for selector, name in used.parameters:
            self.keys.add(("", selector, name))
            self._follow("", gin_state._CONFIG.get(("", selector), {}).get(name))

    def _follow(self, scope: str, value: Any) -> None:
        for leaf in gin_state._iterate_flattened_values(value):
            if isinstance(leaf, gin_state.ConfigurableReference):
                inner, selector = leaf.config_key
                self._waiting.append((inner or scope, selector))

    def instead(self, key: Key) -> str:
        """What to bind instead of what nothing reads, as the end of a sentence."""
        scope, selector, parameter = key
        name = gin_state._REGISTRY[selector].name
        scopes = sorted(s for s, reached in self._seen if reached == selector)
        inner = [
            s for s in scopes if s != scope and f"{s}/".startswith(f"{scope}/" if scope else "")
        ]
        if stronger := [s for s in inner if (s, selector, parameter) in self.keys]:
            written = _written((stronger[0], selector, parameter))
            return f": {written} is bound, too, and stronger; bind that"
        if scopes and scope not in scopes:
            written = _written((scopes[0], selector, parameter))
            return f"; did you mean {written}?"
        if name in plugins.names("metrics"):
            metrics = gin_files.bound("run.metrics")
            return f": run.metrics = {metrics!r} has no {name!r}"
        reached = [gin_state._REGISTRY[s] for s in dict.fromkeys(s for _, s in self._seen)]
        ours = [e for e in reached if not e.selector.startswith("gin.")]
        alike = [e for e in ours if parameter in gin_files.parameters_of(e)]
        same_kind = [e for e in alike if e.name in plugins.names("models")]
        if best := (same_kind if name in plugins.names("models") else []) or alike[:1]:
            return f"; did you mean {best[0].name}.{parameter}?"
        models = [e.name for e in ours if e.name in plugins.names("models")]
        if models and name in plugins.names("models"):
            known = ", ".join(gin_files.parameters_of(gin_state._REGISTRY.get_match(models[0])))
            return f": the model is {models[0]}, which has {known}"
        return f": what is used is {', '.join(sorted({e.name for e in ours}))}"


def _written(key: Key) -> str:
    """A key as it is written in a gin file."""
    scope, selector, parameter = key
    if selector == "gin.macro":
        return scope
    name = gin_state._REGISTRY.minimal_selector(selector)
    return f"{scope}/{name}.{parameter}" if scope else f"{name}.{parameter}"


def _entries(name: str) -> list[Any]:
    """All that is registered under a name; ours alone if we have it."""
    if not name:
        return []
    try:
        found = gin_state._REGISTRY.get_all_matches(name)
    except (ValueError, KeyError):
        return []
    ours = [entry for entry in found if entry.module.startswith("srvae_plugin")]
    return ours or found


def _configurables(value: Any) -> list[Any]:
    """The configurable that a Python object is."""
    try:
        entry = gin_state._inverse_lookup(value)
    except (TypeError, ValueError):  # nothing that can be looked up
        return []
    return [] if entry is None else [entry]


def _defaults(target: Any) -> dict[str, Any]:
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return {}
    return {name: p.default for name, p in parameters.items() if callable(p.default)}


class _Used(NamedTuple):
    """What code can ask gin for: configurables, by full name, and scopes of its own making."""

    selectors: frozenset[str]
    parameters: frozenset[tuple[str, str]]
    """Single parameters, of a configurable, that code queries."""
    scopes: bool


@functools.cache
def _used_by(target: Any) -> _Used:
    """What the code of a function or class uses, and of all that it may call in turn."""
    selectors: set[str] = set()
    parameters: set[tuple[str, str]] = set()
    seen: set[int] = set()
    scopes = False
    waiting = deque(_functions(target))
    modules = {target.__module__} if hasattr(target, "__module__") else set()
    while waiting:
        function = waiting.popleft()
        if id(function) in seen or not _is_looked_through(function):
            continue
        seen.add(id(function))
        modules.add(function.__module__)
        names, texts = _names_and_texts(function.__code__)
        scopes |= "config_scope" in names
        if _ASKS_BY_NAME & names:
            selectors |= {e.selector for text in texts for e in _named_in(text)}
            parameters |= {found for text in texts for found in _parameters_in(text)}
        if function.__name__ == "parameter_groups":
            selectors |= {e.selector for t in texts for e in _entries(f"{t}_optimizer")}
        for value in _values(function, names):
            entries = _configurables(value)
            selectors |= {entry.selector for entry in entries}
            if not entries:
                waiting += _functions(value)
    selectors |= _of_foreign_modules(modules)
    return _Used(frozenset(selectors), frozenset(parameters), scopes)


def _of_foreign_modules(modules: Iterable[str]) -> set[str]:
    """What modules that are not ours register, but for plug-ins: all of it may be used there."""
    foreign = {m for m in modules if not m.startswith(("srvae_plugin", "srvae_adapters"))}
    groups = {id(f) for group in plugins.load().found.values() for f in group.values()}
    return {
        entry.selector
        for _, entry in gin_state._REGISTRY.items()
        if getattr(entry.wrapped, "__module__", None) in foreign and id(entry.wrapper) not in groups
    }


def _functions(value: Any) -> list[FunctionType]:
    """Functions of ours or of a user's that calling a value may run."""
    value = value.func if isinstance(value, functools.partial) else value
    if isinstance(value, type):
        return [
            f for base in value.__mro__ for member in vars(base).values() for f in _bare(member)
        ]
    if isinstance(value, dict | list | tuple):
        items = value.values() if isinstance(value, dict) else value
        return [f for item in items if callable(item) for f in _bare(item)]
    return list(_bare(value))


def _bare(member: Any) -> Iterator[FunctionType]:
    """The plain functions in a method, property or decorated function."""
    parts = (member, *(getattr(member, name, None) for name in ("fget", "func", "__func__")))
    for part in parts:
        with_wrapped = inspect.unwrap(part) if callable(part) and not _is_odd(part) else part
        if isinstance(with_wrapped, FunctionType):
            yield with_wrapped


def _is_odd(value: Any) -> bool:
    """Whether asking for `__wrapped__` could run code, as with objects that make up attributes."""
    return not isinstance(value, FunctionType | type) and not inspect.isroutine(value)


def _is_looked_through(function: FunctionType) -> bool:
    return (function.__module__ or "").partition(".")[0] not in _NOT_LOOKED_THROUGH


def _names_and_texts(code: CodeType) -> tuple[set[str], set[str]]:
    """Names that code, with the functions inside it, looks up, and its strings."""
    names, texts = {*code.co_names, *code.co_freevars}, set()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner_names, inner_texts = _names_and_texts(constant)
            names |= inner_names
            texts |= inner_texts
        elif isinstance(constant, str):
            texts.add(constant)
        elif isinstance(constant, tuple):
            texts |= {part for part in constant if isinstance(part, str)}
    return names, texts


def _values(function: FunctionType, names: set[str]) -> Iterator[Any]:
    """Global and enclosing values of these names, and of modules the members."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    found = {name: cell.cell_contents for name, cell in cells if _is_filled(cell)}
    found |= {name: function.__globals__[name] for name in names if name in function.__globals__}
    for value in found.values():
        if isinstance(value, ModuleType):
            yield from (vars(value)[name] for name in names if name in vars(value))
        else:
            yield value


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _named_in(text: str) -> list[Any]:
    """Configurables that a string names."""
    return _entries(text.rpartition("/")[2]) if _is_name(text) else []


def _parameters_in(text: str) -> list[tuple[str, str]]:
    """Parameters that a string names, as in "encoder.num_latent"."""
    name, _, parameter = text.rpartition("/")[2].rpartition(".")
    return [(entry.selector, parameter) for entry in _entries(name)] if _is_name(text) else []


def _is_name(text: str) -> bool:
    return text.replace(".", "").replace("/", "").isidentifier()
