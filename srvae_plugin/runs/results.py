"""One run directory, laid out as disentanglement_lib's so that its users' analysis code reads it.

    <run>/model/                        weights, checkpoint, scalars.csv
    <run>/postprocessed/<kind>/         the representation
    <run>/metrics/<kind>/<metric>/      scores
    <run>/visualizations/               pictures
    <run>/environment.json, config.gin

Each step but the pictures has `results/{gin/<step>.gin, json/<step>_config.json,
json/<step>_results.json, aggregate/<step>.json}`, <step> being train, postprocess or evaluation,
and carries the files of the steps before it along.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from srvae_plugin.config.text import gin_dict
from srvae_plugin.files import write_text

REFUSED = ".refused.json"
"""After a metric's name, beside the folders of the others: why it could not be computed."""
Step = Literal["train", "postprocess", "evaluation"]


def write_step(
    results_dir: Path,
    step: Step,
    results: Mapping[str, Any],
    config: str,
    previous: Path | None = None,
    records: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write the results of one step under disentanglement_lib's names.

    Args:
        results_dir: `<step's folder>/results`.
        step: names the files.
        results: scores and times; a `uuid` is added.
        config: the step's operative gin configuration.
        previous: results folder of the step before, whose files are copied.
        records: more dictionaries, each written as `json/<its name>.json`.

    The aggregate is written last: where it exists, the step is complete.
    """
    if previous is not None:
        shutil.copytree(previous, results_dir, dirs_exist_ok=True)
    write_text(results_dir / "gin" / f"{step}.gin", config)
    write_json(results_dir / "json" / f"{step}_config.json", gin_dict(config))
    write_json(
        results_dir / "json" / f"{step}_results.json", {**results, "uuid": str(uuid.uuid4())}
    )
    for name, record in (records or {}).items():
        write_json(results_dir / "json" / f"{name}.json", record)
    write_json(results_dir / "aggregate" / f"{step}.json", _aggregate(results_dir / "json"))


def is_complete(step_dir: Path, step: Step) -> bool:
    """Whether a step's folder holds its final results."""
    return (step_dir / "results" / "aggregate" / f"{step}.json").is_file()


def read_results(step_dir: Path, step: Step) -> dict[str, Any]:
    """Results of one step; ValueError if they are missing or damaged."""
    path = step_dir / "results" / "json" / f"{step}_results.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{step_dir} holds no results of the step {step!r}") from None
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def gin_file(step_dir: Path, step: Step) -> Path:
    """File with the operative gin configuration of a finished step; ValueError if missing."""
    path = step_dir / "results" / "gin" / f"{step}.gin"
    if not path.is_file():
        raise ValueError(f"{step_dir} is not the folder of a finished step {step!r}: no {path}")
    return path


def _aggregate(json_dir: Path) -> dict[str, Any]:
    """Every json file of the folder in one dictionary, keys prefixed by the file's name."""
    merged: dict[str, Any] = {}
    for path in sorted(json_dir.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        merged.update({f"{path.stem}.{key}": value for key, value in content.items()})
    return merged


def read_json(path: Path) -> dict[str, Any]:
    """A dictionary; ValueError if the file is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a dictionary; numpy numbers and arrays become plain ones."""
    write_text(path, json.dumps(content, indent=2, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"cannot write {value!r} of type {type(value).__name__} as JSON")


@contextmanager
def new_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; it takes that name if all went well.

    Raises ValueError if `path` exists and `overwrite` is false.
    """
    require_new(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        if not _is_alive(left.name.split(".")[-2]):
            shutil.rmtree(left, ignore_errors=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir()
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _is_alive(pid: str) -> bool:
    """Whether a process of this machine has that number; one that was killed leaves its folder."""
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except OSError:  # somebody else's
        return True
    return True


def require_new(path: Path, overwrite: bool) -> None:
    """Raise ValueError if a folder exists that may not be overwritten."""
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists already; pass overwrite, or choose another folder")


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
