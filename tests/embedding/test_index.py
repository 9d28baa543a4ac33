import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindspore_rec.embedding.index import MAX_LOAD, IdIndex

EVERY_PATTERN = np.array([0, -1, 1, 2**63 - 1, -(2**63), 2**32, -(2**32)], dtype=np.int64)


def new_index(rows=100_000):
    row_ids = np.zeros(rows, dtype=np.int64)
    return IdIndex(row_ids, capacity=16), row_ids


def test_every_bit_pattern_is_a_valid_id():
    index, row_ids = new_index()
    assert index.find(EVERY_PATTERN).tolist() == [-1] * 7
    assert index.find_or_add(EVERY_PATTERN).tolist() == list(range(7))
    assert index.find(EVERY_PATTERN).tolist() == list(range(7))
    np.testing.assert_array_equal(row_ids[:7], EVERY_PATTERN)


@given(st.lists(st.sets(st.integers(-(2**63), 2**63 - 1), max_size=60), max_size=12))
def test_equals_a_dict_through_growth(batches):
    index, _ = new_index()
    model = {}
    for batch in batches:
        ids = np.array(sorted(batch), dtype=np.int64)
        expected = [model.setdefault(int(i), len(model)) for i in ids]
        assert index.find_or_add(ids).tolist() == expected
        assert index.size == len(model)
        assert index.size <= MAX_LOAD * index.capacity
    known = np.array(list(model), dtype=np.int64)
    assert index.find(known).tolist() == list(model.values())


@pytest.mark.parametrize("stride", [1, 2**20, 2**40, 2**56])
def test_structured_ids_are_found_after_growth(stride):
    index, _ = new_index()
    ids = (np.arange(50_000, dtype=np.int64) * stride) ^ 12345
    ids = np.unique(ids)
    np.testing.assert_array_equal(index.find_or_add(ids), np.arange(ids.size))
    np.testing.assert_array_equal(index.find(ids[::-1].copy()), np.arange(ids.size)[::-1])
    assert (index.find(np.setdiff1d(ids + 1, ids)) == -1).all()
