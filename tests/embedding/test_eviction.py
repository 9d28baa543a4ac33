"""The contract of every eviction rule; a new one is tested by existing and needs an example."""

import dataclasses
import inspect
import math
from typing import get_args

import numpy as np
import pytest

from mindspore_rec.embedding import eviction
from mindspore_rec.embedding.admission import MinCount, MinCountSketch, ShowClick
from mindspore_rec.embedding.eviction import LeastFrequent, LeastRecent, NearZero, ShowClickDecay, Unseen
from tests.embedding.rule_examples import (
    EVICTIONS,
    IDS,
    apply,
    loading_changes_nothing,
    new_table,
    prepare,
    random_batches,
    reordered,
    snapshot,
    train,
    with_row,
)

KINDS = sorted({type(rule) for rule in EVICTIONS}, key=lambda kind: kind.__name__)
every_example = pytest.mark.parametrize("rule", EVICTIONS, ids=repr)
every_admission = pytest.mark.parametrize(
    "admission",
    [None, MinCount(2), MinCountSketch(2, 4096, halve_steps=5), ShowClick(0.8)],
    ids=["always", "count", "sketch", "click"],
)


def discovered():
    ways = ("dead", "shrink", "least")
    kinds = {k for _, k in inspect.getmembers(eviction, inspect.isclass) if any(hasattr(k, way) for way in ways)}
    return kinds - {eviction.Periodic}


def bounded(rule, **settings):
    """A table that the rule has work in."""
    full = {"max_rows": 40} if isinstance(rule, (LeastRecent, LeastFrequent)) else {}
    return new_table(eviction=(rule,), **full, **settings)


def test_every_rule_has_an_example_and_belongs_to_the_union():
    assert discovered() == set(KINDS) == set(get_args(eviction.Eviction))


@every_example
def test_the_example_evicts_and_keeps(rule):
    """Else the tests below would say little. A rule that the table knows nothing of fails here."""
    table, seen = bounded(rule), set()
    for batch in random_batches(1, 12):
        train(table, batch)
        seen |= set(batch.ids.ravel().tolist())
    stats = table.stats()
    assert 0 < stats.rows < len(seen)
    assert stats.evicted == stats.admitted - stats.rows > 5
    assert stats.free_rows + stats.rows < stats.admitted, "rows of evicted ids are used again"
    assert stats.refused == 0


@pytest.mark.parametrize("wrong", ["Unseen", Unseen, None], ids=str)
def test_what_is_no_rule_is_refused(wrong):
    with pytest.raises(ValueError, match=r"^eviction = .*: expected rules of mindspore_rec\.embedding\.eviction$"):
        new_table(eviction=(wrong,))


@pytest.mark.parametrize("rules", [(LeastRecent(), LeastFrequent()), (ShowClickDecay(), ShowClickDecay(0.5))], ids=str)
def test_rules_that_contradict_each_other_are_refused(rules):
    with pytest.raises(ValueError, match=r"^eviction = .*: expected at most one rule for a full table, one for days$"):
        new_table(eviction=rules)


@every_admission
@every_example
def test_save_load_continue_equals_uninterrupted(rule, admission):
    loading_changes_nothing(lambda: bounded(rule, admission=admission), seed=2)


@every_admission
@every_example
def test_the_order_of_ids_in_a_batch_does_not_matter(rule, admission):
    rng = np.random.default_rng(3)
    one, other = bounded(rule, admission=admission), bounded(rule, admission=admission)
    for batch in random_batches(4, 16, shared=True):
        train(one, batch)
        train(other, reordered(batch, rng, columns=True))
        assert snapshot(one) == snapshot(other)


@every_example
def test_reading_ages_nothing(rule):
    read, unread = bounded(rule), bounded(rule)
    for batch in random_batches(5, 12):
        for table in (read, unread):
            train(table, batch)
        read.lookup(IDS.ravel())
        read.explain(int(IDS[3, 1]))
        assert snapshot(read) == snapshot(unread)


@every_example
def test_evicted_ids_read_as_zeros_and_begin_anew(rule):
    table, fresh, came_back = bounded(rule), new_table(), 0
    ever, residents = set(), set()
    for batch in random_batches(6, 14):
        prepared = prepare(table, batch.ids)
        ids = prepared.distinct.ids
        again = np.isin(ids, list(ever - residents))
        came_back += int(again.sum())
        np.testing.assert_array_equal(table.lookup(ids[again]), fresh.read(fresh.prepare(ids[again])))
        apply(table, prepared, batch)
        if batch.ends_day:
            table.shrink()
            table.end_day()
        residents, ever = with_row(table), ever | set(ids.tolist())
        assert (table.lookup(np.array(sorted(ever - residents), np.int64)) == 0).all()
    assert came_back > 0


@every_example
def test_each_eviction_leaves_a_tombstone(rule):
    table, before = bounded(rule), set()
    assert table.take_evicted().size == 0
    for k, batch in enumerate(random_batches(7, 16)):
        came = set(batch.ids.ravel().tolist())
        train(table, batch)
        before |= came
        if k % 3 == 2:
            gone = table.take_evicted().tolist()
            assert gone == sorted(before - with_row(table)), "ids once there that no longer are"
            before = with_row(table)
            assert table.take_evicted().tolist() == []


@every_example
def test_rules_cannot_change_behind_a_table(rule):
    for field in dataclasses.fields(rule):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(rule, field.name, None)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        *((Unseen, {"steps": value}) for value in (0, -1)),
        *((Unseen, {"seconds": value}) for value in (-1.0, math.nan, math.inf)),
        *((Unseen, {"days": value}) for value in (0, -1)),
        (Unseen, {"days": 1, "steps": 1}),
        *((kind, {first: 1, "every_steps": 0}) for kind, first in ((Unseen, "steps"), (NearZero, "norm"))),
        *((NearZero, {"norm": value}) for value in (-0.1, math.nan, math.inf)),
        (NearZero, {"norm": 0.1, "after_steps": 0}),
        *((ShowClickDecay, {"decay": value}) for value in (0.0, 1.01, math.nan)),
        (ShowClickDecay, {"delete_after_unseen_days": -1}),
        *((ShowClickDecay, {name: math.nan}) for name in ("delete_threshold", "nonclk_coeff", "click_coeff")),
        *((kind, {"share": value}) for kind in (LeastRecent, LeastFrequent) for value in (0.0, 1.01, math.nan)),
    ],
    ids=str,
)
def test_wrong_settings_are_named(kind, wrong):
    name, value = list(wrong.items())[-1]
    with pytest.raises(ValueError, match=rf"{name} = {value}.*: expected ") as error:
        kind(**wrong)
    assert "\n" not in str(error.value)
