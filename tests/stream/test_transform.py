"""Messages to chunks and frames: every row once and in order, whatever formats, bad rows and windows."""

from __future__ import annotations

import dataclasses
from typing import Any, List, Tuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindspore_rec.config import FeatureConfig
from mindspore_rec.features.engine import FeatureEngine, make_engine
from mindspore_rec.stream import transform as transform_module
from mindspore_rec.stream.cutter import FrameCutter
from mindspore_rec.stream.frame import Frame, expand
from mindspore_rec.stream.messages import Message
from mindspore_rec.stream.position import RowPosition
from mindspore_rec.stream.transform import TOO_LONG, Reject, transform
from tests.stream.memory_source import line, messages_of

SMALL = FeatureConfig(dense_dim=1, slot_dim=1, engine="pandas")


@pytest.fixture(scope="module", params=["numba", "pandas"])
def engine(request: pytest.FixtureRequest) -> FeatureEngine:
    return make_engine(SMALL.model_copy(update={"engine": request.param}))


def frames_of(
    engine: FeatureEngine, messages: List[Message], window_size: int, polls: int = 3
) -> Tuple[List[Frame], List[Reject]]:
    cutter = FrameCutter(5, RowPosition(0, 0), window_size)
    frames: List[Frame] = []
    rejects: List[Reject] = []
    for start in range(0, len(messages), polls):
        for chunk, bad in transform(engine, messages[start : start + polls]):
            cutter.add(chunk)
            rejects += bad
        while cutter.rows >= window_size:
            frame = cutter.cut(high=99)
            assert frame is not None
            frames.append(frame)
    rest = cutter.cut(high=99)
    assert cutter.cut(high=99) is None
    return frames + ([rest] if rest else []), rejects


def mixed(total: int = 60, bad_every: int = 7) -> List[Message]:
    """Blocks, lines and lists one after another, rows 0 to ``total``, offsets two apart."""
    found: List[Message] = []
    first = 0
    for form, rows in (("block", 9), ("tsv", 1), ("block", 1), ("json", 1)) * 2:
        count = total // 8
        for message in messages_of(5, range(first, first + count), form, rows, bad_every):
            found.append(dataclasses.replace(message, offset=len(found) * 2))
        first += count
    return found


@pytest.mark.parametrize("window_size", [1, 2, 5, 9, 1000])
def test_every_row_is_in_one_frame_in_order(engine: FeatureEngine, window_size: int) -> None:
    messages = mixed()
    frames, rejects = frames_of(engine, messages, window_size)
    rows = [expand(frame.positions) for frame in frames]
    source = np.concatenate([r.source for r in rows])
    assert source.tolist() == list(range(56))
    kept = np.concatenate([r.source[r.kept] for r in rows])
    assert kept.tolist() == [number for number in range(56) if number % 7]
    assert all(reject.reason == "label" for reject in rejects)
    assert [reject.raw for reject in rejects if not reject.raw.startswith(b"[")][:2] == [line(0, True), line(7, True)]
    labels = np.concatenate([frame.columns[2][:, 0] for frame in frames])
    assert labels.tolist() == [number % 2 for number in kept]
    times = np.concatenate([frame.positions.event_time for frame in frames])
    assert times.tolist() == (kept + 10**12).tolist()
    places = [(int(o), int(n)) for r in rows for o, n in zip(r.offset, r.row)]
    assert [(reject.offset, reject.row) for reject in rejects] == [places[number] for number in range(0, 56, 7)]
    in_frames = [tuple(entry) for frame in frames for entry in frame.positions.rejects[:, :2].tolist()]
    assert in_frames == [places[number] for number in range(0, 56, 7)]
    for frame, following in zip(frames, frames[1:]):
        assert frame.positions.next == following.positions.begin
        assert expand(frame.positions).after(-1 + len(expand(frame.positions).offset)) == frame.positions.next
    assert frames[0].positions.begin == RowPosition(0, 0)
    assert frames[-1].positions.next == RowPosition(messages[-1].offset + 1, 0)
    assert all(len(r.source) <= window_size for r in rows)
    assert all(frame.positions.high == 99 for frame in frames)


def test_whole_windows_of_a_block_are_not_copied() -> None:
    engine = make_engine(SMALL)
    [(chunk, _)] = transform(engine, messages_of(5, range(10), "block", 10))
    cutter = FrameCutter(5, RowPosition(0, 0), 5)
    cutter.add(chunk)
    frame = cutter.cut(1)
    assert frame is not None and np.shares_memory(frame.columns[0], chunk.columns[0])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_a_chunk_cut_anywhere_keeps_its_places(choose: st.DataObject) -> None:
    engine = make_engine(SMALL)
    [(chunk, _)] = transform(engine, messages_of(5, range(1, 30), "block", 4, bad_every=3, gap=2))
    start = choose.draw(st.integers(0, chunk.rows))
    stop = choose.draw(st.integers(start, chunk.rows))
    part = chunk.part(start, stop)
    assert part.rows == stop - start
    np.testing.assert_array_equal(part.source, chunk.source[start:stop])
    np.testing.assert_array_equal(part.source[part.kept] % 3 != 0, True)
    np.testing.assert_array_equal(part.source[part.rejected] % 3 == 0, True)
    if stop > start:
        offset, row = int(chunk.offset[stop - 1]), int(chunk.row[stop - 1])
        whole = stop == chunk.rows or int(chunk.offset[stop]) != offset
        assert part.next == (RowPosition(offset + 1, 0) if whole else RowPosition(offset, row + 1))


@pytest.mark.parametrize(
    ("value", "headers", "rows"),
    [
        (b"", {}, 0),
        (b"x", {}, 1),
        (b"", {"format": b"block"}, 0),
        (b"\xff\xfe\x00", {}, 1),
        (b"{", {"format": b"json"}, 1),
        (line(2), {"format": b"json", "rows": b"1"}, 1),
        (b"\n".join([line(2)] * 3), {"format": b"tsv", "rows": b"1"}, 3),
        (b"\n".join([line(2)] * 3), {"format": b"block", "rows": b"9" * 30, "first_row": b"x"}, 3),
        (b"\n".join([line(2)] * 3), {"format": b"block", "event_times": b"12345"}, 3),
        (b"[1, 2", {"event_times": b"\xff" * 8}, 1),
    ],
)
def test_messages_with_wrong_headers_lose_no_row(engine: FeatureEngine, value: bytes, headers: Any, rows: int) -> None:
    before, after = messages_of(5, range(4), "block", 4), messages_of(5, range(4, 8), "block", 4)
    odd = Message(5, 1, 123, headers, value)
    frames, rejects = frames_of(engine, [*before, odd, dataclasses.replace(after[0], offset=2)], 1000)
    positions = [expand(frame.positions) for frame in frames]
    found = [(int(o), int(n)) for r in positions for o, n in zip(r.offset, r.row)]
    assert found == [(0, n) for n in range(4)] + [(1, n) for n in range(rows)] + [(2, n) for n in range(4)]
    assert sum(frame.rows for frame in frames) + len(rejects) == 8 + rows


def test_a_block_of_too_many_rows_is_one_reject(engine: FeatureEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transform_module, "MAX_ROWS", 5)
    messages = messages_of(5, range(22), "block", 4)
    messages[2] = dataclasses.replace(messages[2], value=b"x\n" * 100)
    frames, rejects = frames_of(engine, messages, 1000)
    assert [(reject.offset, reject.row, reject.reason) for reject in rejects] == [(2, 0, TOO_LONG)]
    assert sum(frame.rows for frame in frames) == 18
    assert [r.tolist()[:2] for frame in frames for r in frame.positions.rejects] == [[2, 0]]
