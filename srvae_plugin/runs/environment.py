"""What a run was made with."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["environment"]


def environment(device: str, threads: int, seconds: float) -> dict[str, Any]:
    """What a run was made with: versions, commit, machine, threads, seconds."""
    packages = ("srvae_plugin", "torch", "numpy", "scipy", "scikit-learn", "gin-config")
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in packages},
        "git_commit": _git_commit(),
        "device": device,
        "cpus": os.cpu_count(),
        "threads": threads,
        "seconds": seconds,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Commit of the checkout this package runs from, if it is one."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True
        )
    except OSError:
        return None
    return answer.stdout.strip() or None
