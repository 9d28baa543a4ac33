"""What a message holds: one row or a block of rows, and headers that say which rows and from when.

The formats and headers are described on one page, ``docs/message_formats.md``. This module builds messages from raw
Criteo lines and reads the headers of any message, its own or another program's. Headers come from outside: each is
checked by itself, and one that is missing, damaged or contradicted by the value counts as not there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Callable, Dict, Mapping, Optional, Tuple

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Encoded = Tuple[bytes, Dict[str, bytes]]

FORMATS = ("block", "tsv", "json")
FORMAT_HEADER = "format"
ROWS_HEADER = "rows"
FIRST_ROW_HEADER = "first_row"
EVENT_TIMES_HEADER = "event_times"

MAX_ROWS = 1_000_000
"""Rows a message may state; a larger count is taken as damaged."""
MAX_EVENT_TIME = 253_402_300_799_999
"""Last millisecond of the year 9999; event times lie between 0 and this."""
NUMBER_FIELDS = 14
"""The label and I1 to I13: numbers in a JSON message. The fields after them are strings."""

_DECIMAL = re.compile(rb"[0-9]{1,18}")
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_JSON_START = re.compile(rb"\s*\[")


@dataclass(frozen=True)
class Message:
    """One message of a partition, as the log holds it.

    ``timestamp_ms`` is Kafka's timestamp (-1: none). A header that occurs twice keeps its last value.
    """

    partition: int
    offset: int
    timestamp_ms: int
    headers: Mapping[str, bytes]
    value: bytes


@dataclass(frozen=True)
class MessageInfo:
    """What the headers say about a message, or what its value shows where they say nothing.

    Attributes:
        format: ``block``, ``tsv`` or ``json``.
        rows: the row count the header states; None where it is not stated or does not match the value.
        first_row: number of the first row in its source, counted from 0; -1: unknown.
        event_times: int64 milliseconds since 1970; one for each row of a block, or a single one for every row.
            Without a usable header it is Kafka's timestamp, -1 where there is none.
    """

    format: str
    rows: Optional[int]
    first_row: int
    event_times: Int64s


def count_lines(value: bytes) -> int:
    r"""Rows of a block: its lines; blank ones at the very end do not count.

    >>> count_lines(b"a\nb"), count_lines(b"a\nb\r\n\n"), count_lines(b"a\n\nb"), count_lines(b"")
    (2, 2, 3, 0)
    """
    text = value.rstrip(b"\r\n")
    return text.count(b"\n") + 1 if text else 0


def detect_format(value: bytes) -> str:
    r"""The format of a value without headers: a JSON list, several lines, or one line.

    >>> detect_format(b' [1, null, "a"]'), detect_format(b"1\t2\n0\t3"), detect_format(b"1\t2\n")
    ('json', 'block', 'tsv')
    """
    if _JSON_START.match(value):
        return "json"
    return "block" if count_lines(value) > 1 else "tsv"


def describe(message: Message) -> MessageInfo:
    """What ``message`` holds. Never raises, whatever the headers are."""
    headers = message.headers
    stated = headers.get(FORMAT_HEADER, b"")
    form = stated.decode("ascii", "replace")
    if form not in FORMATS or (form == "tsv" and count_lines(message.value) > 1):
        form = detect_format(message.value)
    actual = count_lines(message.value) if form == "block" else 1
    rows = _decimal(headers.get(ROWS_HEADER))
    event_times = _event_times(headers.get(EVENT_TIMES_HEADER), actual)
    if event_times is None:
        event_times = np.array([max(message.timestamp_ms, -1)], np.int64)
    return MessageInfo(
        format=form,
        rows=rows if rows == actual and actual <= MAX_ROWS else None,
        first_row=-1 if (first := _decimal(headers.get(FIRST_ROW_HEADER))) is None else first,
        event_times=event_times,
    )


def encode_block(lines: bytes, first_row: int, event_times: Int64s) -> Encoded:
    r"""A block message of newline-separated raw lines.

    Args:
        lines: raw lines, each but the last ended by a newline; a newline at the end is dropped.
        first_row: number of the first line in its source.
        event_times: int64 [rows], milliseconds, one for each line.

    Returns:
        Value and headers. Raises ValueError where there are not as many times as lines, blank ones at the end left out.

    >>> value, headers = encode_block(b"1\t2\n0\t3\n", 1000, np.array([5, 6]))
    >>> value, headers["rows"], headers["first_row"], len(headers["event_times"])
    (b'1\t2\n0\t3', b'2', b'1000', 16)
    """
    rows = count_lines(lines)
    if event_times.shape != (rows,):
        raise ValueError(f"event_times: expected one for each of {rows} rows, got shape {event_times.shape}")
    return (lines[:-1] if lines.endswith(b"\n") else lines), _headers("block", rows, first_row, event_times)


def encode_tsv(line: bytes, first_row: int, event_time: int) -> Encoded:
    """A message of one raw line, without its newline."""
    return line, _headers("tsv", 1, first_row, np.array([event_time], np.int64))


def encode_json(line: bytes, first_row: int, event_time: int) -> Encoded:
    r"""A message of one row as a JSON list: numbers as numbers, categories as strings, null where a field is blank.

    A number field that is no number stays the string it was and bytes that are no UTF-8 become lone surrogates, so the
    reader rejects the row as it would have rejected the line.

    >>> encode_json(b"\t".join([b"1", b"-2", b""] + [b"0"] * 11 + [b"05db9164", b""]), 0, 0)[0]
    b'[1, -2, null, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "05db9164", null]'
    """
    fields = line.decode("utf-8", "surrogateescape").split("\t")
    tokens = [_json_number(field) for field in fields[:NUMBER_FIELDS]]
    tokens += ["null" if field == "" else json.dumps(field) for field in fields[NUMBER_FIELDS:]]
    value = ("[" + ", ".join(tokens) + "]").encode("ascii")
    return value, _headers("json", 1, first_row, np.array([event_time], np.int64))


RowEncoder = Callable[[bytes, int, int], Encoded]
ROW_ENCODERS: Dict[str, RowEncoder] = {"tsv": encode_tsv, "json": encode_json}
"""Encoders of the formats that hold one row: (line, source row, event time in ms) to value and headers."""


def _headers(form: str, rows: int, first_row: int, event_times: Int64s) -> Dict[str, bytes]:
    return {
        FORMAT_HEADER: form.encode("ascii"),
        ROWS_HEADER: b"%d" % rows,
        FIRST_ROW_HEADER: b"%d" % first_row,
        EVENT_TIMES_HEADER: event_times.astype("<i8").tobytes(),
    }


def _decimal(header: Optional[bytes]) -> Optional[int]:
    return int(header) if header is not None and _DECIMAL.fullmatch(header) else None


def _event_times(header: Optional[bytes], rows: int) -> Optional[Int64s]:
    """The times a header packs; None where they are neither one nor ``rows``, or lie outside of the calendar."""
    if not header or len(header) % 8 or len(header) // 8 not in (1, rows):
        return None
    times = np.frombuffer(header, "<i8").astype(np.int64)
    return times if times.min() >= 0 and times.max() <= MAX_EVENT_TIME else None


def _json_number(field: str) -> str:
    if field == "":
        return "null"
    return field if _JSON_NUMBER.fullmatch(field) else json.dumps(field)
