"""Run a kernel over row ranges on several threads; the kernels release the interpreter lock."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Callable, List, Sequence, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

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


def in_parallel(call: Callable[[Item], Result], items: Sequence[Item]) -> List[Result]:
    """Return `[call(item) for item in items]`, each in a thread of its own where there are cores.

    The first error is raised once all calls have ended. A call must not come back here.

    >>> in_parallel(abs, [-1, 2])
    [1, 2]
    """
    if len(items) <= 1 or host_threads() <= 1:
        return [call(item) for item in items]
    rest = [_pool(host_threads()).submit(call, item) for item in items[1:]]
    try:
        first = call(items[0])
    finally:
        wait(rest)
    return [first, *(future.result() for future in rest)]
