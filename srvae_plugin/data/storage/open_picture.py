"""Opens pictures, whoever made them: of the kinds asked for, and of a size to work with."""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from PIL import Image

__all__ = ["MOST_PIXELS", "open_picture"]


MOST_PIXELS = 89_478_485
"""Of a picture, as it is decoded; from here on Pillow warns."""
_PNG = b"\x89PNG\r\n\x1a\n"
_one_at_a_time = threading.Lock()


@contextmanager
def open_picture(
    file: IO[bytes], kinds: Sequence[str], at_least: tuple[int, int] | None = None
) -> Iterator[Image.Image]:
    """Yields a picture, its pixels not yet read.

    Args:
        file: the open file, at its beginning.
        kinds: Pillow's names of the formats that are expected. Others are not tried: some, such as
            EPS, start programs.
        at_least: a JPEG may be decoded at a fraction of its size, never below this one.

    Raises:
        ValueError: if it has more pixels than fit in memory beside everything else.
        OSError and whatever damaged bytes lead Pillow to: if it cannot be read.
    """
    _require_png_is_whole(file)
    # Pillow's warning of large pictures would be a line for each, before it is known whether all
    # of their pixels are decoded.
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        picture = Image.open(file, formats=tuple(kinds))
    with picture:
        if at_least is not None:
            picture.draft(None, at_least)
        width, height = picture.size
        if width * height > MOST_PIXELS:
            raise ValueError(f"it has {width} x {height} pixels, at most {MOST_PIXELS:,} are read")
        yield picture


def _require_png_is_whole(file: IO[bytes]) -> None:
    """Compares the checksums of a PNG, which Pillow does of some parts only; ValueError."""
    if file.read(len(_PNG)) == _PNG:
        while header := file.read(8):
            size, kind = struct.unpack(">I4s", header.ljust(8, b"\0"))
            crc, left = zlib.crc32(kind), size
            while left and (block := file.read(min(left, 1 << 20))):
                crc, left = zlib.crc32(block, crc), left - len(block)
            if left or file.read(4) != struct.pack(">I", crc):
                raise ValueError(f"its part {kind!r} is damaged: its checksum is another")
            if kind == b"IEND":
                break
    file.seek(0, io.SEEK_SET)
