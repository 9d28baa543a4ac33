"""Rows of float32 as decimal text: few digits, and the same numbers when they are read again."""

from __future__ import annotations

from typing import List

import numpy as np
from numba import njit

from mindspore_rec.features.batch import Float32
from mindspore_rec.features.float_text import LONGEST, put_float

_COLON = ord(":")
_NAN, _INFINITY = np.frombuffer(b"nan", np.uint8), np.frombuffer(b"inf", np.uint8)
_MINUS = ord("-")


def text_of_rows(values: Float32) -> List[bytes]:
    """The numbers of each row, a colon before each, as `float_text` writes them; also NaN and infinity.

    Args:
        values: float32[n, d].

    Returns:
        n texts.

    >>> text_of_rows(np.array([[1, 0.1, -2.5e-7], [np.nan, 16777216, -0.0]], np.float32))
    [b':1:0.1:-2.5e-7', b':nan:16777216:-0']
    """
    buffer = np.empty(values.size * (LONGEST + 1), np.uint8)
    ends = np.zeros(len(values) + 1, np.int64)
    _write_rows(np.ascontiguousarray(values).view(np.uint32), buffer, ends)
    text = buffer[: ends[-1]].tobytes()
    return [text[begin:end] for begin, end in zip(ends[:-1], ends[1:])]


@njit(cache=True, nogil=True)
def _write_rows(bits, buffer, ends):  # type: ignore[no-untyped-def]
    place = 0
    for row in range(bits.shape[0]):
        for column in range(bits.shape[1]):
            buffer[place] = _COLON
            place = _write(bits[row, column], buffer, place + 1)
        ends[row + 1] = place


@njit(cache=True, nogil=True)
def _write(bits, buffer, place):  # type: ignore[no-untyped-def]
    """Write a number from `place` on; where it ends."""
    word = np.int64(bits)
    if word >> 23 & 255 < 255:
        return put_float(buffer, place, bits)
    fraction = word & ((1 << 23) - 1)
    if not fraction and word >> 31:
        buffer[place] = _MINUS
        place += 1
    text = _NAN if fraction else _INFINITY
    buffer[place : place + 3] = text
    return place + 3
