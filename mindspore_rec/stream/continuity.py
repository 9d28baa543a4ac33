"""Whether the messages of a partition follow each other without a loss."""

from __future__ import annotations

from typing import Callable, Dict, Iterable, Mapping, Tuple

from mindspore_rec.stream.kafka import OffsetOutOfRange
from mindspore_rec.stream.messages import Message


class Continuity:
    """Follows the offsets a source hands out and refuses a jump over messages that are no longer in the log.

    A gap by itself is legal: transaction markers and compaction leave some. It is a loss where the first offset the
    log holds has moved past the one expected.
    """

    def __init__(self, topic: str, watermarks: Callable[[int], Tuple[int, int]]) -> None:
        self._topic = topic
        self._watermarks = watermarks
        self._expected: Dict[int, int] = {}

    def restart(self, positions: Mapping[int, int]) -> None:
        """Expect these offsets next."""
        self._expected = dict(positions)

    def position(self, partition: int) -> int:
        """The offset expected next."""
        return self._expected[partition]

    def lost(self, partition: int) -> OffsetOutOfRange:
        """The error for the position of a partition that the broker refused."""
        return OffsetOutOfRange(self._topic, partition, self._expected[partition], *self._watermarks(partition))

    def check(self, messages: Iterable[Message]) -> None:
        """Raise ``OffsetOutOfRange`` where ``messages`` jump over removed ones."""
        expected = self._expected
        for message in messages:
            partition = message.partition
            if message.offset > expected[partition] and self._watermarks(partition)[0] > expected[partition]:
                raise self.lost(partition)
            expected[partition] = message.offset + 1
