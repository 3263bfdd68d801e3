"""Imports go one way; every edge of the package's import graph is checked against this order."""

import ast
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
    "networks": ["model"],
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


def test_the_rule_bites(tmp_path):
    source = tmp_path / "x.py"
    source.write_text("import torch\nfrom srvae_plugin import train\n")
    assert list(imported(source)) == ["torch", "srvae_plugin.train"]
