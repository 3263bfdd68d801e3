"""`utils.results`, `utils.resources`, `utils.aggregate_results`: result folders, their tables."""

from __future__ import annotations

import copy
import glob
import json
import uuid
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import gin
import numpy as np

from srvae_plugin.config import text
from srvae_plugin.files import copy_tree, read_json, write_text

__all__ = [
    "Encoder",
    "Place",
    "aggregate_json_results",
    "aggregate_results_to_json",
    "as_step",
    "copydir",
    "get_file",
    "get_files_in_folder",
    "gin_dict",
    "load_aggregated_json_results",
    "namespaced_dict",
    "save_dict",
    "save_gin",
    "update_result_directory",
]

Place = str | Path


def update_result_directory(
    result_directory: Place,
    step_name: str,
    results_dict: dict[str, Any],
    old_result_directory: Place | None = None,
) -> None:
    """Write a step's results, gin's operative configuration, and all of the folder in one file.

    Args:
        result_directory: the folder.
        step_name: begins the names of the files.
        results_dict: scores; a `uuid` is added to it.
        old_result_directory: folder of the step before, whose files are copied.
    """
    folder = Path(result_directory)
    if old_result_directory is not None:
        copydir(old_result_directory, folder)
    results_dict["uuid"] = str(uuid.uuid4())
    config = folder / "gin" / f"{step_name}.gin"
    save_gin(config)
    save_dict(folder / "json" / f"{step_name}_config.json", gin_dict(config))
    save_dict(folder / "json" / f"{step_name}_results.json", results_dict)
    together = aggregate_json_results(folder / "json")
    save_dict(folder / "aggregate" / f"{step_name}.json", together)


def as_step(folder: Path, step: str, other: str) -> None:
    """Write what a step left in a folder of results under another step's name as well."""
    write_text(folder / "gin" / f"{other}.gin", (folder / "gin" / f"{step}.gin").read_text())
    for kind in ("config", "results"):
        found = read_json(folder / "json" / f"{step}_{kind}.json")
        save_dict(folder / "json" / f"{other}_{kind}.json", found)
    together = aggregate_json_results(folder / "json")
    kept = {key: value for key, value in together.items() if not key.startswith(f"{step}_")}
    save_dict(folder / "aggregate" / f"{other}.json", kept)


def copydir(path_to_old_dir: Place, path_to_new_dir: Place) -> None:
    """Copy a folder's files into another, which is made if need be."""
    copy_tree(Path(path_to_old_dir), Path(path_to_new_dir))


def save_gin(config_path: Place) -> None:
    """Write gin's operative configuration."""
    write_text(Path(config_path), gin.operative_config_str())


class Encoder(json.JSONEncoder):
    """Writes numpy's numbers and arrays, too."""

    def default(self, o: Any) -> Any:
        """What stands for an object in JSON."""
        if isinstance(o, np.generic | np.ndarray):
            return o.tolist()
        return super().default(o)


def save_dict(config_path: Place, dict_with_info: dict[str, Any]) -> None:
    """Write a dictionary as JSON."""
    write_text(Path(config_path), json.dumps(dict_with_info, cls=Encoder, indent=2))


def gin_dict(config_path: Place | None = None) -> dict[str, str]:
    """Bindings as strings: of a gin file, or of the operative configuration."""
    if config_path is None:
        return text.gin_dict(gin.operative_config_str())
    return text.gin_dict(Path(config_path).read_text(encoding="utf-8"))


def namespaced_dict(base_dict: dict[str, Any] | None = None, **named_dicts: Any) -> dict[str, Any]:
    """A copy of the base with each dictionary's items under `name.key`."""
    found = copy.deepcopy(base_dict) if base_dict is not None else {}
    for name, inner in named_dicts.items():
        found |= {f"{name}.{key}": value for key, value in inner.items()}
    return found


def aggregate_json_results(base_path: Place) -> dict[str, Any]:
    """All JSON files of a folder in one dictionary, each under its name."""
    files = sorted(Path(base_path).glob("*.json"))
    return namespaced_dict(**{file.stem: read_json(file) for file in files})


def aggregate_results_to_json(result_file_pattern: str, output_path: Place) -> None:
    """Write the table of all result files that fit a pattern, one row per file."""
    import pandas as pd

    rows = [read_json(Path(path)) | {"path": path} for path in glob.glob(result_file_pattern)]
    write_text(Path(output_path), pd.DataFrame(rows).to_json())


def load_aggregated_json_results(source_path: Place) -> Any:
    """The table as a pandas.DataFrame."""
    import pandas as pd

    return pd.read_json(source_path, orient="columns")


def get_file(path: str) -> str:
    """Path of a file of the original's package, such as a gin file below `config/`.

    Raises:
        FileNotFoundError: that package, which has the files, is not installed.
    """
    return str(_package() / path)


def get_files_in_folder(path: str) -> Iterator[str]:
    """Paths of the files in a folder of the original's package."""
    folder = _package() / path
    for file in sorted(folder.iterdir()):
        if file.is_file():
            yield f"{folder}/{file.name}"


def _package() -> Path:
    found = PathFinder.find_spec("disentanglement_lib")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(
            "disentanglement_lib's gin files lie in its package, which is not installed: "
            "pip install --no-deps disentanglement-lib==1.5"
        )
    return Path(next(iter(found.submodule_search_locations)))
