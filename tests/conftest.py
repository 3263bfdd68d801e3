"""Shape annotations are checked at run time in all tests; nothing is written outside tmp."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# Modules are collected for their examples too; what is no test here has none.
HELPERS = [path.name for path in Path(__file__).parent.glob("*.py") if path.name[:5] != "test_"]
LONGEST = {"test_damaged_runs", "test_study", "test_notebooks", "test_dlib_own_tests"}
collect_ignore = [*HELPERS, "example_plugin", "drop_in_scripts"]

CACHE = os.environ.setdefault("SRVAE_CACHE", os.path.join(tempfile.gettempdir(), "srvae-tests"))
os.environ.pop("DISENTANGLEMENT_LIB_DATA", None)
# Metrics that use every core by default take one here: the tests themselves run side by side.
os.environ["LOKY_MAX_CPU_COUNT"] = "1"

# data and metrics check what they are given themselves, and their tests hand them wrong types.
CHECKED = ("models", "plots.pictures", "plots.decomposition", "plots.tiles", "plots.curves")
CHECKED += ("runs.run", "runs.pipeline", "runs.plan", "runs.scoring.one_metric", "runs.trained_on")
CHECKED += ("runs.represent", "runs.representation")
CHECKED += ("training.loop", "training.optimizers", "training.checkpoint", "training.scalars")
install_import_hook([f"srvae_plugin.{module}" for module in CHECKED], "beartype.beartype")

import hypothesis  # noqa: E402
import torch  # noqa: E402

# Other tests run beside it, and a first example imports what it needs.
hypothesis.settings.register_profile("srvae", deadline=None)
hypothesis.settings.load_profile("srvae")
# Tests run side by side, each on tiny networks: more threads only get in each other's way.
torch.set_num_threads(1)


def pytest_addoption(parser):
    """`pytest tests/test_damaged_runs.py --long`."""
    parser.addoption("--long", action="store_true", help="fuzz tests: thousands of damages")


def pytest_collection_modifyitems(items):
    """The files that take longest come first, so that no worker is left with one at the end."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.fixture(autouse=True)
def _unbound_gin():
    """Every test starts and ends without gin bindings."""
    import gin

    gin.clear_config()
    yield
    gin.clear_config()


@pytest.fixture
def no_original():
    """The real package out of the way, which another test may have imported."""
    names = [name for name in sys.modules if name.partition(".")[0] == "disentanglement_lib"]
    real = {name: sys.modules.pop(name) for name in names}
    yield
    sys.modules |= real


@pytest.fixture
def installed(no_original):
    """The drop-in in the place of disentanglement_lib."""
    from srvae_adapters import drop_in

    drop_in.install()
    yield
    drop_in.uninstall()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB; skipped where none can be mounted."""
    place = tmp_path / "small_disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs root, to mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
