"""Keep freed memory in the process, for the next training step to use again.

By default glibc gives every large block back to the system as soon as it is freed, and gets the
next one page by page, zeroed: a step of the paper's network takes some 16,000 page faults, a
quarter of its time on a CPU. Nothing that is computed depends on it.
"""

from __future__ import annotations

import ctypes
import functools
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # names of mallopt(3)
_LARGEST_MMAP_THRESHOLD = 32 * 2**20
"""What glibc accepts on 64 bits: larger blocks go back to the system all the same."""


@functools.cache
def keep_freed_memory() -> bool:
    """Have this process keep the memory it frees; returns whether the C library can (glibc).

    The process then holds on to its peak for as long as it lives.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = [(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD), (_TRIM_THRESHOLD, 2**31 - 1)]
    settings += [(_TOP_PAD, 64 * 2**20)]
    return all(mallopt(name, value) == 1 for name, value in settings)
