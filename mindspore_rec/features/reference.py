"""The definition of the row formats, one row at a time in plain Python. The fast engines hand every unusual row to it.

A check fails in this order: UTF-8, JSON, number of columns, label, then the fields from left to right.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from mindspore_rec.features.batch import (
    COLUMNS,
    JSON,
    KEPT,
    LABEL,
    NON_FINITE,
    NUMBER,
    REASONS,
    UTF_8,
    Features,
    Float32,
    Int32,
    Int64,
    Rows,
)
from mindspore_rec.features.encoding import Encoding
from mindspore_rec.features.spec import FeatureSpec

FORMATS = ("block", "tsv", "json")

_NUMBER = re.compile(rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(rb"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_LABELS = {b"0": 0.0, b"1": 1.0}


class RowRejected(ValueError):  # noqa: N818
    """A row that breaks the format.

    Attributes:
        reason: index into ``REASONS``.
    """

    def __init__(self, reason: int) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason


@dataclass(frozen=True)
class ParsedRow:
    """A row taken apart: label 0.0 or 1.0, numbers (NaN: missing), category values (empty: missing)."""

    label: float
    numbers: List[float]
    categories: List[bytes]


class _Written(str):
    """A JSON number, as its text."""

    __slots__ = ()


def _constant(name: str) -> Optional[_Written]:
    return None if name == "NaN" else _Written(name)


_JSON = json.JSONDecoder(parse_int=_Written, parse_float=_Written, parse_constant=_constant)


def check_format(format: str) -> None:
    """ValueError unless the message format is one of ``FORMATS``."""
    if format not in FORMATS:
        raise ValueError(f"format: {format!r}, expected one of {', '.join(FORMATS)}")


def split_rows(message: bytes, format: str) -> List[bytes]:
    r"""Rows of a message: the message itself for json; else its lines, which end with ``\n`` or ``\r\n``.

    Empty lines at the end are no rows.

    Example:
        >>> split_rows(b"a\n\nb\r\n", "block")
        [b'a', b'', b'b']
    """
    if format == "json":
        return [message]
    lines = [line[:-1] if line.endswith(b"\r") else line for line in message.split(b"\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def parse_number(text: Optional[bytes]) -> float:
    """The number a field holds, NaN for an empty one. RowRejected: no number, or not a finite one.

    Example:
        >>> parse_number(b"-2"), parse_number(b"1.5e3"), parse_number(b"")
        (-2.0, 1500.0, nan)
    """
    if text == b"":
        return math.nan
    if text is None:
        raise RowRejected(NUMBER)
    if not _NUMBER.fullmatch(text):
        raise RowRejected(NON_FINITE if _NOT_FINITE.fullmatch(text) else NUMBER)
    value = float(text)
    if math.isinf(value):
        raise RowRejected(NON_FINITE)
    return value


def _json_field(value: Any) -> Optional[bytes]:
    """Text of a JSON value; empty for null and NaN; None for true, false, lists and objects."""
    if value is None:
        return b""
    return value.encode() if isinstance(value, str) else None


def _json_label(value: Any) -> Optional[bytes]:
    """As ``_json_field``, numbers equal to 0 or 1 in their shortest form."""
    if isinstance(value, _Written):
        number = float(value)
        return b"0" if number == 0 else b"1" if number == 1 else None
    return _json_field(value)


def _json_fields(text: str, num_columns: int) -> List[Optional[bytes]]:
    try:
        values = _JSON.decode(text)
    except (ValueError, RecursionError):
        raise RowRejected(JSON) from None
    if not isinstance(values, list):
        raise RowRejected(JSON)
    if len(values) != num_columns:
        raise RowRejected(COLUMNS)
    try:
        return [_json_label(values[0]), *map(_json_field, values[1:])]
    except UnicodeEncodeError:  # an escaped half of a surrogate pair
        raise RowRejected(UTF_8) from None


def split_fields(row: bytes, format: str, num_columns: int) -> List[Optional[bytes]]:
    """Exactly ``num_columns`` texts, the label first; None for a JSON value that has no text. Else RowRejected."""
    try:
        text = row.decode("utf-8")
    except UnicodeDecodeError:
        raise RowRejected(UTF_8) from None
    if format == "json":
        return _json_fields(text, num_columns)
    fields: List[Optional[bytes]] = [*row.split(b"\t")]
    if len(fields) != num_columns:
        raise RowRejected(COLUMNS)
    return fields


def parse_label(text: Optional[bytes]) -> float:
    """0.0 or 1.0, else RowRejected."""
    try:
        return _LABELS[text]  # type: ignore[index]
    except KeyError:
        raise RowRejected(LABEL) from None


def parse_category(text: Optional[bytes]) -> bytes:
    """The value; RowRejected if a JSON value has no text."""
    if text is None:
        raise RowRejected(JSON)
    return text


def parse_row(row: bytes, format: str, spec: FeatureSpec) -> ParsedRow:
    """Take one row apart; RowRejected if it breaks the format."""
    fields = split_fields(row, format, spec.num_columns)
    first_category = 1 + spec.dense_dim
    return ParsedRow(
        parse_label(fields[0]),
        [parse_number(text) for text in fields[1:first_category]],
        [parse_category(text) for text in fields[first_category:]],
    )


class ReferenceEngine:
    """Feature engine that goes row by row: the definition, and what the others are tested against."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding

    @property
    def spec(self) -> FeatureSpec:
        """What decides ids and weights."""
        return self._encoding.spec

    def ids_of_fields(self, fields: Sequence[str]) -> Tuple[Int64, Float32]:
        """int64[F] ids and float32[F] weights of one row's texts, numbers first, without the label.

        An empty text is a missing value.

        Raises:
            RowRejected: the texts are not ``num_fields`` many, or one breaks the format.
        """
        if len(fields) != self.spec.num_fields:
            raise RowRejected(COLUMNS)
        try:
            encoded = [text.encode() for text in fields]
        except UnicodeEncodeError:
            raise RowRejected(UTF_8) from None
        numbers = [parse_number(text) for text in encoded[: self.spec.dense_dim]]
        return self._encode(numbers, encoded[self.spec.dense_dim :])

    def transform(self, messages: Sequence[bytes], format: str) -> Features:
        """Rows of the messages as arrays; see ``FeatureEngine``."""
        check_format(format)
        per_message = [split_rows(message, format) for message in messages]
        rows = [row for rows in per_message for row in rows]
        table = self._allocate([len(rows) for rows in per_message])
        for i, row in enumerate(rows):
            self._transform_row(row, format, table, i)
        return table.features()

    def _encode(self, numbers: List[float], categories: List[bytes]) -> Tuple[Int64, Float32]:
        return self._encoding.row_ids(categories), self._encoding.row_weights(np.array(numbers, np.float64))

    def _allocate(self, rows_per_message: Sequence[int]) -> Rows:
        """Unfilled arrays for so many rows of each message."""
        counts = np.array(rows_per_message, np.int32)
        starts = np.cumsum(counts) - counts
        row = (np.arange(counts.sum()) - np.repeat(starts, counts)).astype(np.int32)
        return self._empty(np.repeat(np.arange(len(counts), dtype=np.int32), counts), row, counts)

    def _empty(self, message: Int32, row: Int32, rows_per_message: Int32) -> Rows:
        """Unfilled arrays for these rows."""
        shape = (len(row), self.spec.num_fields)
        return Rows(
            np.empty(shape, np.int64),
            np.empty(shape, np.float32),
            np.empty((len(row), 1), np.float32),
            np.full(len(row), KEPT, np.uint8),
            message,
            row,
            rows_per_message,
        )

    def _transform_row(self, row: bytes, format: str, rows: Rows, i: int) -> None:
        """Fill row i of the arrays, or its status with the reason why not."""
        try:
            parsed = parse_row(row, format, self.spec)
        except RowRejected as rejected:
            rows.status[i] = rejected.reason
            return
        rows.ids[i], rows.weights[i] = self._encode(parsed.numbers, parsed.categories)
        rows.labels[i] = parsed.label
        rows.status[i] = KEPT
