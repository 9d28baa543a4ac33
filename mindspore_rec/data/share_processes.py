"""Run shares of some work in processes that are forked from one, so that what all need is loaded once.

The first process is started anew (this one may have threads), loads, forks the others and takes a share itself. All end
when the one that started them does.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Callable, Dict, List, NamedTuple, Sequence

from mindspore_rec.config import UserError
from mindspore_rec.data.allocator import keep_freed_memory

_POLL_SECONDS = 0.2


class Shared(NamedTuple):
    """What the processes share. Without locks: one that was killed would keep them.

    Attributes:
        rows: a number for each process, rows taken in.
        stop: not 0 once all are to stop.
        results: queue of (item, its result), and of exceptions.
        place: which number is this process's.
    """

    rows: Any
    stop: Any
    results: Any
    place: int = 0

    def add_rows(self, count: int) -> None:
        """Tell that rows were taken in."""
        self.rows[self.place] += count


Worker = Callable[[Sequence[int], Shared], None]


class ShareRunner:
    """Processes that wait for work, having loaded what takes time.

    Args:
        prepare: picklable; called in the first process at once.
        workers: the most shares there may be.
    """

    def __init__(self, prepare: Callable[[], object], workers: int) -> None:
        self.workers = workers
        context = multiprocessing.get_context("spawn")
        self._shared = Shared(context.RawArray("q", workers), context.RawValue("b", 0), context.Queue())
        self._job, job = context.Pipe()
        self._first = context.Process(target=_run_first, args=(prepare, job, self._shared))
        self._first.start()
        job.close()

    def run(
        self, load: Callable[[], Worker], shares: Sequence[Sequence[int]], on_rows: Callable[[int], object]
    ) -> Dict[int, Any]:
        """Run each share in a process, once.

        Args:
            load: picklable; loads what all need and returns what works through a share, putting (item, result) of each
                of its items on ``results``.
            shares: items, at least one a share.
            on_rows: called with the rows taken in since the last call.

        Returns:
            the results of all items.

        Raises:
            UserError: a process was killed.
            Exception: that of a process.
        """
        shared = self._shared
        results: Dict[int, Any] = {}
        shown, count = 0, sum(map(len, shares))
        self._job.send((load, shares))
        while len(results) < count:
            try:
                result = shared.results.get(timeout=_POLL_SECONDS)
                if isinstance(result, Exception):
                    raise result
                results[result[0]] = result[1]
            except queue.Empty:
                if self._first.exitcode is not None:
                    raise _killed() from None
            rows = sum(shared.rows)
            on_rows(rows - shown)
            shown = rows
        return results

    def __enter__(self) -> ShareRunner:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._shared.stop.value = 1
        self._job.close()  # what waits for work ends
        self._first.join()


def _killed() -> UserError:
    return UserError("a process was killed; is there memory for all workers?")


def _run_first(prepare: Callable[[], object], job: Connection, shared: Shared) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which stops us
    keep_freed_memory()
    try:
        prepare()
        load, shares = job.recv()
        worker = load()
    except EOFError:  # there is no work
        return
    except Exception as error:
        shared.results.put(error)
        return
    fork = multiprocessing.get_context("fork")
    others: List[BaseProcess] = [
        fork.Process(target=_run_share, args=(worker, share, shared._replace(place=k)))
        for k, share in enumerate(shares[1:], 1)
    ]
    for process in others:
        process.start()
    threading.Thread(target=_report_killed, args=(others, shared), daemon=True).start()
    _run_share(worker, shares[0], shared)
    for process in others:
        process.join()


def _run_share(worker: Worker, share: Sequence[int], shared: Shared) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        worker(share, shared)
    except Exception as error:
        shared.results.put(error)


def _report_killed(processes: Sequence[BaseProcess], shared: Shared) -> None:
    running = list(processes)
    while running:
        wait([process.sentinel for process in running])
        for process in [process for process in running if process.exitcode is not None]:
            running.remove(process)
            if process.exitcode:
                shared.results.put(_killed())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
