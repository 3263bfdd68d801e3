"""Keep freed memory in the process, for the next training step to use again.

By default glibc gives large blocks back to the system when they are freed, and gets the next ones
page by page, zeroed: a step of the paper's network takes some 16,000 page faults, a quarter of its
time on a CPU. Nothing that is computed depends on it.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # names of mallopt(3)
_LARGEST_MMAP_THRESHOLD = 32 * 2**20
"""What glibc accepts on 64 bits: larger blocks go back to the system all the same."""
_KEPT, _GROWN_BY = 2**30, 64 * 2**20
_OWN_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_")


@functools.cache
def keep_freed_memory() -> bool:
    """Have this process keep up to 1 GiB of freed memory a thread; returns whether it will.

    Only glibc can. Nothing is changed if the environment has settings of its own for it:
    `MALLOC_TRIM_THRESHOLD_`, `MALLOC_TOP_PAD_`, `MALLOC_MMAP_THRESHOLD_` or `GLIBC_TUNABLES`.
    Our commands and `train` on a CPU call it; importing or scoring in a process of yours does not.
    """
    own = any(name in os.environ for name in _OWN_SETTINGS)
    own = own or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if own or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = [(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD), (_TRIM_THRESHOLD, _KEPT)]
    settings += [(_TOP_PAD, _GROWN_BY)]
    return all(mallopt(name, value) == 1 for name, value in settings)
