"""Parses gin files, notes where each binding was made, and finds the modules that files import.

gin itself reads an included file from whichever known folder has one of that name first, knows no
byte order marks, and forgets which file a value came from.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gin import config as gin_state

__all__ = [
    "Key",
    "Reader",
    "Source",
    "import_modules",
    "is_users",
    "look_for_modules_in",
    "made",
    "not_imported",
    "note",
    "packaged_configs",
    "read_text",
    "register_own",
]


Key = tuple[str, str, str]
"""Scope, full name of the configurable, parameter."""
_DATASET = ("srvae_plugin.dataset", "name")
"""What disentanglement_lib's files bind to "auto": "the step before knows", never a name."""
_IMPORT = re.compile(r"^(?:import|from)[ \t]+([\w.]+).*$", re.MULTILINE)
_REFERENCE = re.compile(r"@([\w.]+)\.(\w+)")
_BOTH_ORDERS = (b"\xff\xfe", b"\xfe\xff")


class Source(NamedTuple):
    """Where a binding was made last."""

    order: int
    """Later ones are greater."""
    named: str
    """What the user named: a file's path or the text of a binding."""
    file: str
    """The file that has the line, which `named` may include; "" for a binding."""


made: dict[Key, Source] = {}
"""Where the bindings that hold at the moment come from; those of before `configured` are not in."""
not_imported: list[str] = []
"""Modules that recorded configurations import and that were not imported before."""
_clock = itertools.count()
_imported_by_user: set[str] = set()
"""Modules that the user's own files, bindings and `--import` name: trusted to be run."""
_look_in: list[Path] = []
"""Further folders in which gin files may find modules."""


def packaged_configs() -> Path:
    """Folder of the gin files that come with the package."""
    here = Path(__file__).resolve().parents[1]
    installed = here / "configs"
    return installed if installed.is_dir() else here.parent / "gin"


def is_users(path: str) -> bool:
    """Whether a gin file was written for the run: not packaged, recorded or disentanglement_lib's.

    Those serve many models, and may bind what one of them does not read.
    """
    parts = Path(path).resolve().parts
    packaged = packaged_configs().resolve() in Path(path).resolve().parents
    return not packaged and "disentanglement_lib" not in parts and not _is_recorded(path)


def _is_recorded(path: str) -> bool:
    """Whether gin itself wrote a file: its headings are hard to type by chance."""
    return "\n# " + "=" * 78 + "\n" in "\n" + read_text(Path(path))


def note(parameter: str, text: str) -> None:
    """Note that a binding made `configurable.parameter` what it is."""
    key = gin_state.ParsedBindingKey.parse(parameter).scope_selector_arg
    made[key] = Source(next(_clock), text, "")


class Reader:
    """Parses files and bindings into gin's configuration, and keeps `made` up to date.

    Args:
        recorded: the files were written by a finished step, perhaps a stranger's, and are data.
            They import and include nothing, and name only what is registered: by this package,
            by plug-ins, or by modules that the user imports.
    """

    def __init__(self, recorded: bool = False):
        self.recorded = recorded
        self._named = ""
        self._stack: list[Path] = []
        self._text = ""

    @property
    def file(self) -> Path | None:
        """The file being parsed or, after an error, that has it."""
        return self._stack[-1] if self._stack else None

    def parse_file(self, path: Path) -> None:
        """Parse a file of the user's and all that it includes."""
        self._named = str(path)
        self._stack.clear()
        with self._hooks():
            self._parse(path)

    def parse_binding(self, text: str) -> None:
        """Parse a binding; a module that it imports may lie in the working directory."""
        self._named = text
        self._stack.clear()
        _make_importable(text, [Path.cwd(), *_look_in])
        with self._hooks():
            gin_state.parse_config(text)

    @contextlib.contextmanager
    def _hooks(self) -> Iterator[None]:
        bind, parse_file = gin_state.bind_parameter, gin_state.parse_config_file
        context = gin_state.ParseContext
        process, register = context.process_import, context._register

        def noted(key: Any, value: Any) -> None:
            parsed = gin_state.ParsedBindingKey.parse(key)
            if parsed.scope_selector_arg[1:] == _DATASET and value == "auto":
                return
            bind(key, value)
            file = str(self._stack[-1]) if self._stack else ""
            made[parsed.scope_selector_arg] = Source(next(_clock), self._named, file)

        gin_state.bind_parameter = noted

        def if_imported(parsing: Any, statement: Any) -> None:
            module = statement.module
            known = module.startswith("__gin__.") or module in sys.modules
            if not known or _unknown_in(module, self._text):
                not_imported.append(module)
                raise ImportError(f"it imports {module}")
            process(parsing, statement)

        def if_users(parsing: Any, names: Sequence[str], values: Sequence[Any]) -> Any:
            home = getattr(values[-1], "__module__", None)
            if home not in _imported_by_user or values[-2] is not sys.modules.get(home):
                raise ValueError(
                    f"{'.'.join(names)} is not registered with gin, and a run directory runs "
                    "nothing but what this package, plug-ins and modules that you --import define"
                )
            return register(parsing, names, values)

        gin_state.parse_config_file = lambda name, *_, **__: self._include(name)
        if self.recorded:
            context.process_import, context._register = if_imported, if_users
        try:
            yield
        finally:
            gin_state.bind_parameter, gin_state.parse_config_file = bind, parse_file
            context.process_import, context._register = process, register

    def _include(self, name: str) -> Any:
        """Beside the file that includes it, from the working directory, or a packaged one."""
        if self.recorded:
            raise ValueError(f"includes {name!r}, but the configuration of a run is complete")
        for folder in (self._stack[-1].parent, Path.cwd(), packaged_configs()):
            if (folder / name).is_file():
                return self._parse((folder / name).resolve())
        raise OSError(
            f"included file {name!r} not found beside it, from {Path.cwd()} or among the packaged "
            "ones"
        )

    def _parse(self, path: Path) -> Any:
        if path in self._stack:
            raise ValueError(f"{path} includes itself")
        text = read_text(path)
        self._text = text
        if not self.recorded:
            _make_importable(text, [path.parent, Path.cwd(), *_look_in])
        stream = io.StringIO(text)
        stream.name = str(path)  # gin names it in its errors
        self._stack.append(path)
        includes, imports = gin_state.parse_config(stream)
        self._stack.pop()
        return gin_state.ParsedConfigFileIncludesAndImports(str(path), imports, includes)


def read_text(path: Path) -> str:
    """Text of a gin file, whatever its byte order mark.

    Raises:
        ValueError: if it is not text.
    """
    content = path.read_bytes()
    try:
        encoding = "utf-16" if content.startswith(_BOTH_ORDERS) else "utf-8-sig"
        return io.TextIOWrapper(io.BytesIO(content), encoding).read()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text ({error.reason} at byte {error.start})") from None


def _make_importable(text: str, folders: Sequence[Path]) -> None:
    """Put the folder of a module that a text imports on Python's path, if it has it."""
    for name in _IMPORT.findall(text):
        _imported_by_user.add(name)
        _find_module(name, folders)


def _find_module(name: str, folders: Sequence[Path]) -> None:
    top = name.partition(".")[0]
    if top in sys.modules:
        return
    for folder in folders:
        if (folder / f"{top}.py").is_file() or (folder / top / "__init__.py").is_file():
            if str(folder) not in sys.path:
                # For good, as `python -m` has it: the module may import more when it is called.
                sys.path.insert(0, str(folder))
                importlib.invalidate_caches()
            return


def register_own(recorded: str) -> None:
    """Let gin know what a recorded text refers to in modules that the user imported.

    That is classes and functions that such a module defines itself, under their full names.
    """
    for module in _IMPORT.findall(recorded):
        if module not in _imported_by_user or module not in sys.modules:
            continue
        for name in _unknown_in(module, recorded):
            value = getattr(sys.modules[module], name, None)
            if callable(value) and getattr(value, "__module__", None) == module:
                gin_state.register(name, module=module)(value)


def _unknown_in(module: str, text: str) -> list[str]:
    """Names that a text refers to in a module and that gin does not know."""
    names = dict.fromkeys(name for place, name in _REFERENCE.findall(text) if place == module)
    registry = gin_state._REGISTRY
    return [name for name in names if registry.get_match(f"{module}.{name}") is None]


def look_for_modules_in(folders: Sequence[str | Path]) -> None:
    """Let gin files and `import_modules` find modules in these folders too."""
    _look_in.extend(Path(folder) for folder in folders)


def import_modules(
    names: Sequence[str], beside: Sequence[str | Path] = (), asked_by: str = "--import "
) -> None:
    """Import modules by name, as `--import` has them; `asked_by` begins messages.

    They are looked for in the working directory, beside the files and wherever Python looks.

    Raises:
        ValueError: for one that is not found or cannot be imported.
    """
    folders = [Path.cwd(), *(Path(file).resolve().parent for file in beside), *_look_in]
    for name in names:
        _imported_by_user.add(name)
        _find_module(name, folders)
        try:
            importlib.import_module(name)
        except Exception as error:  # a module of the user's may raise anything
            raise ValueError(
                f"{asked_by}{name}: {type(error).__name__}: {error} (looked in "
                f"{', '.join(dict.fromkeys(map(str, folders)))} and where Python looks)"
            ) from error
