"""One array of an npz file, never read whole: mapped where it lies, or some rows at a time."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.storage.checked_file import require_crc
from srvae_plugin.data.storage.npy_header import read_header
from srvae_plugin.data.storage.zip_members import require_sound, values_offset

__all__ = ["NpyMember", "npy_member"]


@dataclass(frozen=True)
class NpyMember:
    """The header of an array in an npz file.

    Args:
        file: the npz file.
        name: the array's name.
        shape, dtype: of the array.
        offset: first byte of its values in the file; None where they are compressed.
        info: what the directory of the file says of it.
    """

    file: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int | None
    info: zipfile.ZipInfo

    def mapped(self, shape: tuple[int, ...], check: bool = True) -> NDArray[Any] | None:
        """Returns the array memory-mapped in another shape of the same size; None if compressed.

        Args:
            shape: the shape.
            check: whether to compare the file's checksum, which reads the whole array (3 GB a
                second where it is in memory); of more than 1 GB once a day.

        Raises:
            ValueError: if the array is damaged.
        """
        if self.offset is None:
            return None
        if check:
            size = self.info.file_size
            begin = self.offset + self.dtype.itemsize * math.prod(self.shape) - size
            require_crc(self.file, begin, size, self.info.CRC)
        if 0 in shape:
            return np.empty(shape, self.dtype)
        return np.memmap(self.file, self.dtype, "r", self.offset, shape)

    def chunks(self, row_shape: tuple[int, ...], num: int) -> Iterator[NDArray[Any]]:
        """Yields ``num`` rows of that shape at a time, in order, then compares the checksum.

        Raises:
            EOFError, ValueError, zipfile.BadZipFile, zlib.error: if the file is damaged.
        """
        rows = math.prod(self.shape) // math.prod(row_shape)
        row_bytes = self.dtype.itemsize * math.prod(row_shape)
        with zipfile.ZipFile(self.file) as archive, archive.open(self.info) as stream:
            read_header(stream)
            for start in range(0, rows, num):
                expected = min(num, rows - start) * row_bytes
                data = stream.read(expected)
                if len(data) != expected:
                    raise EOFError(f"{self.name} ends before row {start + num} of {rows}")
                yield np.frombuffer(data, self.dtype).reshape(-1, *row_shape)
            # Reading past the end is what makes zipfile compare the checksum.
            if stream.read(1):
                raise ValueError(f"{self.name} is longer than its header says")


def npy_member(file: Path, name: str) -> NpyMember:
    """Reads the header of one array; nothing is unpickled.

    Raises:
        KeyError, ValueError, zipfile.BadZipFile and others: if the file is damaged or has no such
            array in C order.
    """
    with zipfile.ZipFile(file) as archive:
        require_sound(archive, file)
        if f"{name}.npy" not in archive.namelist():
            raise ValueError(f"expected the array {name!r}, found {archive.namelist()[:10]}")
        info = archive.getinfo(f"{name}.npy")
        with archive.open(info) as stream:
            header = read_header(stream)
            header_size = stream.tell()
    if header.fortran_order:
        raise ValueError(f"{name}: expected C order, found Fortran order")
    if header.dtype.hasobject or info.file_size != header_size + header.size:
        raise ValueError(
            f"{name}: expected plain numbers of shape {header.shape}, found {header.dtype}"
        )
    offset = None
    if info.compress_type == zipfile.ZIP_STORED:
        with open(file, "rb") as opened:
            offset = values_offset(opened, info) + header_size
    return NpyMember(file, name, header.shape, header.dtype, offset, info)
