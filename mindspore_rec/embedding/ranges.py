"""Run a kernel over row ranges on several threads; the kernels release the interpreter lock."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Callable

SERIAL_BELOW = 100_000  # values; handing over costs about 0.05 ms, what a kernel needs for so many


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="embedding")


def host_threads() -> int:
    """Number of cores this process may use."""
    return len(os.sched_getaffinity(0))


def over_ranges(kernel: Callable[[int, int], object], count: int, width: int, threads: int) -> None:
    """Call `kernel(begin, end)` for `threads` equal, disjoint ranges that cover [0, count), of `width` values each."""
    if threads <= 1 or count * width < SERIAL_BELOW:
        kernel(0, count)
        return
    edges = [count * k // threads for k in range(threads + 1)]
    rest = [_pool(threads - 1).submit(kernel, edges[k], edges[k + 1]) for k in range(1, threads)]
    kernel(edges[0], edges[1])
    for future in rest:
        future.result()
