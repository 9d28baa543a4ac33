"""Rows of fewer bits: never farther off than the page on exports says."""

import re

import numpy as np
import pytest

from mindspore_rec.serving.manifest import ExportError
from mindspore_rec.serving.row_types import encoded, read_rows


def read_back(weights, row_type):
    arrays = encoded(weights, row_type)
    out = np.full(weights.shape, np.nan, np.float32)
    read_rows(arrays, np.arange(len(weights)), 0, out)
    return arrays, out


def drawn(seed=0, rows=2000, dim=9):
    """Rows of all sizes, from 1e-9 to 6e4."""
    rng = np.random.default_rng(seed)
    sizes = 10.0 ** rng.uniform(-9, 4, (rows, 1))
    return (rng.standard_normal((rows, dim)) * sizes).astype(np.float32)


def test_float32_is_what_it_was():
    weights = drawn()
    np.testing.assert_array_equal(read_back(weights, "float32")[1], weights)


def test_float16_is_the_nearest():
    weights = np.concatenate([drawn(), [[0.0, -0.0, 65504.0, -65519.0, 2**-14, 2**-24, 2**-26, 1.0, -1.0]]])
    weights = weights.astype(np.float32)
    arrays, found = read_back(weights, "float16")
    assert arrays["weights"].dtype == np.float16
    np.testing.assert_array_equal(found, arrays["weights"].astype(np.float32))
    bound = np.maximum(np.abs(weights) * 2.0**-11, 2.0**-25)
    assert (np.abs(found.astype(np.float64) - weights) <= bound).all()


def test_int8_is_off_by_half_a_scale_at_most():
    weights = drawn()
    arrays, found = read_back(weights, "int8")
    assert (arrays["weights"].dtype, arrays["scales"].dtype) == (np.int8, np.float32)
    largest = np.abs(weights).max(axis=1)
    np.testing.assert_allclose(arrays["scales"], largest / 127, rtol=1e-6)
    assert (np.abs(arrays["weights"]).max(axis=1) == 127).all()
    off = np.abs(found.astype(np.float64) - weights) / arrays["scales"][:, None]
    assert 0.49 < off.max() <= 0.5 + 2e-5
    np.testing.assert_array_equal(found, arrays["weights"] * arrays["scales"][:, None])


@pytest.mark.parametrize("size", [0.0, 1e-45, 1e-38, 2e-36, 3.4e38])
def test_int8_of_the_smallest_and_largest_rows(size):
    weights = np.array([[size, -size, size / 2, 0]], np.float32)
    arrays, found = read_back(weights, "int8")
    if size < 1e-36:
        assert arrays["scales"].tolist() == [0.0] and not found.any()
    else:
        np.testing.assert_allclose(found, weights, atol=arrays["scales"][0] * 0.50001)


@pytest.mark.parametrize("value", [65520.0, -70000.0, 3e38])
def test_what_no_float16_is_near_is_refused(value):
    weights = np.array([[1.0, 2.0], [value, 0.0]], np.float32)
    with pytest.raises(ExportError, match=re.escape(f"a weight is {value:g}, expected at most 65504")) as error:
        encoded(weights, "float16")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("row_type", ["float32", "float16", "int8"])
def test_rows_that_are_none_of_these_stay(row_type):
    arrays = encoded(np.array([[1.0], [2.0]], np.float32), row_type)
    out = np.full((40, 1), 9.0, np.float32)
    rows = np.full(40, -1)
    rows[:5] = [10, 11, 12, 9, -1]
    read_rows(arrays, rows, 10, out)
    np.testing.assert_allclose(out[:6, 0], [1, 2, 9, 9, 9, 9])
    assert (out[5:] == 9.0).all()


@pytest.mark.parametrize("row_type", ["float32", "float16", "int8"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(row_type, value):
    with pytest.raises(ExportError, match="a weight is not finite"):
        encoded(np.array([[value]], np.float32), row_type)
