"""What each eviction rule gives up, against its definition over a plain dict."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindspore_rec.embedding.admission import MinCount, ShowClick
from mindspore_rec.embedding.eviction import LeastFrequent, LeastRecent, NearZero, ShowClickDecay, Unseen
from mindspore_rec.embedding.initial import Constant
from mindspore_rec.embedding.optimizers import SGD, Adagrad
from mindspore_rec.embedding.table import HashTable
from tests.embedding.rule_examples import shows, waiting, with_row


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


def test_what_a_free_row_held_is_no_matter():
    """1 comes back into the row that 2 had, while the one it had itself is free and still near zero."""
    table = plain(NearZero(1.0, after_steps=1, every_steps=1))
    step(table, [1, 2], gradient=0.0)
    step(table, [9], gradient=5.0)
    assert with_row(table) == {9}
    for _ in range(3):
        step(table, [1], gradient=5.0)
        assert with_row(table) == {1, 9}


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


def test_a_state_without_times_begins_them_anew():
    table, old = plain(Unseen(seconds=5.0, every_steps=1)), HashTable(1, SGD(1.0), init=Constant(0.0))
    step(table, [1], seconds=5000.0)
    old.apply(old.prepare(np.array([2])), np.zeros((1, 1), np.float32))
    table.load_state(old.state())
    assert table.last_seconds == -np.inf
    for seconds, left in ((1000.0, {2, 3}), (1004.0, {2, 3}), (1005.0, {3})):
        step(table, [3], seconds=seconds)
        assert with_row(table) == left, "2 counts as seen when the first batch since was"


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
