"""The header of an npy, whatever the bytes: shape and type, or one line."""

from __future__ import annotations

import math
import warnings
from typing import IO, Any, NamedTuple

import numpy as np

__all__ = ["NpyHeader", "read_header"]


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
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(stream)
    if version not in readers:
        raise ValueError(f"expected npy format 1.0 or 2.0, found {version}")
    try:
        with warnings.catch_warnings():
            # Numpy warns of headers written by Python 2, such as disentanglement_lib's data has.
            warnings.simplefilter("ignore")
            header = NpyHeader(*readers[version](stream))
    except (ValueError, OSError):
        raise
    except Exception as error:  # numpy lets pass what Python's tokenizer raises
        raise ValueError(f"its header cannot be read: {error}") from None
    if any(type(length) is not int or length < 0 for length in header.shape):
        raise ValueError(f"its header says shape {header.shape}")
    return header
