"""An npy, whatever the bytes: shape and type of its header, and its array, or one line."""

from __future__ import annotations

import io
import math
import os
import struct
import warnings
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.storage.bounded import open_file

__all__ = ["NpyHeader", "read_header", "read_npy"]

_LONGEST = 1 << 16
"""Bytes of a header; numpy itself takes no more than 10,000, once it has read them."""


class NpyHeader(NamedTuple):
    """What an npy says of its array."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes of the values, of any size: nothing that large need exist."""
        return self.dtype.itemsize * math.prod(self.shape)


def read_header(stream: IO[bytes]) -> NpyHeader:
    """Reads the header of an npy and leaves the stream at the values.

    Raises:
        ValueError: if it is none, of format 1.0 or 2.0.
    """
    readers = {
        (1, 0): (np.lib.format.read_array_header_1_0, struct.Struct("<H")),
        (2, 0): (np.lib.format.read_array_header_2_0, struct.Struct("<I")),
    }
    version = np.lib.format.read_magic(stream)
    if version not in readers:
        raise ValueError(f"expected npy format 1.0 or 2.0, found {version}")
    read, length_of = readers[version]
    header_text = _header_text(stream, length_of)
    try:
        with warnings.catch_warnings():
            # Numpy warns of headers written by Python 2, such as disentanglement_lib's data has.
            warnings.simplefilter("ignore")
            header = NpyHeader(*read(io.BytesIO(header_text)))
    except (ValueError, OSError):
        raise
    except Exception as error:  # numpy lets pass what Python's tokenizer raises
        raise ValueError(f"its header cannot be read: {error}") from None
    if any(type(length) is not int or length < 0 for length in header.shape):
        raise ValueError(f"its header says shape {header.shape}")
    return header


def _header_text(stream: IO[bytes], length_of: struct.Struct) -> bytes:
    """The header and its length before it, which may say anything."""
    length = stream.read(length_of.size)
    if len(length) != length_of.size:
        raise ValueError("it ends within its header")
    size = length_of.unpack(length)[0]
    if size > _LONGEST:
        raise ValueError(f"its header says that it has {size:,} bytes itself")
    return length + stream.read(size)


def read_npy(path: Path, most: int | None = None) -> NDArray[Any]:
    """Reads an npy file into memory; nothing is unpickled.

    Args:
        path: the file.
        most: values that it may hold; None: as many as there are.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is none, or does not hold what its header says; the message names it.
    """
    try:
        with open_file(path) as stream:
            header = read_header(stream)
            there = os.fstat(stream.fileno()).st_size - stream.tell()
            if header.dtype.hasobject:
                raise ValueError("it holds Python objects, which are never unpickled")
            if header.size != there:
                raise ValueError(
                    f"its header says {header.dtype} of shape {header.shape}, {header.size:,} "
                    f"bytes; it has {there:,}"
                )
            if most is not None and math.prod(header.shape) > most:
                raise ValueError(f"it holds an array of {header.shape}: at most {most:,} are read")
            values = np.fromfile(stream, header.dtype, math.prod(header.shape))
    except ValueError as error:
        said = " ".join(str(error).split())
        raise ValueError(f"{path} is damaged or not an npy of a plain array: {said}") from None
    return values.reshape(header.shape, order="F" if header.fortran_order else "C")
