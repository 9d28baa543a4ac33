"""Shows, clicks and ages of ids, against a plain dict."""

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindspore_rec.embedding.statistics import FREE, LAST_STEP, STATISTICS, IdStatistics, arrays_of, from_arrays

ROWS = st.lists(st.tuples(st.integers(-1, 9), st.integers(1, 5), st.integers(0, 5)), max_size=12)


@given(st.lists(st.tuples(ROWS, st.booleans()), max_size=10))
def test_equals_a_plain_dict(batches):
    statistics, model = IdStatistics(10), {}
    for step, (batch, clicked) in enumerate(batches, start=1):
        rows = np.array([row for row, _, _ in batch], np.int32)
        new = np.array(sorted({row for row in rows.tolist() if row >= 0 and row not in model}), np.int32)
        statistics.begin(new, np.zeros(new.size, STATISTICS), step)
        model.update({row: [0.0, 0.0, step, step] for row in new.tolist()})
        clicks = np.array([click for _, _, click in batch], np.float32) if clicked else None
        statistics.observe(rows, np.array([show for _, show, _ in batch], np.int32), clicks, step)
        for row, show, click in batch:
            if row >= 0:
                known = model[row]
                model[row] = [known[0] + show, known[1] + (click if clicked else 0), step, known[3]]
        assert [list(record) for record in statistics.of(np.array(list(model), np.int64)).tolist()] == [*model.values()]


def test_what_is_known_of_an_id_stays_when_it_gets_a_row():
    statistics = IdStatistics(4)
    before = np.array([(5, 2, 3, 1), (7, 0, 4, 4)], STATISTICS)
    statistics.begin(np.array([2, 0]), before, step=9)
    assert statistics.of(np.array([2, 0])).tolist() == [(5, 2, 9, 9), (7, 0, 9, 9)]


def test_rows_that_no_id_has():
    statistics = IdStatistics(4)
    statistics.begin(np.array([0, 1, 2, 3]), np.array([(1, 1, 1, 1)] * 4, STATISTICS), 1)
    statistics.free(np.array([1, 3]))
    assert statistics.of(np.array([-1, 0, -1])).tolist() == [(0, 0, 0, 0), (1, 1, 1, 1), (0, 0, 0, 0)]
    assert (statistics.records["last_step"] == FREE).tolist() == [False, True, False, True]
    assert statistics.records["last_step"][3] > LAST_STEP


def test_shows_are_exact_up_to_2_to_the_24():
    statistics = IdStatistics(1)
    row, one = np.array([0], np.int32), np.array([1], np.int32)
    statistics.observe(row, np.array([2**24 - 1], np.int32), None, 1)
    statistics.observe(row, one, None, 2)
    assert statistics.of(row)["show"].tolist() == [2**24]


def test_sixteen_bytes_an_id_and_none_before():
    assert STATISTICS.itemsize == 16
    before = psutil.Process().memory_info().rss
    statistics = IdStatistics(1 << 30)
    assert psutil.Process().memory_info().rss - before < 64 * 2**20
    assert statistics.records.size == 1 << 30


def test_arrays_there_and_back():
    records = np.array([(5, 2, 3, 1), (7, 0, 4, 4)], STATISTICS)
    arrays = arrays_of(records)
    assert {name: (column.dtype.name, column.tolist()) for name, column in arrays.items()} == {
        "show": ("float32", [5, 7]),
        "click": ("float32", [2, 0]),
        "last_step": ("uint32", [3, 4]),
        "admitted_step": ("uint32", [1, 4]),
    }
    np.testing.assert_array_equal(from_arrays({**arrays, "others": np.ones(9)}, 2, 8), records)


def test_ids_without_any_were_last_seen_now():
    assert from_arrays({}, 2, 8).tolist() == [(0, 0, 8, 8)] * 2


@pytest.mark.parametrize("name", STATISTICS.names)
@pytest.mark.parametrize("wrong", [(3,), (2, 1), "float64"], ids=str)
def test_other_columns_are_refused(name, wrong):
    shape, dtype = (2, wrong) if isinstance(wrong, str) else (wrong, STATISTICS[name])
    arrays = {**arrays_of(np.zeros(2, STATISTICS)), name: np.zeros(shape, dtype)}
    with pytest.raises(ValueError, match=rf"^table state has no {STATISTICS[name]}\[2\] {name}$"):
        from_arrays(arrays, 2, 8)


@pytest.mark.parametrize("name", ["show", "click", "admitted_step"])
def test_a_missing_column_is_told(name):
    arrays = arrays_of(np.zeros(2, STATISTICS))
    del arrays[name]
    with pytest.raises(ValueError, match=rf"^table state has no {STATISTICS[name]}\[2\] {name}$"):
        from_arrays(arrays, 2, 8)
