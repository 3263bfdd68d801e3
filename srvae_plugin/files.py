"""Files that are never half-written under their final name, and how ours are read.

A power cut leaves them whole, too.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import glob
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "UnwritableError",
    "as_json",
    "copy_tree",
    "delete_folder",
    "error_reason",
    "last_step",
    "new_folder",
    "open_lock",
    "parse_json",
    "put_back",
    "read_json",
    "read_scalars",
    "replacing",
    "require_new",
    "require_one",
    "scalar_rows",
    "sync",
    "sync_folder",
    "sync_tree",
    "system_error",
    "take_place",
    "write_bytes",
    "write_json",
    "write_text",
    "writing",
]


_NAME_SHOWN = 40
"""Of a long name so much is in the temporary one, which has to be a legal name too."""
_TAIL_BYTES = 4096
_DIGITS = 300
"""A whole number of more digits is none that a computer calculates with."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if all went well.

    The folder is created. What was written is on the disk when this returns: file and folder are
    synchronized.

    Raises:
        OSError: if the file cannot be written (disk full, read-only, name too long); it is named.
    """
    token = f"{os.getpid()}-{secrets.token_hex(4)}"  # nobody can put a link there beforehand
    temporary = path.with_name(f".{path.name[:_NAME_SHOWN]}.{token}.tmp{path.suffix[:20]}")
    with writing(path, temporary):
        try:
            if path.exists() and not (path.is_file() or path.is_dir()):
                raise OSError(errno.EINVAL, "it is a device or a pipe, expected a file")
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            sync(temporary)
            os.replace(temporary, path)
            sync_folder(path.parent)
        finally:
            with contextlib.suppress(OSError):  # said already, of a name or folder that cannot be
                temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one piece; see `replacing`."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file in one piece; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def copy_tree(source: Path, target: Path) -> None:
    """Copy the files of a folder, at any depth, into another, which is made if it is not there.

    Links are left out.

    Raises:
        OSError: naming the file that cannot be written.
    """
    for place, _, names in os.walk(source):
        folder = target / Path(place).relative_to(source)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            if not os.path.islink(path := Path(place) / name):
                content = path.read_bytes()
                with writing(folder / name):
                    (folder / name).write_bytes(content)


@contextmanager
def writing(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Have an error of the system within say that `path` was being written.

    One that names another file than these two is left as it is: it was being read.

    Raises:
        UnwritableError: of the same number as the system's.
    """
    try:
        yield
    except OSError as error:
        own = (path, temporary, *path.parents)
        other = error.filename is not None and Path(os.fsdecode(error.filename)) not in own
        if other or isinstance(error, UnwritableError):
            raise
        reason = f"cannot write {path}: {error_reason(path, error)}"
        raise UnwritableError(reason, error.errno) from error


class UnwritableError(OSError):
    """A file cannot be written; it is named."""

    def __init__(self, message: str, number: int | None):
        super().__init__(message)
        # gin hands on errors that know their own attributes, but no `errno`.
        self.errno = self.number = number


def system_error(error: BaseException) -> int | None:
    """The system's number of what went wrong; None for what is no error of the system."""
    if not isinstance(error, OSError):
        return None
    return getattr(error, "number", None) or error.errno


def error_reason(path: Path, error: OSError) -> str:
    """Why the system refuses a path, in the user's words."""
    with contextlib.suppress(OSError):  # a name that is too long
        for folder in path.parents:
            if folder.is_file():
                return f"{folder} is a file, expected a folder"
        if isinstance(error, FileExistsError) and path.is_file():
            return "it is a file, expected a folder"
    return error.strerror or str(error)


def sync(path: Path) -> None:
    """Return when a file's bytes are on the disk."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk, where the system can do that."""
    with contextlib.suppress(OSError):  # Windows opens no folders, some file systems sync none
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Return when all files in a folder, at any depth, are on the disk with their names.

    For a folder that is written under a temporary name and then renamed.

    Raises:
        OSError: a file cannot be synchronized.
    """
    for place, _, names in os.walk(folder):
        for name in names:
            if not os.path.islink(path := Path(place) / name):
                sync(path)
        sync_folder(Path(place))


def open_lock(path: Path) -> IO[bytes]:
    """Open a file that is there to be locked, made if it is not there, its content left alone.

    A link is not followed: in a folder that others can write to it may lead anywhere.

    Raises:
        OSError: if it is a link or cannot be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        return open(os.open(path, flags, 0o666), "r+b", buffering=0)
    except OSError as error:
        if path.is_symlink():
            raise OSError(f"{path} is a link: a lock has to be a file; delete it") from error
        raise


def read_json(path: Path) -> dict[str, Any]:
    """A dictionary; FileNotFoundError if there is no file, ValueError if it is damaged."""
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it does not hold a dictionary")
    return content


def parse_json(text: str) -> Any:
    """A JSON text, whatever is in it.

    Raises:
        ValueError: if it is none, or nested deeper than anybody writes.
    """
    try:
        return json.loads(text, parse_int=_whole)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else math.copysign(math.inf, -(digits[0] == "-"))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a dictionary; numpy numbers and arrays become plain ones."""
    write_text(path, as_json(content))


def as_json(content: Mapping[str, Any]) -> str:
    """The text that `write_json` writes."""
    return json.dumps(content, indent=2, default=_plain) + "\n"


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


def require_one(resume: bool, overwrite: bool) -> None:
    """Raise ValueError if a training is to go on and to be deleted at once."""
    if resume and overwrite:
        raise ValueError("resume and overwrite are both set: one continues, the other deletes")


@contextmanager
def new_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; it takes that name if all went well.

    An older folder is kept, under another name, until then.

    Raises:
        ValueError: if `path` exists and `overwrite` is false.
        UnwritableError: the folder cannot be made.
    """
    temporary = path.with_name(f".{path.name[:_NAME_SHOWN]}.{os.getpid()}.tmp")
    with writing(path, temporary):
        put_back(path)
        require_new(path, overwrite)
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(path)
        temporary.mkdir()
    try:
        yield temporary
        with writing(path, temporary):
            sync_tree(temporary)
            take_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def delete_folder(path: Path) -> None:
    """Delete a folder, if it is there, so that no part of it is ever there under its name.

    Raises:
        OSError: it cannot be deleted.
    """
    if path.exists():
        aside = path.with_name(f".{path.name[:_NAME_SHOWN]}.{os.getpid()}.tmp")
        path.rename(aside)
        _remove(aside)


def _remove(folder: Path) -> None:
    """Delete a folder; of a link to one, the link."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder)


def take_place(new: Path, path: Path) -> None:
    """Rename a folder to `path`; what is there is moved aside and deleted only then."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.old")
    there = path.exists()
    if there:
        path.rename(aside)
    try:
        new.rename(path)
    except OSError:
        if there:
            aside.rename(path)
        raise
    sync_folder(path.parent)
    if there:
        _remove(aside)


def put_back(path: Path) -> None:
    """Give a folder its name again that a process was moving aside when it was killed."""
    if path.exists():
        return
    for aside in path.parent.glob(f".{glob.escape(path.name)}.*.old"):
        if not _is_alive(aside.name.split(".")[-2]):
            aside.rename(path)
            return


def _clear_leftovers(path: Path) -> None:
    """Delete what killed processes left beside `path`, but never the only whole folder."""
    put_back(path)
    for ending in ("tmp", "old"):
        for left in path.parent.glob(f".{glob.escape(path.name)}.*.{ending}"):
            if not _is_alive(left.name.split(".")[-2]):
                shutil.rmtree(left, ignore_errors=True)


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

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the line for what is no row of numbers, or no step.
    """
    try:
        header, *body = scalar_rows(path) or [[]]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if header and "step" not in header:
        raise ValueError(f"{path} is damaged: no column 'step'; it has {header}")
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
    columns = {name: values[:, column] for column, name in enumerate(header)}
    if header and not np.isfinite(columns["step"]).all():
        raise ValueError(f"{path} is damaged: a step is not a number")
    return columns


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
