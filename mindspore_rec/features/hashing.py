"""Id rule v1: the first 64 bits of MurmurHash3 x64 128 of a value's bytes, seeded by (hash seed, field).

MurmurHash3 is Austin Appleby's public-domain hash; test vectors are in ``docs/feature_spec.md``.
"""

from __future__ import annotations

from typing import Sequence, Tuple

import numpy as np
from numba import njit

from mindspore_rec.features.batch import Int64, UInt8, UInt32, UInt64
from mindspore_rec.features.words import PADDING, Whole, first_bytes, load_word

_C1 = np.uint64(0x87C37B91114253D5)
_C2 = np.uint64(0x4CF5AD432745937F)
_F1 = np.uint64(0xFF51AFD7ED558CCD)
_F2 = np.uint64(0xC4CEB9FE1A85EC53)
_M1 = np.uint64(0x52DCE729)
_M2 = np.uint64(0x38495AB5)
_FIVE = np.uint64(5)
_WORD_BITS = np.uint64(64)
_R27, _R31, _R33 = np.uint64(27), np.uint64(31), np.uint64(33)
_GOLDEN = 0x9E3779B9  # 2**32 / golden ratio, odd: multiplying by it is a bijection modulo 2**32


def field_seeds(hash_seed: int, num_fields: int) -> UInt32:
    """uint32[num_fields]: ``(hash_seed + 0x9E3779B9 * (field + 1)) mod 2**32``, different for each field.

    Example:
        >>> field_seeds(0, 2).tolist()
        [2654435769, 1013904242]
    """
    steps = np.arange(1, num_fields + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    return ((steps + np.uint64(hash_seed)) & np.uint64(0xFFFFFFFF)).astype(np.uint32)


@njit(cache=True, nogil=True)
def _rotate(word: np.uint64, bits: np.uint64) -> np.uint64:
    return (word << bits) | (word >> (_WORD_BITS - bits))


@njit(cache=True, nogil=True)
def _mix_first(word: np.uint64) -> np.uint64:
    return _rotate(word * _C1, _R31) * _C2


@njit(cache=True, nogil=True)
def _mix_second(word: np.uint64) -> np.uint64:
    return _rotate(word * _C2, _R33) * _C1


@njit(cache=True, nogil=True)
def avalanche(word: np.uint64) -> np.uint64:
    """Mix a word so that each bit of it decides each bit of the result; a bijection."""
    word = (word ^ (word >> _R33)) * _F1
    word = (word ^ (word >> _R33)) * _F2
    return word ^ (word >> _R33)


@njit(cache=True, nogil=True)
def _finish(first: np.uint64, second: np.uint64, size: Whole) -> np.uint64:
    first = first ^ np.uint64(size)
    second = second ^ np.uint64(size)
    first = first + second
    second = second + first
    return avalanche(first) + avalanche(second)


@njit(cache=True, nogil=True)
def hash_word(word: np.uint64, size: Whole, seed: np.uint32) -> np.uint64:
    """Hash of a value of 0 to 8 bytes held in a word whose other bytes are zero."""
    start = np.uint64(seed)
    return _finish(start ^ _mix_first(word), start, size)


@njit(cache=True, nogil=True)
def hash_span(buffer: UInt8, start: Whole, size: Whole, seed: np.uint32) -> np.uint64:
    """Hash of ``buffer[start : start + size]``, any size; reads up to 8 bytes past it."""
    first = np.uint64(seed)
    second = np.uint64(seed)
    position = start
    while start + size - position >= 16:
        first = first ^ _mix_first(load_word(buffer, position))
        first = (_rotate(first, _R27) + second) * _FIVE + _M1
        second = second ^ _mix_second(load_word(buffer, position + 8))
        second = (_rotate(second, _R31) + first) * _FIVE + _M2
        position += 16
    rest = start + size - position
    if rest > 8:
        second = second ^ _mix_second(first_bytes(load_word(buffer, position + 8), rest - 8))
        rest = 8
    first = first ^ _mix_first(first_bytes(load_word(buffer, position), rest))
    return _finish(first, second, size)


@njit(cache=True, nogil=True)
def hash_spans(buffer: UInt8, offsets: Int64, seeds: UInt32) -> UInt64:
    """Hashes of the n values ``buffer[offsets[i] : offsets[i + 1]]``, value i with seed ``seeds[i % len(seeds)]``."""
    hashes = np.empty(len(offsets) - 1, np.uint64)
    for i in range(len(hashes)):
        hashes[i] = hash_span(buffer, offsets[i], offsets[i + 1] - offsets[i], seeds[i % len(seeds)])
    return hashes


def join_values(values: Sequence[bytes]) -> Tuple[UInt8, Int64]:
    """The values end to end with the padding the kernels need, and their n + 1 offsets."""
    buffer = np.frombuffer(b"".join([*values, bytes(PADDING)]), np.uint8)
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, values), np.int64, len(values)), out=offsets[1:])
    return buffer, offsets


def hash_values(values: Sequence[bytes], seeds: UInt32) -> UInt64:
    """uint64[n]: hashes of n values, value i with seed ``seeds[i % len(seeds)]`` (one seed: the same for all).

    Example:
        >>> hash_values([b"68fd1e64"], field_seeds(0, 14)[13:]).view(np.int64).tolist()
        [-4735654508514811120]
    """
    buffer, offsets = join_values(values)
    return hash_spans(buffer, offsets, seeds)
