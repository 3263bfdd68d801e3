"""Reads gin files and bindings, with errors a user can act on.

gin keeps one global configuration; the modules `gin_*` are the only ones that touch its internals
(gin-config 0.5 is its last release).
"""

from __future__ import annotations

import contextlib
import copy
import difflib
import importlib.util  # noqa: F401  (gin's own `include` needs it imported)
import inspect
import itertools
import re
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import gin
from beartype.door import is_bearable
from gin import config as gin_state

from srvae_plugin.config import gin_messages, gin_sizes, gin_sources, plugins
from srvae_plugin.config.gin_messages import one_line as one_line, signature_hints
from srvae_plugin.config.gin_sources import packaged_configs as packaged_configs
from srvae_plugin.registry import gin_names

__all__ = [
    "Choice",
    "ConfigError",
    "State",
    "Texts",
    "as_list",
    "bind_reference",
    "bound",
    "check_types",
    "configured",
    "find_file",
    "held_bindings",
    "is_later",
    "is_typed",
    "made",
    "only",
    "parameters_of",
    "reference_name",
    "require_bound",
    "restored",
    "unread_macros",
    "values_of",
]


Texts = str | Path | Sequence[str | Path] | None
"""Files or bindings; a single one needs no list."""

_PARSE_ERRORS = (
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    SyntaxError,
    ImportError,
    OSError,
    IndexError,
    RecursionError,  # deeply nested values; Python's parser says MemoryError of some
    MemoryError,
    tokenize.TokenError,
)
_COUNTS = {"num_train", "num_test", "num_eval", "num_variance_estimate", "num_bins", "num_latent"}
_MODEL = ("", "srvae_plugin.model", "model")
_said: set[str] = set()
"""Warnings of this process: each step of a run reads the same files."""


_Settings = TypeVar("_Settings")


class ConfigError(ValueError):
    """A gin file or binding that cannot be used; the message is one line and names it."""


class Choice(NamedTuple):
    """A function that one step of a run uses, by its gin name, and what goes with it.

    Files and bindings are weaker than those of the whole run.
    """

    function: str
    files: Sequence[str | Path] = ()
    bindings: Sequence[str] = ()

    @property
    def is_plain(self) -> bool:
        """Whether nothing goes with the function."""
        return not (self.files or self.bindings)


def find_file(name: str | Path) -> Path:
    """Path of a gin file: as given, or else relative to the packaged ones.

    Raises:
        ConfigError: if it is at neither place.
    """
    for path in (Path(name), packaged_configs() / name):
        if path.is_file():
            return path.resolve()
    packaged = [str(p.relative_to(packaged_configs())) for p in packaged_configs().rglob("*.gin")]
    folder = Path(name).parent
    known = [*(str(p) for p in folder.glob("*.gin")), *packaged]
    raise ConfigError(
        f"gin file {str(name)!r} not found: it is neither a path from {Path.cwd()} nor one of the "
        f"packaged files in {packaged_configs()}{_nearest_file(str(name), known)}"
    )


def _nearest_file(name: str, known: Sequence[str]) -> str:
    """Return "; did you mean ...?": of the whole paths, or else of what ends them."""
    for part in (lambda p: str(p.with_suffix("")), lambda p: p.stem):
        by_part = {part(Path(path)): path for path in reversed(known)}
        if close := difflib.get_close_matches(part(Path(name)), list(by_part), n=1, cutoff=0.7):
            return f"; did you mean {by_part[close[0]]!r}?"
    return ""


def as_list(texts: Texts) -> list[Any]:
    """Files or bindings as a list: a single one stands for itself, None for none."""
    if texts is None:
        return []
    return [texts] if isinstance(texts, str | Path) else list(texts)


@contextlib.contextmanager
def configured(
    files: Texts = (),
    bindings: Texts = (),
    *,
    load_plugins: bool = True,
    recorded: bool = False,
) -> Iterator[None]:
    """Add these files and bindings to gin's configuration; restore the former one on exit.

    A single file or binding needs no list. Later ones win, but for `dataset.name = "auto"`, which
    stands for the data set that is known already and replaces no name.

    Args:
        files, bindings: read in this order, the bindings last.
        load_plugins: without, it is a matter of milliseconds, and only what is imported already is
            a known name.
        recorded: the files were left by a finished step, and are data: see
            :class:`srvae_plugin.config.gin_sources.Reader`.

    Raises:
        ConfigError: for a missing file, a syntax error, an unknown name (with the closest known
            one), a value of the wrong type, and for two files that name different models while no
            binding says which.
    """
    if load_plugins:
        plugins.load()
    if recorded:  # before it is settled below what short names mean
        for path in map(Path, as_list(files)):
            if path.is_file():
                gin_sources.register_own(gin_sources.read_text(path))
    with restored():
        gin_state._OPERATIVE_CONFIG.clear()
        with gin.unlock_config():
            _parse(as_list(files), as_list(bindings), gin_sources.Reader(recorded))
        check_types()
        _check_macros()
        yield


class State(NamedTuple):
    """All that gin holds, and where it was bound."""

    bound: dict[Any, dict[str, Any]]
    operative: dict[Any, dict[str, Any]]
    imports: set[Any]
    made: dict[gin_sources.Key, gin_sources.Source]

    @classmethod
    def now(cls) -> State:
        """What gin holds now."""
        return cls(
            {key: dict(values) for key, values in gin_state._CONFIG.items()},
            dict(gin_state._OPERATIVE_CONFIG),
            set(gin_state._IMPORTS),
            dict(gin_sources.made),
        )

    def put(self) -> None:
        """Let gin hold this instead of what it holds."""
        gin.clear_config()
        gin_state._CONFIG.update({key: dict(values) for key, values in self.bound.items()})
        gin_state._OPERATIVE_CONFIG.update(self.operative)
        gin_state._IMPORTS.update(self.imports)
        gin_sources.made.clear()
        gin_sources.made.update(self.made)


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Restore on exit what gin holds; meanwhile, short names mean ours."""
    before = State.now()
    with gin_names.ours_first():
        try:
            yield
        finally:
            before.put()


def held_bindings() -> list[str]:
    """Names of our parameters that gin holds a value for, sorted."""
    return sorted(
        f"{selector.removeprefix('srvae_plugin.')}.{name}"
        for (_, selector), values in gin_state._CONFIG.items()
        if selector.startswith("srvae_plugin.")
        for name in values
    )


def bind_reference(parameter: str, function: str) -> None:
    """Bind `parameter = @function` as if it had been typed last.

    Raises:
        ConfigError: for an unknown name.
    """
    text = f"{parameter} = @{function}"
    try:
        value = gin_state.parse_value(f"@{function}")
        with gin.unlock_config():
            gin.bind_parameter(parameter, value)
    except _PARSE_ERRORS as error:
        raise ConfigError(gin_messages.of_binding(error, text)) from None
    gin_sources.note(parameter, text)


@contextlib.contextmanager
def only(files: Texts = (), bindings: Texts = (), *, recorded: bool = False) -> Iterator[None]:
    """Like `configured`, but what was bound before does not count meanwhile."""
    with configured():
        gin.clear_config()
        with configured(files, bindings, recorded=recorded):
            yield


def _parse(
    files: Sequence[str | Path], bindings: Sequence[str], reader: gin_sources.Reader
) -> None:
    models: dict[str, Any] = {}
    for name in files:
        path = find_file(name)
        _parse_file(path, reader)
        source = gin_sources.made.get(_MODEL)
        if source is not None and source.named == str(path):
            models[str(name)] = bound("model.model")
    for binding in bindings:
        _parse_binding(binding, reader)
    source = gin_sources.made.get(_MODEL)
    if len(models) > 1 and source is not None and source.named not in bindings:
        _refuse_two_models(models)


def _refuse_two_models(models: dict[str, Any]) -> None:
    """Refuse files that name different models: which was meant is not for the order to say."""
    names = list(models)
    for first, second in itertools.pairwise(names):
        if models[first] != models[second]:
            raise ConfigError(
                f"{first} binds model.model = {models[first]} and {second} binds model.model = "
                f"{models[second]}: leave one of the files out, or say which with --bind "
                f"'model.model = {models[second]}'"
            )


def _parse_file(path: Path, reader: gin_sources.Reader) -> None:
    gin_sources.not_imported.clear()
    try:
        reader.parse_file(path)
        if reader.recorded:
            gin_sizes.require_bounded()
    except _PARSE_ERRORS as error:
        message = gin_messages.of_file(error, reader.file or path)
        if modules := ", ".join(dict.fromkeys(gin_sources.not_imported)):
            asked = " ".join(f"--import {name}" for name in dict.fromkeys(gin_sources.not_imported))
            message += (
                f"; it was made with the module {modules}, and a run directory imports nothing of "
                f"its own accord: add {asked} (found in the working directory too), in Python "
                f"load_run(path, imports={gin_sources.not_imported[0]!r})"
            )
        raise ConfigError(message) from None


def _parse_binding(binding: str, reader: gin_sources.Reader) -> None:
    try:
        reader.parse_binding(binding)
    except _PARSE_ERRORS as error:
        raise ConfigError(gin_messages.of_binding(error, binding)) from None
    if not re.match(r"[\w./]+\s*=|\s*(import|include|from)\s", binding.strip()):
        raise ConfigError(f"binding {binding!r}: expected the form 'name.parameter = value'")


def bound(name: str) -> Any:
    """Value that gin binds to `configurable.parameter`, of a macro its value; None if none."""
    try:
        value = gin.query_parameter(name)
    except ValueError:
        return None
    is_macro = getattr(value, "config_key", ("", ""))[1] == "gin.macro"
    return copy.deepcopy(value) if is_macro else value


def values_of(selector: str) -> dict[str, Any]:
    """All that gin binds to the parameters of the configurable of that full name, evaluated."""
    return copy.deepcopy(gin_state._CONFIG.get(("", selector), {}))


def is_later(name: str, other: str) -> bool:
    """Whether `configurable.parameter` was bound after the other one."""
    return _order(name) > _order(other)


def is_typed(name: str) -> bool:
    """Whether a binding of the command line, no file, set `configurable.parameter`."""
    source = gin_sources.made.get(_key(name))
    return source is not None and not source.file


def _order(name: str) -> int:
    source = gin_sources.made.get(_key(name))
    return -1 if source is None else source.order


def _key(name: str) -> gin_sources.Key:
    configurable, _, parameter = name.rpartition(".")
    return ("", gin_state._REGISTRY.get_match(configurable).selector, parameter)


def reference_name(value: Any) -> str:
    """Name of the configurable that a bound `@name` refers to: without its module if that suffices.

    Raises:
        ConfigError: if the value is no such reference.
    """
    if not isinstance(value, gin_state.ConfigurableReference):
        raise ConfigError(f"{value!r}: expected a reference such as @mig")
    name = value.selector.rpartition(".")[2]
    found = [entry.selector for entry in gin_state._REGISTRY.get_all_matches(name)]
    return name if found == [value.selector] else value.selector


def parameters_of(entry: Any) -> list[str]:
    """Parameters that gin may bind on an entry of its registry."""
    try:
        return gin_messages.parameters(entry.selector)
    except (TypeError, NameError, ValueError):  # annotations that do not resolve
        return []


def require_bound(name: str) -> None:
    """Raise ConfigError unless all that the configurable needs is bound.

    That is every parameter without a default, of itself and of what it refers to by `@x()`.
    """
    if missing := _missing(name, ""):
        raise ConfigError(f"no value bound for {', '.join(missing)}")


def made(settings: type[_Settings], name: str) -> _Settings:
    """Settings of the step registered under that name; ConfigError where a binding is missing."""
    require_bound(name)
    return gin.get_configurable(settings)()


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
        # A semi-supervised model is written without parentheses in disentanglement_lib's files.
        is_made = isinstance(leaf, gin_state.ConfigurableReference) and (
            leaf.evaluate or entry.selector == "srvae_plugin.model"
        )
        if is_made:
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
        hints = signature_hints(entry.wrapped)
        for parameter, value in values.items():
            hint = hints.get(parameter)
            name = f"{scope}/{entry.name}" if scope else entry.name
            _check_count(f"{name}.{parameter}", parameter, value)
            if (
                hint is None
                or _has_reference(value)
                or is_bearable(value, hint, conf=plugins.NUMBERS)
            ):
                continue
            raise ConfigError(
                f"{name}.{parameter} = {value!r}: expected {plugins.readable(hint)}"
                f"{_reference_to(value)}"
            )


def unread_macros() -> list[str]:
    """Names that are bound as macros and that no value refers to."""
    defined = {scope for scope, selector in gin_state._CONFIG if selector == "gin.macro"}
    read = {
        leaf.scoped_selector.rpartition("/")[0]
        for values in gin_state._CONFIG.values()
        for leaf in gin_state._iterate_flattened_values(tuple(values.values()))
        if isinstance(leaf, gin_state.ConfigurableReference)
    }
    return sorted(defined - read)


def _check_macros() -> None:
    """Refuse a name that was typed and is read by nothing: most often it lacks its prefix.

    Of files it is said once: many studies share them, and a later binding may take the place of
    what read the macro.
    """
    by_file: dict[str, list[str]] = {}
    for name in unread_macros():
        source = gin_sources.made.get((name, "gin.macro", "value"))
        if source is None or source.file:
            by_file.setdefault(source.file if source else "", []).append(name)
            continue
        raise ConfigError(
            f"{name} = ... is never used: expected 'name.parameter = value', or a macro that "
            f"is used as %{name}"
        )
    for file, names in by_file.items():
        said = f"{file}: {', '.join(names)}"
        if file and said not in _said and gin_sources.is_users(file):
            _said.add(said)
            plugins.logger.warning("unused macros in %s", said)


def _check_count(name: str, parameter: str, value: Any) -> None:
    """Refuse counts below 1 before any work: the functions themselves would only do it later."""
    values = value if isinstance(value, list | tuple) else [value]
    if parameter in _COUNTS and any(isinstance(v, int) and v < 1 for v in values):
        raise ConfigError(f"{name} = {value!r}: expected at least 1")


def _reference_to(value: Any) -> str:
    """Return "; did you mean @...?" for a string that is the name of something."""
    if not isinstance(value, str) or value not in gin_messages.names():
        return ""
    return f"; did you mean @{value}{'()' if value in plugins.names('models') else ''}?"


def _has_reference(value: Any) -> bool:
    return any(
        isinstance(leaf, gin_state.ConfigurableReference)
        for leaf in gin_state._iterate_flattened_values(value)
    )
