"""Files of an export, compared with the digests that were written beside them."""

from __future__ import annotations

from pathlib import Path

from srvae_plugin.data.storage import manifest
from srvae_plugin.files import read_json
from srvae_plugin.runs.directory import EXPORT_FILE

__all__ = ["check_export"]

_DEPTH = 3
"""So many folders above a file may lie what is said of its export."""


def check_export(file: Path) -> None:
    """Compare a file, if it is of an export, with its digest; so those that belong to it.

    Raises:
        ValueError: it is damaged or was changed, or what is said of the export is damaged.
    """
    for folder in file.absolute().parents[:_DEPTH]:
        about = folder / EXPORT_FILE
        if about.is_file():
            name = file.absolute().relative_to(folder).as_posix()
            _compare(folder, name, read_json(about).get("sha256"))
            return


def _compare(folder: Path, name: str, digests: object) -> None:
    listed = digests if isinstance(digests, dict) else {}
    for each in (n for n in listed if n == name or n.startswith(f"{name}.")):  # model.onnx.data
        path = folder / each
        if not path.is_file():
            raise ValueError(f"{path} is missing: export it again")
        if manifest.sha256_of(path) != listed[each]:
            raise ValueError(
                f"{path} is damaged or was changed (its sha256 is not that in "
                f"{folder / EXPORT_FILE}): export it again, or, if you changed it, copy it "
                "elsewhere"
            )
