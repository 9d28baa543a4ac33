"""Sorting of ids, against numpy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindspore_rec.embedding.id_order import sort_ids

INT64 = st.integers(-(2**63), 2**63 - 1)


def check(ids):
    places = np.arange(ids.size, dtype=np.int32)[::-1].copy()
    before = ids.copy()
    found, carried = sort_ids(ids, places)
    order = np.argsort(ids.view(np.uint64), kind="stable")
    assert (found.dtype, carried.dtype) == (np.int64, np.int32)
    np.testing.assert_array_equal(found, ids[order])
    np.testing.assert_array_equal(carried, places[order])
    np.testing.assert_array_equal(ids, before)


@given(st.lists(INT64, max_size=40), st.integers(0, 63))
def test_ascending_as_unsigned_numbers(numbers, shift):
    check(np.array(numbers, np.int64) >> shift)


@pytest.mark.parametrize("bits", [1, 8, 9, 20, 40, 64])
def test_many_ids(bits):
    ids = np.random.default_rng(bits).integers(0, 2**64, 50_000, dtype=np.uint64) >> np.uint64(64 - bits)
    check(ids.view(np.int64))
    check(ids.view(np.int64)[::3])
