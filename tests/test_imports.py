"""Imports go one way; every edge of the package's import graph is checked against this order."""

import ast
import re
from pathlib import Path

import pytest

import srvae_plugin

ROOT = Path(srvae_plugin.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
# What each part may import of the package (by prefix), beside modules of its own part.
ALLOWED = {
    "data": [],
    "metrics": ["data.ground_truth"],
    "model": [],
    "losses": ["model"],
    "convolutions": [],
    "networks": ["model", "convolutions"],
    "discriminator": ["networks"],
    "models": ["model", "losses", "networks", "discriminator"],
    "files": [],
    "results": ["files"],
    "checkpoint": ["files"],
    "scalars": ["files"],
    "progress": [],
    "optimizers": [],
}
NEVER = {
    "data": {"torch", "gin"},
    "metrics": {"torch"},
    "results": {"torch", "gin"},
    "report": {"torch", "gin"},
}


def part_of(path):
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "srvae_plugin":
                yield from (f"srvae_plugin.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    part = part_of(path)
    for name in imported(path):
        assert name.partition(".")[0] not in NEVER.get(part, set()), f"{path} imports {name}"
        assert not name.startswith("srvae_adapters"), f"{path} imports {name}"
        if part in ALLOWED and name.startswith("srvae_plugin."):
            inner = name.removeprefix("srvae_plugin.")
            allowed = [*ALLOWED[part], part]
            assert any(inner == a or inner.startswith(f"{a}.") for a in allowed), (
                f"{path} imports {name}"
            )


def private(path):
    """Private names that a module takes from others of the package."""
    tree = ast.parse(path.read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = [a for node in imports if node.module.startswith("srvae_plugin") for a in node.names]
    yield from (alias.name for alias in ours if re.match("_[^_]", alias.name))
    names = "|".join(re.escape(alias.asname or alias.name) for alias in ours)
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    yield from (name for name in used if re.fullmatch(rf"({names})\._[^_]\w*", name))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_is_private_stays_in_its_module(path):
    assert list(private(path)) == []


def test_the_rules_bite(tmp_path):
    source = tmp_path / "x.py"
    source.write_text("import torch\nfrom srvae_plugin import train\n")
    assert list(imported(source)) == ["torch", "srvae_plugin.train"]
    source.write_text("from srvae_plugin.run import _prepare, run\nrun._x\nrun.__doc__\nself._y\n")
    assert list(private(source)) == ["_prepare", "run._x"]
