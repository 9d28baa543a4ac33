"""Arrays that grow without moving: address space is reserved once, memory is committed where it is first written."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
import numpy.typing as npt

_MAP_NORESERVE = 0x4000  # mmap.MAP_NORESERVE exists from Python 3.13 on


def reserve(rows: int, width: int, dtype: npt.DTypeLike, huge: bool = True) -> np.ndarray:
    """Return a zeroed array [rows, width] (or [rows] for width 0) that costs memory only where it was written.

    Args:
        huge: in huge pages. What is read at random is read faster from few large pages, but what is written here and
            there costs 2 MiB a place.

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
    if huge and hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(block, dtype=dtype, count=int(np.prod(shape))).reshape(shape)


def use_huge_pages(part: np.ndarray) -> None:
    """Have the pages wholly inside this contiguous part of a reserved array be huge ones from now on."""
    begin = -(-part.ctypes.data // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (part.ctypes.data + part.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if hasattr(mmap, "MADV_HUGEPAGE") and end > begin:
        libc = ctypes.CDLL(None)
        libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), mmap.MADV_HUGEPAGE)
