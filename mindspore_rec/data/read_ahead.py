"""Run an iterator in a thread of its own, a few items ahead of its reader."""

from __future__ import annotations

import queue
import threading
from typing import Iterator, Tuple, TypeVar, Union

Item = TypeVar("Item")
_POLL_SECONDS = 0.1


def read_ahead(items: Iterator[Item], depth: int) -> Iterator[Item]:
    """The items, made up to ``depth`` ahead; an error of theirs is raised where it would have been.

    The thread ends soon after the reader closes this iterator or lets go of it.

    >>> list(read_ahead(iter([1, 2, 3]), 2))
    [1, 2, 3]
    """
    buffer: queue.Queue[Union[Tuple[Item], BaseException, None]] = queue.Queue(depth)
    closed = threading.Event()

    def put(entry: Union[Tuple[Item], BaseException, None]) -> None:
        while not closed.is_set():
            try:
                buffer.put(entry, timeout=_POLL_SECONDS)
                return
            except queue.Full:
                continue

    def fill() -> None:
        try:
            for item in items:
                put((item,))
                if closed.is_set():
                    return
            put(None)
        except BaseException as error:  # the reader raises it
            put(error)

    thread = threading.Thread(target=fill, name="read-ahead", daemon=True)
    thread.start()
    try:
        while (entry := buffer.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry[0]
    finally:
        closed.set()
        thread.join()
