"""Arrays that grow without moving: address space is reserved once, memory is committed where it is first written."""

from __future__ import annotations

import ctypes
import mmap
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import numpy as np
import numpy.typing as npt

_MAP_NORESERVE = 0x4000  # mmap.MAP_NORESERVE exists from Python 3.13 on
_MADV_POPULATE_WRITE = 23
_LIBC = ctypes.CDLL(None)

_HUGE_PAGE = 2 << 20
AHEAD_BYTES = 8 << 20
_AHEAD_FROM = 64 << 20


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


class Scratch(threading.local):
    """An array for intermediate values that each thread keeps, so that its pages are fetched from the system once.

    >>> scratch = Scratch()
    >>> scratch.array(3, 2).shape
    (3, 2)
    """

    def __init__(self) -> None:
        self._values = np.empty(0, np.float32)

    def array(self, rows: int, width: int) -> np.ndarray:
        """Return float32[rows, width] of any content, valid until this thread's next call."""
        if self._values.size < rows * width:
            self._values = np.empty(rows * width * 5 // 4, np.float32)
        return self._values[: rows * width].reshape(rows, width)


class PagesAhead:
    """Has the pages behind the end of a growing reserved array fetched by another thread, before they are written.

    A page's first write takes the system up to 5 ms for 2 MiB. Costs `AHEAD_BYTES` of memory, from an array of 64 MiB
    on; without Linux 5.14 it does nothing.
    """

    def __init__(self, array: np.ndarray) -> None:
        self._begin, self._end, self._row_bytes = array.ctypes.data, array.nbytes, array.strides[0]
        self._fetched = 0
        self._running: Future[int] = Future()
        self._running.set_result(0)

    def grown_to(self, rows: int) -> None:
        """Say how many rows are written by now."""
        used = rows * self._row_bytes
        if used < _AHEAD_FROM or used + AHEAD_BYTES // 2 < self._fetched or not self._running.done():
            return
        first = max(self._fetched, used) // mmap.PAGESIZE * mmap.PAGESIZE
        last = min(used + AHEAD_BYTES, self._end) // mmap.PAGESIZE * mmap.PAGESIZE
        if first < last and self._running.result() == 0:
            self._running = _fetcher().submit(_fetch, self._begin + first, self._begin + last)
            self._fetched = last


@cache
def _fetcher() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="embedding-pages")


def _fetch(begin: int, end: int) -> int:
    """Have pages fetched, one huge page at a time: others that change the address space wait for each call."""
    for address in range(begin, end, _HUGE_PAGE):
        status = _advise(address, min(_HUGE_PAGE, end - address), _MADV_POPULATE_WRITE)
        if status:
            return status
    return 0


def _advise(address: int, size: int, advice: int) -> int:
    """Call madvise, which releases the interpreter lock; 0 where it worked."""
    status: int = _LIBC.madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), advice)
    return status


def use_huge_pages(part: np.ndarray) -> None:
    """Have the pages wholly inside this contiguous part of a reserved array be huge ones from now on."""
    begin = -(-part.ctypes.data // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (part.ctypes.data + part.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if hasattr(mmap, "MADV_HUGEPAGE") and end > begin:
        _advise(begin, end - begin, mmap.MADV_HUGEPAGE)
