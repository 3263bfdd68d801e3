"""Reads gin files and bindings, with errors a user can act on.

gin keeps one global configuration and its own messages span several lines; this module is the
only one that touches its internals (gin-config 0.5 is its last release).
"""

from __future__ import annotations

import contextlib
import importlib.util  # noqa: F401  (gin's own `include` needs it imported)
import inspect
import logging
import re
import tokenize
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gin
from beartype import BeartypeConf
from beartype.door import is_bearable
from gin import config as gin_state

from srvae_plugin import plugins

_PARSE_ERRORS = (
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    SyntaxError,
    ImportError,
    OSError,
    tokenize.TokenError,
)
_COUNTS = {"num_train", "num_test", "num_eval", "num_variance_estimate", "num_bins", "num_latent"}
_NUMBERS = BeartypeConf(is_pep484_tower=True)  # an int is a fine float


class ConfigError(ValueError):
    """A gin file or binding that cannot be used; the message is one line and names it."""


class Choice(NamedTuple):
    """A function that one step of a run uses, by its gin name, and what goes with it.

    Files and bindings are weaker than those of the whole run.
    """

    function: str
    files: Sequence[str | Path] = ()
    bindings: Sequence[str] = ()


def packaged_configs() -> Path:
    """Folder of the gin files that come with the package."""
    here = Path(__file__).resolve().parent
    installed = here / "configs"
    return installed if installed.is_dir() else here.parent / "gin"


def find_file(name: str | Path) -> Path:
    """Path of a gin file: as given, or else relative to the packaged ones.

    Raises ConfigError if it is at neither place.
    """
    for path in (Path(name), packaged_configs() / name):
        if path.is_file():
            return path.resolve()
    known = sorted(
        str(path.relative_to(packaged_configs())) for path in packaged_configs().rglob("*.gin")
    )
    raise ConfigError(
        f"gin file {str(name)!r} not found: it is neither a path from {Path.cwd()} nor one of "
        f"the packaged files ({', '.join(known)})"
    )


@contextlib.contextmanager
def configured(
    files: Sequence[str | Path] = (), bindings: Sequence[str] = (), *, load_plugins: bool = True
) -> Iterator[None]:
    """Add these files and bindings to gin's configuration; restore the former one on exit.

    Raises ConfigError for a missing file, a syntax error, an unknown name (with the closest
    known one) and a value of the wrong type. Without `load_plugins` it is a matter of milliseconds,
    and only what is imported already is a known name.
    """
    if load_plugins:
        plugins.load()
    before = {key: dict(values) for key, values in gin_state._CONFIG.items()}
    operative = dict(gin_state._OPERATIVE_CONFIG)
    imports = set(gin_state._IMPORTS)
    with _ours_first():
        try:
            gin_state._OPERATIVE_CONFIG.clear()
            with gin.unlock_config():
                for name in files:
                    _parse_file(find_file(name))
                for binding in bindings:
                    _parse_binding(binding)
            check_types()
            _check_macros()
            yield
        finally:
            gin.clear_config()
            gin_state._CONFIG.update(before)
            gin_state._OPERATIVE_CONFIG.update(operative)
            gin_state._IMPORTS.update(imports)


@contextlib.contextmanager
def _ours_first() -> Iterator[None]:
    """Let a short name that another library registered too, such as `mig`, mean ours.

    The other's goes by its full name. gin files of ours, of users and of finished runs thus mean
    the same, and results get the same keys, whether disentanglement_lib is imported or not.
    """
    registry = gin_state._REGISTRY
    shared = {
        entry.name: entry
        for _, entry in registry.items()
        if entry.module.startswith("srvae_plugin")
        and len(registry.matching_selectors(entry.name)) > 1
    }
    short_names = {entry.selector: name for name, entry in shared.items()}
    minimal = registry.minimal_selector
    registry._selector_map.update(shared)  # gin prefers a complete match to all others
    registry.minimal_selector = lambda selector: short_names.get(selector) or minimal(selector)
    try:
        yield
    finally:
        registry.minimal_selector = minimal
        for name in shared:
            del registry._selector_map[name]


@contextlib.contextmanager
def only(files: Sequence[str | Path] = (), bindings: Sequence[str] = ()) -> Iterator[None]:
    """Like `configured`, but what was bound before does not count meanwhile."""
    with configured():
        gin.clear_config()
        with configured(files, bindings):
            yield


def _parse_file(path: Path) -> None:
    for folder in (path.parent, packaged_configs()):
        if str(folder) not in gin_state._LOCATION_PREFIXES:
            gin.add_config_file_search_path(str(folder))
    root = logging.getLogger()
    root.addFilter(_is_news)
    try:
        gin.parse_config_file(str(path))
    except _PARSE_ERRORS as error:
        raise ConfigError(_one_line(error, str(path))) from None
    finally:
        root.removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Drop gin's "Path not found" for each folder that an included file is not in."""
    return record.module != "resource_reader"


def _parse_binding(binding: str) -> None:
    try:
        gin.parse_config(binding)
    except _PARSE_ERRORS as error:
        raise ConfigError(_one_line(error, f"binding {binding!r}")) from None
    if not re.match(r"[\w./]+\s*=|\s*(import|include|from)\s", binding.strip()):
        raise ConfigError(f"binding {binding!r}: expected the form 'name.parameter = value'")


def one_line(error: BaseException) -> str:
    """Message of an error on one line, without the call path that gin appends to it."""
    return " ".join(str(error).partition("\n  In call to configurable")[0].split())


def _one_line(error: BaseException, source: str) -> str:
    """One line out of gin's several: where, what, and the closest known name."""
    text = str(error)
    if isinstance(error, tokenize.TokenError):
        text = f"a bracket or string is not closed ({error.args[0]})"
    if place := re.search(r'In file "(.*?)", line (\d+)', text):
        source = f"{place[1]}, line {place[2]}"
    elif (number := re.search(r"line (\d+)", text)) and not source.startswith("binding"):
        source = f"{source}, line {number[1]}"
    message = text.splitlines()[0] if text else type(error).__name__
    if unknown := re.search(r"No configurable matching (?:reference )?'@?([\w./]+)", text):
        name = unknown[1].rpartition("/")[2]
        broken = [str(b) for b in plugins.load().broken if b.name == name]
        message = f"unknown name {name!r}{plugins.nearest(name, _names())}"
        message += "".join(f"; {text}" for text in broken)
    elif several := re.search(r"Ambiguous selector '([\w./]+)', matches \[(.*?)\]", text):
        message = f"{several[1]!r} is ambiguous: write one of {several[2]} in full"
    elif wrong := re.search(r"Configurable '(.*)' doesn't have a parameter named '(.*)'", text):
        known = _parameters(wrong[1])
        message = (
            f"{wrong[1]!r} has no parameter {wrong[2]!r}{plugins.nearest(wrong[2], known)}"
            f" (it has {', '.join(known) or 'none'})"
        )
    return f"{source}: {message}"


def _names() -> list[str]:
    return [selector.rpartition(".")[2] for selector, _ in gin_state._REGISTRY.items()]


def _parameters(name: str) -> list[str]:
    """Parameters that gin may bind on a configurable."""
    entry = gin_state._REGISTRY.get_match(name)
    hidden = {"self", "return", *(entry.denylist or ())}
    hints = [n for n in _signature_hints(entry.wrapped) if n not in hidden]
    return [n for n in hints if entry.allowlist is None or n in entry.allowlist]


def _signature_hints(target: Any) -> dict[str, Any]:
    target = target.__init__ if isinstance(target, type) else target  # type: ignore[misc]
    return typing.get_type_hints(target)


def bound(name: str) -> Any:
    """Value that gin binds to `configurable.parameter`; None if there is none."""
    try:
        return gin.query_parameter(name)
    except ValueError:
        return None


def reference_name(value: Any) -> str:
    """Name of the configurable that a bound `@name` refers to: without its module if that suffices.

    Raises ConfigError if the value is no such reference.
    """
    if not isinstance(value, gin_state.ConfigurableReference):
        raise ConfigError(f"{value!r}: expected a reference such as @mig")
    name = value.selector.rpartition(".")[2]
    found = [entry.selector for entry in gin_state._REGISTRY.get_all_matches(name)]
    return name if found == [value.selector] else value.selector


def require_bound(name: str) -> None:
    """Raise ConfigError unless all that the configurable needs is bound.

    That is every parameter without a default, of itself and of what it refers to by `@x()`.
    """
    if missing := _missing(name, ""):
        raise ConfigError(f"no value bound for {', '.join(missing)}")


def _missing(name: str, scope: str) -> list[str]:
    entry = gin_state._REGISTRY.get_match(name)
    values = {
        **gin_state._CONFIG.get(("", entry.selector), {}),
        **gin_state._CONFIG.get((scope, entry.selector), {}),
    }
    prefix = f"{scope}/{entry.name}" if scope else entry.name
    missing = [
        f"{prefix}.{parameter.name}"
        for parameter in inspect.signature(entry.wrapped).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind is not parameter.VAR_KEYWORD
        and parameter.name not in values
    ]
    for leaf in gin_state._iterate_flattened_values(tuple(values.values())):
        if isinstance(leaf, gin_state.ConfigurableReference) and leaf.evaluate:
            inner, _, selector = leaf.scoped_selector.rpartition("/")
            missing += _missing(selector, inner)
    return missing


def check_types() -> None:
    """Raise ConfigError if a bound value does not fit its parameter's annotation.

    References (`@name`, `%name`) are left to the function that receives them.
    """
    for (scope, selector), values in gin_state._CONFIG.items():
        entry = gin_state._REGISTRY.get_match(selector)
        if entry is None or not entry.module.startswith("srvae_plugin"):
            continue
        hints = _signature_hints(entry.wrapped)
        for parameter, value in values.items():
            hint = hints.get(parameter)
            name = f"{scope}/{entry.name}" if scope else entry.name
            _check_count(f"{name}.{parameter}", parameter, value)
            if hint is None or _has_reference(value) or is_bearable(value, hint, conf=_NUMBERS):
                continue
            raise ConfigError(f"{name}.{parameter} = {value!r}: expected {_readable(hint)}")


def _check_macros() -> None:
    """Refuse a name that is bound and read by nothing: most often a binding without its prefix."""
    defined = {scope for scope, selector in gin_state._CONFIG if selector == "gin.macro"}
    read = {
        leaf.scoped_selector.rpartition("/")[0]
        for values in gin_state._CONFIG.values()
        for leaf in gin_state._iterate_flattened_values(tuple(values.values()))
        if isinstance(leaf, gin_state.ConfigurableReference)
    }
    for name in sorted(defined - read):
        raise ConfigError(
            f"{name} = ... is read by nothing: expected 'name.parameter = value', or a macro that "
            f"is used as %{name}"
        )


def _check_count(name: str, parameter: str, value: Any) -> None:
    """Refuse counts below 1 before any work: the functions themselves would only do it later."""
    values = value if isinstance(value, list | tuple) else [value]
    if parameter in _COUNTS and any(isinstance(v, int) and v < 1 for v in values):
        raise ConfigError(f"{name} = {value!r}: expected at least 1")


def _has_reference(value: Any) -> bool:
    return any(
        isinstance(leaf, gin_state.ConfigurableReference)
        for leaf in gin_state._iterate_flattened_values(value)
    )


def _readable(hint: Any) -> str:
    if isinstance(hint, type):
        return hint.__name__
    return re.sub(r"\b(?:typing|collections\.abc)\.", "", str(hint)).replace("Literal", "one of ")
