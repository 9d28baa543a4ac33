"""Parse lines of tab-separated fields straight from message bytes."""

from __future__ import annotations

from typing import Tuple

import numpy as np
from numba import njit

from mindspore_rec.features.batch import Float32, Float64, Int32, Int64, UInt8, UInt32
from mindspore_rec.features.hashing import hash_span, hash_word
from mindspore_rec.features.numeric import scale
from mindspore_rec.features.text_scan import find_byte, is_utf8, scan_number
from mindspore_rec.features.words import first_bytes, load_word, offset_of, repeat_byte

_TAB, _NEWLINE, _RETURN, _MINUS, _ZERO, _ONE = 9, 10, 13, ord("-"), ord("0"), ord("1")
_TABS = np.uint64(0x0909090909090909)
_NEWLINES = np.uint64(0x0A0A0A0A0A0A0A0A)
_ZEROS = np.uint64(0x3030303030303030)
_SIXES = np.uint64(0x0606060606060606)
_HIGH_HALVES = np.uint64(0xF0F0F0F0F0F0F0F0)
_PAIRS = np.uint64(0x000000FF000000FF)
_HUNDREDS = np.uint64(0x000F424000000064)  # 100 and 1000000 << 32
_THOUSANDS = np.uint64(0x0000271000000001)  # 1 and 10000 << 32
_TEN = np.uint64(10)
_FOUR, _EIGHT, _SIXTEEN, _THIRTY_TWO = np.uint64(4), np.uint64(8), np.uint64(16), np.uint64(32)


@njit(cache=True, nogil=True)
def split_lines(buffer: UInt8, offsets: Int64, newlines: int) -> Tuple[Int64, Int64, Int32, Int32, Int32]:
    """Where the lines of messages are.

    Args:
        buffer: uint8, k messages end to end.
        offsets: int64[k + 1] of the messages.
        newlines: newline bytes in the buffer.

    Returns:
        start int64[n], end int64[n], message int32[n], row int32[n], rows of each message int32[k].
    """
    messages = len(offsets) - 1
    starts = np.empty(newlines + messages, np.int64)
    ends = np.empty(newlines + messages, np.int64)
    message = np.empty(newlines + messages, np.int32)
    row = np.empty(newlines + messages, np.int32)
    counts = np.empty(messages, np.int32)
    total = 0
    for m in range(messages):
        position, end = offsets[m], offsets[m + 1]
        first = total
        while position < end:
            stop = find_byte(buffer, position, end, _NEWLINES)
            starts[total] = position
            ends[total] = stop - 1 if stop > position and buffer[stop - 1] == _RETURN else stop
            message[total] = m
            row[total] = total - first
            total += 1
            position = stop + 1
        while total > first and starts[total - 1] == ends[total - 1]:
            total -= 1
        counts[m] = total - first
    return starts[:total], ends[:total], message[:total], row[:total], counts


@njit(cache=True, nogil=True)
def _short_integer(word: np.uint64, size: np.int64) -> Tuple[bool, np.int64]:
    """The integer of 1 to 7 digits at the start of the word, and whether it is one. Eight digits at a time, no loop."""
    half = np.uint64(size) * _FOUR
    shift = _THIRTY_TWO - half
    digits = ((word << shift) << shift) | ((_ZEROS >> half) >> half)  # right-aligned, zeros in front
    valid = ((digits & _HIGH_HALVES) == _ZEROS) & (((digits + _SIXES) & _HIGH_HALVES) == _ZEROS)
    digits -= _ZEROS
    digits = digits * _TEN + (digits >> _EIGHT)
    digits = ((digits & _PAIRS) * _HUNDREDS + ((digits >> _SIXTEEN) & _PAIRS) * _THOUSANDS) >> _THIRTY_TWO
    return valid & (size > 0), np.int64(digits)


@njit(cache=True, nogil=True)
def _parse_number(
    buffer: UInt8, position: np.int64, end: np.int64, kind: int, low: float, high: float, small: Float32
) -> Tuple[bool, np.float32, np.int64]:
    """Whether a number field is plain, its weight, and the position of the tab after it."""
    word = load_word(buffer, position)
    size = offset_of(word, _TABS)
    if size == 0:
        return True, np.float32(0.0), position
    if size < 8:
        negative = buffer[position] == _MINUS
        sign = np.int64(negative)
        valid, integer = _short_integer(word >> np.uint64(8 * sign), size - sign)
        if valid:
            if not negative and integer < len(small):
                return True, small[integer], position + size
            value = -float(integer) if negative else float(integer)
            return True, scale(value, kind, low, high), position + size
    plain, value, stop = scan_number(buffer, position, False)
    if not plain or stop >= end or buffer[stop] != _TAB:
        return False, np.float32(0.0), stop
    return True, scale(value, kind, low, high), stop


@njit(cache=True, nogil=True)
def parse_line(
    buffer: UInt8,
    start: np.int64,
    end: np.int64,
    seeds: UInt32,
    kind: int,
    low: Float64,
    high: Float64,
    small: Float32,
    hashes: Int64,
    weights: Float32,
    label: Float32,
) -> bool:
    """Parse ``buffer[start:end]``; False where it gives up, with the outputs then undefined.

    Args:
        seeds: uint32[slot_dim].
        kind, low, high, small: see ``NumberScaling``.
        hashes: int64[slot_dim], filled with the hashes of the categories.
        weights: float32[num_fields], those of the numbers are filled.
        label: float32[1], filled.
    """
    if end - start < 2 or buffer[start + 1] != _TAB or not is_utf8(buffer, start, end):
        return False
    if buffer[start] != _ZERO and buffer[start] != _ONE:
        return False
    label[0] = np.float32(buffer[start] - _ZERO)
    position = start + 2
    for field in range(len(low)):
        plain, weight, position = _parse_number(buffer, position, end, kind, low[field], high[field], small)
        if not plain or position >= end:
            return False
        weights[field] = weight
        position += 1
    last = len(seeds) - 1
    for field in range(len(seeds)):
        word = load_word(buffer, position)
        size = min(offset_of(word, _TABS), end - position)
        stop = position + size
        if stop == end or buffer[stop] == _TAB:
            hashes[field] = np.int64(hash_word(first_bytes(word, size), size, seeds[field]))
        else:
            stop = find_byte(buffer, stop, end, _TABS)
            hashes[field] = np.int64(hash_span(buffer, position, stop - position, seeds[field]))
        if (stop == end) != (field == last):
            return False
        position = stop + 1
    return True
