"""A table of one weight and a table of vectors together, over days of pushes, shrinks and exports: Paddle's accessor.

They differ from it in this, and no more:

- A vector's row is made at the next push of an id that has reached the threshold, not at the end of the push that
  reaches it. It begins with the same values; but until then it reads as zeros instead of them, and where a shrink
  brings the score below the threshold before that push, the id waits until the score is back.
- Each table goes by a delta_score of its own, Paddle by one of the feature. A vector's begins with the whole score of
  the id, so that the next delta has it; then a delta may have the weight of an id and not its vector, or the other way
  round, where the score grew by less than the threshold since that was saved. A base makes both of its ids equal again.
"""

from dataclasses import asdict

import numpy as np
import pytest

from mindspore_rec.embedding.admission import ShowClick
from mindspore_rec.embedding.dedupe import distinct_ids
from mindspore_rec.embedding.delta_score import DeltaScore
from mindspore_rec.embedding.eviction import ShowClickDecay
from mindspore_rec.embedding.export_rule import ExportRule
from mindspore_rec.embedding.id_values import sum_of_rows
from mindspore_rec.embedding.optimizers import SharedAdagrad
from mindspore_rec.embedding.table import HashTable
from tests.embedding.rule_examples import copied, waiting
from tests.embedding.show_click_oracle import Accessor

DAYS, PASSES, BATCHES, ROWS = 14, 4, 3, 25
SETTINGS = {
    "usual": Accessor(0.1, 1.0, 2.0, 0.9, 0.15, 3, 0.5, 0.25, 1),
    "slot_dnn": Accessor(0.1, 1.0, 10.0, 0.98, 0.8, 30, 1.5, 0.25, 16),
    "forgetful": Accessor(0.25, 2.0, 3.0, 0.5, 0.5, 1, 0.9, 0.75, 0),
    "no decay": Accessor(0.1, 1.0, 1.0, 1.0, 0.0, 2, 0.0, 0.0, 1),
    "high delta": Accessor(0.1, 1.0, 1.5, 0.8, 0.1, 5, 0.2, 3.0, 2),
}


def tables_of(oracle):
    """The pair, and the rule of their exports."""
    coefficients = (oracle.nonclk_coeff, oracle.click_coeff)
    decay = ShowClickDecay(
        oracle.show_click_decay_rate, oracle.delete_threshold, oracle.delete_after_unseen_days, *coefficients
    )
    settings = {"eviction": decay, "delta_score": DeltaScore(*coefficients)}
    weights = HashTable(1, SharedAdagrad(), **settings)
    vectors = HashTable(8, SharedAdagrad(), admission=ShowClick(oracle.embedx_threshold, *coefficients), **settings)
    rule = ExportRule(*coefficients, oracle.base_threshold, oracle.delta_threshold, oracle.delta_keep_days)
    return (weights, vectors), rule


def pushes(rng, day):
    """Ids, some of them from 2**63 on, and labels of a batch; ids come and go with the days."""
    numbers = 12 * day + (rng.zipf(1.4, ROWS) % 150)
    ids = (numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)).view(np.int64).reshape(-1, 1)
    return ids, (rng.random(ROWS) < 0.3).astype(np.float32)


def push(tables, oracle, ids, labels):
    distinct = distinct_ids(ids)
    clicks = sum_of_rows(distinct, labels, [1])
    for table in tables:
        sums = np.ones((distinct.ids.size, table.dim), np.float32)
        table.apply(table.prepare(distinct), sums, clicks=clicks, seconds=0.0)
    for id_, shows, clicked in zip(distinct.ids.tolist(), distinct.counts.tolist(), clicks.tolist()):
        oracle.push(id_, shows, int(clicked))


def figures(rows):
    """show, click, delta_score and unseen_days by id."""
    columns = (rows.show, rows.click, rows.slots["delta_score"][:, 0], rows.unseen_days)
    return dict(zip(rows.ids.tolist(), zip(*(column.tolist() for column in columns))))


def compare(tables, oracle):
    """Everything known of every id; how many vectors there are, and how many of them Paddle has already."""
    weights, vectors = tables
    known = oracle.features
    assert figures(weights.export_all()) == {
        i: (f.show, f.click, f.delta_score, f.unseen_days) for i, f in known.items()
    }
    assert figures(vectors.export_all()) == {
        i: (f.show, f.click, f.row_delta, f.unseen_days) for i, f in known.items() if f.has_row
    }
    assert waiting(vectors) == {i: (f.show, f.click) for i, f in known.items() if not f.has_row}
    later = [f for f in known.values() if f.has_vector and not f.has_row]
    assert all(f.has_vector for f in known.values() if f.has_row)
    assert not any(f.pushed_since and not f.shrunk_since for f in later)
    return sum(f.has_row for f in known.values()), len(later)


def export(tables, oracle, rule, base):
    """Export both tables; how many ids each had."""
    weights, vectors = ((t.export_base if base else t.export_delta)(rule) for t in tables)
    expected, expected_rows = oracle.saved(base), oracle.saved_rows(base)
    assert set(weights.ids.tolist()) == expected
    assert set(vectors.ids.tolist()) == expected_rows
    if base:
        assert expected_rows == {i for i in expected if oracle.features[i].has_row}
    return len(expected), len(expected_rows)


def restarted(tables, oracle):
    """Tables that take over the state of others."""
    fresh, _ = tables_of(oracle)
    for old, new in zip(tables, fresh):
        new.load_state(copied(old))
    return fresh


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", SETTINGS)
def test_days_of_pushes_shrinks_and_exports(name, seed):
    oracle = Accessor(**asdict(SETTINGS[name]))
    (tables, rule), rng = tables_of(oracle), np.random.default_rng(seed)
    exports, counts, evicted = [], [], 0
    for day in range(DAYS):
        for _ in range(PASSES):
            for _ in range(BATCHES):
                push(tables, oracle, *pushes(rng, day))
                counts.append(compare(tables, oracle))
            if rng.random() < 0.6:
                exports.append(export(tables, oracle, rule, base=False))
                compare(tables, oracle)
        before = len(oracle.features)
        oracle.shrink()
        for table in tables:
            table.shrink()
        evicted += before - len(oracle.features)
        compare(tables, oracle)
        exports.append(export(tables, oracle, rule, base=True))
        oracle.age()
        for table in tables:
            table.end_day()
        compare(tables, oracle)
        if rng.random() < 0.3:
            tables = restarted(tables, oracle)
            compare(tables, oracle)
    sizes = np.array(exports).sum(axis=0)
    assert sizes[0] > sizes[1] > 20, "both exports had rows, not all ids a vector"
    assert max(rows for rows, _ in counts) > 10
    assert max(later for _, later in counts) > 0, "the difference was there to be seen"
    assert evicted > 20 or name == "slot_dnn"


def test_an_id_that_is_only_looked_up_is_no_feature():
    oracle = Accessor(**asdict(SETTINGS["usual"]))
    tables, rule = tables_of(oracle)
    for table in tables:
        assert not table.lookup(np.array([5, -1])).any()
        assert len(table.export_base(rule)) == len(table) == 0
    assert waiting(tables[1]) == {}
