"""What a table says has changed since it was last published, folded together, is the table."""

import numpy as np
import pytest

from mindspore_rec.embedding.eviction import LeastRecent, Unseen
from mindspore_rec.embedding.export_rule import ExportRule
from mindspore_rec.embedding.optimizers import Adagrad
from mindspore_rec.embedding.table import HashTable

RULE = ExportRule(nonclk_coeff=1.0, click_coeff=1.0, base_threshold=3.0)


def rows_by_id(ids, weights):
    return {id_: row.tobytes() for id_, row in zip(ids.tolist(), weights)}


def fold(known, changed):
    unsigned = changed.ids.view(np.uint64)
    assert (unsigned[1:] > unsigned[:-1]).all()
    assert not set(changed.ids.tolist()) & set(changed.removed.tolist())
    assert set(changed.removed.tolist()) <= known.keys()  # nothing is said of ids that were never published
    for id_ in changed.removed.tolist():
        del known[id_]
    known.update(rows_by_id(changed.ids, changed.weights))


def worth(table, rule):
    rows = table.export_all() if rule is None else table.export_base(rule)
    return rows_by_id(rows.ids, rows.weights)


@pytest.mark.parametrize("row_type", ["float32", "bfloat16"])
@pytest.mark.parametrize("rule", [None, RULE], ids=["all", "base"])
@pytest.mark.parametrize("seed", range(3))
def test_changes_fold_to_the_table(seed, rule, row_type):
    rng = np.random.default_rng(seed)
    table = HashTable(
        3, Adagrad(0.1), row_type=row_type, max_rows=60, eviction=(Unseen(steps=20), LeastRecent()), statistics=True
    )
    known = {}
    for step in range(120):
        batch = table.prepare(rng.zipf(1.3, 30) % 90 * (2**57 + 1))
        count = batch.distinct.ids.size
        table.apply(batch, rng.standard_normal((count, 3), dtype=np.float32), seconds=float(step))
        if step % 7 == 6:
            fold(known, table.export_changed(rule))
            assert known == worth(table, rule)
    assert table.stats().evicted > 0
    assert len(table.export_changed(rule).ids) <= 30 * 7
    whole = table.export_changed(rule, whole=True)
    assert rows_by_id(whole.ids, whole.weights) == worth(table, rule)


def test_a_table_without_statistics_publishes_all():
    table = HashTable(2, Adagrad(0.1))
    table.apply(table.prepare(np.array([4, -9])), np.ones((2, 2), np.float32))
    assert table.export_changed(RULE).ids.tolist() == [4, -9]
    assert table.export_changed(RULE).ids.size == 0
