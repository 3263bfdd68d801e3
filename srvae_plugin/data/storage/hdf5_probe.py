"""Reads arrays of an HDF5 file in a process of its own: damaged bytes may end it (a segfault).

`python hdf5_probe.py FILE NAME ...`; whoever started it looks at how it ended, not at what it says.
"""

from __future__ import annotations

import sys

import h5py

__all__ = ["main"]

_WHOLE = 1 << 26
"""Bytes of an array that is read whole; of a larger one the list of its blocks, and some rows."""


def main() -> None:
    """Read the arrays that are there."""
    with h5py.File(sys.argv[1], "r") as file:
        for name in sys.argv[2:]:
            if isinstance(file.get(name, getlink=True), h5py.HardLink):
                _read(file[name])


def _read(found: h5py.Dataset) -> None:
    stored = found.id.get_storage_size()
    if found.chunks is not None:
        for number in range(found.id.get_num_chunks()):
            found.id.get_chunk_info(number)
    if found.is_virtual or found.external:
        return
    if found.nbytes <= _WHOLE >= stored:
        found[()]
    elif found.shape and found.nbytes // found.shape[0] <= _WHOLE:
        found[:1], found[-1:]


if __name__ == "__main__":
    main()
