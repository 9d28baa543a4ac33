"""Batches of several ranks in step: each round every rank has one, an empty one where it has no rows."""

from __future__ import annotations

from typing import Any, Callable, Iterator, Optional, Tuple

import numpy as np

from mindspore_rec.distributed.exchange import Exchange

Given = Tuple[Tuple[Any, ...], Any]
"""A batch, columns with a row each, and what is known of it."""


def rounds(batches: Iterator[Given], exchange: Exchange, wants_stop: Callable[[], bool]) -> Iterator[Optional[Given]]:
    """Yield this rank's batches, until all ranks are at their end or one wants to stop. Collective.

    Rounds in which no rank has a row are left out. A rank whose batches have ended takes part with None.

    Args:
        batches: of this rank; it may wait for the next one.
        wants_stop: asked before each round; a batch that was fetched before another rank said so is dropped.
    """
    ended = False
    while True:
        stop = wants_stop()
        given = None if ended or stop else next(batches, None)
        ended = given is None
        rows = 0 if given is None else given[0][0].shape[0]
        told = exchange.sum(np.array([ended, stop, rows], np.float32))
        if told[0] == exchange.size or told[1]:
            return
        if told[2]:
            yield given


def latest(exchange: Exchange, event_time: int) -> int:
    """Return the latest of the ranks' event times, in milliseconds since 1970, -1 where none is known. Collective."""
    return int(max(times[0] for times in exchange.gather(np.array([event_time], np.int64))))
