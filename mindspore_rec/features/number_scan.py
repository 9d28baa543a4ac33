"""Read decimal numbers from bytes, exactly or not at all.

A reader that gives up says so; the row then goes to the row-by-row definition, so none decides that a row is bad.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np
from numba import njit

from mindspore_rec.features.batch import Int64, UInt8
from mindspore_rec.features.words import HIGHS, Whole, load_word, trailing_zeros

_PLUS, _MINUS, _POINT, _ZERO, _NINE = ord("+"), ord("-"), ord("."), ord("0"), ord("9")
_SMALL_E, _LARGE_E = ord("e"), ord("E")
_MAX_DIGITS = 18
_MAX_EXACT = 1 << 53
_MAX_POWER = 22
_POWERS = 10.0 ** np.arange(_MAX_POWER + 1)  # exact in float64

_BYTE = np.uint64(0xFF)
_MINUS_BYTE = np.uint64(_MINUS)
_ZEROS = np.uint64(0x3030303030303030)
_SIXES = np.uint64(0x0606060606060606)
_HIGH_HALVES = np.uint64(0xF0F0F0F0F0F0F0F0)
_PAIRS = np.uint64(0x000000FF000000FF)
_HUNDREDS = np.uint64(0x000F424000000064)  # 100 and 1000000 << 32
_THOUSANDS = np.uint64(0x0000271000000001)  # 1 and 10000 << 32
_LOW_BITS = np.uint64(0x7F7F7F7F7F7F7F7F)
_TO_HIGH_BIT = np.uint64(0x7676767676767676)  # carries 10 and above into the high bit
_TEN = np.uint64(10)
_THREE = np.uint64(3)
_TENS = np.uint64(10) ** np.arange(9, dtype=np.uint64)
_TEN_TO_EIGHT = np.uint64(10**8)
_TEN_TO_NINETEEN = np.uint64(10**19)
_FOUR, _EIGHT, _SIXTEEN, _THIRTY_TWO = np.uint64(4), np.uint64(8), np.uint64(16), np.uint64(32)


@njit(cache=True, nogil=True)
def _short_integer(word: np.uint64, size: Whole) -> Tuple[np.bool_, Whole]:
    """The integer of 0 to 8 digits at the start of the word, and whether it is one. All digits at once, no loop."""
    half = np.uint64(size) * _FOUR
    shift = _THIRTY_TWO - half
    digits = ((word << shift) << shift) | ((_ZEROS >> half) >> half)  # right-aligned, zeros in front
    valid = ((digits & _HIGH_HALVES) == _ZEROS) & (((digits + _SIXES) & _HIGH_HALVES) == _ZEROS)
    digits -= _ZEROS
    digits = digits * _TEN + (digits >> _EIGHT)
    digits = ((digits & _PAIRS) * _HUNDREDS + ((digits >> _SIXTEEN) & _PAIRS) * _THOUSANDS) >> _THIRTY_TWO
    return valid, np.int64(digits)


@njit(cache=True, nogil=True)
def read_integers(buffer: UInt8, stops: Int64, magnitudes: Int64, signs: Int64) -> Whole:
    """Read number fields that are all empty or integers of up to 8 characters; an empty one reads as 0.

    Written without branches, which these fields would make unpredictable, and for the compiler to vectorise.

    Args:
        buffer: uint8 with padding.
        stops: int64[n + 1], ends of the fields and of the one before them; a field starts one byte after an end.
        magnitudes: int64[n], filled with absolute values.
        signs: int64[n], filled with 1 or -1.

    Returns:
        All bits of the magnitudes together, -1 where a field is something else.
    """
    plain = np.bool_(True)
    bits = np.int64(0)
    for i in range(len(magnitudes)):
        first = stops[i] + 1
        size = stops[i + 1] - first
        word = load_word(buffer, first)
        negative = np.int64((word & _BYTE) == _MINUS_BYTE)
        digits = min(size, 8) - negative
        valid, magnitude = _short_integer(word >> np.uint64(8 * negative), digits)
        plain &= valid & (size <= 8) & ((digits > 0) | (size == 0))
        magnitudes[i] = magnitude
        signs[i] = 1 - 2 * negative
        bits |= magnitude
    return bits if plain else np.int64(-1)


@njit(cache=True, nogil=True)
def _digits_ahead(word: np.uint64) -> Whole:
    """Digits at the start of the word, 0 to 8."""
    rest = word ^ _ZEROS  # 0 to 9 in the place of a digit
    others = (((rest & _LOW_BITS) + _TO_HIGH_BIT) | rest) & HIGHS
    return np.int64(trailing_zeros(others) >> _THREE)


@njit(cache=True, nogil=True)
def _is_digit(byte: Whole) -> bool:
    return _ZERO <= byte <= _NINE


@njit(cache=True, nogil=True)
def _scan_exponent(buffer: UInt8, position: Whole) -> Tuple[Whole, int]:
    """Position after an ``e`` and its digits, and the exponent, which is above _MAX_POWER where it gives up."""
    position += 1
    negative = buffer[position] == _MINUS
    if negative or buffer[position] == _PLUS:
        position += 1
    start = position
    exponent: Whole = 0
    while _is_digit(buffer[position]) and position - start < 3:
        exponent = exponent * 10 + buffer[position] - _ZERO
        position += 1
    if position == start or _is_digit(buffer[position]):
        return position, 10000
    return position, -exponent if negative else exponent


@njit(cache=True, nogil=True)
def scan_number(buffer: UInt8, start: Whole, strict: bool) -> Tuple[bool, float, Whole]:
    """Read a decimal number: whether it did, the number, the position after it.

    It does only where the result is exact in one float64 operation (Clinger 1990): the digits below 2**53 and the power
    of ten at most 22. ``strict``: JSON's grammar, which has no ``+5``, ``05``, ``.5`` and ``5.``.
    """
    position = start
    negative = buffer[position] == _MINUS
    if negative or (buffer[position] == _PLUS and not strict):
        position += 1
    first = position
    word = load_word(buffer, first)
    count = _digits_ahead(word)
    behind = buffer[first + count]
    if 0 < count < 8 and behind not in (_POINT, _SMALL_E, _LARGE_E):
        if strict and count > 1 and buffer[first] == _ZERO:
            return False, 0.0, position
        integer = float(_short_integer(word, count)[1])
        return True, -integer if negative else integer, first + count
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


@njit(cache=True, nogil=True)
def scan_unsigned(buffer: UInt8, start: Whole) -> Tuple[bool, np.uint64, Whole]:
    """Read an unsigned 64-bit integer of 1 to 20 digits: whether it did, the integer, the position after its digits."""
    position = start
    value = np.uint64(0)
    word = load_word(buffer, position)
    count = _digits_ahead(word)
    while count == 8 and position - start < 16:
        value = value * _TEN_TO_EIGHT + np.uint64(_short_integer(word, 8)[1])
        position += 8
        word = load_word(buffer, position)
        count = _digits_ahead(word)
    value = value * _TENS[count] + np.uint64(_short_integer(word, count)[1])
    position += count
    digits = position - start
    if digits < 20:
        return digits > 0, value, position
    # 2**64 lies between 1e19 and 2e19: a number that is too large begins with more than 1, or wraps to below 1e19
    fits = digits == 20 and (buffer[start] == _ZERO or (buffer[start] == _ZERO + 1 and value >= _TEN_TO_NINETEEN))
    return fits, value, position
