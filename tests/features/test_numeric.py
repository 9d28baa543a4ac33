from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindspore_rec.features.numeric import LOG1P, MINMAX, NumberScaling, scale, scale_column

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE)
def test_log1p(value: float) -> None:
    weight = scale(value, LOG1P, 0.0, 0.0)
    assert math.isfinite(weight)
    assert weight == pytest.approx(math.copysign(math.log1p(abs(value)), value), rel=1e-7, abs=1e-44)


@given(FINITE, FINITE, st.floats(0, 1e308))
def test_minmax_is_clipped_and_finite(value: float, low: float, size: float) -> None:
    high = low + size
    if not math.isfinite(high) or not math.isfinite(high - low):
        return
    weight = scale(value, MINMAX, low, high)
    clipped = min(max(value, low), high)
    assert 0 <= weight <= 1
    assert weight == (np.float32((clipped - low) / (high - low)) if high > low else 0)


@pytest.mark.parametrize(("value", "weight"), [(-5.0, 0.0), (0.0, 0.0), (2.5, 0.25), (10.0, 1.0), (1e300, 1.0)])
def test_minmax_examples(value: float, weight: float) -> None:
    assert scale(value, MINMAX, 0.0, 10.0) == weight


def test_one_value_only_gives_zero() -> None:
    assert [scale(x, MINMAX, 3.0, 3.0) for x in (-1.0, 3.0, 9.0)] == [0.0, 0.0, 0.0]


def test_table_of_small_integers_has_the_bits_of_the_function() -> None:
    scaling = NumberScaling.log1p(1)
    values = np.arange(len(scaling.small), dtype=np.float64)
    assert len(values) & (len(values) - 1) == 0, "the parser takes the size for a power of two"
    assert scaling.small.tobytes() == np.array([scale(x, LOG1P, 0.0, 0.0) for x in values], np.float32).tobytes()
    minus = np.array([scale(-x, LOG1P, 0.0, 0.0) for x in values], np.float32)
    assert (-scaling.small).tobytes() == minus.tobytes()


def test_missing_numbers_weigh_nothing() -> None:
    values = np.array([math.nan, 1.0, math.nan])
    for kind in (LOG1P, MINMAX):
        weights = scale_column(values, kind, -1.0, 5.0)
        assert weights.dtype == np.float32 and weights[1] > 0 and weights[0] == weights[2] == 0
