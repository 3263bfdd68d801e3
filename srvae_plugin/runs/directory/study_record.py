"""The record of a study, in the folder that its runs lie below."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from srvae_plugin.files import as_json, parse_json, write_json

__all__ = ["STUDY_FILE", "read_study_record", "write_study_record"]

STUDY_FILE, _STUDY_FORMAT = "study.json", 2


def write_study_record(path: Path, content: Mapping[str, Any]) -> None:
    """Write a study's record with its own digest: it changes too often for a manifest."""
    sealed = {"format": _STUDY_FORMAT, **content}
    write_json(path, {**sealed, "sha256": _digest_of(sealed)})


def read_study_record(path: Path) -> dict[str, Any]:
    """The record of a study.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged.
    """
    content = parse_json(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("no dictionary")
    digest = content.pop("sha256", None)  # older ones have none
    if content.get("format") == _STUDY_FORMAT and digest != _digest_of(content):
        raise ValueError("its sha256 is not that of its content")
    return content


def _digest_of(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(as_json(content).encode()).hexdigest()
