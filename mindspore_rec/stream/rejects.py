"""Rejected rows on their way to the dead letters, which they reach before a trainer can pass them."""

from __future__ import annotations

import logging
from typing import Protocol, Sequence

from mindspore_rec.stream.kafka import NotAcknowledged
from mindspore_rec.stream.transform import Reject

_log = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
"""How long one attempt to make rejects safe may take."""


class RejectSink(Protocol):
    """Where rejected rows go."""

    def put(self, topic: str, partition: int, offset: int, row: int, reason: str, raw: bytes) -> None:
        """Keep a rejected row."""

    def flush(self, timeout: float) -> None:
        """Return once every row put is safe. Raises ``NotAcknowledged`` where they are not after so many seconds."""


class Rejects:
    """Rejects of a topic.

    Args:
        topic: where the rows come from.
        sink: where they go.
    """

    def __init__(self, topic: str, sink: RejectSink) -> None:
        self._topic = topic
        self._sink = sink
        self._waiting = False

    def put(self, partition: int, rejects: Sequence[Reject]) -> None:
        """Hand rejects of a partition on."""
        for reject in rejects:
            self._sink.put(self._topic, partition, reject.offset, reject.row, reject.reason, reject.raw)
            self._waiting = True

    def safe(self) -> bool:
        """Whether no reject can be lost: before that a frame would let a trainer save a position after it.

        Waits a second where the broker is away, so that requests are served between two attempts.
        """
        if self._waiting:
            try:
                self._sink.flush(FLUSH_SECONDS)
            except NotAcknowledged as error:
                _log.debug("%s", error)
                return False
            self._waiting = False
        return True
