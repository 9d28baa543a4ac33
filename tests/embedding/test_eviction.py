"""The contract of every eviction rule; a new one is tested by existing and needs an example."""

import dataclasses
import inspect
import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindspore_rec.embedding import eviction
from mindspore_rec.embedding.admission import MinCount, MinCountSketch, ShowClick
from mindspore_rec.embedding.eviction import LeastFrequent, LeastRecent, NearZero, ShowClickDecay, Unseen
from mindspore_rec.embedding.initial import Constant
from mindspore_rec.embedding.optimizers import SGD, Adagrad
from mindspore_rec.embedding.table import HashTable
from tests.embedding.rule_examples import (
    EVICTIONS,
    IDS,
    apply,
    copied,
    new_table,
    prepare,
    random_batches,
    reordered,
    shows,
    snapshot,
    train,
    waiting,
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


def plain(rule, **settings):
    """A table of one weight an id, which begins at 0."""
    return HashTable(1, SGD(1.0), init=Constant(0.0), eviction=(rule,), **settings)


def step(table, ids, clicks=None, seconds=0.0, gradient=1.0):
    """Train on ids, each with the gradient; ids may repeat."""
    batch = table.prepare(np.asarray(ids, np.int64))
    sums, _ = table.sum_gradients(batch, np.full((len(ids), 1), gradient, np.float32))
    if clicks is not None:
        clicked = {i: sum(c for k, c in zip(ids, clicks) if k == i) for i in ids}
        clicks = np.array([clicked[i] for i in batch.distinct.ids.tolist()], np.float32)
    table.apply(batch, sums, clicks=clicks, seconds=seconds)


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
        plain(wrong)


@pytest.mark.parametrize("rules", [(LeastRecent(), LeastFrequent()), (ShowClickDecay(), ShowClickDecay(0.5))], ids=str)
def test_rules_that_contradict_each_other_are_refused(rules):
    with pytest.raises(ValueError, match=r"^eviction = .*: expected at most one rule for a full table, one for days$"):
        new_table(eviction=rules)


@every_admission
@every_example
def test_save_load_continue_equals_uninterrupted(rule, admission):
    batches = list(random_batches(2, 16))
    for saved in (4, 7, 10):
        whole, second = bounded(rule, admission=admission), bounded(rule, admission=admission)
        for k, batch in enumerate(batches):
            train(whole, batch)
            if k == saved:
                second.load_state(copied(whole))
            if k > saved:
                train(second, batch)
            if k >= saved:
                assert snapshot(whole) == snapshot(second), k


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


few_batches = st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=4), min_size=1, max_size=20)


@settings(max_examples=40)
@given(few_batches, st.integers(1, 5), st.integers(1, 4))
def test_unseen_for_steps(batches, steps, every):
    table, last_seen = plain(Unseen(steps=steps, every_steps=every)), {}
    for k, ids in enumerate(batches, start=1):
        step(table, ids)
        last_seen.update(dict.fromkeys(ids, k))
        if k % every == 0:
            last_seen = {i: last for i, last in last_seen.items() if k - last < steps}
        assert with_row(table) == set(last_seen)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.lists(st.integers(0, 7), min_size=1, max_size=4), st.integers(0, 9)), max_size=20),
    st.integers(1, 15),
)
def test_unseen_for_seconds(batches, ttl):
    """Exact to the second; of several batches in one all but the first count as at its end."""
    table, now, last_seen = plain(Unseen(seconds=ttl, every_steps=1)), 1_700_000_000, {}
    for ids, seconds in batches:
        now += seconds
        step(table, ids, seconds=now)
        last_seen.update(dict.fromkeys(ids, now))
        residents = with_row(table)
        assert {i for i, last in last_seen.items() if now - last < ttl} <= residents, "never too early"
        assert residents <= {i for i, last in last_seen.items() if now - last <= ttl}
        last_seen = {i: last_seen[i] for i in residents}


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.lists(st.integers(0, 7), min_size=1, max_size=4), st.integers(0, 2)), max_size=20),
    st.integers(1, 3),
)
def test_unseen_for_days(batches, days):
    table, day, last_seen = plain(Unseen(days=days, every_steps=1)), 0, {}
    for ids, ended in batches:
        for _ in range(ended):
            table.end_day()
        day += ended
        step(table, ids)
        last_seen.update(dict.fromkeys(ids, day))
        last_seen = {i: last for i, last in last_seen.items() if day - last < days}
        assert with_row(table) == set(last_seen)


@pytest.mark.parametrize("rule", [Unseen(steps=3), Unseen(seconds=3.0), Unseen(days=3)], ids=repr)
@pytest.mark.parametrize("admission", [MinCount(3), ShowClick(9.0)], ids=repr)
def test_ids_that_wait_are_forgotten_too(rule, admission):
    table = plain(dataclasses.replace(rule, every_steps=1), admission=admission)
    step(table, [1, 1, 2], seconds=10.0)
    for k in range(1, 4):
        assert set(waiting(table)) == {1, 2, *([9] if k > 1 else [])}
        table.end_day()
        step(table, [9], seconds=10.0 + k)
    assert 1 not in waiting(table) and 2 not in waiting(table)
    step(table, [1], seconds=14.0)
    assert waiting(table)[1] == (1.0, 0.0), "its count begins anew"


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.lists(st.integers(0, 7), min_size=1, max_size=4), st.integers(-3, 3)), max_size=12),
    st.integers(1, 4),
)
def test_near_zero(batches, after):
    """A weight of exactly the norm goes, once it is old enough."""
    table, weights, began = plain(NearZero(1.0, after_steps=after, every_steps=2)), {}, {}
    for k, (ids, gradient) in enumerate(batches, start=1):
        step(table, ids, gradient=gradient)
        for i in ids:
            began.setdefault(i, k)
            weights[i] = weights.get(i, 0.0) - gradient
        if k % 2 == 0:
            for i in [i for i, w in weights.items() if abs(w) <= 1.0 and k - began[i] >= after]:
                del weights[i], began[i]
        state = table.state()
        assert dict(zip(state["ids"].tolist(), state["rows"][:, 0].tolist())) == weights


def test_a_norm_is_that_of_the_weights_alone():
    rows = np.array([[3, 4, 9, 9], [5, 5, 9, 9]], np.float32)
    for norm, left in ((4.9, {1, 2, 3}), (5.0, {2, 3}), (7.1, {3})):
        table = HashTable(2, Adagrad(1.0, 99.0), init=Constant(99.0), eviction=(NearZero(norm, 1, 1),))
        table.load_state({"ids": np.array([1, 2]), "rows": rows, "step": np.array([0])})
        table.apply(table.prepare(np.array([3])), np.zeros((1, 2), np.float32))
        assert with_row(table) == left


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=6), st.booleans()), max_size=14),
    st.sampled_from([(0.5, 0.3, 1), (0.98, 0.8, 30), (1.0, -1.0, 0), (0.75, 1.0, 2)]),
)
def test_show_click_decay_is_the_shrink_of_paddle(batches, setting):
    """show *= decay; click *= decay; delete if score < delete_threshold or unseen_days > delete_after_unseen_days."""
    decay, threshold, after = setting
    table, kept = plain(ShowClickDecay(decay, threshold, after)), {}
    for shown, ends_day in batches:
        step(table, [i for i, _ in shown], [c for _, c in shown])
        for i, clicked in shown:
            show, click, _ = kept.get(i, (np.float32(0), np.float32(0), 0))
            kept[i] = (show + np.float32(1), click + np.float32(clicked), 0)
        if not ends_day:
            continue
        before = len(kept)
        kept = {i: (s * np.float32(decay), c * np.float32(decay), unseen) for i, (s, c, unseen) in kept.items()}
        score = {i: (s - c) * np.float32(0.1) + c * np.float32(1.0) for i, (s, c, _) in kept.items()}
        kept = {i: v for i, v in kept.items() if score[i] >= np.float32(threshold) and v[2] <= after}
        assert table.shrink() == before - len(kept)
        assert shows(table) == {i: (s, c) for i, (s, c, _) in kept.items()}
        table.end_day()
        kept = {i: (s, c, unseen + 1) for i, (s, c, unseen) in kept.items()}


def test_defaults_are_those_of_slot_dnn():
    assert ShowClickDecay() == ShowClickDecay(0.98, 0.8, 30, 0.1, 1.0)


def test_nothing_is_unseen_before_the_first_batch():
    table = plain(ShowClickDecay(delete_threshold=-1.0))
    table.prepare(np.arange(3))
    assert table.shrink() == 0
    old = HashTable(1, SGD(1.0), init=Constant(0.0))
    old.prepare(np.arange(3))
    table.load_state(old.state())
    assert table.shrink() == 0


@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("kind", [LeastRecent, LeastFrequent])
def test_a_full_table_gives_up_the_least(kind, share):
    """Among equals the other figure decides, then the smaller id; ids of the batch at hand always stay."""
    rng, most = np.random.default_rng(8), 20
    table, known = plain(kind(share), max_rows=most), {}
    for k in range(1, 80):
        ids = (rng.integers(0, 25, 9) // rng.integers(1, 9) + 6 * (k // 5)).tolist()
        new = set(ids) - set(known)
        if len(known) + len(new) > most:
            wanted = max(len(known) + len(new) - most, int(share * most))
            order = (1, 0) if kind is LeastRecent else (0, 1)
            others = sorted(set(known) - set(ids), key=lambda i: (known[i][order[0]], known[i][order[1]], i))
            for i in others[:wanted]:
                del known[i]
        step(table, ids)
        for i in ids:
            known[i] = (known.get(i, (0, 0))[0] + 1, k)
        assert {i: show for i, (show, _) in shows(table).items()} == {i: show for i, (show, _) in known.items()}
    assert table.stats().evicted > 50
    assert (table.stats().refused, table.stats().free_rows + len(table)) == (0, most)


@pytest.mark.parametrize("kind", [LeastRecent, LeastFrequent])
def test_a_batch_of_more_ids_than_fit_keeps_its_own_and_takes_the_smallest(kind):
    table = plain(kind(), max_rows=5)
    step(table, [100, 101, 102, 103, 104])
    step(table, [104, 102, *range(9, -1, -1)])
    assert with_row(table) == {102, 104, 0, 1, 2}
    assert (table.stats().refused, table.stats().evicted) == (7, 3)


def test_a_batch_found_before_an_eviction_is_looked_up_anew():
    table = plain(Unseen(steps=100))
    early = table.prepare(np.array([1, 2]))
    table.evict(np.array([1]))
    table.prepare(np.array([3]))  # has the row that 1 had
    table.apply(early, np.ones((2, 1), np.float32), seconds=0.0)
    assert table.lookup(np.array([1, 2, 3])).ravel().tolist() == [0.0, -1.0, 0.0]
    assert shows(table) == {2: (1.0, 0.0), 3: (0.0, 0.0)}
