"""Large arrays that come and go every step keep their memory, as if they were made once.

By itself the C library gives large blocks back and asks for them again. Each page then is cleared and mapped anew when
it is first touched: that makes up most of the time of a sum of 5 MB between two ranks.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
KEPT = 1 << 30
LARGEST_BLOCK = 32 << 20
"""Bytes: glibc takes no larger one. Tables of embeddings are larger and stay apart."""


def keep_memory() -> bool:
    """Have the process keep up to 1 GiB of freed memory; larger blocks than 32 MiB are given back as before.

    Returns:
        Whether the C library knows how: glibc does.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK) and mallopt(M_TRIM_THRESHOLD, KEPT))
