"""What the code in a TorchScript file may do: compute, but neither write nor map files."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

__all__ = ["require_no_files", "require_no_files_in"]

_CALLS = re.compile(rb"\b(?:torch|aten)\s*\.\s*(save|from_file)\b")
_OPERATORS = ("aten::save", "aten::from_file")
"""All of TorchScript's that take the name of a file."""
_MOST = 64 << 20
"""Bytes of code at most."""


def require_no_files(path: Path) -> None:
    """Look into a TorchScript archive before it is loaded, which already runs some of its code.

    Raises:
        ValueError: its code opens files, or cannot be looked at.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            code = [member for member in members if "/code/" in f"/{member.filename}"]
            if len({member.filename for member in members}) < len(members):
                raise ValueError(
                    f"{path} has two members of one name: it is damaged or was tampered with"
                )
            if sum(member.file_size for member in code) > _MOST:
                raise ValueError(f"{path} says that it holds more than {_MOST >> 20} MB of code")
            found = [_CALLS.search(archive.read(member)) for member in code]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError):
        return  # the reader says what is wrong with it
    for call in found:
        if call is not None:
            raise _refused(path, call[1].decode())


def require_no_files_in(path: Path, module: Any) -> None:
    """The same of a module that was loaded, by the operators that its forward calls.

    Raises:
        ValueError: it opens files.
    """
    for name in _OPERATORS:
        if module.inlined_graph.findAllNodes(name, True):
            raise _refused(path, name.partition("::")[2])


def _refused(path: Path, name: str) -> ValueError:
    return ValueError(
        f"{path} is not run: its code calls torch.{name}, which writes or maps files of any name; "
        "a model needs no such thing"
    )
