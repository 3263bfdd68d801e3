"""Which machine and which versions: OUT/machine.json.

python benchmarks/gpu_machine.py OUT
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "triton", "numpy", "scipy", "sklearn", "numba", "matplotlib", "safetensors")
PACKAGES += ("jaxtyping", "beartype", "h5py", "rich", "pytest", "pythae")


def version(package: str) -> str:
    try:
        return str(getattr(importlib.import_module(package), "__version__", "?"))
    except Exception as error:  # an import may raise anything
        return f"{type(error).__name__}: {error}"


def machine() -> dict[str, Any]:
    found: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count()}
    found["packages"] = {name: version(name) for name in PACKAGES}
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        found["gpu"] = card.name
        found["gpu_bytes"] = card.total_memory
        found["multiprocessors"] = card.multi_processor_count
        found["cuda"], found["cudnn"] = torch.version.cuda, torch.backends.cudnn.version()
    return found


if __name__ == "__main__":
    report = json.dumps(machine(), indent=1)
    Path(sys.argv[1], "machine.json").write_text(report + "\n")
    print(report)
