"""Run an iterator in a thread of its own, a few items ahead of its reader."""

from __future__ import annotations

import queue
import threading
from typing import Iterator, Tuple, TypeVar, Union

Item = TypeVar("Item")


def read_ahead(items: Iterator[Item], depth: int) -> Iterator[Item]:
    """The items, made up to ``depth`` ahead; an error of theirs is raised where it would have been.

    The thread ends when the reader closes this iterator or lets go of it, after the item it is at.

    >>> list(read_ahead(iter([1, 2, 3]), 2))
    [1, 2, 3]
    """
    made: queue.SimpleQueue[Union[Tuple[Item], BaseException, None]] = queue.SimpleQueue()
    room = threading.Semaphore(depth)  # items that may be begun
    closed = threading.Event()

    def fill() -> None:
        try:
            while room.acquire() and not closed.is_set():
                made.put((next(items),))
        except StopIteration:
            made.put(None)
        except BaseException as error:  # the reader raises it
            made.put(error)

    thread = threading.Thread(target=fill, name="read-ahead", daemon=True)
    thread.start()
    try:
        while (entry := made.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            room.release()
            yield entry[0]
    finally:
        closed.set()
        room.release()
        thread.join()
