import numpy as np
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
def test_positions_list_each_occurrence_once_and_ascending(ids):
    found = distinct_ids(ids)
    for k, value in enumerate(found.ids):
        where = found.positions[found.starts[k] : found.starts[k + 1]]
        np.testing.assert_array_equal(where, np.flatnonzero(ids == value))
    assert found.counts.sum() == ids.size


def test_any_shape_is_read_in_c_order():
    ids = np.array([[5, 6], [6, 5]])
    assert distinct_ids(ids.T).inverse.tolist() == distinct_ids(ids.T.copy().reshape(-1)).inverse.tolist()
