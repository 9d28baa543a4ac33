"""Rows of a table as lines of text, a row a line: an unsigned id, days, and numbers, separated by single spaces."""

from __future__ import annotations

import numpy as np
from numba import njit

from mindspore_rec.features.float_text import IN_DOUBT, LONGEST, NO_NUMBER, put_float, scan_float
from mindspore_rec.features.number_scan import scan_unsigned

END, WRONG_NUMBER, TOO_FEW, TOO_MANY, TOO_MANY_ROWS, OPEN = range(6)
PADDING = 64  # bytes that may be read behind a line
_SPACE, _NEWLINE, _ZERO = ord(" "), ord("\n"), ord("0")
_MOST_DAYS = 2**31 - 1
_NONE = np.float32(0.0)


def longest_line(numbers: int) -> int:
    """Bytes that a row of so many numbers takes at most."""
    return 2 * 21 + numbers * (LONGEST + 1)


@njit(cache=True, nogil=True)
def put_rows(ids, days, bits, out):  # type: ignore[no-untyped-def]
    """Write lines of uint64[n], int32[n] and uint32[n, c], the bits of finite float32, to `out`; return their bytes."""
    place = 0
    for r in range(ids.size):
        place = _put_whole(out, place, ids[r])
        out[place] = _SPACE
        place = _put_whole(out, place + 1, np.uint64(days[r]))
        row = bits[r]
        for c in range(row.size):
            out[place] = _SPACE
            place = put_float(out, place + 1, row[c])
        out[place] = _NEWLINE
        place += 1
    return place


@njit(cache=True, nogil=True)
def scan_rows(buffer, position, end, ids, days, numbers, row, column):  # type: ignore[no-untyped-def]
    """Read lines from `position`, which is before column `column` of row `row`, to `end`, which is behind a newline.

    Args:
        buffer: uint8, with PADDING bytes behind `end`.
        ids, days, numbers: uint64[n], int32[n] and float32[n, c], filled.

    Returns:
        Why it stopped, END or what is wrong at the position or OPEN for a number that `float_of` has to read, and the
        position, row and column where.
    """
    width = numbers.shape[1]
    while position < end:
        if row == ids.size:
            return TOO_MANY_ROWS, position, row, column
        while column < width + 2:
            start = position
            if column < 2:
                good, whole, position = scan_unsigned(buffer, start)
                found, number = np.int64(not good or (column == 1 and whole > _MOST_DAYS)), _NONE
            else:
                found, number, position = scan_float(buffer, start)
            last, behind = column == width + 1, buffer[position]
            if found == NO_NUMBER or (behind != _SPACE and behind != _NEWLINE):
                return WRONG_NUMBER, start, row, column
            if behind == (_SPACE if last else _NEWLINE):
                return TOO_MANY if last else TOO_FEW, start, row, column
            if found == IN_DOUBT:
                return OPEN, start, row, column
            if column == 0:
                ids[row] = whole
            elif column == 1:
                days[row] = whole
            else:
                numbers[row, column - 2] = number
            position += 1
            column += 1
        row, column = row + 1, 0
    return END, position, row, column


@njit(cache=True, nogil=True, inline="always")
def _put_whole(out, place, number):  # type: ignore[no-untyped-def]
    count, rest = 1, number // np.uint64(10)
    while rest:
        rest //= np.uint64(10)
        count += 1
    for k in range(place + count - 1, place - 1, -1):
        out[k] = _ZERO + np.uint8(number % np.uint64(10))
        number //= np.uint64(10)
    return place + count
