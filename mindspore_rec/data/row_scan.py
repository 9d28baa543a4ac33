"""Raw lines to numbers and hashed category values, for statistics: what is counted is what the features will look up.

A row is kept or rejected by the rules of ``docs/feature_spec.md``; rows the fast scan gives up go to the row-by-row
definition in ``features/reference.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple

import numpy as np
from numba import njit

from mindspore_rec.features.batch import KEPT, UNUSUAL, Float64, Int64, UInt8, UInt32, UInt64
from mindspore_rec.features.dictionary import dictionary_seeds
from mindspore_rec.features.hashing import hash_span, hash_values, hash_word, join_values
from mindspore_rec.features.line_scan import split_line, split_lines
from mindspore_rec.features.number_scan import read_integers, scan_number
from mindspore_rec.features.reference import RowRejected, parse_row
from mindspore_rec.features.spec import FeatureSpec
from mindspore_rec.features.utf8_scan import is_utf8
from mindspore_rec.features.words import Whole, first_bytes, load_word

_LABEL_0, _LABEL_1 = ord("0"), ord("1")
_SIZE_BITS = np.uint64(24)  # a line has less than 2**24 bytes
_SIZE_MASK = np.uint64((1 << 24) - 1)


@dataclass(frozen=True, eq=False)
class ScannedRows:
    """n kept rows of a chunk of lines.

    Attributes:
        buffer: uint8, the lines.
        labels: uint8[n], 0 or 1.
        numbers: float64[n, dense_dim], NaN where missing.
        low: float64[dense_dim], smallest number of each field; infinity where there is none.
        high: float64[dense_dim], largest; minus infinity where there is none.
        missing: int64[dense_dim], rows without a number.
        hashes: uint64[slot_dim, n], of each value, as the dictionaries' tables hash it.
        spans: uint64[slot_dim, n], where in the buffer the value is: start << 24 | size.
        rejects: (row of the chunk, its index into ``REASONS``, its bytes) of each reject.
        rows: kept and rejected.
    """

    buffer: UInt8
    labels: UInt8
    numbers: Float64
    low: Float64
    high: Float64
    missing: Int64
    hashes: UInt64
    spans: UInt64
    rejects: List[Tuple[int, int, bytes]]
    rows: int


@njit(cache=True, nogil=True)
def span_start(span: np.uint64) -> np.int64:
    """First byte of a value."""
    return np.int64(span >> _SIZE_BITS)


@njit(cache=True, nogil=True)
def span_size(span: np.uint64) -> np.int64:
    """Bytes of a value."""
    return np.int64(span & _SIZE_MASK)


@njit(cache=True, nogil=True)
def _scan_numbers(
    buffer: UInt8, stops: Int64, magnitudes: Int64, signs: Int64, numbers: Float64, row: Whole
) -> bool:
    """Fill a row of numbers; False where it gives up."""
    if read_integers(buffer, stops[: len(magnitudes) + 1], magnitudes, signs) >= 0:
        for field in range(len(magnitudes)):
            missing = stops[field + 1] - stops[field] == 1
            numbers[row, field] = np.nan if missing else float(magnitudes[field]) * float(signs[field])
        return True
    for field in range(len(magnitudes)):
        first, stop = stops[field] + 1, stops[field + 1]
        if first == stop:
            numbers[row, field] = np.nan
            continue
        read, value, position = scan_number(buffer, first, False)
        if not read or position != stop:
            return False
        numbers[row, field] = value
    return True


@njit(cache=True, nogil=True)
def _scan(
    buffer: UInt8,
    starts: Int64,
    ends: Int64,
    seeds: UInt32,
    labels: UInt8,
    numbers: Float64,
    hashes: UInt64,
    spans: UInt64,
    status: UInt8,
) -> None:
    dense_dim = numbers.shape[1]
    stops = np.empty(1 + dense_dim + len(seeds), np.int64)
    magnitudes, signs = np.empty(dense_dim, np.int64), np.empty(dense_dim, np.int64)
    for r in range(len(starts)):
        start, end = starts[r], ends[r]
        status[r] = UNUSUAL
        if not split_line(buffer, start, end, stops) or not is_utf8(buffer, start, end):
            continue
        if stops[0] != start + 1 or not (buffer[start] == _LABEL_0 or buffer[start] == _LABEL_1):
            continue
        labels[r] = buffer[start] - _LABEL_0
        if not _scan_numbers(buffer, stops, magnitudes, signs, numbers, r):
            continue
        for field in range(len(seeds)):
            first = stops[dense_dim + field] + 1
            size = stops[dense_dim + field + 1] - first
            if size <= 8:
                hashes[field, r] = hash_word(first_bytes(load_word(buffer, first), size), size, seeds[field])
            else:
                hashes[field, r] = hash_span(buffer, first, size, seeds[field])
            spans[field, r] = (np.uint64(first) << _SIZE_BITS) | np.uint64(size)
        status[r] = KEPT


@njit(cache=True, nogil=True)
def _bounds(numbers: Float64) -> Tuple[Float64, Float64, Int64]:
    fields = numbers.shape[1]
    low, high, missing = np.full(fields, np.inf), np.full(fields, -np.inf), np.zeros(fields, np.int64)
    for r in range(len(numbers)):
        for k in range(fields):
            value = numbers[r, k] + 0.0  # no negative zero
            if value != value:
                missing[k] += 1
            else:
                low[k], high[k] = min(low[k], value), max(high[k], value)
    return low, high, missing


def scan_rows(lines: bytes, spec: FeatureSpec) -> ScannedRows:
    r"""Scan whole lines.

    Args:
        lines: each ended by a newline, none blank, each below 2**24 bytes.
        spec: says how many columns a row has.

    Example:
        >>> rows = scan_rows(b"1\t5\tred\n2\t\tblue\n0\t\t\n", FeatureSpec(dense_dim=1, slot_dim=1))
        >>> rows.labels.tolist(), rows.numbers[:, 0].tolist(), rows.rejects
        ([1, 0], [5.0, nan], [(1, 1, b'2\t\tblue')])
    """
    buffer, offsets = join_values([lines])
    starts, ends = split_lines(buffer, offsets)[:2]
    count, seeds = len(starts), dictionary_seeds(spec.slot_dim)
    labels, status = np.empty(count, np.uint8), np.empty(count, np.uint8)
    numbers = np.empty((count, spec.dense_dim), np.float64)
    hashes, spans = np.empty((spec.slot_dim, count), np.uint64), np.empty((spec.slot_dim, count), np.uint64)
    _scan(buffer, starts, ends, seeds, labels, numbers, hashes, spans, status)
    rejects = []
    for r in map(int, np.flatnonzero(status == UNUSUAL)):
        line = lines[starts[r] : ends[r]]
        try:
            parsed = parse_row(line, "block", spec)
        except RowRejected as rejected:
            rejects.append((r, rejected.reason, line))
            continue
        status[r], labels[r], numbers[r] = KEPT, parsed.label, parsed.numbers
        hashes[:, r] = hash_values(parsed.categories, seeds)
        sizes = np.array([len(value) for value in parsed.categories], np.uint64)
        first = ends[r] - np.cumsum(sizes[::-1] + np.uint64(1)).astype(np.int64)[::-1] + 1
        spans[:, r] = (first.astype(np.uint64) << _SIZE_BITS) | sizes
    if rejects:
        kept = status == KEPT
        labels, numbers = labels[kept], numbers[kept]
        hashes, spans = hashes.compress(kept, axis=1), spans.compress(kept, axis=1)  # a field's still side by side
    return ScannedRows(buffer, labels, numbers, *_bounds(numbers), hashes, spans, rejects, count)
