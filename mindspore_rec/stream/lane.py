"""One partition on its way from the log to a trainer: what was fetched, and what waits to be sent."""

from __future__ import annotations

from typing import Optional

from mindspore_rec.stream.cutter import FrameCutter
from mindspore_rec.stream.position import RowPosition


class PartitionLane:
    """A partition that a trainer asked for.

    Args:
        partition, shard: which one, and whose.
        begin: first row wanted.
        high: offset after its newest message.
        end: offset to stop at; None for never.
        window_size: rows of a frame at most.
    """

    def __init__(
        self, partition: int, shard: int, begin: RowPosition, high: int, end: Optional[int], window_size: int
    ) -> None:
        self.partition = partition
        self.shard = shard
        self.next = begin
        self.high = high
        self.end = end
        self.cutter = FrameCutter(partition, begin, window_size)
        self.waiting_since = 0.0
        self.paused = False
        self.full = False
        self.ended = False

    @property
    def fetched(self) -> bool:
        """Whether every message up to the end was fetched."""
        return self.end is not None and self.next.offset >= self.end

    def has_room(self, limit: int) -> bool:
        """Whether messages may be fetched: once ``limit`` rows wait, not before half of them were sent.

        A client that resumes a partition fetches anew, so it is not to pause and resume at every window.
        """
        if self.cutter.rows >= limit:
            self.full = True
        elif self.cutter.rows <= limit // 2:
            self.full = False
        return not self.full and not self.fetched

    @property
    def lag(self) -> int:
        """Messages not fetched yet."""
        return max(0, (self.high if self.end is None else self.end) - self.next.offset)
