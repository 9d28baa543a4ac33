"""Parse JSON lists of fields straight from message bytes: plain numbers and strings without escapes, null and NaN."""

from __future__ import annotations

from typing import Tuple

import numpy as np
from numba import njit

from mindspore_rec.features.batch import Float32, Float64, Int64, UInt8, UInt32
from mindspore_rec.features.hashing import hash_span, hash_word
from mindspore_rec.features.number_scan import scan_number
from mindspore_rec.features.numeric import scale_quickly
from mindspore_rec.features.utf8_scan import is_utf8
from mindspore_rec.features.words import HIGHS, Whole, first_bytes, load_word, trailing_zeros, zero_bytes

_SPACE, _TAB, _NEWLINE, _RETURN = 32, 9, 10, 13
_QUOTE, _COMMA, _OPEN, _CLOSE = ord('"'), ord(","), ord("["), ord("]")
_QUOTES = np.uint64(0x2222222222222222)
_BACKSLASHES = np.uint64(0x5C5C5C5C5C5C5C5C)
_CONTROLS = np.uint64(0x2020202020202020)
_THREE = np.uint64(3)
_NULL = np.uint64(int.from_bytes(b"null", "little"))
_NAN = np.uint64(int.from_bytes(b"NaN", "little"))


@njit(cache=True, nogil=True, forceinline=True)
def _skip_space(buffer: UInt8, position: Whole) -> Whole:
    byte = buffer[position]
    while byte in (_SPACE, _TAB, _NEWLINE, _RETURN):
        position += 1
        byte = buffer[position]
    return position


@njit(cache=True, nogil=True, forceinline=True)
def _missing_size(word: np.uint64) -> int:
    """4 for ``null``, 3 for ``NaN``, else 0."""
    if first_bytes(word, 4) == _NULL:
        return 4
    if first_bytes(word, 3) == _NAN:
        return 3
    return 0


@njit(cache=True, nogil=True, forceinline=True)
def _plain_size(word: np.uint64) -> Whole:
    """Bytes before the first quote, backslash or control character, 8 if there is none."""
    controls = (word - _CONTROLS) & ~word & HIGHS
    ends = zero_bytes(word ^ _QUOTES) | zero_bytes(word ^ _BACKSLASHES) | controls
    return np.int64(trailing_zeros(ends) >> _THREE)


@njit(cache=True, nogil=True)
def _string_end(buffer: UInt8, start: Whole, end: Whole) -> Whole:
    """Position of the quote that ends a string, -1 where it holds anything but plain characters."""
    position = start
    while position < end:
        size = _plain_size(load_word(buffer, position))
        position += size
        if size < 8:
            break
    return position if position < end and buffer[position] == _QUOTE else np.int64(-1)


@njit(cache=True, nogil=True, forceinline=True)
def _parse_number(
    buffer: UInt8, position: Whole, kind: int, low: float, high: float, small: Float32
) -> Tuple[bool, np.float32, Whole]:
    """Whether a number value is plain, its weight, and the position after it. A string may hold the number."""
    quoted = buffer[position] == _QUOTE
    if quoted:
        position += 1
        if buffer[position] == _QUOTE:
            return True, np.float32(0.0), position + 1
    else:
        missing = _missing_size(load_word(buffer, position))
        if missing:
            return True, np.float32(0.0), position + missing
    plain, value, stop = scan_number(buffer, position, not quoted)
    if not plain or (quoted and buffer[stop] != _QUOTE):
        return False, np.float32(0.0), stop
    return True, scale_quickly(value, kind, low, high, small), stop + np.int64(quoted)


@njit(cache=True, nogil=True, forceinline=True)
def _parse_category(buffer: UInt8, position: Whole, end: Whole, seed: np.uint32) -> Tuple[bool, np.uint64, Whole]:
    """Whether a category value is plain, its hash, and the position after it."""
    if buffer[position] == _QUOTE:
        start = position + 1
        word = load_word(buffer, start)
        size = _plain_size(word)
        if buffer[start + size] == _QUOTE:
            return True, hash_word(first_bytes(word, size), size, seed), start + size + 1
        stop = _string_end(buffer, start, end)
        return stop >= 0, hash_span(buffer, start, max(stop - start, 0), seed), stop + 1
    missing = _missing_size(load_word(buffer, position))
    return missing > 0, hash_word(np.uint64(0), np.int64(0), seed), position + missing


@njit(cache=True, nogil=True, forceinline=True)
def _next_value(buffer: UInt8, position: Whole, separator: int) -> Whole:
    """Position of the value after the separator, -1 where there is another character."""
    position = _skip_space(buffer, position)
    return _skip_space(buffer, position + 1) if buffer[position] == separator else np.int64(-1)


@njit(cache=True, nogil=True, forceinline=True)
def parse_json(
    buffer: UInt8,
    start: Whole,
    end: Whole,
    seeds: UInt32,
    kind: int,
    low: Float64,
    high: Float64,
    small: Float32,
    ids: Int64,
    weights: Float32,
    labels: Float32,
    row: Whole,
) -> bool:
    """Parse the JSON list ``buffer[start:end]`` into a row; False where it gives up. Arguments as ``parse_line``.

    A list cut short runs on into the next message, which the last check finds out, or stops at the zeros after all.
    """
    if not is_utf8(buffer, start, end):
        return False
    position = _next_value(buffer, _skip_space(buffer, start), _OPEN)
    if position < 0:
        return False
    quoted = np.int64(buffer[position] == _QUOTE)
    plain, value, position = scan_number(buffer, position + quoted, True)
    if not plain or not (value == 0.0 or value == 1.0):
        return False
    if quoted and not (buffer[position] == _QUOTE and buffer[position - 2] == _QUOTE):  # one character: "0" or "1"
        return False
    position += quoted
    labels[row, 0] = 1.0 if value == 1.0 else 0.0  # not -0.0
    for field in range(len(low)):
        position = _next_value(buffer, position, _COMMA)
        if position < 0:
            return False
        plain, weight, position = _parse_number(buffer, position, kind, low[field], high[field], small)
        if not plain:
            return False
        weights[row, field] = weight
    for field in range(len(seeds)):
        position = _next_value(buffer, position, _COMMA)
        if position < 0:
            return False
        plain, hashed, position = _parse_category(buffer, position, end, seeds[field])
        if not plain:
            return False
        ids[row, len(low) + field] = np.int64(hashed)
    position = _skip_space(buffer, position)
    return buffer[position] == _CLOSE and _skip_space(buffer, position + 1) == end
