"""Unaligned words of 8 and blocks of 64 bytes for the byte kernels: what numba has no spelling for, and bit tricks.

Words are little-endian (x86-64, AArch64). The caller keeps ``PADDING`` readable bytes after the last byte it owns.
Bit tricks after H. S. Warren, "Hacker's Delight", chapter 6.
"""

from __future__ import annotations

from typing import Any, Callable, Tuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
from numba import njit, types
from numba.extending import intrinsic

PADDING = 64

#: A whole number inside a kernel: int64 once compiled, whichever of int and numpy's the source gives.
Whole = Any

ONES = np.uint64(0x0101010101010101)
HIGHS = np.uint64(0x8080808080808080)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONE = np.uint64(1)
_THREE = np.uint64(3)
_FOUR = np.uint64(4)
_BLOCK = ir.VectorType(ir.IntType(8), 64)


def _typed(define: Callable[..., Tuple[Any, Any]]) -> Callable[..., Any]:
    """numba's ``intrinsic``; the first parameter of the definition is none of the intrinsic's."""
    return intrinsic(define)  # type: ignore[no-any-return, unused-ignore]


@_typed
def load_word(typing_context: Any, buffer: Any, position: Any) -> Tuple[Any, Any]:
    """``load_word(buffer: uint8[:], position) -> uint64``: bytes position .. position + 7; no bounds check."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        index = context.cast(builder, args[1], signature.args[1], types.intp)
        pointer = builder.bitcast(builder.gep(array.data, [index]), ir.IntType(64).as_pointer())
        return builder.load(pointer, align=1)

    return types.uint64(buffer, position), codegen


@_typed
def trailing_zeros(typing_context: Any, word: Any) -> Tuple[Any, Any]:
    """``trailing_zeros(word: uint64) -> uint64``: zero bits below the lowest one; 64 for word 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), codegen


@_typed
def count_ones(typing_context: Any, word: Any) -> Tuple[Any, Any]:
    """``count_ones(word: uint64) -> uint64``: one bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), codegen


@_typed
def match_block(typing_context: Any, buffer: Any, position: Any, byte: Any) -> Tuple[Any, Any]:
    """``match_block(buffer: uint8[:], position, byte: uint8) -> uint64``: bit i says buffer[position + i] == byte."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        block = _load_block(context, builder, signature, args)
        one = builder.insert_element(ir.Constant(_BLOCK, ir.Undefined), args[2], ir.Constant(ir.IntType(32), 0))
        every = builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64))
        return builder.bitcast(builder.icmp_unsigned("==", block, every), ir.IntType(64))

    return types.uint64(buffer, position, types.uint8), codegen


@_typed
def high_block(typing_context: Any, buffer: Any, position: Any) -> Tuple[Any, Any]:
    """``high_block(buffer: uint8[:], position) -> uint64``: bit i says buffer[position + i] > 127."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        block = _load_block(context, builder, signature, args)
        return builder.bitcast(builder.icmp_signed("<", block, ir.Constant(_BLOCK, [0] * 64)), ir.IntType(64))

    return types.uint64(buffer, position), codegen


@_typed
def prefetch(typing_context: Any, array: Any, position: Any) -> Tuple[Any, Any]:
    """``prefetch(array, position)``: have item ``position`` of the flattened, contiguous array in the cache soon."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        index = context.cast(builder, args[1], signature.args[1], types.intp)
        pointer = builder.bitcast(builder.gep(data, [index]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
        read, keep, data_cache = number(0), number(3), number(1)
        builder.call(function, [pointer, read, keep, data_cache])
        return context.get_dummy_value()

    return types.none(array, position), codegen


def _load_block(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, args[0])
    index = context.cast(builder, args[1], signature.args[1], types.intp)
    pointer = builder.bitcast(builder.gep(array.data, [index]), _BLOCK.as_pointer())
    return builder.load(pointer, align=1)


@njit(cache=True, nogil=True)
def first_bits(mask: np.uint64, count: Whole) -> np.uint64:
    """The lowest ``count`` bits (0 or more) of the mask, the others zero."""
    return mask if count >= 64 else mask & ((_ONE << np.uint64(count)) - _ONE)


@njit(cache=True, nogil=True)
def zero_bytes(word: np.uint64) -> np.uint64:
    """Bit 7 set in zero bytes. Exact up to the lowest zero byte, which is what a search needs."""
    return (word - ONES) & ~word & HIGHS


@njit(cache=True, nogil=True)
def first_bytes(word: np.uint64, size: Whole) -> np.uint64:
    """The first ``size`` bytes (0 to 8) of the word, the others zero."""
    half = np.uint64(size) * _FOUR  # two shifts: one by 64 bits is undefined
    return word & ~((_ALL << half) << half)
