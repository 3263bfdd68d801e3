"""The meta path finder that answers disentanglement_lib's module names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_loader
from types import ModuleType

import gin

from srvae_adapters.drop_in import old_gin, table
from srvae_plugin.registry import gin_names

__all__ = ["ORIGINAL", "install", "uninstall"]

ORIGINAL = "disentanglement_lib"
_HERE = "srvae_adapters.drop_in"


def install(name: str = ORIGINAL) -> None:
    """Answer imports of disentanglement_lib, or of a copy of one of its folders, from now on.

    The copy's own additions, files that disentanglement_lib does not have, are still imported from
    where they lie, and may import what is answered here. Its gin names, such as
    `disentanglement_lib.evaluation.metrics.mig.mig.num_train`, mean ours.

    Args:
        name: the package that is imported, "disentanglement_lib", or a copied folder of it:
            "evaluation", "my_project.evaluation".

    Raises:
        ValueError: `name` does not end in a folder of disentanglement_lib.
        ImportError: the real one was imported before.
    """
    part = name.rpartition(".")[2]
    inner = "" if part == ORIGINAL else part
    if inner not in table.MODULES:
        folders = sorted({module.partition(".")[0] for module in table.MODULES} - {""})
        raise ValueError(
            f"install({name!r}): expected {ORIGINAL!r} or a copied folder of it, which is one of "
            f"{', '.join(folders)}"
        )
    if name in _finder.roots:
        return
    _require_not_imported(name)
    old_gin.install()
    for module, content in table.MODULES.items():
        if f"{module}.".startswith(f"{inner}.") or not inner:
            full = ".".join(filter(None, (name, module.removeprefix(inner).lstrip("."))))
            for gin_name in content.gin.split():
                gin_names.alias(f"{full}.{gin_name}", gin_name)
    _finder.roots[name] = inner
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """Undo every `install`; modules that were imported are forgotten."""
    for name in [name for name in sys.modules if _finder.root_of(name)]:
        del sys.modules[name]
    gin_names.forget_aliases(*_finder.roots)
    _finder.roots.clear()
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    old_gin.uninstall()


def _require_not_imported(name: str) -> None:
    there = next((m for m in sys.modules if m == name or m.startswith(f"{name}.")), None)
    if there is not None:
        place = getattr(sys.modules[there], "__file__", None) or "another place"
        raise ImportError(
            f"{there} was imported before, from {place}: call install({name!r}) before anything "
            "that imports it"
        )


class _Finder(MetaPathFinder):
    """Finds modules of the installed names, and their copies' own files beside them."""

    def __init__(self) -> None:
        self.roots: dict[str, str] = {}
        """Installed names, and which folder of the original each is; "" for the whole."""

    def root_of(self, fullname: str) -> str | None:
        """The installed name that a module is in."""
        for root in self.roots:
            if f"{fullname}.".startswith(f"{root}."):
                return root
        return None

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """The module of that name, of ours or of a copy's own.

        Raises:
            ImportError: for a module that is neither.
        """
        root = self.root_of(fullname)
        if root is None:
            return None
        inner = ".".join(filter(None, (self.roots[root], fullname[len(root) + 1 :])))
        if inner in table.MODULES:
            loader = _Loader(inner, _own_folder(fullname, path))
            return spec_from_loader(fullname, loader, is_package=table.is_package(inner))
        own = None if table.reason(inner) else PathFinder.find_spec(fullname, path)
        if own is not None:
            return own
        raise ImportError(_not_here(fullname, inner), name=fullname)


_finder = _Finder()


def _own_folder(fullname: str, path: Sequence[str] | None) -> list[str]:
    """Where a copy of the package lies, if there is one."""
    found = PathFinder.find_spec(fullname, path)
    return list(found.submodule_search_locations or ()) if found else []


def _not_here(fullname: str, inner: str) -> str:
    parent = inner.rpartition(".")[0]
    while parent not in table.MODULES:
        parent = parent.rpartition(".")[0]
    beside = [m for m in table.MODULES if m and m.rpartition(".")[0] == parent]
    names = ", ".join(sorted(m.rpartition(".")[2] for m in beside)) or "nothing"
    why = table.reason(inner) or (
        "neither disentanglement_lib nor this copy of it has it: put your own file beside your "
        "script and import it by its own name"
    )
    return f"{fullname} is not in srvae_adapters.drop_in: {why}. In {parent or ORIGINAL}: {names}"


class _Loader(Loader):
    """Makes a module from its entry in the table."""

    def __init__(self, inner: str, own_folder: list[str]) -> None:
        self.inner, self.own_folder = inner, own_folder

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module with the objects that the table names.

        What they register with gin they may register when gin is locked, too.
        """
        with gin.unlock_config():
            self._fill(module)

    def _fill(self, module: ModuleType) -> None:
        content = table.MODULES[self.inner]
        module.__doc__ = f"{ORIGINAL}.{self.inner}, answered by srvae_plugin."
        if table.is_package(self.inner):
            module.__path__ = self.own_folder
        for name, (place, attribute) in table.objects(content):
            configurable, source = place.startswith("@"), place.removeprefix("@")
            source = f"{_HERE}{source}" if source.startswith(".") else source
            found = getattr(importlib.import_module(source), attribute)
            setattr(module, name, gin.get_configurable(found) if configurable else found)
        root = module.__name__.removesuffix(self.inner)
        for needed in content.loads.split():
            importlib.import_module(f"{root}{needed}")
