"""One convention: every public module names what it offers, and says Args, Returns and Raises."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
import srvae_adapters

import srvae_plugin


def public_modules():
    """Names of all modules but conformance tests, private ones and what `python -m` runs."""
    for package in (srvae_plugin, srvae_adapters):
        yield package.__name__
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            parts = found.name.split(".")
            hidden = any(part.startswith("_") for part in parts)
            if not hidden and parts[1] not in ("testing", "configs"):
                yield found.name


MODULES = sorted(public_modules())


def tree_of(name):
    """The module's syntax tree; it is not imported, so that no extra is needed."""
    spec = importlib.util.find_spec(name)
    return ast.parse(Path(spec.origin).read_text()), spec.submodule_search_locations is not None


def assigned(node):
    if isinstance(node, ast.AnnAssign):
        return [node.target]
    if isinstance(node, ast.Assign) and "getLogger" not in ast.unparse(node.value):
        return [e for t in node.targets for e in getattr(t, "elts", [t])]
    return []


def defined(tree):
    """Public functions, classes and constants that a module makes itself; a logger is none."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        yield from (e.id for e in assigned(node) if isinstance(e, ast.Name))


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            yield from (alias.asname or alias.name for alias in node.names)


def offered(tree):
    """What `__all__` says; None without one."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return None


def wrong_all(tree, is_package=False):
    """What is wrong with the module's `__all__`, in words."""
    public = {name for name in defined(tree) if not name.startswith("_")}
    names = offered(tree)
    if names is None:
        return ["no __all__"] if public else []
    if is_package:  # it may offer what its modules define
        public = {*public, *(set(names) & {*imported(tree), "__version__"})}
    wrong = [f"{name} is defined and not in __all__" for name in sorted(public - set(names))]
    wrong += [f"{name} is in __all__ and not defined" for name in sorted(set(names) - public)]
    return wrong


def documented(tree):
    """All that must have a docstring: (name, node) of module, classes, functions, methods."""
    yield "the module", tree
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                overload = isinstance(inner, ast.FunctionDef) and any(
                    "overload" in ast.unparse(d) or ".setter" in ast.unparse(d)
                    for d in inner.decorator_list
                )
                if isinstance(inner, ast.FunctionDef) and not overload and inner.name[0] != "_":
                    yield f"{node.name}.{inner.name}", inner


SECTIONS = "sections are Args, Returns, Raises"
RULES = {
    r"^\s*(Parameters|Params|Return|Raise|Throws):\s*$": SECTIONS,
    r"\bArguments:\s*$": SECTIONS,
    r"\bRaises `*[A-Z]\w*(Error|Exception)\b": "write a section Raises:, one error a line",
}


def wrong_style(docstring):
    """What in a docstring is not in Google's style."""
    return [why for rule, why in RULES.items() if re.search(rule, docstring, re.MULTILINE)]


def nodes_with_docstrings(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            said = ast.get_docstring(node)
            if said:
                yield getattr(node, "name", "the module"), said


def test_every_module_is_found():
    assert "srvae_plugin.models.vae" in MODULES
    assert "srvae_adapters.onnx" in MODULES
    assert not [name for name in MODULES if ".testing" in name or "._" in name]
    folders = [Path(srvae_plugin.__file__).parent, *map(Path, srvae_adapters.__path__)]
    files = [p for f in folders for p in f.rglob("*.py") if "testing" not in p.parts]
    assert len(MODULES) == len([path for path in files if path.name != "__main__.py"])


@pytest.mark.parametrize("name", MODULES)
def test_a_module_offers_what_it_defines(name):
    tree, is_package = tree_of(name)
    assert wrong_all(tree, is_package) == []


@pytest.mark.parametrize("name", MODULES)
def test_docstrings_are_there_and_in_one_style(name):
    tree, _ = tree_of(name)
    missing = [what for what, node in documented(tree) if not ast.get_docstring(node)]
    assert missing == []
    wrong = {what: wrong_style(said) for what, said in nodes_with_docstrings(tree)}
    assert {what: found for what, found in wrong.items() if found} == {}


def test_what_the_package_offers_is_there():
    """Also what is imported only when asked for."""
    for name in srvae_plugin.__all__:
        value = getattr(srvae_plugin, name)
        assert isinstance(value, str) or inspect.getdoc(value)


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("def f(): pass", ["no __all__"]),
        ("_X = 1\nlogger = logging.getLogger()", []),
        ('__all__ = ["f"]\ndef f(): pass\nX = 1', ["X is defined and not in __all__"]),
        ('__all__ = ["f", "g"]\ndef f(): pass', ["g is in __all__ and not defined"]),
        ('__all__ = ["A", "B"]\nA, B = 1, 2', []),
        ('from x import y\n__all__ = ["y"]', ["y is in __all__ and not defined"]),
    ],
)
def test_a_wrong_all_is_found(source, wrong):
    assert wrong_all(ast.parse(source)) == wrong


@pytest.mark.parametrize(
    "docstring",
    [
        "Do.\n\nArguments:\n    x: it.",
        "Do. Arguments:\n\n    x: it.",
        "Do.\n\nRaises ValueError if x is 0.",
        "Do.\n\nIt is slow. Raises OSError unless it is there.",
    ],
)
def test_another_style_is_found(docstring):
    assert wrong_style(docstring)
    assert wrong_style("Do.\n\nArgs:\n    x: it.\n\nRaises:\n    ValueError: if.") == []
