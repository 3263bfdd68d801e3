"""One array of an npz file, never read whole: mapped where it lies, or some rows at a time."""

from __future__ import annotations

import math
import os
import struct
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_LOCAL_HEADER = struct.Struct("<4s22xHH")


@dataclass(frozen=True)
class NpyMember:
    """The header of an array in an npz file.

    Args:
        file: the npz file.
        name: the array's name.
        shape, dtype: of the array.
        offset: first byte of its values in the file; None where they are compressed.
    """

    file: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int | None

    def mapped(self, shape: tuple[int, ...]) -> NDArray[Any] | None:
        """Returns the array memory-mapped in another shape of the same size; None if compressed.

        The file's checksum is not computed: that would read the whole array.
        """
        if self.offset is None:
            return None
        return np.memmap(self.file, self.dtype, "r", self.offset, shape)

    def chunks(self, row_shape: tuple[int, ...], num: int) -> Iterator[NDArray[Any]]:
        """Yields ``num`` rows of that shape at a time, in order, then compares the checksum.

        Raises:
            EOFError, ValueError, zipfile.BadZipFile, zlib.error: if the file is damaged.
        """
        rows = math.prod(self.shape) // math.prod(row_shape)
        row_bytes = self.dtype.itemsize * math.prod(row_shape)
        with zipfile.ZipFile(self.file) as archive, archive.open(f"{self.name}.npy") as stream:
            _read_header(stream, self.name)
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
        if f"{name}.npy" not in archive.namelist():
            raise ValueError(f"expected the array {name!r}, found {archive.namelist()[:10]}")
        member = archive.getinfo(f"{name}.npy")
        with archive.open(member) as stream:
            shape, dtype = _read_header(stream, name)
            header_size = stream.tell()
    size = dtype.itemsize * math.prod(shape)
    if dtype.hasobject or member.file_size != header_size + size:
        raise ValueError(f"{name}: expected plain numbers of shape {shape}, found {dtype}")
    if member.compress_type != zipfile.ZIP_STORED:
        return NpyMember(file, name, shape, dtype, None)
    with open(file, "rb") as stream:
        stream.seek(member.header_offset)
        signature, name_size, extra_size = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
    offset = member.header_offset + _LOCAL_HEADER.size + name_size + extra_size + header_size
    if signature != b"PK\3\4" or offset + size > os.path.getsize(file):
        raise ValueError(f"{name} does not lie where the directory of the file says")
    return NpyMember(file, name, shape, dtype, offset)


def _read_header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"{name}: expected npy format 1.0 or 2.0, found {version}")
    with warnings.catch_warnings():
        # Numpy warns of headers written by Python 2, such as disentanglement_lib's data has.
        warnings.simplefilter("ignore")
        shape, fortran_order, dtype = readers[version](stream)
    if fortran_order:
        raise ValueError(f"{name}: expected C order, found Fortran order")
    return shape, dtype
