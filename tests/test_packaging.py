"""Wheel, sdist and editable install all carry the gin files, and never shadow the gin library."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GIN_FILES = {str(path.relative_to(ROOT / "gin")) for path in (ROOT / "gin").rglob("*.gin")}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist of this checkout, and the wheel made from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_wheel_holds_the_gin_files_in_our_package_only(built):
    names = zipfile.ZipFile(next(built.glob("*.whl"))).namelist()
    inside = {n.removeprefix("srvae_plugin/configs/") for n in names if n.endswith(".gin")}
    assert inside == GIN_FILES
    assert {name.split("/")[0].split("-")[0] for name in names} == {
        "srvae_plugin",
        "srvae_adapters",
    }
    assert "srvae_plugin/py.typed" in names


def test_wheel_holds_every_module(built):
    names = zipfile.ZipFile(next(built.glob("*.whl"))).namelist()
    roots = {"srvae_plugin": ROOT, "srvae_adapters": ROOT / "adapters"}
    ours = {
        path.relative_to(root).as_posix()
        for package, root in roots.items()
        for kind in ("*.py", "*.csv", "*.j2")
        for path in (root / package).rglob(kind)
    }
    assert ours - set(names) == set()


def test_sdist_holds_the_gin_files_and_the_tests(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = archive.getnames()
    below = {name.partition("/")[2] for name in names if name.endswith(".gin")}
    assert {name[4:] for name in below if name.startswith("gin/")} == GIN_FILES
    assert any(name.endswith("tests/test_packaging.py") for name in names)


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_an_installed_package_finds_its_gin_files(built, tmp_path, kind):
    code = (
        "import srvae_plugin.config.gin_files as g, srvae_plugin as s; "
        "print(s.__file__); print(g.find_file('presets/quick.gin').read_text()[:4])"
    )
    environment = {"PATH": "/usr/bin:/bin"}
    if kind == "wheel":
        with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
            wheel.extractall(tmp_path)
        environment["PYTHONPATH"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd="/", env=environment
    )
    assert done.returncode == 0, done.stderr
    place, start = done.stdout.splitlines()
    assert place.startswith(str(tmp_path if kind == "wheel" else ROOT))
    assert start == "# A "


def test_no_python_file_in_gin():
    assert list((ROOT / "gin").rglob("*.py")) == []


def test_former_names_of_what_users_build_on_still_import():
    from srvae_plugin import exporters, losses, model, networks
    from srvae_plugin.interchange.exporters import Exported
    from srvae_plugin.models.base import DisentanglementModel
    from srvae_plugin.models.losses import bernoulli_loss
    from srvae_plugin.models.networks import GaussianEncoder

    assert networks.GaussianEncoder is GaussianEncoder
    assert model.DisentanglementModel is DisentanglementModel
    assert exporters.Exported is Exported
    assert losses.bernoulli_loss is bernoulli_loss
