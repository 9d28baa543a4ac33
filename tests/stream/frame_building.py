"""Streams of messages for tests, cut into frames anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Sequence, Tuple

import numpy as np

from mindspore_rec.stream.frame import Frame, FramePositions
from mindspore_rec.stream.position import RowPosition

START = RowPosition(0, 0)


@dataclass(frozen=True)
class Row:
    """One row of a partition: ``value`` tells it from all others; ``last`` marks the last of its message."""

    partition: int
    offset: int
    row: int
    kept: bool
    last: bool

    @property
    def value(self) -> int:
        return (self.partition * 1000 + self.offset) * 1000 + self.row

    @property
    def after(self) -> RowPosition:
        return RowPosition(self.offset + 1, 0) if self.last else RowPosition(self.offset, self.row + 1)


def partition_rows(partition: int, messages: Sequence[Sequence[bool]], gap: int = 1) -> List[Row]:
    """Rows of messages given as lists of kept flags; offsets ``gap`` apart."""
    return [
        Row(partition, number * gap, row, kept, row + 1 == len(message))
        for number, message in enumerate(messages)
        for row, kept in enumerate(message)
    ]


def make_frame(rows: Sequence[Row], begin: RowPosition, high: int = 0, fields: int = 2) -> Frame:
    """The frame of some consecutive rows; source numbers and event times are made from their values."""
    ranges: Dict[int, List[int]] = {}
    for row in rows:
        if row.offset in ranges:
            ranges[row.offset][2] = row.row
        else:
            ranges[row.offset] = [row.offset, row.row, row.row, row.value]
    values = np.array([row.value for row in rows if row.kept], np.int64)
    columns = (
        np.repeat(values[:, None], fields, axis=1),
        np.repeat(values[:, None], fields, axis=1).astype(np.float32),
        (values % 2)[:, None].astype(np.float32),
    )
    positions = FramePositions(
        partition=rows[0].partition,
        begin=begin,
        next=rows[-1].after,
        ranges=np.array(list(ranges.values()), np.int64).reshape(-1, 4),
        rejects=np.array([[r.offset, r.row, r.value % 6] for r in rows if not r.kept], np.int64).reshape(-1, 3),
        event_time=values + 1000,
        high=high,
    )
    return Frame(columns, positions)


def cut(rows: Sequence[Row], sizes: Sequence[int], begin: RowPosition = START) -> List[Frame]:
    """Frames of the rows from ``begin`` on; their sizes are taken from ``sizes`` in turn."""
    rest = [row for row in rows if (row.offset, row.row) >= begin]
    frames: List[Frame] = []
    while rest:
        size = sizes[len(frames) % len(sizes)]
        frames.append(make_frame(rest[:size], begin, high=rows[-1].offset + 1))
        begin, rest = rest[size - 1 if len(rest) >= size else -1].after, rest[size:]
    return frames


def exact_batches(
    lanes: Dict[int, List[Row]], window_size: int, batch_size: int, max_rows: int = 0
) -> List[Tuple[List[int], int]]:
    """What ``max_wait=0`` must give, row by row: (values, rejects since the last batch); the last may be empty."""
    todo = {partition: list(rows) for partition, rows in lanes.items()}
    order = sorted(todo)
    batches: List[Tuple[List[int], int]] = []
    values: List[int] = []
    rejects, passed, turn, window = 0, 0, 0, 0

    def full() -> bool:
        return bool(max_rows) and passed >= max_rows

    while any(todo.values()) and not full():
        rest = todo[order[turn]]
        ahead = rest[: window_size - window]
        if not any(row.kept for row in ahead):
            while ahead and not full():
                ahead.pop(0)
                rest.pop(0)
                passed, rejects = passed + 1, rejects + 1
            turn, window = (turn + 1) % len(order), 0
            continue
        while not full():
            row = rest.pop(0)
            passed, window = passed + 1, window + 1
            if row.kept:
                values.append(row.value)
                break
            rejects += 1
        if len(values) == batch_size:
            batches.append((values, rejects))
            values, rejects = [], 0
        if window == window_size:
            turn, window = (turn + 1) % len(order), 0
    batches.append((values, rejects))
    return batches
