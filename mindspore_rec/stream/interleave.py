"""Batches out of several partitions: a window of rows from each in turn, in ascending order.

Where a batch ends is a function of positions alone while ``max_wait`` is 0: it does not depend on how rows were cut
into frames or when these came, and a restart at any position gives the same further batches. To that end rejected
rows are passed only together with the kept row after them, or at the end of their window or partition. They count as
rows of the window, so bad rows do not shift what the partitions contribute in turn.

With ``max_wait`` above 0 a partition that has no rows is not waited for, its window ends early, and a batch is cut
short once it is that old. Nothing is lost or doubled then either, but the cuts depend on time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from mindspore_rec.stream.frame import Array, Frame, FrameError, Int64s, expand
from mindspore_rec.stream.frame_queue import FrameQueue
from mindspore_rec.stream.position import RowPosition, StreamPosition

UNKNOWN_TIME = -1


@dataclass(frozen=True, eq=False)
class BatchInfo:
    """What a batch was made of.

    Attributes:
        rows: rows in the batch.
        rejected: rejected rows passed since the batch before.
        position: the stream's position after the batch.
        event_time_min, event_time_max: milliseconds, over the rows whose time is known; -1 where none is.
        source_rows: int64 [rows], row numbers in the source; -1 unknown.
        lag: messages between the position and the newest ones heard of, over all partitions.
    """

    rows: int
    rejected: int
    position: StreamPosition
    event_time_min: int
    event_time_max: int
    source_rows: Int64s
    lag: int


class Batch(NamedTuple):
    """Columns with ``info.rows`` rows each, none where there is no info; they belong to the caller."""

    columns: Tuple[Array, ...]
    info: Optional[BatchInfo]


class Interleave:
    """Merges frames of several partitions into batches.

    Args:
        position: where to begin; its ``next`` names the partitions.
        window_size: rows taken from a partition before it is the next one's turn.
        batch_size: rows in a batch.
        max_wait: seconds before a short batch is made; 0: never, but for the end.
        max_rows: end once the position has passed this many rows, taken or rejected; 0: never.
        clock: seconds, for ``max_wait``.

    Raises:
        ValueError: an argument out of range.
    """

    def __init__(
        self,
        position: StreamPosition,
        window_size: int,
        batch_size: int,
        *,
        max_wait: float = 0.0,
        max_rows: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not position.next or window_size < 1 or batch_size < 1 or max_wait < 0 or max_rows < 0:
            raise ValueError(
                f"{len(position.next)} partitions, window_size={window_size}, batch_size={batch_size}, "
                f"max_wait={max_wait}, max_rows={max_rows}: expected at least 1, 1, 1, 0, 0"
            )
        self._topic, self._topic_id = position.topic, position.topic_id
        self._order = sorted(position.next)
        self._lanes = {partition: FrameQueue(RowPosition(*position.next[partition])) for partition in self._order}
        self._window_size = window_size
        self._batch_size = batch_size
        self._max_wait = max_wait
        self._max_rows = max_rows
        self._clock = clock
        self._rows_taken = position.rows_taken
        self._rows_rejected = position.rows_rejected
        self._rejected = 0
        self._turn = position.turn if position.turn in self._lanes else self._after(position.turn)
        self._window_rows = position.window_rows if self._turn == position.turn else 0
        if self._window_rows >= window_size:
            self._set_turn(self._after(self._turn))
        self._columns: List[Array] = []
        self._event_time = np.empty(0, np.int64)
        self._source_rows = np.empty(0, np.int64)
        self._rows = 0
        self._begun = 0.0
        self._ended = False

    def add(self, frame: Frame) -> None:
        """Append a frame to its partition.

        Raises:
            FrameError: where its parts contradict each other, or its columns differ from those of other frames.
        """
        lane = self._lanes.get(frame.positions.partition)
        if lane is None or lane.finished:
            raise FrameError(f"a frame of partition {frame.positions.partition}, of which nothing was expected")
        rows = expand(frame.positions)
        columns = self._columns
        if not columns:
            self._columns = [np.empty((0, *column.shape[1:]), column.dtype) for column in frame.columns]
        elif [(c.dtype, c.shape[1:]) for c in columns] != [(c.dtype, c.shape[1:]) for c in frame.columns]:
            raise FrameError("columns of another type or width than in the frames before")
        lane.high = frame.positions.high
        lane.frames.append((frame, rows))

    def finish(self, partition: int) -> None:
        """Nothing follows for a partition."""
        self._lanes[partition].finished = True

    @property
    def ended(self) -> bool:
        """Whether every row was passed, or ``max_rows`` of them, and the last batch was taken."""
        return self._ended and self._rows == 0

    @property
    def position(self) -> StreamPosition:
        """The position after all rows passed, those of a batch not yet taken among them."""
        places = {partition: lane.place for partition, lane in self._lanes.items()}
        turn, window_rows, taken, rejected = self._turn, self._window_rows, self._rows_taken, self._rows_rejected
        return StreamPosition(self._topic, places, turn, window_rows, taken, rejected, self._topic_id)

    def take(self) -> Optional[Batch]:
        """The next batch; None where rows must come first, or time must pass."""
        while self._rows < self._batch_size and not self._ended:
            lane = self._lane_in_turn()
            if lane is None:
                break
            self._take_rows(lane)
        due = self._max_wait > 0 and self._rows > 0 and self._clock() >= self._begun + self._max_wait
        if self._rows == self._batch_size or (self._rows and (self._ended or due)):
            return self._emit()
        return None

    def seconds_left(self) -> Optional[float]:
        """Seconds until ``take`` cuts a batch short; None where only rows or the end can complete it."""
        if self._max_wait == 0 or self._rows == 0:
            return None
        return max(0.0, self._begun + self._max_wait - self._clock())

    def released(self) -> Dict[int, int]:
        """Frames used up since the last call, for each partition that has any."""
        counts = {partition: lane.released for partition, lane in self._lanes.items() if lane.released}
        for partition in counts:
            self._lanes[partition].released = 0
        return counts

    def final_info(self) -> BatchInfo:
        """Rejects passed after the last batch and the position after them, as an info of no rows."""
        return self._info(0)

    def _lane_in_turn(self) -> Optional[FrameQueue]:
        """The lane whose rows come next; None where it has none yet, or no rows follow at all."""
        partition, skipped = self._turn, 0
        while skipped < len(self._order):
            lane = self._lanes[partition]
            left = self._left_for(partition)
            lane.gather_rejects(left)
            passing = lane.rejects > 0 and (lane.rejects == left or lane.exhausted or self._passes(lane))
            if partition != self._turn and (lane.has_rows or passing):
                self._set_turn(partition)
            if passing:
                self._pass(lane.drop_rejects(), 0)
            if self._rows_left() == 0:
                self._ended = True
                return None
            if passing and self._window_rows == 0:  # rejects completed the window
                partition, skipped = self._turn, 0
                continue
            if lane.has_rows:
                return lane
            if not lane.exhausted and self._max_wait == 0:
                return None
            partition, skipped = self._after(partition), skipped + 1
        self._ended = all(lane.exhausted for lane in self._lanes.values())
        return None

    def _passes(self, lane: FrameQueue) -> bool:
        """Whether rejects need not wait for the row after them."""
        return self._max_wait > 0 and not lane.has_rows

    def _take_rows(self, lane: FrameQueue) -> None:
        """Copy rows of the lane's first frame into the batch, as far as batch, window and ``max_rows`` allow."""
        frame, rows = lane.frames[0]
        first = lane.taken
        end = lane.passed + self._left_for(self._turn) - lane.rejects
        count = min(self._batch_size - self._rows, rows.kept.shape[0] - first)
        count = int(np.searchsorted(rows.kept[first : first + count], end))
        if count == 0:  # the window, or max_rows, ends among the rejects before the next row
            self._pass(lane.advance(end, 0), 0)
            return
        last = int(rows.kept[first + count - 1])
        if self._rows == 0:
            self._allocate()
        target, source = slice(self._rows, self._rows + count), slice(first, first + count)
        for batch, column in zip(self._columns, frame.columns):
            batch[target] = column[source]
        self._event_time[target] = frame.positions.event_time[source]
        self._source_rows[target] = rows.source[rows.kept[source]]
        self._rows += count
        self._pass(lane.advance(last + 1, count), count)

    def _allocate(self) -> None:
        """Arrays for a new batch: the ones before belong to the caller."""
        self._begun = self._clock()
        self._columns = [np.empty((self._batch_size, *c.shape[1:]), c.dtype) for c in self._columns]
        self._event_time = np.empty(self._batch_size, np.int64)
        self._source_rows = np.empty(self._batch_size, np.int64)

    def _emit(self) -> Batch:
        rows = self._rows
        batch = Batch(tuple(column[:rows] for column in self._columns), self._info(rows))
        self._rows = 0
        self._rejected = 0
        return batch

    def _info(self, rows: int) -> BatchInfo:
        times = self._event_time[:rows]
        known = times[times != UNKNOWN_TIME]
        return BatchInfo(
            rows=rows,
            rejected=self._rejected,
            position=self.position,
            event_time_min=int(known.min()) if known.size else UNKNOWN_TIME,
            event_time_max=int(known.max()) if known.size else UNKNOWN_TIME,
            source_rows=self._source_rows[:rows],
            lag=sum(max(0, lane.high - lane.place.offset) for lane in self._lanes.values()),
        )

    def _pass(self, rejects: int, taken: int) -> None:
        """Count rows of the partition in turn; a complete window makes it the next one's turn."""
        self._rejected += rejects
        self._rows_rejected += rejects
        self._rows_taken += taken
        self._window_rows += rejects + taken
        if self._window_rows == self._window_size:
            self._set_turn(self._after(self._turn))

    def _left_for(self, partition: int) -> int:
        """Rows that a partition's window and ``max_rows`` still have room for."""
        window = self._window_size - (self._window_rows if partition == self._turn else 0)
        left = self._rows_left()
        return window if left is None else min(window, left)

    def _rows_left(self) -> Optional[int]:
        return max(0, self._max_rows - self._rows_taken - self._rows_rejected) if self._max_rows else None

    def _set_turn(self, partition: int) -> None:
        self._turn, self._window_rows = partition, 0

    def _after(self, partition: int) -> int:
        """The partition that follows in the order, the first after the last."""
        return next((other for other in self._order if other > partition), self._order[0])


def begin_at(
    topic: str, begin: Mapping[int, RowPosition], saved: Optional[StreamPosition], topic_id: str = ""
) -> StreamPosition:
    """The position to interleave from: the saved one, with partitions it does not know where they begin."""
    if saved is None:
        return StreamPosition(topic, dict(begin), turn=min(begin), topic_id=topic_id)
    return replace(saved, topic=topic, next={**begin, **saved.next}, topic_id=topic_id)
