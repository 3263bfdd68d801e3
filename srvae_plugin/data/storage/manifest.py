"""A list of sha256 digests in a folder, by which damage to its files is found.

`manifest.sha256` is in the form that `sha256sum -c` reads. A comment at its head says which step
the folder is of, and has the digest of the lines below, since the list may be damaged, too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from srvae_plugin.files import write_text

__all__ = [
    "MANIFEST",
    "check",
    "check_all",
    "checked_bytes",
    "checked_text",
    "digests_in",
    "remove",
    "sha256_of",
    "write",
]


MANIFEST = "manifest.sha256"
_HEAD = "# srvae_plugin"
_DEPTH = 6
"""So many folders above a file may its manifest lie."""
_ADVICE = {
    "train": "restore the file from a copy (postprocessed/<kind> of the run has one of the weights "
    "and results), or train anew: srvae-run --overwrite",
    "postprocess": "restore the file from a copy (model/ of the run has the same weights), or "
    "delete this postprocessed/<kind> and its metrics/<kind> and make them again: "
    "srvae-run --resume",
    "evaluation": "score again: --overwrite",
    "run": "restore the file from a copy; weights and scores are checked apart from it",
}


def sha256_of(path: Path) -> str:
    """Digest of a file's bytes; OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(
    folder: Path, step: str, leave_out: frozenset[str] = frozenset(), more: Mapping[str, str] = {}
) -> None:
    """List all files of a folder, at any depth, with their digests.

    Args:
        folder: where the list is written, replacing an earlier one.
        step: what the folder is of: "train", "postprocess", "evaluation" or "run".
        leave_out: names of files and folders, directly in `folder`, that are not listed.
        more: digests by name of files that are about to be written.
    """
    digests = digests_in(folder, leave_out) | dict(more)
    body = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    write_text(folder / MANIFEST, f"{_HEAD} {step} {_digest(body)}\n{body}")


def digests_in(folder: Path, leave_out: frozenset[str] = frozenset()) -> dict[str, str]:
    """Digests of all files of a folder, at any depth, by name; see `write`."""
    return {name: sha256_of(folder / name) for name in sorted(_names(folder, leave_out))}


def _names(folder: Path, leave_out: frozenset[str]) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        below = Path(place).relative_to(folder)
        left = leave_out if place == str(folder) else frozenset()
        folders[:] = [name for name in folders if name not in left and not name.startswith(".")]
        for name in files:
            hidden = name.startswith(".") or name == MANIFEST
            if not (hidden or name in left or "\n" in name or "\\" in name):
                yield (below / name).as_posix()


def remove(folder: Path) -> None:
    """Delete the list of a folder, whose files are about to change."""
    (folder / MANIFEST).unlink(missing_ok=True)


def check(path: Path) -> bool:
    """Compare a file with the list of the nearest folder above it that has one.

    Returns:
        Whether it is listed; a file that is not is not checked.

    Raises:
        ValueError: it is damaged or missing, or the list is; it says what to do.
    """
    for folder in path.parents[:_DEPTH]:
        listed = _read(folder)
        if listed is None:
            continue
        step, digests = listed
        expected = digests.get(path.relative_to(folder).as_posix())
        if expected is None:
            return False
        try:
            found = sha256_of(path)
        except FileNotFoundError:
            raise ValueError(f"{path} is missing: {_ADVICE[step]}") from None
        if found != expected:
            raise ValueError(
                f"{path} is damaged or was changed (its sha256 is not that in "
                f"{folder / MANIFEST}): {_ADVICE[step]}"
            )
        return True
    return False


def check_all(folder: Path) -> None:
    """Compare all that a folder's own list names; ValueError as `check`. Without one: nothing."""
    listed = _read(folder)
    for name in listed[1] if listed else ():
        check(folder / name)


def checked_bytes(path: Path) -> bytes:
    """A file's bytes, compared with the list above it; OSError, ValueError as `check`."""
    check(path)
    return path.read_bytes()


def checked_text(path: Path) -> str:
    """A file's text, compared with the list above it.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or no text.
    """
    try:
        return checked_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is damaged: it is not text ({error})") from None


def _read(folder: Path) -> tuple[str, dict[str, str]] | None:
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    head, _, body = content.decode("utf-8", "replace").partition("\n")
    prefix, _, rest = head.partition(f"{_HEAD} ")
    step, _, digest = rest.partition(" ")
    if prefix or step not in _ADVICE or digest != _digest(body):
        raise ValueError(
            f"{path} is damaged, by which the files beside it are checked: restore it from a copy, "
            "or delete it to read them unchecked"
        )
    lines = (line.partition("  ") for line in body.splitlines())
    return step, {name: digest for digest, _, name in lines}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
