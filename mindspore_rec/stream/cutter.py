"""From transformed messages to frames: rows of one partition, in order, at most a window of them each."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Deque, List, Optional, Sequence, Tuple

import numpy as np

from mindspore_rec.features.batch import Features
from mindspore_rec.stream.frame import UNKNOWN_SOURCE_ROW, Array, Frame, FramePositions, Int64s
from mindspore_rec.stream.messages import Message, MessageInfo
from mindspore_rec.stream.position import RowPosition


@dataclass(frozen=True, eq=False)
class Chunk:
    """All rows of some consecutive messages, r of them: n kept and the rejects.

    Attributes:
        columns: ids, weights, labels of the kept rows.
        kept: int64 [n], indices of the kept rows, ascending.
        rejected: int64 [m], indices of the rejects, ascending.
        reason: int64 [m], reason codes.
        offset, row, source, event_time: int64 [r], of every row; source and time -1 where unknown.
        next: position after the last message.
    """

    columns: Tuple[Array, ...]
    kept: Int64s
    rejected: Int64s
    reason: Int64s
    offset: Int64s
    row: Int64s
    source: Int64s
    event_time: Int64s
    next: RowPosition

    @property
    def rows(self) -> int:
        """Rows, rejects included."""
        return int(self.offset.shape[0])

    def part(self, start: int, stop: int) -> Chunk:
        """Rows ``start`` to ``stop``, as views."""
        first, last = np.searchsorted(self.kept, (start, stop))
        first_reject, last_reject = np.searchsorted(self.rejected, (start, stop))
        return Chunk(
            columns=tuple(column[first:last] for column in self.columns),
            kept=self.kept[first:last] - start,
            rejected=self.rejected[first_reject:last_reject] - start,
            reason=self.reason[first_reject:last_reject],
            offset=self.offset[start:stop],
            row=self.row[start:stop],
            source=self.source[start:stop],
            event_time=self.event_time[start:stop],
            next=self._position(stop),
        )

    def _position(self, stop: int) -> RowPosition:
        """The position before row ``stop``. A chunk begun or ended by ``part`` still ends where it says."""
        if stop >= self.rows:
            return self.next
        offset, row = int(self.offset[stop]), int(self.row[stop])
        before = int(self.offset[stop - 1]) if stop else offset
        return RowPosition(offset, row) if before == offset else RowPosition(before + 1, 0)


def chunk_of(messages: Sequence[Message], infos: Sequence[MessageInfo], features: Features) -> Chunk:
    """The rows of messages of one partition, in ascending order, with what their transformation gave.

    The row counts are those that were found, whatever a header states.
    """
    counts = features.rows_per_message.astype(np.int64)
    starts = np.cumsum(counts) - counts
    row = np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(starts, counts)
    source = np.repeat(np.array([info.first_row for info in infos], np.int64), counts)
    return Chunk(
        columns=(features.ids, features.weights, features.labels),
        kept=starts[features.message] + features.row,
        rejected=starts[features.reject_message] + features.reject_row,
        reason=features.reject_reason.astype(np.int64),
        offset=np.repeat(np.array([message.offset for message in messages], np.int64), counts),
        row=row,
        source=np.where(source >= 0, source + row, UNKNOWN_SOURCE_ROW),
        event_time=_event_times(messages, infos, counts),
        next=RowPosition(messages[-1].offset + 1, 0),
    )


def _event_times(messages: Sequence[Message], infos: Sequence[MessageInfo], counts: Int64s) -> Int64s:
    if all(info.event_times.shape[0] == 1 for info in infos):
        return np.repeat(np.concatenate([info.event_times for info in infos]), counts)
    times: List[Int64s] = []
    for message, info, count in zip(messages, infos, counts.tolist()):
        known = info.event_times
        if known.shape[0] not in (1, count):
            known = np.array([max(message.timestamp_ms, -1)], np.int64)
        times.append(np.broadcast_to(known, (count,)))
    return np.concatenate(times)


class FrameCutter:
    """Collects the chunks of a partition and cuts frames of at most ``window_size`` rows, rejects included."""

    def __init__(self, partition: int, begin: RowPosition, window_size: int) -> None:
        self._partition = partition
        self._begin = begin
        self._window_size = window_size
        self._chunks: Deque[Chunk] = deque()
        self._rows = 0

    @property
    def rows(self) -> int:
        """Rows that are in no frame yet."""
        return self._rows

    def add(self, chunk: Chunk) -> None:
        """Append the rows that follow."""
        if chunk.rows:
            self._chunks.append(chunk)
            self._rows += chunk.rows

    def cut(self, high: int) -> Optional[Frame]:
        """The next frame: a window of rows, or what there is; None where there is nothing."""
        if not self._rows:
            return None
        pieces: List[Chunk] = []
        wanted = min(self._window_size, self._rows)
        self._rows -= wanted
        while wanted:
            chunk = self._chunks.popleft()
            if chunk.rows > wanted:
                self._chunks.appendleft(chunk.part(wanted, chunk.rows))
                chunk = chunk.part(0, wanted)
            pieces.append(chunk)
            wanted -= chunk.rows
        begin, self._begin = self._begin, pieces[-1].next
        return _frame(self._partition, begin, pieces, high)


def _frame(partition: int, begin: RowPosition, pieces: Sequence[Chunk], high: int) -> Frame:
    offset, row, source = (_joined([getattr(p, name) for p in pieces]) for name in ("offset", "row", "source"))
    starts = np.flatnonzero(np.concatenate(([True], offset[1:] != offset[:-1])))
    ends = np.append(starts[1:], offset.shape[0]) - 1
    rejects = [
        np.stack((piece.offset[piece.rejected], piece.row[piece.rejected], piece.reason), axis=1) for piece in pieces
    ]
    positions = FramePositions(
        partition=partition,
        begin=begin,
        next=pieces[-1].next,
        ranges=np.stack((offset[starts], row[starts], row[ends], source[starts]), axis=1),
        rejects=_joined(rejects),
        event_time=_joined([piece.event_time[piece.kept] for piece in pieces]),
        high=max(high, pieces[-1].next.offset),
    )
    columns = tuple(_joined(list(parts)) for parts in zip(*(piece.columns for piece in pieces)))
    return Frame(columns, positions)


def _joined(parts: List[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
