"""Make the C library keep freed memory for the next arrays, while chunk after chunk needs the same sizes.

By default glibc hands larger blocks back to the kernel, which clears every page anew: a third of the time of a pass.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h
_LARGEST_KEPT = 16 << 20  # bytes of a block; tables are larger and come from the kernel as before


def keep_freed_memory() -> None:
    """From now on keep what is freed, in one place for all threads."""
    libc = ctypes.CDLL(None)
    for option, value in ((_TRIM_THRESHOLD, 2**31 - 1), (_MMAP_THRESHOLD, _LARGEST_KEPT), (_ARENA_MAX, 1)):
        libc.mallopt(option, value)


def return_freed_memory() -> None:
    """Give back what is kept now."""
    ctypes.CDLL(None).malloc_trim(0)
