"""Where the files of a data set lie, and what is said when they do not or are damaged.

The folders are those of disentanglement_lib's ``dlib_download_data``, below
``$DISENTANGLEMENT_LIB_DATA`` (by default the current folder).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DATA_FOLDER", "Origin", "PathLike", "as_typed", "expanded", "source_key"]


DATA_FOLDER = "DISENTANGLEMENT_LIB_DATA"

PathLike = str | os.PathLike[str]


def expanded(path: PathLike) -> Path:
    """Returns an absolute path, with ``~`` and ``$VARIABLES`` replaced by what they stand for.

    Raises:
        ValueError: if a variable is not set.
    """
    typed = os.fspath(path)
    if os.path.lexists(typed):  # a file may be called $x
        return Path(os.path.abspath(typed))
    full = os.path.expanduser(os.path.expandvars(typed))
    if unset := re.search(r"\$(\w+|\{\w+\})", full):
        raise ValueError(f"{typed}: the variable {unset[0]} is not set")
    return Path(os.path.abspath(full))


def as_typed(path: PathLike) -> str:
    """What a path that was given as a data set's name stands for, as the end of a message."""
    typed = os.fspath(path)
    if typed.endswith(".npz"):
        return f"; a file of yours is load_dataset('npz', path={typed!r})"
    if typed.endswith((".h5", ".hdf5")):
        return "; of a file of yours pass the arrays that h5py reads, (images, factors)"
    if os.sep in typed or os.path.isdir(typed):
        return f"; a folder of pictures is load_dataset('image_folder', path={typed!r})"
    return ""


@dataclass(frozen=True)
class Origin:
    """A data set's files.

    Args:
        dataset: name of the data set.
        names: files or folders below the data folder, any one of which is enough, best first.
        url: where they come from.
        option: the gin option that says where the file is.
    """

    dataset: str
    names: Sequence[str]
    url: str
    option: str = "path"

    def find(self, path: PathLike | None, is_source: bool = False) -> Path:
        """Returns the file or folder to read.

        Args:
            path: the file itself or a folder that holds it; None for the data folder.
            is_source: whether a folder that holds none of the names may be the source itself.

        Raises:
            FileNotFoundError: if nothing is there.
        """
        folder = os.environ.get(DATA_FOLDER) or "."
        root = expanded(folder if path is None else path)
        if path is not None and root.is_file():
            return root
        candidates = [root / name for name in self.names]
        if path is not None:
            candidates += [root / Path(name).name for name in self.names]
        for candidate in candidates:
            if candidate.exists():
                return candidate
        if is_source and path is not None and root.is_dir():
            return root
        raise self.missing(root, by_path=path is not None)

    def missing(self, searched: Path, by_path: bool = True, what: str = "") -> FileNotFoundError:
        """Returns the error for files that are not there."""
        expected = what or " or ".join(self.names)
        if by_path:
            place = (
                f"{searched} does not have it"
                if searched.exists()
                else f"no such file or folder: {searched}"
            )
        else:
            is_set = "" if os.environ.get(DATA_FOLDER) else f" (${DATA_FOLDER} is not set)"
            place = f"searched {searched.absolute()}{is_set}"
        return FileNotFoundError(
            f"{self.dataset} is missing: {place}, expected {expected}; get it from {self.url} and "
            f"bind dataset.{self.option}, or set ${DATA_FOLDER}; dsprites_full is embedded "
            "and needs no file"
        )

    @contextmanager
    def reading(self, file: Path) -> Iterator[None]:
        """Turns whatever a reader raises within into one line that names the file.

        Raises:
            ValueError: if the file is damaged or something else.
            PermissionError, MemoryError: as they are: another download would not help.
        """
        try:
            yield
        except (PermissionError, MemoryError):
            raise
        except Exception as error:  # damaged bytes lead libraries to anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(
                f"{file}: not a complete {self.dataset} file: {reason}; get it again from "
                f"{self.url}"
            ) from error


def source_key(root: Path, names: Iterable[str] = ("",)) -> str:
    """Returns 16 hex digits that change when a file is moved, resized or rewritten.

    Args:
        root: the file, or the folder of the files.
        names: paths of the files below the folder.
    """
    digest = hashlib.sha256(os.fsencode(root.resolve()))
    for name in names:
        status = os.stat(root / name if name else root)
        digest.update(f"|{name}|{status.st_size}|{status.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
