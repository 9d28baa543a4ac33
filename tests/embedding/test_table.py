import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindspore_rec.embedding.admission import MinCount, MinCountSketch, Probability, ShowClick
from mindspore_rec.embedding.initial import Constant, Uniform
from mindspore_rec.embedding.optimizers import SGD, Adagrad, LazyAdam
from mindspore_rec.embedding.table import HashTable
from tests.embedding.optimizer_oracles import EXAMPLES

MANY = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, size=20_000)


def train(table, ids, rng):
    batch = table.prepare(ids)
    grads = rng.normal(size=(ids.size, table.dim)).astype(np.float32)
    sums, usable = table.sum_gradients(batch, grads)
    assert usable
    table.apply(batch, sums)


def content(table):
    state = table.state()
    return {int(i): row.tobytes() for i, row in zip(state["ids"], state["rows"])}


def test_initial_values_depend_on_seed_and_id_alone():
    one, other, third = (HashTable(4, SGD(), seed=seed, init=Uniform(0.5)) for seed in (1, 1, 2))
    one.prepare(MANY)
    other.prepare(MANY[::-1].copy())
    third.prepare(MANY)
    assert content(one) == content(other)
    assert content(one) != content(third)
    values = one.lookup(MANY)
    assert (np.abs(values) <= 0.5).all()
    assert abs(values.mean()) < 0.01
    assert values.std() == pytest.approx(0.5 / np.sqrt(3), rel=0.02)


def test_lookup_creates_and_changes_nothing():
    table = HashTable(4, LazyAdam())
    table.prepare(MANY[:100])
    before = content(table)
    assert (table.lookup(MANY[100:200]) == 0).all()
    assert (table.lookup(MANY[:100]) != 0).any()
    assert content(table) == before
    assert (len(table), table.step) == (100, 0)


def test_gradients_of_duplicates_are_summed_before_one_update():
    table = HashTable(1, SGD(1.0), init=Constant(0.0))
    ids = np.array([5, 7, 5, 5])
    batch = table.prepare(ids)
    sums, _ = table.sum_gradients(batch, np.array([[1], [2], [4], [8]], np.float32), scale=10.0)
    assert sums.ravel().tolist() == [130.0, 20.0]
    table.apply(batch, sums)
    assert table.lookup(np.array([5, 7])).ravel().tolist() == [-130.0, -20.0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e19])
def test_gradients_that_cannot_be_used_are_told(value):
    table = HashTable(2, SGD())
    batch = table.prepare(np.array([1, 2]))
    assert not table.sum_gradients(batch, np.array([[0, 0], [0, value]], np.float32))[1]


@pytest.mark.parametrize("optimizer", EXAMPLES, ids=repr)
def test_save_load_continue_equals_uninterrupted(optimizer):
    rng = np.random.default_rng(5)
    batches = [rng.choice(MANY, size=500) for _ in range(6)]
    whole = HashTable(3, optimizer, seed=9)
    first = HashTable(3, optimizer, seed=9)
    for k, ids in enumerate(batches[:3]):
        train(whole, ids, np.random.default_rng(k))
        train(first, ids, np.random.default_rng(k))
    second = HashTable(3, optimizer, seed=9)
    second.load_state({name: array.copy() for name, array in first.state().items()})
    for k, ids in enumerate(batches[3:]):
        train(whole, ids, np.random.default_rng(k))
        train(second, ids, np.random.default_rng(k))
    assert content(whole) == content(second)
    assert whole.step == second.step == 6


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=30), min_size=1, max_size=6))
def test_equals_a_plain_dict(batches):
    table = HashTable(1, SGD(1.0), init=Constant(0.0))
    model = {}
    for ids in batches:
        batch = table.prepare(np.array(ids))
        grads = np.arange(1, len(ids) + 1, dtype=np.float32).reshape(-1, 1)
        table.apply(batch, table.sum_gradients(batch, grads)[0])
        for value, grad in zip(ids, grads.ravel()):
            model[value] = model.get(value, 0.0) - grad
    assert {int(i): float(w) for i, w in zip(table.state()["ids"], table.state()["rows"][:, 0])} == model


def test_threads_change_nothing():
    states = []
    for threads in (1, 3):
        table = HashTable(8, LazyAdam(), threads=threads)
        for k in range(3):
            train(table, MANY, np.random.default_rng(k))
        states.append(content(table))
        np.testing.assert_array_equal(table.read(table.prepare(MANY)), table.lookup(MANY))
    assert states[0] == states[1]


def test_a_full_table_takes_no_more_ids_and_says_so_once(caplog):
    table = HashTable(2, SGD(1.0), max_rows=10, name="deep")
    table.prepare(np.arange(8))
    for k in range(3):
        batch = table.prepare(np.arange(14, 4, -1))
        table.apply(batch, np.ones((10, 2), np.float32))
        assert len(table) == 10
        assert sorted(table.state()["ids"].tolist()) == list(range(10)), "the smallest ids, whatever their order"
        assert (table.lookup(np.arange(10, 15)) == 0).all()
        assert table.stats().refused == 5 * (k + 1)
    assert caplog.text.count("table 'deep' is full at") == 1
    table.evict(np.arange(5))
    table.prepare(np.arange(10, 15))
    assert len(table) == 10
    assert (table.lookup(np.arange(10, 15)) != 0).all()


def test_foreign_state_is_refused():
    table = HashTable(2, SGD())
    with pytest.raises(ValueError, match="expected float32"):
        table.load_state({"ids": np.arange(3), "rows": np.zeros((3, 5), np.float32), "step": np.array([1])})
    with pytest.raises(ValueError, match="twice"):
        table.load_state({"ids": np.array([1, 1]), "rows": np.zeros((2, 2), np.float32), "step": np.array([1])})


def test_evicted_rows_are_used_again_and_leave_tombstones():
    table = HashTable(3, Adagrad(0.1), init=Uniform(0.5), seed=4)
    ids = np.arange(100, dtype=np.int64)
    batch = table.prepare(ids)
    table.apply(batch, np.ones((100, 3), np.float32))
    trained = table.lookup(ids)
    assert table.take_evicted().size == 0
    assert table.evict(np.array([7, 9, 11, 1000])) == 3
    assert len(table) == 97
    assert (table.lookup(ids[[7, 9, 11]]) == 0).all()
    fresh = HashTable(3, Adagrad(0.1), init=Uniform(0.5), seed=4)
    again = np.array([500, 9])
    np.testing.assert_array_equal(table.read(table.prepare(again)), fresh.read(fresh.prepare(again)))
    assert len(table) == 99 and table.state()["ids"].size == 99
    assert table.take_evicted().tolist() == [7, 11], "9 has a row again"
    assert table.take_evicted().tolist() == []
    others = np.setdiff1d(ids, [7, 9, 11])
    np.testing.assert_array_equal(table.lookup(others), trained[others])


def test_a_state_with_free_rows_continues_as_the_table_it_is_of():
    table = HashTable(2, Adagrad(0.1), init=Uniform(0.5), seed=4)
    table.prepare(np.arange(50, dtype=np.int64))
    table.evict(np.arange(0, 50, 5))
    other = HashTable(2, Adagrad(0.1), init=Uniform(0.5), seed=4)
    other.load_state(table.state())
    assert len(other) == len(table) == 40
    ids = np.arange(30, 70, dtype=np.int64)
    for one in (table, other):
        one.apply(one.prepare(ids), np.ones((40, 2), np.float32))
    np.testing.assert_array_equal(table.lookup(np.arange(70)), other.lookup(np.arange(70)))


PADDING_RULES = [None, MinCount(1), MinCount(3), MinCountSketch(3, 4096), Probability(0.9), ShowClick(0.5)]


@pytest.mark.parametrize("padding", [0, 7, -1, 2**64 - 2], ids=str)
@pytest.mark.parametrize("admission", PADDING_RULES, ids=repr)
def test_padding_reads_as_zeros_and_is_never_trained_counted_or_given_a_row(admission, padding):
    stored = np.array([padding % 2**64], np.uint64).view(np.int64)
    settings = {"init": Constant(2.0), "admission": admission, "statistics": True}
    table, without = HashTable(2, SGD(1.0), padding_id=padding, **settings), HashTable(2, SGD(1.0), **settings)
    others = np.array([5, 6, 5, -9])
    for _ in range(4):
        batch = table.prepare(np.concatenate([stored, others, stored, stored]))
        assert (table.read(batch)[[0, 5, 6]] == 0).all()
        grads = np.repeat(np.array([9, 1, 1, 1, 1, 9, 9], np.float32), 2).reshape(7, 2)
        table.apply(batch, table.sum_gradients(batch, grads)[0], clicks=np.ones(4, np.float32), seconds=0.0)
        batch = without.prepare(others)
        sums = without.sum_gradients(batch, np.ones((4, 2), np.float32))[0]
        without.apply(batch, sums, clicks=np.ones(3, np.float32), seconds=0.0)
    assert (table.lookup(stored) == 0).all()
    assert set(others.tolist()) == set(table.state()["ids"].tolist()) and stored[0] not in table.state()["ids"]
    for key, array in without.state().items():
        np.testing.assert_array_equal(table.state()[key], array, f"{key} tells of the padding")


def test_padding_does_not_count_where_a_table_is_full():
    table = HashTable(1, SGD(), max_rows=3, padding_id=0)
    table.prepare(np.array([0, 3, 2, 1]))
    assert (len(table), table.stats().refused) == (3, 0)
    table.prepare(np.array([0, 4]))
    assert (len(table), table.stats().refused) == (3, 1)


def test_padding_of_a_table_that_had_none_loses_its_row():
    before, table = HashTable(1, SGD(1.0), init=Constant(2.0)), HashTable(1, SGD(1.0), padding_id=0)
    before.prepare(np.array([0, 1]))
    table.load_state(before.state())
    assert table.lookup(np.array([0, 1])).ravel().tolist() == [0.0, 2.0]
    batch = table.prepare(np.array([0, 1]))
    table.apply(batch, np.ones((2, 1), np.float32))
    assert table.lookup(np.array([0, 1])).ravel().tolist() == [0.0, 1.0]


def test_without_padding_zero_is_an_id_like_others():
    table = HashTable(1, SGD(1.0), init=Constant(2.0))
    table.prepare(np.array([0]))
    assert table.lookup(np.array([0, 1])).ravel().tolist() == [2.0, 0.0]
