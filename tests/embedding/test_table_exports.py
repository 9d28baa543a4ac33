"""Exports of a table: what they hold, which rows, and what they change."""

import dataclasses

import numpy as np
import pytest

from mindspore_rec.checkpoint.merge import MergedArrays, row_digests
from mindspore_rec.embedding.admission import MinCount
from mindspore_rec.embedding.delta_score import DeltaScore
from mindspore_rec.embedding.eviction import ShowClickDecay
from mindspore_rec.embedding.explanation import values_of_rows
from mindspore_rec.embedding.export_rule import ExportRule
from mindspore_rec.embedding.optimizers import SGD, Adagrad, LazyAdam, SharedAdagrad
from mindspore_rec.embedding.table import HashTable
from tests.embedding.rule_examples import copied, new_table, one_column, random_batches, snapshot, train

EVERYTHING = ExportRule(base_threshold=-1.0, delta_threshold=-1.0, delta_keep_days=1000)
RULE = ExportRule(base_threshold=0.4, delta_threshold=0.6, delta_keep_days=1)


def by_id(rows):
    """Everything known of each id, as bytes."""
    columns = (rows.weights, *rows.slots.values(), rows.show, rows.click, rows.unseen_days)
    return {id_: tuple(column[k].tobytes() for column in columns) for k, id_ in enumerate(rows.ids.tolist())}


def check_shape(rows, dim, slots):
    count = len(rows)
    assert (rows.ids.dtype, rows.ids.shape) == (np.int64, (count,))
    assert (rows.weights.dtype, rows.weights.shape) == (np.float32, (count, dim))
    assert {name: (slot.dtype, slot.shape) for name, slot in rows.slots.items()} == {
        name: (np.float32, (count, size)) for name, size in slots
    }
    assert list(rows.slots) == [name for name, _ in slots]
    for name, kind in (("show", np.float32), ("click", np.float32), ("unseen_days", np.int32)):
        column = getattr(rows, name)
        assert (column.dtype, column.shape) == (kind, (count,))
    unsigned = rows.ids.view(np.uint64)
    assert (unsigned[1:] > unsigned[:-1]).all()


@pytest.mark.parametrize("row_type", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("optimizer", [SGD(0.5), SharedAdagrad(), Adagrad(), LazyAdam()], ids=repr)
@pytest.mark.parametrize("scored", [True, False])
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_rows_are_those_of_the_state(dim, scored, optimizer, row_type):
    rng = np.random.default_rng(dim)
    table = HashTable(dim, optimizer, row_type=row_type, delta_score=DeltaScore() if scored else None)
    for step in range(6):
        batch = table.prepare(rng.integers(-(2**63), 2**63 - 1, 40))
        table.apply(batch, rng.standard_normal((40, dim), dtype=np.float32), seconds=float(step))
        table.evict(batch.distinct.ids[:5])
    rows, state, about = table.export_all(), copied(table), table.about()
    check_shape(rows, dim, about["slots"])
    order = np.argsort(state["ids"].view(np.uint64))
    np.testing.assert_array_equal(rows.ids, state["ids"][order])
    values = np.concatenate((rows.weights, *rows.slots.values()), axis=1)
    np.testing.assert_array_equal(values, values_of_rows(state["rows"], about)[order])
    np.testing.assert_array_equal(rows.weights, table.lookup(rows.ids))
    if scored:
        np.testing.assert_array_equal(rows.show, state["show"][order])
        np.testing.assert_array_equal(rows.click, state["click"][order])
    else:
        assert not rows.show.any() and not rows.click.any() and not rows.unseen_days.any()


def test_rows_do_not_change_with_the_table():
    table = new_table(delta_score=DeltaScore())
    train(table, one_column([5, 6]))
    rows = table.export_all()
    before = by_id(rows)
    batch = table.prepare(np.array([5, 6]))
    table.apply(batch, np.ones((2, 2), np.float32))
    table.shrink()
    table.export_base(EVERYTHING)
    assert by_id(rows) == before != by_id(table.export_all())


def test_an_empty_table():
    for settings in ({}, {"delta_score": DeltaScore()}):
        table = new_table(**settings)
        for rows in (table.export_all(), table.export_base(RULE)):
            check_shape(rows, 2, [["delta_score", 1]] if settings else [])
            assert len(rows) == 0
    assert len(table.export_delta(RULE)) == 0


def test_a_padding_id_is_never_among_them():
    table = new_table(padding_id=0, delta_score=DeltaScore())
    train(table, one_column([0, 5, 0]))
    for rows in (table.export_all(), table.export_delta(EVERYTHING), table.export_base(EVERYTHING)):
        assert rows.ids.tolist() == [5]


def test_days_unseen():
    table, last, day = new_table(statistics=True), {}, 0
    for batch in random_batches(3, 24):
        last.update(dict.fromkeys(batch.ids.ravel().tolist(), day))
        train(table, batch)
        day += batch.ends_day
        rows = table.export_all()
        assert dict(zip(rows.ids.tolist(), rows.unseen_days.tolist())) == {i: day - seen for i, seen in last.items()}
    assert day == 6 and rows.unseen_days.max() > 1


def test_base_and_delta_have_what_the_rule_says_and_reset_it():
    table, sizes = new_table(delta_score=DeltaScore(), eviction=ShowClickDecay(0.9, 0.0)), []
    for k, batch in enumerate(random_batches(4, 40)):
        train(table, batch)
        if k % 3 == 2:
            base = k % 6 == 5
            everything = table.export_all()
            score = (everything.show - everything.click) * np.float32(0.1) + everything.click
            chosen = (score >= np.float32(0.4)) & (everything.unseen_days <= 1)
            if not base:
                chosen &= everything.slots["delta_score"][:, 0] >= np.float32(0.6)
            rows = table.export_base(RULE) if base else table.export_delta(RULE)
            check_shape(rows, 2, [["delta_score", 1]])
            expected = {i: known for (i, known), wanted in zip(by_id(everything).items(), chosen) if wanted}
            assert by_id(rows) == expected, "their delta_score is that of before"
            after = dataclasses.replace(everything, slots={"delta_score": everything.slots["delta_score"].copy()})
            after.slots["delta_score"][chosen] = 0
            assert by_id(table.export_all()) == by_id(after)
            sizes.append((len(rows), len(everything)))
    assert all(some < every for some, every in sizes) and sum(some for some, _ in sizes) > 50


def test_a_delta_again_has_nothing():
    table = new_table(delta_score=DeltaScore())
    train(table, one_column([5] * 9 + [6], labels=[1] * 9 + [0]))
    assert table.export_delta(RULE).ids.tolist() == [5]
    assert table.export_delta(RULE).ids.tolist() == []
    assert table.export_base(RULE).ids.tolist() == [5]
    train(table, one_column([5], labels=[1]))
    assert table.export_delta(RULE).slots["delta_score"].tolist() == [[1.0]]


@pytest.mark.parametrize("settings", [{}, {"statistics": True}, {"admission": MinCount(1)}], ids=str)
def test_without_delta_score_there_is_no_delta(settings):
    table = new_table(name="deep", **settings)
    train(table, one_column([5] * 9 + [6]))
    before = snapshot(table)
    with pytest.raises(ValueError, match=r"^table 'deep' keeps no delta_score, so .*: expected one made with .*$"):
        table.export_delta(RULE)
    assert table.export_base(RULE).ids.tolist() == ([5] if settings else [5, 6]), "all, where nothing is counted"
    assert snapshot(table) == before


def test_what_an_export_changed_is_in_the_next_delta_of_checkpoints():
    table = new_table(delta_score=DeltaScore(), eviction=ShowClickDecay())
    train(table, one_column([5] * 9 + [6, 7, 7, 7, 7]))
    table.changes.follow()
    base = copied(table)
    for export, changed in ((table.export_delta, [5]), (table.export_all, []), (table.export_base, [7])):
        if export == table.export_all:
            export()
        else:
            export(RULE if export == table.export_delta else dataclasses.replace(RULE, base_threshold=0.3))
        taken = table.changes.capture(False)
        chunks = [dict(chunk) for chunk in taken.rows[""].chunks()]
        assert [chunk["ids"].tolist() for chunk in chunks] == ([changed] if changed else [])
        merging = MergedArrays(base, room=10)
        for chunk in chunks:
            merging.apply({**taken.arrays, **chunk, "removed": taken.rows[""].removed})
        base = merging.arrays()
        assert {"": taken.rows[""].digest} == row_digests(base) == row_digests(table.state())


def test_all_and_reading_change_nothing():
    table = new_table(delta_score=DeltaScore(), admission=MinCount(2), eviction=ShowClickDecay(0.5, 0.3))
    other = new_table(delta_score=DeltaScore(), admission=MinCount(2), eviction=ShowClickDecay(0.5, 0.3))
    for batch in random_batches(5, 12):
        train(table, batch)
        train(other, batch)
        table.export_all()
        assert snapshot(table) == snapshot(other)
