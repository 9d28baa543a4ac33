"""Scanning of bytes: find a byte, check UTF-8, read a number. The pieces of the line and JSON parsers.

Scanners that give up say so; the row then goes to the row-by-row definition, so none of them decides that a row is bad.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np
from numba import njit

from mindspore_rec.features.batch import UInt8
from mindspore_rec.features.words import HIGHS, load_word, offset_of

_PLUS, _MINUS, _POINT, _ZERO, _NINE = ord("+"), ord("-"), ord("."), ord("0"), ord("9")
_SMALL_E, _LARGE_E = ord("e"), ord("E")
_MAX_DIGITS = 18
_MAX_EXACT = 1 << 53
_MAX_POWER = 22
_POWERS = 10.0 ** np.arange(_MAX_POWER + 1)  # exact in float64


@njit(cache=True, nogil=True)
def find_byte(buffer: UInt8, start: np.int64, end: np.int64, pattern: np.uint64) -> np.int64:
    """Position of the first byte equal to the repeated byte ``pattern``, or ``end``."""
    position = start
    while position < end:
        offset = offset_of(load_word(buffer, position), pattern)
        position += offset
        if offset < 8:
            break
    return min(position, end)


@njit(cache=True, nogil=True)
def is_ascii(buffer: UInt8, start: np.int64, end: np.int64) -> bool:
    """Whether no byte is above 127."""
    position = start
    seen = np.uint64(0)
    while position + 8 <= end:
        seen |= load_word(buffer, position)
        position += 8
    while position < end:
        seen |= np.uint64(buffer[position])
        position += 1
    return (seen & HIGHS) == np.uint64(0)


@njit(cache=True, nogil=True)
def _sequence_size(buffer: UInt8, position: np.int64) -> int:
    """Bytes of the UTF-8 sequence that starts here, 0 if none can (RFC 3629, table in section 4)."""
    lead, second = buffer[position], buffer[position + 1]
    if lead < 0x80:
        return 1
    if second & 0xC0 != 0x80:
        return 0
    if 0xC2 <= lead <= 0xDF:
        return 2
    if 0xE0 <= lead <= 0xEF:
        overlong = lead == 0xE0 and second < 0xA0
        surrogate = lead == 0xED and second > 0x9F
        return 0 if overlong or surrogate else 3
    if 0xF0 <= lead <= 0xF4:
        overlong = lead == 0xF0 and second < 0x90
        too_large = lead == 0xF4 and second > 0x8F
        return 0 if overlong or too_large else 4
    return 0


@njit(cache=True, nogil=True)
def is_utf8(buffer: UInt8, start: np.int64, end: np.int64) -> bool:
    """Whether the bytes are valid UTF-8."""
    if is_ascii(buffer, start, end):
        return True
    position = start
    while position < end:
        size = _sequence_size(buffer, position)
        if size == 0 or position + size > end:
            return False
        for i in range(2, size):
            if buffer[position + i] & 0xC0 != 0x80:
                return False
        position += size
    return True


@njit(cache=True, nogil=True)
def _is_digit(byte: np.uint8) -> bool:
    return _ZERO <= byte <= _NINE


@njit(cache=True, nogil=True)
def _scan_exponent(buffer: UInt8, position: np.int64) -> Tuple[np.int64, int]:
    """Position after an ``e`` and its digits, and the exponent, which is above _MAX_POWER where it gives up."""
    position += 1
    negative = buffer[position] == _MINUS
    if negative or buffer[position] == _PLUS:
        position += 1
    start = position
    exponent = 0
    while _is_digit(buffer[position]) and position - start < 3:
        exponent = exponent * 10 + buffer[position] - _ZERO
        position += 1
    if position == start or _is_digit(buffer[position]):
        return position, 10000
    return position, -exponent if negative else exponent


@njit(cache=True, nogil=True)
def scan_number(buffer: UInt8, start: np.int64, strict: bool) -> Tuple[bool, float, np.int64]:
    """Read a decimal number: whether it did, the number, the position after it.

    It does only where the result is exact in one float64 operation (Clinger 1990): the digits below 2**53 and the power
    of ten at most 22. ``strict``: JSON's grammar, which has no ``+5``, ``05``, ``.5`` and ``5.``.
    """
    position = start
    negative = buffer[position] == _MINUS
    if negative or (buffer[position] == _PLUS and not strict):
        position += 1
    first = position
    digits = np.int64(0)
    while _is_digit(buffer[position]) and position - first <= _MAX_DIGITS:
        digits = digits * 10 + np.int64(buffer[position] - _ZERO)
        position += 1
    count = position - first
    if strict and (count == 0 or (count > 1 and buffer[first] == _ZERO)):
        return False, 0.0, position
    power = 0
    if buffer[position] == _POINT:
        position += 1
        point = position
        while _is_digit(buffer[position]) and count <= _MAX_DIGITS:
            digits = digits * 10 + np.int64(buffer[position] - _ZERO)
            count += 1
            position += 1
        power = point - position
        if strict and power == 0:
            return False, 0.0, position
    if count == 0 or count > _MAX_DIGITS or digits >= _MAX_EXACT:
        return False, 0.0, position
    if buffer[position] == _SMALL_E or buffer[position] == _LARGE_E:
        position, exponent = _scan_exponent(buffer, position)
        power += exponent
    if power > _MAX_POWER or power < -_MAX_POWER:
        return False, 0.0, position
    value = float(digits)
    value = value * _POWERS[power] if power >= 0 else value / _POWERS[-power]
    return True, -value if negative else value, position
