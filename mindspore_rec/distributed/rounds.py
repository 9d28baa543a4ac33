"""Batches of several ranks in step: each round every rank has one, an empty one where it has no rows."""

from __future__ import annotations

from typing import Any, Callable, Iterator, NamedTuple, Optional, Tuple

import numpy as np

from mindspore_rec.distributed.exchange import Exchange

Given = Tuple[Tuple[Any, ...], Any]
"""A batch, columns with a row each, and what is known of it."""


class Rounds:
    """This rank's batches, a round at a time, until all ranks are at their end or one wants to stop. Collective.

    Rounds in which no rank has a row are left out. A rank whose batches have ended takes part with None.

    Args:
        batches: of this rank; it may wait for the next one.
        exchange: between the ranks.
        wants_stop: asked before each round; a batch that was fetched before another rank said so is dropped.

    Attributes:
        exhausted: whether this rank's batches have ended; then each of them was yielded.
        ahead: what `look_ahead` fetched.
    """

    def __init__(self, batches: Iterator[Given], exchange: Exchange, wants_stop: Callable[[], bool]) -> None:
        self._batches, self._exchange, self._wants_stop = batches, exchange, wants_stop
        self._fetched = self._ended = False
        self.exhausted = False
        self.ahead: Optional[Given] = None

    def __iter__(self) -> Rounds:
        return self

    def __next__(self) -> Optional[Given]:
        if self._fetched:
            self._fetched = False
            if not self._exchange.sum(np.array([self._wants_stop()], np.float32))[0]:
                return self.ahead
            self._ended = True
        while not self._ended:
            if self._fetch():
                return self.ahead
        raise StopIteration

    def look_ahead(self, ready: bool) -> bool:
        """Fetch the next round before its turn, where nobody has to wait for it; return whether it is there.

        Args:
            ready: whether this rank has its next batch, or knows that there is none.
        """
        ready = self.exhausted or ready
        if self._ended or self._exchange.sum(np.array([ready], np.float32))[0] < self._exchange.size:
            return False
        self._fetched = self._fetch()
        return self._fetched

    def _fetch(self) -> bool:
        """Fetch a round; whether there is one with rows."""
        stop = self._wants_stop()
        self.ahead = None if self.exhausted or stop else next(self._batches, None)
        self.exhausted |= self.ahead is None and not stop
        rows = 0 if self.ahead is None else self.ahead[0][0].shape[0]
        told = self._exchange.sum(np.array([self.ahead is None, stop, rows], np.float32))
        self._ended = bool(told[0] == self._exchange.size or told[1])
        return bool(told[2]) and not self._ended


class Seen(NamedTuple):
    """What ranks know of a round besides its rows.

    Attributes:
        event_time: of the newest row, in milliseconds since 1970; -1 where none is known.
        rejected: rows refused before and among those of the round.
    """

    event_time: int = -1
    rejected: int = 0


def seen_by_all(exchange: Exchange, own: Seen) -> Seen:
    """Return the latest time and the sum of rejected rows of all ranks. Collective.

    >>> from mindspore_rec.distributed.exchange import Alone
    >>> seen_by_all(Alone(), Seen(1_795_273_474_832, 2))
    Seen(event_time=1795273474832, rejected=2)
    """
    told = np.concatenate(exchange.gather(np.array([own], np.int64)))
    return Seen(int(told[:, 0].max()), int(told[:, 1].sum()))
