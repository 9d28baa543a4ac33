"""How the rows of an exported table are kept: float32 as they are, float16, or int8 with a scale a row.

A float16 is the nearest: off by 2**-11 of a value at most, by 2**-25 where it is below 2**-14. A row of int8 is
q * scale, scale = max|row| / 127: each value is off by half the scale at most (and the rounding of float32). Rows whose
scale would be below 2**-126, the smallest float32 with all its digits, have scale 0 and read as zeros.
"""

from __future__ import annotations

from typing import Dict, Tuple

import numpy as np
from numba import njit

from mindspore_rec.checkpoint.array_file import Arrays
from mindspore_rec.embedding.halves import FLOAT16, decode
from mindspore_rec.features.words import prefetch
from mindspore_rec.serving.manifest import ExportError, RowType

LEVELS = 127
_SMALLEST = np.float32(2.0**-126)
_LARGEST_HALF = 65504.0
_AHEAD = 16
_LINE = 64  # bytes of a cache line
_ARRAYS: Dict[RowType, Dict[str, np.dtype]] = {
    "float32": {"weights": np.dtype("<f4")},
    "float16": {"weights": np.dtype("<f2")},
    "int8": {"weights": np.dtype("i1"), "scales": np.dtype("<f4")},
}


def arrays_of(row_type: RowType, rows: int, dim: int) -> Dict[str, Tuple[np.dtype, Tuple[int, ...]]]:
    """Return type and shape of the arrays that keep rows: weights[rows, dim], and of int8 their scales[rows]."""
    shapes: Dict[str, Tuple[int, ...]] = {"weights": (rows, dim), "scales": (rows,)}
    return {name: (dtype, shapes[name]) for name, dtype in _ARRAYS[row_type].items()}


def encoded(weights: np.ndarray, row_type: RowType) -> Arrays:
    """Return the arrays that keep float32[r, dim], by name.

    Raises:
        ExportError: a weight is not finite, or its nearest float16 is none.

    >>> rows = encoded(np.array([[0.5, -1.0], [0.0, 0.0]], np.float32), "int8")
    >>> rows["weights"].tolist(), (rows["scales"] * 127).tolist()
    ([[64, -127], [0, 0]], [1.0, 0.0])
    """
    if not np.isfinite(weights).all():
        raise ExportError("a weight is not finite: nothing was exported")
    if row_type == "float32":
        return {"weights": weights}
    if row_type == "float16":
        with np.errstate(over="ignore"):
            halves = weights.astype(np.float16)
        if not np.isfinite(halves).all():
            largest = weights.flat[np.abs(weights).argmax()]
            raise ExportError(
                f"a weight is {largest:g}, expected at most {_LARGEST_HALF:g} for --row_type float16; "
                f"int8 and float32 have no such limit"
            )
        return {"weights": halves}
    scales = np.abs(weights).max(axis=1, initial=0.0) / np.float32(LEVELS)
    scales[scales < _SMALLEST] = 0.0
    divisors = np.where(scales > 0, scales, np.float32(np.inf))
    levels = np.rint(weights / divisors[:, None]).clip(-LEVELS, LEVELS).astype(np.int8)
    return {"weights": levels, "scales": scales}


def read_rows(arrays: Arrays, rows: np.ndarray, base: int, out: np.ndarray) -> None:
    """Write some rows of what `encoded` returned to float32[n, dim]; rows that are none of these are left as they are.

    Args:
        arrays: of r rows.
        rows: int64[n]; `base` is the first of these, `base` + r - 1 the last.
        base: see `rows`.
        out: what is written to; safe from any thread that has its own.
    """
    weights = arrays["weights"]
    if weights.dtype == np.int8:
        _read_levels(weights, arrays["scales"], rows, base, out)
    elif weights.dtype == np.float16:
        _read_halves(weights.view(np.uint16), rows, base, out)
    else:
        _read_floats(weights, rows, base, out)


@njit(cache=True, nogil=True, inline="always")
def _fetch(flat, row, items, lines):  # type: ignore[no-untyped-def]
    """Have a row of so many items in the cache soon."""
    for line in range(lines):
        prefetch(flat, row * items + min(line * _LINE // flat.itemsize, items - 1))


@njit(cache=True, nogil=True)
def _read_floats(weights, rows, base, out):  # type: ignore[no-untyped-def]
    count, dim = weights.shape
    flat, lines = weights.reshape(-1), dim * weights.itemsize // _LINE + 1
    for k in range(rows.size):
        if k + _AHEAD < rows.size:
            ahead = rows[k + _AHEAD] - base
            if 0 <= ahead < count:
                _fetch(flat, ahead, dim, lines)
        row = rows[k] - base
        if 0 <= row < count:
            for d in range(dim):
                out[k, d] = weights[row, d]


@njit(cache=True, nogil=True)
def _read_halves(weights, rows, base, out):  # type: ignore[no-untyped-def]
    count, dim = weights.shape
    flat, lines = weights.reshape(-1), dim * weights.itemsize // _LINE + 1
    bits = np.empty(dim, np.uint32)
    floats = bits.view(np.float32)
    for k in range(rows.size):
        if k + _AHEAD < rows.size:
            ahead = rows[k + _AHEAD] - base
            if 0 <= ahead < count:
                _fetch(flat, ahead, dim, lines)
        row = rows[k] - base
        if 0 <= row < count:
            for d in range(dim):
                decode(weights[row, d], FLOAT16, floats, bits, d)
            for d in range(dim):
                out[k, d] = floats[d]


@njit(cache=True, nogil=True)
def _read_levels(weights, scales, rows, base, out):  # type: ignore[no-untyped-def]
    count, dim = weights.shape
    flat, lines = weights.reshape(-1), dim * weights.itemsize // _LINE + 1
    for k in range(rows.size):
        if k + _AHEAD < rows.size:
            ahead = rows[k + _AHEAD] - base
            if 0 <= ahead < count:
                _fetch(flat, ahead, dim, lines)
                prefetch(scales, ahead)
        row = rows[k] - base
        if 0 <= row < count:
            scale = scales[row]
            for d in range(dim):
                out[k, d] = np.float32(weights[row, d]) * scale
