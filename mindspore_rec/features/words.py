"""Unaligned 8-byte words for the byte kernels: what numba has no spelling for, and the bit tricks on top of it.

Words are little-endian (x86-64, AArch64). The caller keeps ``WORD_PADDING`` readable bytes after the last byte it owns.
Bit tricks after H. S. Warren, "Hacker's Delight", chapter 6.
"""

from __future__ import annotations

from typing import Any, Tuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

WORD_PADDING = 64

ONES = np.uint64(0x0101010101010101)
HIGHS = np.uint64(0x8080808080808080)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_THREE = np.uint64(3)
_FOUR = np.uint64(4)


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def load_word(typing_context: Any, buffer: Any, position: Any) -> Tuple[Any, Any]:
    """``load_word(buffer: uint8[:], position) -> uint64``: bytes position .. position + 7; no bounds check."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        index = context.cast(builder, args[1], signature.args[1], types.intp)
        pointer = builder.bitcast(builder.gep(array.data, [index]), ir.IntType(64).as_pointer())
        return builder.load(pointer, align=1)

    return types.uint64(buffer, position), codegen


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def trailing_zeros(typing_context: Any, word: Any) -> Tuple[Any, Any]:
    """``trailing_zeros(word: uint64) -> uint64``: zero bits below the lowest one; 64 for word 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), codegen


@njit(cache=True, nogil=True)
def repeat_byte(byte: int) -> np.uint64:
    """A word of eight times the byte."""
    return np.uint64(byte) * ONES


@njit(cache=True, nogil=True)
def zero_bytes(word: np.uint64) -> np.uint64:
    """Bit 7 set in zero bytes. Exact up to the lowest zero byte, which is what a search needs."""
    return (word - ONES) & ~word & HIGHS


@njit(cache=True, nogil=True)
def offset_of(word: np.uint64, pattern: np.uint64) -> np.int64:
    """Offset of the first byte equal to the repeated byte ``pattern``, 0 to 7; 8 if there is none."""
    return np.int64(trailing_zeros(zero_bytes(word ^ pattern)) >> _THREE)


@njit(cache=True, nogil=True)
def first_bytes(word: np.uint64, size: np.int64) -> np.uint64:
    """The first ``size`` bytes (0 to 8) of the word, the others zero."""
    half = np.uint64(size) * _FOUR  # two shifts: one by 64 bits is undefined
    return word & ~((_ALL << half) << half)
