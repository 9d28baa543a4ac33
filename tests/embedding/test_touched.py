"""What a table says was touched since the last time, against a plain model of it."""

import numpy as np
import pytest

from mindspore_rec.embedding.changes import RowChanges
from mindspore_rec.embedding.index import IdIndex
from mindspore_rec.embedding.row_arrays import RowArrays


class Rows:
    """An index whose changes are followed."""

    def __init__(self, most=200):
        self.ids = np.zeros(most, np.int64)
        self.index = IdIndex(self.ids)
        self.changes = RowChanges(RowArrays.of(self.ids, None, None), lambda: self.index)

    def add(self, ids):
        rows, added = self.index.find_or_add(np.asarray(ids, np.int64))
        self.changes.add(added)
        return rows

    def change(self, ids):
        self.changes.change(self.index.find(np.asarray(ids, np.int64)))

    def remove(self, ids):
        self.changes.remove(self.index.remove(np.asarray(ids, np.int64)))

    def ids_of(self, rows):
        return sorted(self.ids[rows].tolist())


def test_rows_that_were_there_count_as_touched_once():
    rows = Rows()
    rows.add([7, 8, 9])
    rows.remove([8])
    touched = rows.changes.touch()
    found = touched.take()
    assert rows.ids_of(found.rows) == [7, 9]
    assert found.removed.size == 0
    assert touched.take().rows.size == 0


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_changes(seed):
    rows, rng = Rows(), np.random.default_rng(seed)
    touched = rows.changes.touch()
    there, wanted, removed, published = set(), set(), set(), set()
    for _ in range(60):
        ids = np.unique(rng.integers(0, 40, 5)).tolist()
        kind = rng.integers(0, 5)
        if kind == 0:
            rows.add(ids)
            wanted |= set(ids) - there
            there |= set(ids)
        elif kind == 1:
            known = sorted(there & set(ids))
            rows.change(known)
            wanted |= set(known)
        elif kind == 2:
            known = sorted(there & set(ids))
            rows.remove(known)
            there -= set(known)
            wanted -= set(known)
            removed |= set(known) & published
            published -= set(known)
        elif kind == 3 and rng.random() < 0.2:
            rows.changes.change_all()
            wanted |= there
        elif kind == 4:
            found = touched.take()
            assert rows.ids_of(found.rows) == sorted(wanted)
            assert found.removed.tolist() == sorted(removed)
            published |= wanted
            wanted, removed = set(), set()


def test_what_is_not_worth_publishing_is_withdrawn_where_it_was():
    rows = Rows()
    touched = rows.changes.touch()
    rows.add([1, 2, 3])
    found = touched.take(lambda given: rows.ids[given] != 3)
    assert (rows.ids_of(found.rows), found.removed.tolist()) == ([1, 2], [])
    rows.change([1, 3])
    found = touched.take(lambda given: np.zeros(given.size, bool))
    assert (found.rows.tolist(), found.removed.tolist()) == ([], [1])  # 3 never was
    rows.remove([3, 2])
    assert touched.take().removed.tolist() == [2]


def test_it_is_apart_from_what_checkpoints_follow():
    rows = Rows()
    rows.changes.begin()
    touched = rows.changes.touch()
    rows.add([1, 2])
    list(rows.changes.capture(whole=False).chunks())
    assert rows.ids_of(touched.take().rows) == [1, 2]
