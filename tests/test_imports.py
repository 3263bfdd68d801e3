"""Imports go one way, from room to room; every edge of the package's import graph is checked."""

import ast
import re
from pathlib import Path

import pytest

import srvae_plugin

ROOT = Path(srvae_plugin.__file__).parent
ADAPTERS = ROOT.parent / "adapters" / "srvae_adapters"
# A room imports from those on lines above its own, and from itself.
ROOMS = (
    ("version", "files", "progress"),
    ("data", "registry"),
    ("metrics", "models", "config"),
    ("training", "plots"),
    ("runs",),
    ("study", "report", "interchange"),
    ("testing", "cli"),
)
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
NEVER = {
    "data": {"torch", "gin"},
    "registry": {"torch"},
    "metrics": {"torch"},
    "report": {"torch", "gin"},
}
WHEN_CALLED = {"data/drawing.py": {"torch"}}
"""Slow imports that a function makes: `data[0]` is a tensor."""


def room_of(path):
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported(source):
    """Every module that a source imports, and every name that it takes from one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "srvae_plugin":
                yield from (f"srvae_plugin.{alias.name}" for alias in node.names)
            else:
                yield node.module


def wrong_edges(room, source):
    """Imports of a source in that room that go up or sideways, or are never allowed there."""
    for name in imported(source):
        top, _, inner = name.partition(".")
        if top in NEVER.get(room, ()) or top == "srvae_adapters":
            yield name
        elif top == "srvae_plugin" and room != "__init__":
            target = inner.partition(".")[0]
            if target != room and LEVEL[target] >= LEVEL[room]:
                yield name


def test_every_room_has_its_place():
    found = {room_of(path) for path in ROOT.rglob("*.py")} - {"__init__"}
    assert found == set(LEVEL)
    loose = {path.stem for path in ROOT.glob("*.py")}
    assert loose == {"__init__", "version", "files", "progress"}


def test_every_import_goes_down():
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted(ROOT.rglob("*.py"))
        for name in wrong_edges(room_of(path), path.read_text())
        if name not in WHEN_CALLED.get(str(path.relative_to(ROOT)), ())
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("room", "source", "wrong"),
    [
        ("data", "from srvae_plugin.metrics.mig import mig", "srvae_plugin.metrics.mig"),
        ("models", "from srvae_plugin import metrics", "srvae_plugin.metrics"),
        ("plots", "import srvae_plugin.runs.run", "srvae_plugin.runs.run"),
        ("metrics", "def f():\n    import torch", "torch"),
        ("runs", "from srvae_adapters.onnx import export_onnx", "srvae_adapters.onnx"),
    ],
)
def test_the_rule_bites(room, source, wrong):
    assert list(wrong_edges(room, source)) == [wrong]
    assert list(wrong_edges(room, "from srvae_plugin.files import write_text")) == []


def private(path):
    """Private names that a module takes from others of the package."""
    tree = ast.parse(path.read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = [a for node in imports if node.module.startswith("srvae_plugin") for a in node.names]
    yield from (alias.name for alias in ours if re.match("_[^_]", alias.name))
    names = "|".join(re.escape(alias.asname or alias.name) for alias in ours)
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    yield from (name for name in used if re.fullmatch(rf"({names})\._[^_]\w*", name))


def test_what_is_private_stays_in_its_module():
    paths = [*ROOT.rglob("*.py"), *ADAPTERS.rglob("*.py")]
    taken = [f"{path.name}: {name}" for path in sorted(paths) for name in private(path)]
    assert taken == []


def test_private_names_are_found(tmp_path):
    source = tmp_path / "x.py"
    source.write_text(
        "from srvae_plugin.runs.run import _prepare, run\nrun._x\nrun.__doc__\nself._y\n"
    )
    assert list(private(source)) == ["_prepare", "run._x"]


RUN_FILES = re.compile(
    r"\b(config\.gin|environment\.json|checkpoint\w*\.pt|scalars\.csv|model\.safetensors|study\.json"
    r"|export\.json|identity\.txt|factors\.json|log\.txt|manifest\.sha256|\w+\.refused\.json"
    r"|(train|postprocess|evaluation)(_(config|results|dataset))?\.(json|gin))\b"
)
KNOW_FILES = re.compile(r"(runs/directory/\w+|training/files|data/storage/manifest)\.py")
"""A training and a manifest come before runs: what they write, they name themselves."""


def file_names(source):
    """Names of a run directory's files in the texts of a source, but for docs and messages."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            yield from (found[0] for found in RUN_FILES.finditer(node.value))


def test_one_folder_knows_the_names_in_a_run_directory():
    known = {
        str(path.relative_to(ROOT)): sorted(names)
        for path in ROOT.rglob("*.py")
        if (names := set(file_names(path.read_text())))
    }
    assert [path for path in known if not KNOW_FILES.fullmatch(path)] == []
    assert "checkpoint.pt" in known["runs/directory/steps.py"]


@pytest.mark.parametrize("name", ["checkpoint.pt", "model/scalars.csv", "train_results.json"])
def test_a_file_name_elsewhere_is_caught(name):
    assert list(file_names(f"path = folder / {name!r}")) == [name.rpartition("/")[2]]
