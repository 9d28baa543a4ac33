"""The next pass is waited for, and may be loaded, while one is trained."""

from __future__ import annotations

import threading
from typing import Callable, Iterator, TypeVar

from mindspore_rec.data.read_ahead import read_ahead
from mindspore_rec.stream.ready_parts import Stop

Item = TypeVar("Item")
_LOOK = 0.2  # seconds between two looks at the reader's own stop


def prefetched(make: Callable[[Stop], Iterator[Item]], stop: Stop) -> Iterator[Item]:
    """The items of ``make(stop)``, such as the parts of `ready_parts` or what is loaded from them, one ahead.

    A thread of its own waits for the next item; it ends when the items do, when ``stop`` is set, and when the reader
    closes this iterator, whatever it waits for.

    Args:
        make: called in this thread with what ends the waiting.
        stop: ends it.

    >>> list(prefetched(lambda stop: iter("abc"), threading.Event()))
    ['a', 'b', 'c']
    """
    closed = threading.Event()
    return _one_ahead(make(_Either(stop, closed)), closed)


def _one_ahead(items: Iterator[Item], closed: threading.Event) -> Iterator[Item]:
    ahead = read_ahead(items, depth=1)  # kept by this name until `closed` is set: letting go of it joins its thread
    try:
        for item in ahead:  # noqa: UP028 - `yield from` would close it, and so join the thread, before `closed` is set
            yield item
    finally:
        closed.set()


class _Either:
    """A stop that is set where one of two is."""

    def __init__(self, outer: Stop, closed: threading.Event) -> None:
        self._outer, self._closed = outer, closed

    def is_set(self) -> bool:
        return self._outer.is_set() or self._closed.is_set()

    def wait(self, timeout: float) -> bool:
        left = timeout
        while not self.is_set() and left > 0:
            self._closed.wait(min(left, _LOOK))
            left -= _LOOK
        return self.is_set()
