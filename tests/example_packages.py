"""The example plug-in package, installed as a wheel would be, and packages that lie beside it."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parent / "example_plugin"


def install_example(folder):
    """Install the example; return the folder to put on the path."""
    source, site = folder / "source", folder / "site"
    # Building leaves files beside the source.
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(site), str(source)]
    environment = {**os.environ, "PIP_NO_INPUT": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return site


def write_package(site, name, source, entry_points):
    """Leave what installing a package of one module leaves.

    `entry_points`: group -> lines such as "my_vae = my_package:MyVAE".
    """
    (site / f"{name}.py").write_text(source)
    about = site / f"{name}-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    groups = [f"[srvae_plugin.{group}]\n{line}\n" for group, line in entry_points.items()]
    (about / "entry_points.txt").write_text("\n".join(groups))


def from_example(module):
    """A module of the example package, without installing it."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        return importlib.import_module(f"example_plugin.{module}")
    finally:
        sys.path.remove(str(EXAMPLE))


def require_found(error, check, message):
    """Fail unless one line of a CheckError, each of a failed check, is of this check and says it.

    `check`: the subject, a colon and the name of the check's function.
    """
    lines = str(error).splitlines()
    assert all(line.startswith("FAILED  ") for line in lines)
    start = f"FAILED  {check.replace('_', ' ')}: "
    (line,) = [line for line in lines if line.startswith(start)]
    assert message in line
