"""Parse lines of tab-separated fields straight from message bytes."""

from __future__ import annotations

from typing import Tuple

import numpy as np
from numba import njit

from mindspore_rec.features.batch import Float32, Float64, Int32, Int64, UInt8, UInt32
from mindspore_rec.features.hashing import hash_span, hash_word
from mindspore_rec.features.number_scan import read_integers, scan_number
from mindspore_rec.features.numeric import LOG1P, MINMAX, scale, scale_quickly
from mindspore_rec.features.utf8_scan import is_utf8
from mindspore_rec.features.words import (
    Whole,
    count_ones,
    first_bits,
    first_bytes,
    load_word,
    match_block,
    trailing_zeros,
)

_TAB, _NEWLINE, _RETURN, _LABEL_0, _LABEL_1 = 9, 10, 13, ord("0"), ord("1")
_NO_BITS = np.uint64(0)
_ONE = np.uint64(1)


@njit(cache=True, nogil=True)
def _count_newlines(buffer: UInt8, end: Whole) -> Whole:
    count: Whole = 0
    for position in range(0, end, 64):
        count += np.int64(count_ones(first_bits(match_block(buffer, position, _NEWLINE), end - position)))
    return count


@njit(cache=True, nogil=True)
def has_blank_line(lines: UInt8) -> bool:
    """Whether a newline comes first or right after another."""
    blank = len(lines) > 0 and lines[0] == _NEWLINE
    for position in range(1, len(lines)):  # without a way out: for the compiler to vectorise
        blank |= (lines[position] == _NEWLINE) & (lines[position - 1] == _NEWLINE)
    return blank


@njit(cache=True, nogil=True)
def split_lines(buffer: UInt8, offsets: Int64) -> Tuple[Int64, Int64, Int32, Int32, Int32]:
    """Where the lines of messages are.

    Args:
        buffer: uint8, k messages end to end.
        offsets: int64[k + 1] of the messages.

    Returns:
        start int64[n], end int64[n], message int32[n], row int32[n], rows of each message int32[k].
    """
    messages = len(offsets) - 1
    most = messages + _count_newlines(buffer, offsets[messages])
    starts, ends, message = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int32)
    counts = np.empty(messages, np.int32)
    total = 0
    for m in range(messages):
        first, start, end = total, offsets[m], offsets[m + 1]
        for position in range(start, end, 64):
            found = first_bits(match_block(buffer, position, _NEWLINE), end - position)
            while found != _NO_BITS:
                stop = position + np.int64(trailing_zeros(found))
                starts[total], ends[total] = start, _without_return(buffer, start, stop)
                start = stop + 1
                total += 1
                found &= found - _ONE
        starts[total], ends[total] = start, _without_return(buffer, start, end)
        total += 1
        while total > first and starts[total - 1] == ends[total - 1]:
            total -= 1
        counts[m] = total - first
        message[first:total] = m
    row = np.empty(total, np.int32)
    for i in range(total):
        row[i] = 0 if i == 0 or message[i] != message[i - 1] else row[i - 1] + 1
    return starts[:total], ends[:total], message[:total], row, counts


@njit(cache=True, nogil=True)
def _without_return(buffer: UInt8, start: Whole, stop: Whole) -> Whole:
    """End of the line without the carriage return it may end with."""
    return stop - 1 if stop > start and buffer[stop - 1] == _RETURN else stop


@njit(cache=True, nogil=True, forceinline=True)
def split_line(buffer: UInt8, start: Whole, end: Whole, stops: Int64) -> bool:
    """Fill the end of each field of a line; False if there are more or fewer fields than ``stops`` holds."""
    last = len(stops) - 1
    count = 0
    for position in range(start, end, 64):
        found = first_bits(match_block(buffer, position, _TAB), end - position)
        while found != _NO_BITS:
            if count == last:
                return False
            stops[count] = position + np.int64(trailing_zeros(found))
            count += 1
            found &= found - _ONE
    stops[last] = end
    return count == last


@njit(cache=True, nogil=True, forceinline=True)
def _parse_numbers(
    buffer: UInt8,
    stops: Int64,
    kind: int,
    low: Float64,
    high: Float64,
    small: Float32,
    magnitudes: Int64,
    signs: Int64,
    weights: Float32,
    row: Whole,
) -> bool:
    """Fill the weights of the row's number fields; False where it gives up."""
    bits = read_integers(buffer, stops, magnitudes, signs)
    if bits < 0:
        return _parse_unusual_numbers(buffer, stops, kind, low, high, small, weights, row)
    if kind == LOG1P and bits < len(small):  # a power of two: no magnitude is above their bits together
        for field in range(len(low)):
            weights[row, field] = small[magnitudes[field]] * np.float32(signs[field])
        return True
    if kind == MINMAX:
        for field in range(len(low)):
            value = float(magnitudes[field]) * float(signs[field])
            weight = scale(value, MINMAX, low[field], high[field])
            weights[row, field] = weight if stops[field + 1] - stops[field] > 1 else np.float32(0.0)
        return True
    for field in range(len(low)):
        weights[row, field] = scale(float(magnitudes[field]) * float(signs[field]), LOG1P, 0.0, 0.0)
    return True


@njit(cache=True, nogil=True)
def _parse_unusual_numbers(
    buffer: UInt8, stops: Int64, kind: int, low: Float64, high: Float64, small: Float32, weights: Float32, row: Whole
) -> bool:
    """``_parse_numbers`` one field after the other."""
    for field in range(len(low)):
        start, stop = stops[field] + 1, stops[field + 1]
        if start == stop:
            weights[row, field] = 0.0
            continue
        plain, value, position = scan_number(buffer, start, False)
        if not plain or position != stop:
            return False
        weights[row, field] = scale_quickly(value, kind, low[field], high[field], small)
    return True


@njit(cache=True, nogil=True)
def _hash_categories(buffer: UInt8, stops: Int64, seeds: UInt32, ids: Int64, row: Whole) -> None:
    """Fill in the hashes of the row's category fields, those of up to 8 bytes in a loop the compiler vectorises."""
    dense_dim = ids.shape[1] - len(seeds)
    longest = np.int64(0)
    for field in range(len(seeds)):
        first = stops[dense_dim + field] + 1
        size = stops[dense_dim + field + 1] - first
        word = first_bytes(load_word(buffer, first), min(size, 8))
        ids[row, dense_dim + field] = np.int64(hash_word(word, size, seeds[field]))
        longest = max(longest, size)
    if longest <= 8:
        return
    for field in range(len(seeds)):
        first = stops[dense_dim + field] + 1
        size = stops[dense_dim + field + 1] - first
        if size > 8:
            ids[row, dense_dim + field] = np.int64(hash_span(buffer, first, size, seeds[field]))


@njit(cache=True, nogil=True, forceinline=True)
def parse_line(
    buffer: UInt8,
    start: Whole,
    end: Whole,
    seeds: UInt32,
    kind: int,
    low: Float64,
    high: Float64,
    small: Float32,
    stops: Int64,
    magnitudes: Int64,
    signs: Int64,
    ids: Int64,
    weights: Float32,
    labels: Float32,
    row: Whole,
) -> bool:
    """Parse ``buffer[start:end]`` into a row of the outputs; False where it gives up, the row is then undefined.

    Args:
        seeds: uint32[slot_dim].
        kind, low, high, small: see ``NumberScaling``.
        stops, magnitudes, signs: int64[num_columns], [dense_dim] and [dense_dim] of scratch.
        ids: int64[n, num_fields], the hashes of the row's categories are filled in.
        weights: float32[n, num_fields], those of its numbers are filled in.
        labels: float32[n, 1], filled in.
        row: which row.
    """
    if not split_line(buffer, start, end, stops) or not is_utf8(buffer, start, end):
        return False
    if stops[0] != start + 1 or not (buffer[start] == _LABEL_0 or buffer[start] == _LABEL_1):
        return False
    labels[row, 0] = np.float32(buffer[start] - _LABEL_0)
    if not _parse_numbers(buffer, stops, kind, low, high, small, magnitudes, signs, weights, row):
        return False
    dense_dim = len(low)
    for field in range(len(seeds)):
        first = stops[dense_dim + field] + 1
        size = stops[dense_dim + field + 1] - first
        if size <= 8:
            hashed = hash_word(first_bytes(load_word(buffer, first), size), size, seeds[field])
        else:
            hashed = hash_span(buffer, first, size, seeds[field])
        ids[row, dense_dim + field] = np.int64(hashed)
    return True
