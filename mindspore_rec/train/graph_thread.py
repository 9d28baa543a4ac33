"""A thread of lowest priority that runs compiled graphs.

MindSpore's CPU kernels compute in a pool of one thread a core, while the thread that called the graph waits for them
in a loop of `sched_yield`. At equal priority that loop takes a fifth of the processor time from the kernels; from a
thread of the lowest priority it takes what nobody else wants. Measured by `benchmarks/online_training.py`.
"""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Callable

import mindspore as ms

from mindspore_rec.kill_points import begins
from mindspore_rec.train.subnormals import flush_subnormals, subnormals_flushed

logger = logging.getLogger(__name__)
LOWEST_PRIORITY = 19

#: Held by whoever runs a graph: MindSpore 2.10 hangs where two threads of a process run one each at a time.
one_graph_at_a_time = threading.Lock()


def nothing() -> None:
    """Wait."""


class GraphThread:
    """Calls a compiled cell in the graph thread, the first time in the caller's own.

    The first call compiles it and may start MindSpore's pool, whose threads take the priority of their creator.
    On devices other than the CPU every call is made directly.

    >>> run = GraphThread(lambda x: threading.current_thread().name)
    >>> run(1) == run(1)
    False
    """

    def __init__(self, cell: Callable[..., Any]) -> None:
        self.cell = cell
        self._compiled = False

    def __call__(self, *inputs: Any, meanwhile: Callable[[], None] = nothing) -> Any:
        """Return what the cell returns; the caller does something else `meanwhile`, where they can run side by side."""
        if not self._compiled or ms.get_context("device_target") != "CPU":
            if not self._compiled:
                begins("compile")
            with subnormals_flushed():
                result = self._run(*inputs)
            self._compiled = True
            meanwhile()
            return result
        running = _thread().submit(self._run, *inputs)
        meanwhile()
        return running.result()

    def _run(self, *inputs: Any) -> Any:
        with one_graph_at_a_time:
            return self.cell(*inputs)


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="graph", initializer=_prepare)


def _prepare() -> None:
    flush_subnormals()
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
    except OSError as error:  # not allowed in some sandboxes; everything works, slower
        logger.debug("the graph thread keeps its priority: %s", error)
