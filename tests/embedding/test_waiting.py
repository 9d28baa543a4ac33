"""Ids without a row that are counted one by one, in a bounded room, against a plain dict."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindspore_rec.embedding.admission import MinCount
from mindspore_rec.embedding.waiting import Candidates
from tests.embedding.rule_examples import new_table, one_column, train, waiting, with_row

LARGE = 1 << 40
BATCH = st.dictionaries(st.integers(-9, 20), st.integers(1, 4), max_size=25)


def observe(candidates, batch, step, room=LARGE, clicked=False):
    ids, shows = np.array(list(batch), np.int64), np.array(list(batch.values()), np.int32)
    candidates.observe(ids, shows, shows.astype(np.float32) if clicked else None, step, room)


def known(candidates):
    """(show, click, last step, first step) by id."""
    state = candidates.state()
    columns = (state[name].tolist() for name in ("show", "click", "last_step", "admitted_step"))
    return dict(zip(state["ids"].tolist(), zip(*columns)))


@given(st.lists(st.tuples(BATCH, st.booleans(), st.sets(st.integers(-9, 20)), st.integers(0, 3)), max_size=10))
def test_equals_a_plain_dict(steps):
    candidates, model = Candidates(1000), {}
    for step, (batch, clicked, admitted, age) in enumerate(steps, start=1):
        observe(candidates, batch, step, clicked=clicked)
        for i, shows in batch.items():
            show, click, _, first = model.get(i, (0, 0, 0, step))
            model[i] = (show + shows, click + clicked * shows, step, first)
        candidates.admit(np.array(sorted(admitted), np.int64))
        model = {i: record for i, record in model.items() if i not in admitted}
        gone = {i for i, record in model.items() if record[2] <= step - age} if age else set()
        if age:
            assert candidates.forget(step - age) == len(gone)
        model = {i: record for i, record in model.items() if i not in gone}
        assert known(candidates) == model
        assert len(candidates) == len(model)
        asked = np.arange(-9, 21)
        assert candidates.seen(asked).tolist() == [model.get(i, (0, 0, 0, 0)) for i in asked.tolist()]


@given(st.lists(BATCH, max_size=12), st.integers(1, 12), st.sampled_from([LARGE, 300, 100, 0]))
def test_room_is_made_for_the_ids_of_a_batch(batches, most, room):
    """Those that wait already stay, then as many new ones as fit, the smallest; the others are the ones seen last."""
    candidates, before = Candidates(most), {}
    for step, batch in enumerate(batches, start=1):
        candidates_bytes = candidates.nbytes
        observe(candidates, batch, step, room)
        assert candidates.nbytes <= candidates_bytes + room
        after = known(candidates)
        assert len(after) <= most
        assert set(batch) & set(before) <= set(after)
        new = sorted(set(after) - set(before))
        assert new == sorted(set(batch) - set(before))[: len(new)]
        assert all(after[i][:1] == (batch[i],) for i in new)
        if len(new) < len(set(batch) - set(before)):
            assert set(after) <= set(batch), "others stay only where all of the batch fit"
        stayed = {before[i][2] for i in set(after) - set(batch)}
        gone = {before[i][2] for i in set(before) - set(after)}
        assert not stayed or not gone or min(stayed) > max(gone)
        before = after


@given(st.lists(BATCH, max_size=12), st.integers(1, 12), st.randoms(use_true_random=False))
def test_the_order_of_ids_in_a_batch_does_not_matter(batches, most, random):
    one, other = Candidates(most), Candidates(most)
    for step, batch in enumerate(batches, start=1):
        order = list(batch)
        random.shuffle(order)
        observe(one, batch, step)
        observe(other, {i: batch[i] for i in order}, step)
        assert known(one) == known(other)


def test_more_new_ids_than_a_table_may_have_rows():
    table = new_table(admission=MinCount(2), max_rows=10)
    train(table, one_column(range(30)))
    assert set(waiting(table)) == set(range(10))
    train(table, one_column([4, *range(100, 106)]))
    assert with_row(table) == {4}
    assert set(waiting(table)) == set(range(100, 106)), "half of the others would go, all were seen in one step"


def test_a_state_that_does_not_fit_is_refused():
    candidates = Candidates(5)
    observe(candidates, {3: 1, 5: 2}, 7)
    state = candidates.state()
    with pytest.raises(ValueError, match=r"^table state has 2 waiting ids, room is for 1$"):
        Candidates(1).load_state(state, 7)
    with pytest.raises(ValueError, match=r"^table state names a waiting id twice$"):
        Candidates(5).load_state({**state, "ids": np.array([3, 3])}, 7)
    with pytest.raises(ValueError, match=r"^table state has no float32\[2\] show$"):
        Candidates(5).load_state({**state, "show": np.ones(3, np.float32)}, 7)


def test_a_state_of_a_table_without_the_rule_is_empty():
    candidates = Candidates(5)
    observe(candidates, {3: 1}, 7)
    candidates.load_state({}, 9)
    assert len(candidates) == 0
    observe(candidates, {3: 1}, 10)
    assert known(candidates) == {3: (1.0, 0.0, 10, 10)}
