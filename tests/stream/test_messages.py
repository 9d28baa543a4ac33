from __future__ import annotations

import json
from typing import Dict, List, Optional

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindspore_rec.stream import messages
from mindspore_rec.stream.messages import Message, describe, encode_block, encode_json, encode_tsv

LINE = b"1\t5\t-2\t" + b"\t".join([b"7"] * 11) + b"\t" + b"\t".join([b"05db9164"] * 25) + b"\t"


def message(value: bytes, headers: Optional[Dict[str, bytes]] = None, timestamp_ms: int = 77) -> Message:
    return Message(0, 0, timestamp_ms, headers or {}, value)


def test_a_block_says_what_it_holds() -> None:
    value, headers = encode_block(LINE + b"\n" + LINE + b"\n" + LINE + b"\n", 5000, np.array([10, 20, 30]))
    assert value == b"\n".join([LINE] * 3)
    info = describe(message(value, headers))
    assert (info.format, info.rows, info.first_row) == ("block", 3, 5000)
    assert info.event_times.tolist() == [10, 20, 30] and info.event_times.dtype == np.int64


def test_event_times_are_packed_little_endian() -> None:
    headers = encode_block(b"a\nb", 0, np.array([1, 256]))[1]
    assert headers["event_times"] == bytes([1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])


def test_a_block_of_one_line_is_a_block() -> None:
    info = describe(message(*encode_block(LINE, 3, np.array([9]))))
    assert (info.format, info.rows, info.first_row, info.event_times.tolist()) == ("block", 1, 3, [9])


@pytest.mark.parametrize("times", [[1], [1, 2, 3], [[1, 2]]])
def test_a_block_needs_a_time_for_each_row(times: List[int]) -> None:
    with pytest.raises(ValueError, match="2 rows"):
        encode_block(b"a\nb\n", 0, np.array(times))


def test_a_tsv_row() -> None:
    value, headers = encode_tsv(LINE, 12, 345)
    assert value == LINE
    info = describe(message(value, headers))
    assert (info.format, info.rows, info.first_row, info.event_times.tolist()) == ("tsv", 1, 12, [345])


def test_a_json_row() -> None:
    value, headers = encode_json(LINE, 12, 345)
    assert json.loads(value) == [1, 5, -2, *[7] * 11, *["05db9164"] * 25, None]
    info = describe(message(value, headers))
    assert (info.format, info.rows, info.first_row, info.event_times.tolist()) == ("json", 1, 12, [345])


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"", None),
        (b"1.5", 1.5),
        (b"-0", 0),
        (b"1e3", 1000.0),
        (b"abc", "abc"),
        (b"01", "01"),
        (b"+1", "+1"),
        (b"nan", "nan"),
        (b"NaN", "NaN"),
        (b"Infinity", "Infinity"),
        (b"1]", "1]"),
        (b'"', '"'),
        (b"1\r", "1\r"),
        (b"\xff", "\udcff"),
    ],
)
def test_json_keeps_what_is_no_number_as_it_was(field: bytes, expected: object) -> None:
    found = json.loads(encode_json(b"1\t" + field + b"\tx", 0, 0)[0])[1]
    assert found == expected and type(found) is type(expected)


@given(st.lists(st.text(st.characters(exclude_characters="\t\n", codec="utf-8")), min_size=1, max_size=45))
def test_any_line_becomes_a_json_list_of_its_fields(fields: List[str]) -> None:
    row = json.loads(encode_json("\t".join(fields).encode(), 0, 0)[0])
    assert len(row) == len(fields)
    for got, field in zip(row, fields):
        assert got == (field or None) or got == float(field)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (b"[1, 2]", "json"),
        (b"\n [1,\n 2]", "json"),
        (b"1\t2", "tsv"),
        (b"1\t2\n", "tsv"),
        (b"1\t2\r\n", "tsv"),
        (b"1\t2\n\n", "tsv"),
        (b"1\t2\n0\t3", "block"),
        (b"", "tsv"),
    ],
)
def test_messages_without_headers(value: bytes, form: str) -> None:
    info = describe(message(value))
    assert (info.format, info.rows, info.first_row, info.event_times.tolist()) == (form, None, -1, [77])


def test_a_message_without_any_time() -> None:
    assert describe(message(b"", timestamp_ms=-1)).event_times.tolist() == [-1]


GOOD = encode_block(b"a\nb\nc", 10, np.array([1, 2, 3]))[1]


@pytest.mark.parametrize(
    ("name", "header", "attribute", "expected"),
    [
        ("format", b"csv", "format", "block"),
        ("format", b"\xff", "format", "block"),
        ("format", b"tsv", "format", "block"),
        ("rows", b"4", "rows", None),
        ("rows", b"-3", "rows", None),
        ("rows", b"3 ", "rows", None),
        ("rows", b"9" * 5000, "rows", None),
        ("rows", "\u0663".encode(), "rows", None),
        ("first_row", b"", "first_row", -1),
        ("first_row", b"-5", "first_row", -1),
        ("first_row", b"9" * 19, "first_row", -1),
        ("event_times", b"", "event_times", [77]),
        ("event_times", GOOD["event_times"][:-1], "event_times", [77]),
        ("event_times", GOOD["event_times"][:16], "event_times", [77]),
        ("event_times", GOOD["event_times"] * 2, "event_times", [77]),
        ("event_times", np.array([1, -1, 3]).tobytes(), "event_times", [77]),
        ("event_times", np.array([1, 2**60, 3]).tobytes(), "event_times", [77]),
        ("event_times", GOOD["event_times"][:8], "event_times", [1]),
    ],
)
def test_a_wrong_header_counts_as_absent_and_the_others_stand(
    name: str, header: bytes, attribute: str, expected: object
) -> None:
    good = describe(message(b"a\nb\nc", GOOD))
    info = describe(message(b"a\nb\nc", {**GOOD, name: header}))
    for field in ("format", "rows", "first_row", "event_times"):
        wanted = expected if field == attribute else getattr(good, field)
        assert np.array_equal(getattr(info, field), wanted), field


@given(
    st.binary(max_size=200),
    st.dictionaries(
        st.sampled_from(["format", "rows", "first_row", "event_times", "other"]),
        st.one_of(
            st.binary(max_size=40), st.sampled_from([b"block", b"tsv", b"json", b"1", b"2", bytes(8), bytes(16)])
        ),
    ),
    st.integers(-(2**63), 2**63 - 1),
)
def test_nothing_in_a_message_makes_it_fail(value: bytes, headers: Dict[str, bytes], timestamp_ms: int) -> None:
    info = describe(message(value, headers, timestamp_ms))
    assert info.format in messages.FORMATS
    assert info.rows is None or info.rows == (messages.count_lines(value) if info.format == "block" else 1)
    assert info.first_row >= -1
    assert info.event_times.dtype == np.int64 and info.event_times.min() >= -1
    assert len(info.event_times) in (1, messages.count_lines(value))
