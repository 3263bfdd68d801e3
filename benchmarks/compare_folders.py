"""Two folders file for file: the same names, and the same bytes but for what is named here."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

VOLATILE = {"uuid", "elapsed_time", "training_seconds", "seconds", "git_commit", "command",
            "postprocess_uuid"}  # fmt: skip
"""Keys of JSON files, whatever is before them (`train_results.uuid`), that are not compared: names
drawn at random, durations, the commit and the command line."""
DURATION = r"\b\d[\d.:,]* ?(?:s|ms|min|h|seconds|minutes|hours)\b"
DATE = r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?"
SPEED = r"\b[\d.e+]+ \w+/s, ETA [\d:?]+"
DIGEST = r"\b[0-9a-f]{64}\b"
UUID = r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
VARIES = {
    "*": [DURATION],
    "identity.txt": [UUID],
    "log.txt": [DATE, DURATION, SPEED],
    "*.sha256": [DIGEST],
    "*.html": [DURATION, DATE, r"\b[0-9a-f]{40}\b"],
}
"""By pattern of a file's name, what is cut out of its text: durations; the name of the scored step;
in a log its dates and speeds; in a page its date and the commit; digests of files that are compared
themselves."""
GRAPHS = {"encoder.onnx", "encoder.pt2", "pytorch_model.pt"}
"""Hold paths and line numbers of the code that was traced: that both are there must do, and that
`export.json` and scores of the file say the same."""
TEXT = {".sha256", ".txt", ".gin", ".csv", ".html", ".py", ".md"}


class Compared(NamedTuple):
    """What came of two folders."""

    files: int
    different: list[str]
    """One line each: the file and how it differs."""


def compare(old: Path, new: Path, moved: dict[str, str]) -> Compared:
    """Compare every file below two folders.

    Args:
        old: the first folder.
        new: the second one.
        moved: text that stands for a place on either side, by what replaces it.
    """
    names = sorted(_names(old) | _names(new))
    different = []
    for name in names:
        if not (old / name).is_file() or not (new / name).is_file():
            different.append(f"{name}: only in {'new' if (new / name).is_file() else 'old'}")
        elif how := _difference(old / name, new / name, moved):
            different.append(f"{name}: {how}")
    return Compared(len(names), different)


def _names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def _difference(old: Path, new: Path, moved: dict[str, str]) -> str | None:
    a, b = old.read_bytes(), new.read_bytes()
    if a == b or old.name in GRAPHS:
        return None
    if old.suffix == ".json":
        read = [_read_json(raw, moved) for raw in (a, b)]
        if old.name == "study.json":  # sealed: a digest of the rest, durations included
            sealed = ["sha256" in content and bool(content.pop("sha256")) for content in read]
            if sealed[0] != sealed[1]:
                return f"sha256 only in {'old' if sealed[0] else 'new'}"
        return next(_differing_keys(*read), None)
    if old.name.startswith("checkpoint"):
        return next(_differing_keys(*(_read_checkpoint(path) for path in (old, new))), None)
    if old.suffix in TEXT:
        lines = [_read_text(raw, old, moved).splitlines() for raw in (a, b)]
        return _first_line(*lines)
    return f"{len(a)} and {len(b)} bytes that differ"


def _read_json(raw: bytes, moved: dict[str, str]) -> Any:
    return json.loads(_replaced(raw.decode(), moved))


def _read_checkpoint(path: Path) -> Any:
    """What a checkpoint holds, its tensors and arrays as digests."""
    return _digested(torch.load(path, map_location="cpu", weights_only=False))


def _digested(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _digested(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_digested(item) for item in value]
    if isinstance(value, torch.Tensor | np.ndarray):
        content = np.ascontiguousarray(value)
        return f"{content.dtype} {content.shape} {hashlib.sha256(content.tobytes()).hexdigest()}"
    return value


def _read_text(raw: bytes, path: Path, moved: dict[str, str]) -> str:
    text = _replaced(raw.decode(), moved)
    for pattern, varies in VARIES.items():
        if path.match(pattern):
            for expression in varies:
                text = re.sub(expression, "<varies>", text)
    return text


def _replaced(text: str, moved: dict[str, str]) -> str:
    for place, name in moved.items():
        text = text.replace(place, name)
    return text


def _differing_keys(a: Any, b: Any, at: str = "") -> Iterator[str]:
    """Where two JSON values differ, but for volatile keys."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            if key not in a or key not in b:
                yield f"{at}{key} only in {'old' if key in a else 'new'}"
            elif key.rpartition(".")[2] not in VOLATILE:
                yield from _differing_keys(a[key], b[key], f"{at}{key}: ")
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for place, pair in enumerate(zip(a, b, strict=True)):
            yield from _differing_keys(*pair, f"{at}[{place}] ")
    elif a != b and not (a != a and b != b):  # NaN is NaN
        yield f"{at}{a!r} and {b!r}"[:300]


def _first_line(a: list[str], b: list[str]) -> str | None:
    for number, (here, there) in enumerate(zip(a, b, strict=False), 1):
        if here != there:
            return f"line {number}: {here[:120]!r} and {there[:120]!r}"
    if len(a) != len(b):
        return f"{len(a)} and {len(b)} lines"
    return None
