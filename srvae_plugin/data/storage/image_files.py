"""Pictures in a folder, a zip or a tar, read one by one and brought to one size."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srvae_plugin.data.storage.bounded import open_file, open_tar, read_zip_member, tar_member
from srvae_plugin.data.storage.locate import Origin
from srvae_plugin.data.storage.open_picture import open_picture

__all__ = ["Convert", "picture_names", "pictures"]


Convert = Callable[[Image.Image], Image.Image]

_CHUNK = 256


def picture_names(source: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Returns the names of all pictures in a folder, zip or tar, at any depth, sorted.

    Args:
        source: the folder or archive. Links in an archive are left out.
        suffixes: lower-case endings with their dot.

    Raises:
        OSError, ValueError, tarfile.TarError, zipfile.BadZipFile: if it cannot be listed.
    """
    if source.is_dir():
        names = [
            f"{folder}/{file}" if folder else file
            for folder, files in _walk(source)
            for file in files
        ]
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            names = archive.namelist()
    else:
        with open_tar(source) as tar:
            names = [member.name for member in tar if member.isfile()]
    hidden = (".", "__MACOSX")  # what a Mac leaves beside pictures looks like pictures
    return sorted(
        name
        for name in names
        if name.lower().endswith(suffixes)
        and not any(part.startswith(hidden) for part in name.split("/"))
    )


def _walk(source: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields each folder below a folder, relative to it, and its files' names."""

    def refuse(error: OSError) -> None:
        raise error  # a folder that cannot be listed must not pass for one without pictures

    # Not Path.rglob: it keeps a path object for each file, which is 150 MB for 200,000 of them.
    for folder, _, files in os.walk(source, onerror=refuse):
        relative = os.path.relpath(folder, source)
        yield "" if relative == "." else Path(relative).as_posix(), files


def pictures(
    source: Path, names: list[str], convert: Convert, origin: Origin
) -> Iterator[NDArray[np.uint8]]:
    """Yields the pictures of these names as uint8 (num, height, width, channel), some at a time.

    Args:
        source: what ``picture_names`` listed.
        names: which pictures, in which order.
        convert: from the picture as it is to one of the size and mode wanted ("L" or "RGB").
        origin: whose pictures they are, for error messages.

    Raises:
        ValueError: if a picture is damaged; it is named.
    """
    with ExitStack() as stack:
        with origin.reading(source):
            read = _reader(source, stack)
        for start in range(0, len(names), _CHUNK):
            chunk = []
            for name in names[start : start + _CHUNK]:
                with (
                    origin.reading(source / name),
                    read(name) as file,
                    open_picture(file, _kinds_of(name)) as picture,
                ):
                    pixels = np.asarray(convert(picture))
                chunk.append(pixels if pixels.ndim == 3 else pixels[..., None])
            yield np.stack(chunk)


def _kinds_of(name: str) -> list[str]:
    return ["PNG"] if name.lower().endswith(".png") else ["JPEG"]


def _reader(source: Path, stack: ExitStack) -> Callable[[str], IO[bytes]]:
    if source.is_dir():
        return lambda name: open_file(source / name)
    if zipfile.is_zipfile(source):
        archive = stack.enter_context(zipfile.ZipFile(source))
        return lambda name: io.BytesIO(read_zip_member(archive, name))
    tar = stack.enter_context(open_tar(source))
    # tarfile itself looks through all of them for each.
    members = {member.name: member for member in tar if member.isfile()}
    return lambda name: io.BytesIO(tar_member(tar, members[name]))
