"""Arrays that grow without moving: address space is reserved once, memory is committed where it is first written."""

from __future__ import annotations

import mmap

import numpy as np
import numpy.typing as npt

_MAP_NORESERVE = 0x4000  # mmap.MAP_NORESERVE exists from Python 3.13 on


def reserve(rows: int, width: int, dtype: npt.DTypeLike) -> np.ndarray:
    """Return a zeroed array [rows, width] (or [rows] for width 0) that costs memory only where it was written.

    Raises:
        MemoryError: the system refuses to reserve that much address space.

    >>> a = reserve(10**9, 16, np.float32)  # 64 GB of address space, no memory yet
    >>> a[999_999_999, 3] = 1.0
    >>> float(a[999_999_999].sum())
    1.0
    """
    shape = (rows, width) if width else (rows,)
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    try:
        block = mmap.mmap(-1, max(size, mmap.PAGESIZE), flags=flags)
    except OSError as error:
        raise MemoryError(f"cannot reserve {size / 2**30:.1f} GiB of address space: {error.strerror}") from None
    if hasattr(mmap, "MADV_HUGEPAGE"):  # rows are read at random: fewer, larger pages halve the misses
        block.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(block, dtype=dtype, count=int(np.prod(shape))).reshape(shape)
