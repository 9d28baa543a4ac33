from __future__ import annotations

from typing import Dict, List, Optional, Tuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindspore_rec.stream.frame import Frame, FrameError
from mindspore_rec.stream.interleave import Batch, Interleave, begin_at
from mindspore_rec.stream.position import RowPosition, StreamPosition
from tests.stream.frame_building import Row, cut, exact_batches, make_frame, partition_rows

Lanes = Dict[int, List[Row]]

messages = st.lists(st.lists(st.sampled_from([True, True, True, False]), min_size=1, max_size=7), max_size=8)
lanes_strategy = st.dictionaries(st.integers(0, 5), messages, min_size=1, max_size=3).map(
    lambda found: {partition: partition_rows(partition, rows, gap=1 + partition) for partition, rows in found.items()}
)
sizes = st.lists(st.integers(1, 9), min_size=1, max_size=4)


def begin(lanes: Lanes, saved: Optional[StreamPosition] = None) -> StreamPosition:
    return begin_at("clicks", dict.fromkeys(lanes, RowPosition(0, 0)), saved)


def run(
    lanes: Lanes,
    position: StreamPosition,
    frame_sizes: List[int],
    choose: st.DataObject,
    window_size: int,
    batch_size: int,
    max_wait: float = 0.0,
    max_rows: int = 0,
    clock: Optional[List[float]] = None,
) -> Tuple[List[Batch], Interleave]:
    """All batches, with the frames of the partitions coming in an order that hypothesis chooses."""
    now = clock if clock is not None else [0.0]
    merge = Interleave(position, window_size, batch_size, max_wait=max_wait, max_rows=max_rows, clock=lambda: now[0])
    queues: Dict[int, List[Frame]] = {
        partition: cut(rows, frame_sizes, position.next[partition]) for partition, rows in lanes.items()
    }
    frames = sum(map(len, queues.values()))
    batches: List[Batch] = []
    released = 0

    def drain() -> None:
        nonlocal released
        while (batch := merge.take()) is not None:
            batches.append(batch)
        released += sum(merge.released().values())

    while queues:
        partition = choose.draw(st.sampled_from(sorted(queues)))
        if queues[partition]:
            merge.add(queues[partition].pop(0))
        else:
            merge.finish(partition)
            del queues[partition]
        now[0] += choose.draw(st.sampled_from([0.0, 0.6])) if max_wait else 0.0
        drain()
    assert merge.ended
    assert merge.seconds_left() is None
    if not max_rows:
        assert released == frames
    return batches, merge


def values(batch: Batch) -> List[int]:
    assert (batch.columns[0][:, 0] == batch.columns[0][:, 1]).all()
    assert batch.info.rows == len(batch.columns[0]) == len(batch.info.source_rows)
    found = batch.columns[0][:, 0].tolist()
    assert batch.info.source_rows.tolist() == found
    assert (batch.info.event_time_min, batch.info.event_time_max) == (min(found) + 1000, max(found) + 1000)
    return found


@settings(max_examples=300, deadline=None, derandomize=True)
@given(lanes_strategy, sizes, st.integers(1, 6), st.integers(1, 10), st.integers(0, 60), st.data())
def test_batches_are_a_function_of_positions(
    lanes: Lanes, frame_sizes: List[int], window_size: int, batch_size: int, max_rows: int, choose: st.DataObject
) -> None:
    batches, merge = run(lanes, begin(lanes), frame_sizes, choose, window_size, batch_size, max_rows=max_rows)
    *whole, (rest, rejects_left) = exact_batches(lanes, window_size, batch_size, max_rows)
    expected = whole + ([(rest, rejects_left)] if rest else [])
    found = [(values(batch), batch.info.rejected) for batch in batches]
    assert [rows for rows, _ in found] == [rows for rows, _ in expected]
    assert [count for _, count in found] == [count for _, count in expected]
    assert merge.final_info().rejected == (0 if rest else rejects_left)
    assert all(batch.info.rows == batch_size for batch in batches[:-1])
    total = sum(map(len, lanes.values()))
    assert merge.position.rows == (min(total, max_rows) if max_rows else total)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(lanes_strategy, sizes, sizes, st.integers(1, 6), st.integers(1, 10), st.integers(0, 60), st.data())
def test_a_restart_anywhere_gives_the_same_further_batches(
    lanes: Lanes,
    frame_sizes: List[int],
    other_sizes: List[int],
    window_size: int,
    batch_size: int,
    max_rows: int,
    choose: st.DataObject,
) -> None:
    whole, merge = run(lanes, begin(lanes), frame_sizes, choose, window_size, batch_size, max_rows=max_rows)
    stop = choose.draw(st.integers(0, len(whole)))
    saved = whole[stop - 1].info.position if stop else begin(lanes)
    saved = StreamPosition.from_json(saved.to_json())
    again, second = run(lanes, begin(lanes, saved), other_sizes, choose, window_size, batch_size, max_rows=max_rows)
    assert [values(batch) for batch in again] == [values(batch) for batch in whole[stop:]]
    assert [batch.info.position for batch in again] == [batch.info.position for batch in whole[stop:]]
    assert [batch.info.rejected for batch in again] == [batch.info.rejected for batch in whole[stop:]]
    assert second.position == merge.position


@settings(max_examples=200, deadline=None, derandomize=True)
@given(lanes_strategy, sizes, sizes, st.integers(1, 6), st.integers(1, 10), st.data())
def test_with_max_wait_nothing_is_lost_or_doubled_over_a_restart(
    lanes: Lanes,
    frame_sizes: List[int],
    other_sizes: List[int],
    window_size: int,
    batch_size: int,
    choose: st.DataObject,
) -> None:
    first, merge = run(lanes, begin(lanes), frame_sizes, choose, window_size, batch_size, max_wait=1.0)
    stop = choose.draw(st.integers(0, len(first)))
    saved = first[stop - 1].info.position if stop else begin(lanes)
    second, rest = run(lanes, begin(lanes, saved), other_sizes, choose, window_size, batch_size, max_wait=1.0)
    for partition, rows in lanes.items():
        kept = [row.value for row in rows if row.kept]
        taken = [value for batch in first[:stop] + second for value in values(batch)]
        assert [value for value in taken if value // 1_000_000 == partition] == kept
    rejects = sum(not row.kept for rows in lanes.values() for row in rows)
    counted = sum(batch.info.rejected for batch in first[:stop] + second) + rest.final_info().rejected
    assert counted == rejects == merge.position.rows_rejected == rest.position.rows_rejected


def test_an_idle_partition_is_waited_for() -> None:
    lanes = {0: partition_rows(0, [[True] * 4]), 1: partition_rows(1, [[True] * 4])}
    merge = Interleave(begin(lanes), window_size=2, batch_size=4)
    merge.add(make_frame(lanes[0], RowPosition(0, 0)))
    assert merge.take() is None
    merge.add(make_frame(lanes[1], RowPosition(0, 0)))
    batch = merge.take()
    assert batch is not None and values(batch) == [0, 1, 1_000_000, 1_000_001]
    assert batch.info.position.next == {0: RowPosition(0, 2), 1: RowPosition(0, 2)}


def test_with_max_wait_an_idle_partition_is_passed_and_a_batch_cut_when_due() -> None:
    lanes = {0: partition_rows(0, [[True] * 4]), 1: partition_rows(1, [[True] * 4])}
    now = 10.0
    merge = Interleave(begin(lanes), window_size=3, batch_size=6, max_wait=2.0, clock=lambda: now)
    merge.add(make_frame(lanes[1], RowPosition(0, 0)))
    assert merge.take() is None
    assert merge.seconds_left() == 2.0
    now = 11.5
    merge.add(make_frame(lanes[0][:1], RowPosition(0, 0)))
    assert merge.take() is None
    assert merge.seconds_left() == 0.5
    now = 12.0
    batch = merge.take()
    assert batch is not None and values(batch) == [1_000_000, 1_000_001, 1_000_002, 1_000_003, 0]
    assert merge.seconds_left() is None
    assert merge.take() is None


def test_with_max_wait_rejects_do_not_wait_for_a_row() -> None:
    rows = partition_rows(0, [[True, True, False, False]])
    merge = Interleave(begin({0: rows}), window_size=3, batch_size=2, max_wait=1.0, max_rows=4, clock=lambda: 0.0)
    merge.add(make_frame(rows, RowPosition(0, 0)))
    assert merge.take() is not None
    assert merge.take() is None
    assert merge.ended
    assert merge.final_info().rejected == 2
    assert merge.position.next == {0: RowPosition(1, 0)}


def test_frames_of_rejects_alone_are_released_at_once() -> None:
    rows = partition_rows(0, [[False, False], [False], [True]])
    merge = Interleave(begin({0: rows}), window_size=5, batch_size=2)
    merge.add(make_frame(rows[:2], RowPosition(0, 0)))
    merge.add(make_frame(rows[2:3], RowPosition(1, 0)))
    assert merge.take() is None
    assert merge.released() == {0: 2}
    assert merge.released() == {}
    assert merge.position.rows_rejected == 0
    merge.add(make_frame(rows[3:], RowPosition(2, 0)))
    merge.finish(0)
    batch = merge.take()
    assert batch is not None and batch.info.rejected == 3 and merge.ended


def test_lag_counts_messages_behind_the_newest() -> None:
    rows = partition_rows(0, [[True, True], [True]])
    merge = Interleave(begin({0: rows}), window_size=3, batch_size=1)
    merge.add(make_frame(rows, RowPosition(0, 0), high=9))
    lags = [batch.info.lag for batch in iter(merge.take, None) if batch]
    assert lags == [9, 8, 7]


def test_a_batch_belongs_to_its_receiver() -> None:
    rows = partition_rows(0, [[True] * 4])
    merge = Interleave(begin({0: rows}), window_size=4, batch_size=2)
    merge.add(make_frame(rows, RowPosition(0, 0)))
    first = merge.take()
    assert first is not None
    before = [column.copy() for column in first.columns]
    second = merge.take()
    assert second is not None and values(second) == [2, 3]
    assert all(np.array_equal(column, copy) for column, copy in zip(first.columns, before))


def test_frames_that_do_not_fit_are_refused() -> None:
    rows = partition_rows(0, [[True] * 2])
    merge = Interleave(begin({0: rows}), window_size=4, batch_size=2)
    merge.add(make_frame(rows, RowPosition(0, 0)))
    with pytest.raises(FrameError, match="width"):
        merge.add(make_frame(rows, RowPosition(0, 0), fields=3))
    with pytest.raises(FrameError, match="partition 3"):
        merge.add(make_frame(partition_rows(3, [[True]]), RowPosition(0, 0)))
    merge.finish(0)
    with pytest.raises(FrameError, match="partition 0"):
        merge.add(make_frame(rows, RowPosition(0, 0)))


def test_a_smaller_window_than_before_ends_the_one_begun() -> None:
    saved = StreamPosition("clicks", {0: RowPosition(0, 3), 1: RowPosition(0, 0)}, turn=0, window_rows=3)
    lanes = {0: partition_rows(0, [[True] * 4]), 1: partition_rows(1, [[True] * 4])}
    merge = Interleave(begin(lanes, saved), window_size=2, batch_size=1)
    assert (merge.position.turn, merge.position.window_rows) == (1, 0)


def test_arguments_out_of_range_are_refused() -> None:
    position = begin({0: []})
    for bad in ({"window_size": 0}, {"batch_size": 0}, {"max_wait": -1.0}, {"max_rows": -1}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Interleave(position, **{"window_size": 1, "batch_size": 1, **bad})
    with pytest.raises(ValueError, match="0 partitions"):
        Interleave(StreamPosition("clicks", {}, 0), 1, 1)
