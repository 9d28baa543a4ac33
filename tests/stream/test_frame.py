from __future__ import annotations

import dataclasses
import struct
from typing import Any, List

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from mindspore_rec.stream.frame import (
    MAX_DIMENSIONS,
    MAX_PARTS,
    Frame,
    FrameError,
    Kind,
    decode,
    decode_frame,
    encode,
    encode_frame,
    expand,
)
from mindspore_rec.stream.position import RowPosition
from tests.stream.frame_building import make_frame, partition_rows

ROWS = partition_rows(2, [[True, False, True], [False], [True, True]])
FRAME = make_frame(ROWS, RowPosition(0, 0), high=9)


def received(parts: List[Any]) -> List[bytes]:
    return [bytes(part) for part in parts]


@settings(derandomize=True, deadline=None)
@given(
    st.sampled_from(list(Kind)),
    st.integers(0, 2**64 - 1),
    st.lists(
        arrays_of.arrays(
            st.sampled_from([np.int64, np.float32, np.uint8, np.bool_, np.float16]),
            arrays_of.array_shapes(min_dims=1, min_side=0, max_side=5),
        ),
        max_size=4,
    ),
)
def test_a_message_comes_back(kind: Kind, epoch: int, arrays: List[Any]) -> None:
    wire = decode(received(encode(kind, epoch, {"a": [1, "ü"]}, arrays)))
    assert (wire.kind, wire.epoch, wire.body) == (kind, epoch, {"a": [1, "ü"]})
    for found, array in zip(wire.arrays, arrays):
        assert found.dtype == array.dtype and found.shape == array.shape
        assert found.tobytes() == array.tobytes()
        assert not found.flags.writeable


def test_arrays_are_not_copied() -> None:
    array = np.arange(8)
    parts = encode(Kind.DATA, 1, {}, [array])
    array[0] = 5
    data = bytearray(parts[1])
    assert decode([parts[0], data]).arrays[0][0] == 5
    assert encode(Kind.DATA, 1, {}, [array[::2]])[1] == array[::2].tobytes()


def test_a_frame_comes_back() -> None:
    frame = decode_frame(decode(received(encode_frame(7, FRAME))))
    assert frame.rows == 4
    for found, column in zip(frame.columns, FRAME.columns):
        np.testing.assert_array_equal(found, column)
    for name in ("ranges", "rejects", "event_time"):
        np.testing.assert_array_equal(getattr(frame.positions, name), getattr(FRAME.positions, name))
    assert frame.positions.begin == RowPosition(0, 0) and frame.positions.next == RowPosition(3, 0)
    assert (frame.positions.partition, frame.positions.high) == (2, 9)


def test_ranges_expand_to_rows() -> None:
    rows = expand(FRAME.positions)
    assert rows.offset.tolist() == [row.offset for row in ROWS]
    assert rows.row.tolist() == [row.row for row in ROWS]
    assert rows.source.tolist() == [row.value for row in ROWS]
    assert rows.kept.tolist() == [index for index, row in enumerate(ROWS) if row.kept]
    assert [rows.after(index) for index in range(len(ROWS))] == [row.after for row in ROWS]
    part = expand(make_frame(ROWS[:2], RowPosition(0, 0)).positions)
    assert part.after(1) == RowPosition(0, 2)


def test_unknown_source_rows_stay_unknown() -> None:
    ranges = np.array([[4, 2, 4, -1], [6, 0, 1, 50]], np.int64)
    positions = dataclasses.replace(
        FRAME.positions,
        ranges=ranges,
        rejects=np.empty((0, 3), np.int64),
        event_time=np.zeros(5, np.int64),
        next=RowPosition(7, 0),
    )
    assert expand(positions).source.tolist() == [-1, -1, -1, 50, 51]


def test_a_frame_of_rejects_alone_is_legal() -> None:
    rows = partition_rows(0, [[False, False]])
    frame = decode_frame(decode(received(encode_frame(1, make_frame(rows, RowPosition(0, 0))))))
    assert frame.rows == 0
    assert expand(frame.positions).kept.shape == (0,)


@pytest.mark.parametrize(
    ("ranges", "rejects", "rows"),
    [
        ([[0, 0, 2, 0]], [], 2),  # a row too many
        ([[0, 0, 2, 0]], [[1, 0, 0]], 2),  # of another message
        ([[0, 0, 2, 0]], [[0, 3, 0]], 2),  # after the range
        ([[0, 1, 3, 0]], [[0, 0, 0]], 2),  # before the range
        ([[0, 0, 2, 0]], [[0, 1, 0], [0, 1, 0]], 1),  # twice
        ([[1, 0, 0, 0], [0, 0, 0, 0]], [], 2),  # backwards
        ([[0, 0, 0, 0], [0, 1, 1, 0]], [], 2),  # twice the same message
        ([[0, 1, 0, 0]], [], 0),  # empty range
        ([[0, 0, 2**62, 0], [1, 0, 2**62, 0]], [], 4),  # sums overflow
        ([[0, -1, 0, 0]], [], 2),
        ([[-1, 0, 1, 0]], [], 2),
        ([], [[0, 0, 0]], 0),
    ],
)
def test_ranges_that_do_not_add_up_are_refused(ranges: Any, rejects: Any, rows: int) -> None:
    positions = dataclasses.replace(
        FRAME.positions,
        ranges=np.array(ranges, np.int64).reshape(-1, 4),
        rejects=np.array(rejects, np.int64).reshape(-1, 3),
        event_time=np.zeros(rows, np.int64),
    )
    with pytest.raises(FrameError):
        expand(positions)


def parts_with(**changes: Any) -> List[bytes]:
    """FRAME's message with some header fields changed, or left out where None."""
    wire = decode(received(encode_frame(7, FRAME)))
    body = {key: value for key, value in {**wire.body, **changes}.items() if value is not None}
    return received(encode(wire.kind, wire.epoch, body, wire.arrays))


@pytest.mark.parametrize(
    "changes",
    [{"lane": -1}, {"lane": None}, {"lane": True}, {"begin": [1]}, {"begin": None}, {"next": [1, -2]}, {"high": "x"}],
)
def test_a_frame_with_bad_fields_is_refused(changes: Any) -> None:
    with pytest.raises(FrameError):
        decode_frame(decode(parts_with(**changes)))


@pytest.mark.parametrize("index", range(6))
def test_a_frame_with_arrays_that_do_not_fit_is_refused(index: int) -> None:
    wire = decode(received(encode_frame(7, FRAME)))
    arrays = list(wire.arrays)
    arrays[index] = arrays[index][:-1] if index < 4 else arrays[index][:, :-1]
    if index == 3:
        arrays[index] = arrays[index].astype(np.int32)
    with pytest.raises(FrameError):
        decode_frame(decode(received(encode(wire.kind, wire.epoch, wire.body, arrays))))


def test_too_few_arrays_are_no_frame() -> None:
    with pytest.raises(FrameError):
        decode_frame(decode(received(encode(Kind.DATA, 1, {"lane": 0}, [np.zeros(1)]))))


def header(text: bytes, magic: bytes = b"MSRC", version: int = 1, kind: int = 6) -> bytes:
    return struct.pack("<4sBBxxQ", magic, version, kind, 1) + text


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b""],
        [b"MSRC"],
        [header(b"{}", magic=b"HTTP")],
        [header(b"{}", version=2)],
        [header(b"{}", kind=99)],
        [header(b"")],
        [header(b"[]")],
        [header(b"\xff")],
        [header(b"[" * 100_000)],
        [header(b" " * (5 << 20))],
        [header(b"{}"), b"x"],
        [header(b'{"arrays": 5}'), b"x"],
        [header(b'{"arrays": [5]}'), b"x"],
        [header(b'{"arrays": [["<i8", [2]]]}'), b"x" * 8],
        [header(b'{"arrays": [["<i8", [-1]]]}'), b"x" * 8],
        [header(b'{"arrays": [["<i8", [true]]]}'), b"x" * 8],
        [header(b'{"arrays": [["<i8", [1.0]]]}'), b"x" * 8],
        [header(b'{"arrays": [["|O", [1]]]}'), b"x" * 8],
        [header(b'{"arrays": [["<U2", [1]]]}'), b"x" * 8],
        [header(b'{"arrays": [["<i8", [4294967296, 4294967296, 0]]]}'), b"x"],
        [header(b'{"arrays": [["<i8", [0, 99999999999999999999]]]}'), b""],
        [header(b'{"arrays": [["|u1", %s]]}' % str([1] * (MAX_DIMENSIONS + 1)).encode()), b"x"],
        [header(b"{}")] * (MAX_PARTS + 1),
    ],
)
def test_bytes_that_are_no_message_are_refused(parts: List[bytes]) -> None:
    with pytest.raises(FrameError):
        decode(parts)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_a_damaged_message_is_read_or_refused(choose: st.DataObject) -> None:
    parts = [bytearray(part) for part in received(encode_frame(7, FRAME))]
    for _ in range(choose.draw(st.integers(1, 3))):
        part = parts[choose.draw(st.integers(0, len(parts) - 1))]
        kind = choose.draw(st.sampled_from(["flip", "cut", "grow"]))
        if kind == "flip" and part:
            part[choose.draw(st.integers(0, len(part) - 1))] ^= choose.draw(st.integers(1, 255))
        elif kind == "cut":
            del part[choose.draw(st.integers(0, len(part))) :]
        else:
            part += b"\0" * 8
    try:
        frame = decode_frame(decode([bytes(part) for part in parts]))
        rows = expand(frame.positions)
    except FrameError:
        return
    assert isinstance(frame, Frame) and rows.kept.shape[0] == frame.rows


def test_what_cannot_be_sent_is_refused() -> None:
    for array in (np.array(["a"]), np.array([None]), np.zeros(1, np.complex64), np.zeros(1, ">i8")):
        with pytest.raises(ValueError, match="dtype"):
            encode(Kind.DATA, 1, {}, [array])
    with pytest.raises(ValueError, match="too large"):
        encode(Kind.DATA, 1, {}, [np.zeros(1, np.uint8)] * MAX_PARTS)
