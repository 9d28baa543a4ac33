"""Slot text to arrays, straight from bytes. A row that is not plain and good is left to ``data/slot_definition.py``."""

from __future__ import annotations

from typing import Tuple

import numpy as np
from numba import njit

from mindspore_rec.data.slot_names import SlotNames, find_name
from mindspore_rec.features.batch import KEPT, UNUSUAL, Float32, Int64, UInt8, UInt64
from mindspore_rec.features.number_scan import scan_number, scan_unsigned
from mindspore_rec.features.words import ONES, Whole, load_word, trailing_zeros, zero_bytes

_SPACE, _COLON, _ZERO = ord(" "), ord(":"), ord("0")
_SPACES = ONES * np.uint64(_SPACE)
_THREE = np.uint64(3)


@njit(cache=True, nogil=True)
def _token_end(buffer: UInt8, start: Whole, end: Whole) -> Whole:
    """Where the next space is, or the end of the row."""
    position = start
    while position < end:
        spaces = zero_bytes(load_word(buffer, position) ^ _SPACES)
        if spaces != np.uint64(0):
            return min(position + np.int64(trailing_zeros(spaces) >> _THREE), end)
        position += 8
    return end


@njit(cache=True, nogil=True)
def _find_colon(buffer: UInt8, start: Whole, end: Whole) -> Whole:
    """Where the next colon is, or the end of the token."""
    position = start
    while position < end and buffer[position] != _COLON and buffer[position] != _SPACE:
        position += 1
    return position


@njit(cache=True, nogil=True, forceinline=True)
def _scan_row(
    value_first: bool,
    names: SlotNames,
    buffer: UInt8,
    start: Whole,
    end: Whole,
    widths: Int64,
    columns: Int64,
    values: UInt64,
    slots: Int64,
    counts: Int64,
    filled: Int64,
    dense: Float32,
) -> Tuple[Whole, Whole]:
    """Tokens with ids, and the label; -1 tokens where it gives up. See ``scan_slot_rows`` for the arguments."""
    num_slots = len(counts)
    label = np.int64(-1)
    tokens = 0
    counts[:] = 0
    filled[:] = 0
    dense[:] = 0.0
    position = start
    while position < end:
        if buffer[position] == _SPACE:
            position += 1
            continue
        if value_first:
            first = position
            is_id, value, after = scan_unsigned(buffer, first)
            colon = stop = _find_colon(buffer, after, end)
            if colon >= end or buffer[colon] != _COLON:
                return np.int64(-1), label
            position = _token_end(buffer, colon + 1, end)
            name, size = colon + 1, position - colon - 1
        else:
            name = position
            colon = _find_colon(buffer, name, end)
            if colon >= end or buffer[colon] != _COLON:
                return np.int64(-1), label
            size, first = colon - name, colon + 1
            is_id, value, after = scan_unsigned(buffer, first)
            position = stop = _token_end(buffer, after, end)
        slot = find_name(names, buffer, name, size)
        if 0 < slot <= num_slots:
            if not is_id or after != stop:
                return np.int64(-1), label
            values[tokens], slots[tokens] = value, slot - 1
            counts[slot - 1] += 1
            tokens += 1
        elif slot == 0:
            digit = np.int64(buffer[first]) - _ZERO
            if label >= 0 or stop != first + 1 or not 0 <= digit <= 1:
                return np.int64(-1), label
            label = digit
        elif slot > num_slots:
            place = slot - num_slots - 1
            plain, number, after = scan_number(buffer, first, False)  # below 2**53 * 1e22: finite as float32
            if not plain or after != stop or filled[place] == widths[place]:
                return np.int64(-1), label
            dense[columns[place] + filled[place]] = np.float32(number)
            filled[place] += 1
        else:
            rest = _find_colon(buffer, colon + 1, position)
            if rest < position:  # a second colon
                return np.int64(-1), label
    for place in range(len(widths)):
        if filled[place] != 0 and filled[place] != widths[place]:
            return np.int64(-1), label
    return np.int64(tokens) if label >= 0 else np.int64(-1), label


@njit(cache=True, nogil=True)
def scan_slot_rows(
    value_first: bool,
    names: SlotNames,
    num_slots: int,
    widths: Int64,
    buffer: UInt8,
    starts: Int64,
    ends: Int64,
    ids: Int64,
    offsets: Int64,
    labels: Float32,
    dense: Float32,
    status: UInt8,
) -> Tuple[Whole, Whole]:
    """Parse n rows; kept ones one behind the other into the outputs, the status of a row it gives up is ``UNUSUAL``.

    Args:
        value_first: whether a token is ``feasign:slot``.
        names: slot 0 is the label, 1 to ``num_slots`` are sparse, the others dense.
        num_slots: s.
        widths: int64, numbers of each dense slot.
        buffer: uint8 with padding.
        starts, ends: int64[n], of the rows.
        ids: int64[as many as there are colons], filled.
        offsets: int64[n * s + 1], filled.
        labels: float32[n, 1], filled.
        dense: float32[n, d], filled.
        status: uint8[n], filled.

    Returns:
        Kept rows, and their ids.
    """
    longest = 0
    for r in range(len(starts)):
        longest = max(longest, ends[r] - starts[r])
    values, slots = np.empty(longest // 2 + 1, np.uint64), np.empty(longest // 2 + 1, np.int64)
    counts, filled = np.empty(num_slots, np.int64), np.empty(len(widths), np.int64)
    columns = np.zeros(len(widths) + 1, np.int64)
    for place in range(len(widths)):
        columns[place + 1] = columns[place] + widths[place]
    kept: Whole = np.int64(0)
    total: Whole = np.int64(0)
    offsets[0] = 0
    for r in range(len(starts)):
        tokens, label = _scan_row(
            value_first,
            names,
            buffer,
            starts[r],
            ends[r],
            widths,
            columns,
            values,
            slots,
            counts,
            filled,
            dense[kept],
        )
        status[r] = UNUSUAL if tokens < 0 else KEPT
        if tokens < 0:
            continue
        place = total
        for k in range(num_slots):
            count = counts[k]
            counts[k] = place  # from here on: where the slot's next id goes
            place += count
            offsets[kept * num_slots + k + 1] = place
        for i in range(tokens):
            ids[counts[slots[i]]] = np.int64(values[i])
            counts[slots[i]] += 1
        labels[kept, 0] = label
        total = place
        kept += 1
    return kept, total
