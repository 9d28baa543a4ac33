import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mindspore_rec.embedding.dedupe import distinct_ids

IDS = arrays(np.int64, st.integers(0, 300), elements=st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1)))


@given(IDS)
def test_distinct_ids_are_in_order_of_first_occurrence(ids):
    found = distinct_ids(ids)
    assert found.ids.tolist() == list(dict.fromkeys(ids.tolist()))
    np.testing.assert_array_equal(found.ids[found.inverse], ids)


@given(IDS)
def test_counts_tell_how_often_each_id_occurs(ids):
    found = distinct_ids(ids)
    assert found.counts.tolist() == [int((ids == value).sum()) for value in found.ids]


@pytest.mark.parametrize("distinct", [1, 30, 3_000, 100_000])
def test_any_share_of_distinct_ids(distinct):
    """The slots are few to begin with and grow."""
    ids = np.random.default_rng(distinct).integers(-(2**63), 2**63 - 1, distinct)
    batch = np.random.default_rng(1).permutation(np.concatenate((ids, np.random.default_rng(2).choice(ids, 60_000))))
    found = distinct_ids(batch)
    np.testing.assert_array_equal(found.ids[found.inverse], batch)
    assert found.ids.size == np.unique(ids).size
    np.testing.assert_array_equal(found.counts, np.bincount(found.inverse))


def test_any_shape_is_read_in_c_order():
    ids = np.array([[5, 6], [6, 5]])
    assert distinct_ids(ids.T).inverse.tolist() == distinct_ids(ids.T.copy().reshape(-1)).inverse.tolist()
