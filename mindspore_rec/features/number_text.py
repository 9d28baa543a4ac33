"""Write float32 as decimal text: few digits, and the same number when it is read again."""

from __future__ import annotations

from typing import List, Tuple

import numpy as np
from numba import njit

from mindspore_rec.features.batch import Float32, Int64, UInt8
from mindspore_rec.features.words import Whole

LONGEST = 17  # bytes of a separator and a number, such as :-0.000123456789
_MOST_DIGITS = 9  # with so many every float32 reads as itself
_SURE_DIGITS = 6  # a decimal of so many is the only one near its float32, so fewer need not be tried
_SMALLEST_NORMAL = 2.0**-126
_NEAR = 2.0**-50  # more than float64 loses below, so a number at the edge of rounding gets a digit more
_MIDDLE = 60
_POWERS = np.array([float(f"1e{power}") for power in range(-_MIDDLE, _MIDDLE + 1)])
_COLON, _MINUS, _PLUS, _POINT, _ZERO, _E = (ord(char) for char in ":-+.0e")
_NAN, _INFINITY = np.frombuffer(b"nan", np.uint8), np.frombuffer(b"inf", np.uint8)


def text_of_rows(values: Float32) -> List[bytes]:
    """The numbers of each row, a colon before each.

    They are written as C's ``%.9g`` writes them, but with as few digits as read as the same float32 (one more where a
    decimal of that many is exactly between two of them).

    Args:
        values: float32[n, d].

    Returns:
        n texts.

    >>> text_of_rows(np.array([[1, 0.1, -2.5e-7], [np.nan, 16777216, -0.0]], np.float32))
    [b':1:0.1:-2.5e-07', b':nan:16777216:-0']
    """
    buffer = np.empty(values.size * LONGEST, np.uint8)
    ends = np.zeros(len(values) + 1, np.int64)
    _write_rows(np.ascontiguousarray(values), buffer, ends)
    text = buffer[: ends[-1]].tobytes()
    return [text[begin:end] for begin, end in zip(ends[:-1], ends[1:])]


@njit(cache=True, nogil=True)
def _write_rows(values: Float32, buffer: UInt8, ends: Int64) -> None:
    place = 0
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            buffer[place] = _COLON
            place = _write(values[row, column], buffer, place + 1)
        ends[row + 1] = place


@njit(cache=True, nogil=True)
def _write(value: np.float32, buffer: UInt8, place: Whole) -> Whole:
    """Write a number from `place` on; where it ends."""
    if np.isnan(value):
        return _copy(_NAN, buffer, place)
    if np.signbit(value):
        buffer[place] = _MINUS
        place += 1
    size = abs(np.float64(value))
    if np.isinf(size):
        return _copy(_INFINITY, buffer, place)
    if size == 0:
        buffer[place] = _ZERO
        return place + 1
    whole, digits, power = _decimal(size)
    if power < -4 or power >= _MOST_DIGITS:
        place = _write_digits(whole, digits, 1, buffer, place)
        return _write_power(power, buffer, place)
    for k in range(-power):  # 0.00123
        buffer[place] = _ZERO
        place += 1
        if k == 0:
            buffer[place] = _POINT
            place += 1
    place = _write_digits(whole, digits, power + 1, buffer, place)
    for _ in range(power + 1 - digits):  # 12300
        buffer[place] = _ZERO
        place += 1
    return place


@njit(cache=True, nogil=True)
def _decimal(size: np.float64) -> Tuple[Whole, Whole, Whole]:
    """A positive float32 as digits and how many they are, the last one not 0, and the power of ten of the first."""
    power = np.int64(np.floor(np.log10(size)))
    if size < _POWERS[_MIDDLE + power]:
        power -= 1
    elif size >= _POWERS[_MIDDLE + power + 1]:
        power += 1
    digits = _SURE_DIGITS if size >= _SMALLEST_NORMAL else 1
    whole = np.int64(0)
    while True:
        shift = digits - 1 - power
        whole = np.int64(np.rint(size * _POWERS[_MIDDLE + shift]))
        if digits == _MOST_DIGITS or _reads_as(whole * _POWERS[_MIDDLE - shift], size):
            break
        digits += 1
    while whole % 10 == 0:
        whole //= 10
        digits -= 1
    if digits == 0:  # 999999.6 was rounded to 1000000, a digit more
        digits, power = 1, power + 1
    return whole, digits, power


@njit(cache=True, nogil=True)
def _reads_as(read: np.float64, size: np.float64) -> np.bool_:
    return np.float32(read * (1 - _NEAR)) == size and np.float32(read * (1 + _NEAR)) == size


@njit(cache=True, nogil=True)
def _write_digits(whole: Whole, digits: Whole, before: Whole, buffer: UInt8, place: Whole) -> Whole:
    """Write digits with a point behind the first `before` of them, where there are more."""
    point = place + before if 0 < before < digits else np.int64(-1)
    end = place + digits + (point >= 0)
    at = end - 1
    for _ in range(digits):
        if at == point:
            at -= 1
        buffer[at] = _ZERO + whole % 10
        whole //= 10
        at -= 1
    if point >= 0:
        buffer[point] = _POINT
    return end


@njit(cache=True, nogil=True)
def _write_power(power: Whole, buffer: UInt8, place: Whole) -> Whole:
    buffer[place] = _E
    buffer[place + 1] = _MINUS if power < 0 else _PLUS
    buffer[place + 2] = _ZERO + abs(power) // 10
    buffer[place + 3] = _ZERO + abs(power) % 10
    return place + 4


@njit(cache=True, nogil=True)
def _copy(text: UInt8, buffer: UInt8, place: Whole) -> Whole:
    for k in range(len(text)):
        buffer[place + k] = text[k]
    return place + len(text)
