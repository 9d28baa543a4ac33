"""Slot names to slot numbers inside a kernel: a hash table whose keys are the names' bytes."""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np
from numba import njit

from mindspore_rec.features.batch import Int64, UInt8, UInt64
from mindspore_rec.features.hashing import avalanche, join_values
from mindspore_rec.features.words import Whole, first_bytes, load_word

_FREE = -1


class SlotNames(NamedTuple):
    """The names of a schema by their first 8 bytes, which are all of most names.

    Attributes:
        words: uint64[size], first bytes of each entry's name, zeros behind shorter ones; size is a power of two.
        numbers: int64[size], number of each entry's slot, -1 for a free one.
        text: uint8, all names end to end.
        offsets: int64[s + 1], where each name begins in ``text``.
    """

    words: UInt64
    numbers: Int64
    text: UInt8
    offsets: Int64


def index_names(names: Sequence[str]) -> SlotNames:
    """The table of different names; the number of a name is its place among them."""
    text, offsets = join_values([name.encode() for name in names])
    size = 4
    while size < 4 * len(names):  # three in four entries free: names that are not there are found out at once
        size *= 2
    words, numbers = np.zeros(size, np.uint64), np.full(size, _FREE, np.int64)
    _fill(words, numbers, text, offsets)
    return SlotNames(words, numbers, text, offsets)


@njit(cache=True, nogil=True)
def _first_entry(word: np.uint64, entries: int) -> Whole:
    return np.int64(avalanche(word) & np.uint64(entries - 1))


@njit(cache=True, nogil=True)
def _fill(words: UInt64, numbers: Int64, text: UInt8, offsets: Int64) -> None:
    for i in range(len(offsets) - 1):
        size = offsets[i + 1] - offsets[i]
        word = first_bytes(load_word(text, offsets[i]), min(size, 8))
        entry = _first_entry(word, len(words))
        while numbers[entry] != _FREE:
            entry = (entry + 1) & (len(words) - 1)
        words[entry], numbers[entry] = word, i


@njit(cache=True, nogil=True)
def find_name(names: SlotNames, buffer: UInt8, start: Whole, size: Whole) -> Whole:
    """Number of the slot named ``buffer[start : start + size]``, -1 where there is none."""
    word = first_bytes(load_word(buffer, start), min(size, 8))
    entry = _first_entry(word, len(names.words))
    while names.numbers[entry] != _FREE:
        number = names.numbers[entry]
        if names.words[entry] == word:
            first = names.offsets[number]
            if names.offsets[number + 1] - first == size:
                same = True
                for i in range(8, size):
                    same &= buffer[start + i] == names.text[first + i]
                if same:
                    return number
        entry = (entry + 1) & (len(names.words) - 1)
    return np.int64(_FREE)
