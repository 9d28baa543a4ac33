"""Float32 as decimal text that reads back to the same bits: the fewest digits that do, the nearest of these.

Writing is Schubfach (Giulietti 2020, "The Schubfach way to render doubles"), for float32: a number c 2^q and the ends
of the interval of what rounds to it are scaled by the power of ten that makes the interval hold a whole number or more.
Reading goes by float64 where what is lost there cannot change the float32, and by fractions where it can.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import List, Tuple

import numpy as np
from numba import njit

LONGEST = 15  # characters of a number: -0.000123456789 or -1.23456789e-38

_MINUS, _PLUS, _POINT, _ZERO, _E = ord("-"), ord("+"), ord("."), ord("0"), ord("e")
_HIDDEN = 1 << 23
_WORD = (1 << 32) - 1
_IRREGULAR = 256  # rows of the tables for powers of two, whose lower neighbour is nearer
_MOST_DIGITS = 18  # of an int64
_POWERS = 10.0 ** np.arange(23)  # exact in float64
_DOUBT = 2.0**-50  # more than what is lost in four roundings of float64
_SMALLEST, _LARGEST = 2.0**-126, float(np.finfo(np.float32).max)
_LONGEST_READ = 64

NUMBER, NO_NUMBER, IN_DOUBT = 0, 1, 2


def _scales() -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each biased exponent: 10^-k in 96 bits as three words, lowest first; the shift after them; and k."""
    words = np.zeros((2 * _IRREGULAR, 3), np.int64)
    shifts, powers = np.zeros(2 * _IRREGULAR, np.int64), np.zeros(2 * _IRREGULAR, np.int64)
    for row in range(2 * _IRREGULAR):
        q = max(row % _IRREGULAR, 1) - 150
        k = math.floor(math.log10(2.0**q * (0.75 if row >= _IRREGULAR else 1.0)))  # 10^k fits into the interval
        above, below = 10 ** max(-k, 0), 10 ** max(k, 0)
        top = above.bit_length() - below.bit_length()
        top -= above << max(-top, 0) < below << max(top, 0)  # 2^top <= 10^-k < 2^(top + 1)
        scaled = -((-above << 200 - top) // (below << 105))  # 10^-k 2^(95 - top), rounded up
        words[row] = [scaled >> 32 * j & _WORD for j in range(3)]
        shifts[row], powers[row] = 31 - top - q, k
    return words, shifts, powers


_SCALES, _SHIFTS, _K = _scales()


def float_of(text: str) -> np.float32:
    """Return the float32 nearest to a decimal number, infinite beyond them; of two as near the even one.

    >>> float(float_of("16777217")), float(float_of("16777219"))
    (16777216.0, 16777220.0)
    """
    exact = Fraction(Decimal(text))
    with np.errstate(over="ignore"):
        guess = np.float32(float(text))
    if not np.isfinite(guess):
        return guess
    with np.errstate(over="ignore"):
        near: List[np.float32] = [guess, *(np.nextafter(guess, np.float32(end)) for end in (-np.inf, np.inf))]
    finite = [number for number in near if np.isfinite(number)]
    return min(finite, key=lambda number: (abs(Fraction(float(number)) - exact), int(number.view(np.uint32)) & 1))


@njit(cache=True, nogil=True)
def put_float(out, place, bits):  # type: ignore[no-untyped-def]
    """Write a finite float32, given by its bits, to `out` from `place` on; return the place behind it."""
    word = np.int64(bits)
    if word >> 31:
        out[place] = _MINUS
        place += 1
    exponent, fraction = word >> 23 & 255, word & (_HIDDEN - 1)
    if exponent == 0 and fraction == 0:
        out[place] = _ZERO
        return place + 1
    digits, power = _shortest(exponent, fraction)
    while digits % 10 == 0:
        digits //= 10
        power += 1
    count, rest = 0, digits
    while rest:
        rest //= 10
        count += 1
    point = count + power  # digits before it, where it stands among them
    if -4 < point <= 0:
        out[place], out[place + 1] = _ZERO, _POINT
        out[place + 2 : place + 2 - point] = _ZERO
        return _put_digits(out, place + 2 - point, digits, count)
    if count <= point <= 9:
        place = _put_digits(out, place, digits, count)
        out[place : place + power] = _ZERO
        return place + power
    before = point if 0 < point <= 9 else 1
    end = _put_digits(out, place, digits, count)
    if before < count:
        for k in range(end, place + before, -1):
            out[k] = out[k - 1]
        out[place + before] = _POINT
        end += 1
    if before == point:
        return end
    out[end] = _E
    end += 1
    if point < 1:
        out[end] = _MINUS
        end += 1
    size = abs(point - 1)
    return _put_digits(out, end, size, 2 if size > 9 else 1)


@njit(cache=True, nogil=True)
def scan_float(buffer, start):  # type: ignore[no-untyped-def]
    """Read a decimal number: NUMBER, or NO_NUMBER, or IN_DOUBT, for `float_of`; the float32; the position after it.

    The buffer ends with a byte that is in no number.
    """
    position = start
    negative = buffer[position] == _MINUS
    position += negative
    digits, count, power = np.int64(0), 0, 0
    first = position
    while _is_digit(buffer[position]):
        if digits or buffer[position] != _ZERO:
            count += 1
        if count <= _MOST_DIGITS:
            digits = digits * 10 + np.int64(buffer[position] - _ZERO)
        position += 1
    good = position > first
    if buffer[position] == _POINT:
        position += 1
        first = position
        while _is_digit(buffer[position]):
            if digits or buffer[position] != _ZERO:
                count += 1
            if count <= _MOST_DIGITS:
                digits = digits * 10 + np.int64(buffer[position] - _ZERO)
            position += 1
        good = good and position > first
        power = first - position
    if good and buffer[position] == _E:
        position += 1
        down = buffer[position] == _MINUS
        position += down or buffer[position] == _PLUS
        exponent, first = 0, position
        while _is_digit(buffer[position]) and position - first < 3:
            exponent = exponent * 10 + buffer[position] - _ZERO
            position += 1
        good = position > first
        power += -exponent if down else exponent
    if not good or position - start > _LONGEST_READ:
        return NO_NUMBER, np.float32(0.0), position
    if digits == 0:
        return NUMBER, np.float32(-0.0 if negative else 0.0), position
    if count > _MOST_DIGITS or power < -66 or power > 44:
        return IN_DOUBT, np.float32(0.0), position
    value = np.float64(digits)
    while power < 0:
        value /= _POWERS[min(-power, 22)]
        power += min(-power, 22)
    while power > 0:
        value *= _POWERS[min(power, 22)]
        power -= min(power, 22)
    near = np.float32(value * (1.0 - _DOUBT))
    if value < _SMALLEST or value > _LARGEST or near != np.float32(value * (1.0 + _DOUBT)):
        return IN_DOUBT, np.float32(0.0), position
    return NUMBER, -near if negative else near, position


@njit(cache=True, nogil=True)
def _shortest(exponent, fraction):  # type: ignore[no-untyped-def]
    """Digits and power of ten of the shortest decimal that reads as a positive number; digits may end in zeros."""
    regular = fraction != 0 or exponent <= 1
    row = exponent if regular else exponent + _IRREGULAR
    c = fraction + _HIDDEN if exponent else fraction
    odd = c & 1  # the ends of its interval belong to an even number
    value = _scaled(4 * c, row)
    low, high = _scaled(4 * c - (2 if regular else 1), row) + odd, _scaled(4 * c + 2, row) - odd
    whole, power = value >> 2, _K[row]
    tens = whole // 10 * 10
    if (low <= 4 * tens) != (4 * (tens + 10) <= high):
        return tens if low <= 4 * tens else tens + 10, power
    if (low <= 4 * whole) != (4 * (whole + 1) <= high):
        return whole if low <= 4 * whole else whole + 1, power
    beside = value - 4 * whole - 2
    return whole if beside < 0 or (beside == 0 and whole % 2 == 0) else whole + 1, power


@njit(cache=True, nogil=True, inline="always")
def _scaled(number, row):  # type: ignore[no-untyped-def]
    """floor(number 2^q 10^-k), the last bit set where that is not all of it."""
    low = number * _SCALES[row, 0]
    middle = number * _SCALES[row, 1] + (low >> 32)
    high = number * _SCALES[row, 2] + (middle >> 32)
    shift = _SHIFTS[row]
    rest = (high & ((np.int64(1) << shift) - 1)) | (middle & _WORD)  # rounding the scale up changes less than this
    return high >> shift | np.int64(rest != 0)


@njit(cache=True, nogil=True, inline="always")
def _put_digits(out, place, number, count):  # type: ignore[no-untyped-def]
    for k in range(place + count - 1, place - 1, -1):
        out[k] = _ZERO + number % 10
        number //= 10
    return place + count


@njit(cache=True, nogil=True, inline="always")
def _is_digit(byte):  # type: ignore[no-untyped-def]
    return _ZERO <= byte <= _ZERO + 9
