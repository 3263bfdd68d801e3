"""Files and folders that are never half-written under their final name, and how ours are read."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TAIL_BYTES = 4096


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if all went well.

    The folder is created. Raises OSError as the system does (disk full, read-only).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one piece."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """A dictionary; FileNotFoundError if there is no file, ValueError if it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it holds no dictionary")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a dictionary; numpy numbers and arrays become plain ones."""
    write_text(path, json.dumps(content, indent=2, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"cannot write {value!r} of type {type(value).__name__} as JSON")


def require_new(path: Path, overwrite: bool) -> None:
    """Raise ValueError if a folder exists that may not be overwritten."""
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists already; pass overwrite, or choose another folder")


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


def scalar_rows(path: Path) -> list[list[str]]:
    """Rows of a table of scalars, the header first; a last row that was cut short is left out.

    A process that was killed may have left one.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if len(rows) > 1 and (len(rows[-1]) < len(rows[0]) or not rows[-1][-1]):
        del rows[-1]
    return rows


def read_scalars(path: Path, most: int | None = None) -> dict[str, NDArray[np.float64]]:
    """Columns of a table of scalars, by name; columns of length 0 if nothing was logged.

    Args:
        path: the file that training wrote.
        most: rows to read, evenly spread, the first and the last among them; None for all.

    Raises FileNotFoundError, and ValueError that names the line for what is no row of numbers.
    """
    header, *body = scalar_rows(path) or [[]]
    chosen: Sequence[int] = range(len(body))
    if most is not None and most < len(body):
        chosen = sorted({*np.linspace(0, len(body) - 1, most).round().astype(int).tolist()})
    values = np.empty((len(chosen), len(header)))
    for row, place in enumerate(chosen):
        fields = body[place]
        if len(fields) != len(header):
            raise ValueError(
                f"{path} is damaged, line {place + 2}: got {len(fields)} fields, expected "
                f"{len(header)} as in the header"
            )
        try:
            values[row] = [float(field) for field in fields]
        except ValueError as error:
            raise ValueError(f"{path} is damaged, line {place + 2}: {error}") from None
    return {name: values[:, column] for column, name in enumerate(header)}


def last_step(path: Path) -> int:
    """Step of the last whole row of a table of scalars, whose end alone is read; 0 if none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            tail = file.read().decode("utf-8", "replace")
    except OSError:
        return 0
    for line in reversed(tail.split("\n")[:-1]):
        if (step := line.partition(",")[0]).isdigit():
            return int(step)
    return 0
