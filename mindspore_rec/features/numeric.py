"""Scaling of numbers. One compiled function serves every engine, so all give the same bits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from mindspore_rec.features.batch import Float32, Float64
from mindspore_rec.features.spec import FeatureSpec

LOG1P, MINMAX = 0, 1
_SMALL_INTEGERS = 1 << 16


@njit(cache=True, nogil=True, error_model="numpy")  # no check of the divisor, which no branch would survive
def scale(value: float, kind: int, low: float, high: float) -> np.float32:
    """float32 weight of a finite number; always finite.

    ``LOG1P``: ``sign(x) * log1p(abs(x))``. ``MINMAX``: ``(x - low) / (high - low)`` clipped to [0, 1]; 0 where
    ``low == high``.
    """
    if kind == MINMAX:
        if high <= low:
            return np.float32(0.0)
        clipped = min(max(value, low), high)  # first, so that no difference overflows
        return np.float32((clipped - low) / (high - low))
    if value < 0.0:
        return np.float32(-math.log1p(-value))
    return np.float32(math.log1p(value))


@njit(cache=True, nogil=True, forceinline=True)
def scale_quickly(value: float, kind: int, low: float, high: float, small: Float32) -> np.float32:
    """``scale``, by the table of small integers (see ``NumberScaling``) where it has the value."""
    if 0.0 < value < len(small):
        integer = np.int64(value)
        if integer == value:
            return small[integer]
    return scale(value, kind, low, high)


@njit(cache=True, nogil=True)
def scale_column(values: Float64, kind: int, low: float, high: float) -> Float32:
    """float32[n] of float64[n]; NaN stands for a missing number and gives 0."""
    weights = np.zeros(len(values), np.float32)
    for i in range(len(values)):
        if not math.isnan(values[i]):
            weights[i] = scale(values[i], kind, low, high)
    return weights


@dataclass(frozen=True, eq=False)
class NumberScaling:
    """The number transform of a spec.

    Attributes:
        kind: ``LOG1P`` or ``MINMAX``.
        low: float64[dense_dim], smallest value of each field; zeros with ``LOG1P``.
        high: float64[dense_dim], largest.
        small: float32, weights of the integers 0, 1, ... with ``LOG1P``; empty with ``MINMAX``.
    """

    kind: int
    low: Float64
    high: Float64
    small: Float32

    @staticmethod
    def log1p(dense_dim: int) -> NumberScaling:
        """Logarithmic scaling."""
        zeros = np.zeros(dense_dim, np.float64)
        small = scale_column(np.arange(_SMALL_INTEGERS, dtype=np.float64), LOG1P, 0.0, 0.0)
        return NumberScaling(LOG1P, zeros, zeros, small)

    @staticmethod
    def minmax(low: Float64, high: Float64) -> NumberScaling:
        """Min-max scaling with the bounds of each field."""
        return NumberScaling(MINMAX, low, high, np.empty(0, np.float32))

    def column(self, values: Float64, field: int) -> Float32:
        """float32[n] weights of one field's float64[n] numbers; NaN is a missing one."""
        return scale_column(values, self.kind, self.low[field], self.high[field])


def scaling_of(spec: FeatureSpec, low: Float64, high: Float64) -> NumberScaling:
    """The scaling a spec asks for, with the bounds its dictionaries give."""
    if spec.numeric_transform == "minmax":
        return NumberScaling.minmax(low, high)
    return NumberScaling.log1p(spec.dense_dim)
