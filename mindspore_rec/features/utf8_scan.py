"""Check that bytes are UTF-8, 64 at a time where they are ASCII."""

from __future__ import annotations

import numpy as np
from numba import njit

from mindspore_rec.features.batch import UInt8
from mindspore_rec.features.words import Whole, first_bits, high_block

_NO_BITS = np.uint64(0)


@njit(cache=True, nogil=True)
def is_ascii(buffer: UInt8, start: Whole, end: Whole) -> bool:
    """Whether no byte is above 127."""
    for position in range(start, end, 64):
        if first_bits(high_block(buffer, position), end - position) != _NO_BITS:
            return False
    return True


@njit(cache=True, nogil=True)
def _sequence_size(buffer: UInt8, position: Whole) -> int:
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
def is_utf8(buffer: UInt8, start: Whole, end: Whole) -> bool:
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
