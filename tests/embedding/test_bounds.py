"""Bounds on tables: rows, bytes, and memory that they share. The host has what each test says."""

import gc

import numpy as np
import pytest

from mindspore_rec.embedding import host_memory
from mindspore_rec.embedding.admission import ByField, MinCount, MinCountSketch, ShowClick
from mindspore_rec.embedding.bounds import HOST, Bounds, MemoryBudget
from mindspore_rec.embedding.eviction import LeastRecent, Unseen
from mindspore_rec.embedding.optimizers import SGD, Adagrad
from mindspore_rec.embedding.table import HashTable

MIB = 1 << 20


class Sized:
    """What a budget knows of a table."""

    def __init__(self, nbytes):
        self.nbytes = nbytes


class Host:
    """Memory of a host, that tests change."""

    def __init__(self, total, available):
        self.total, self.available = total, available


@pytest.fixture
def host(monkeypatch):
    host = Host(20_000 * MIB, 20_000 * MIB)
    monkeypatch.setattr(host_memory, "total", lambda: host.total)
    monkeypatch.setattr(host_memory, "available", lambda: host.available)
    return host


def step(table, ids):
    """Train on distinct ids, and say how many bytes the table has then."""
    rules = None if table.rule_of_column is None else (ids % 2).astype(np.int32)
    batch = table.prepare(ids, rules)
    table.apply(batch, np.zeros((batch.distinct.ids.size, table.dim), np.float32), seconds=0.0)
    return table.nbytes


def new_ids(count=500):
    """Batches of ids never seen before, far from each other."""
    first = 0
    while True:
        yield (np.arange(first, first + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)).view(np.int64)
        first += count


def repeated(count=500):
    """Batches of ids, each three times, among them as many that never return."""
    known, unknown = new_ids(count), new_ids(count)
    for ids in known:
        once = next(unknown) ^ np.int64(1 << 40)
        yield from (np.concatenate((ids, once)), ids, ids)


def test_the_defaults_of_a_host(host):
    host.total, host.available = 1000, 900
    budget = MemoryBudget()
    assert budget.limit == 800
    assert budget.room() == 800
    host.available = 700
    assert budget.room() == 650, "a twentieth of the host is left to others"
    assert HOST.limit > 0


@pytest.mark.parametrize(("name", "value"), [("max_rows", -1), ("max_bytes", -1)])
def test_bounds_below_nothing_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"^{name} = {value}: expected 0 or more$"):
        Bounds(**{"max_rows": 0, "max_bytes": 0, "budget": MemoryBudget(10), name: value})


@pytest.mark.parametrize(
    ("max_rows", "max_bytes", "limit", "expected"),
    [
        (0, 0, 1000, 30 + 5 + (1000 - 400) // 7),
        (0, 500, 1000, 30 + 5 + (500 - 400) // 7),
        (0, 2000, 1000, 30 + 5 + (1000 - 400) // 7),
        (40, 500, 1000, 40),
        (400, 500, 1000, 30 + 5 + (500 - 400) // 7),
        (0, 300, 1000, 30 + 5),
        (0, 0, 300, 30 + 5),
        (20, 0, 1000, 20),
    ],
)
def test_the_least_of_the_bounds_counts(host, max_rows, max_bytes, limit, expected):
    table, budget = Sized(400), MemoryBudget(limit)
    budget.join(table)
    assert Bounds(max_rows, max_bytes, budget).most_rows(30, 5, 400, 7.0) == expected


def test_memory_is_asked_for_again_as_tables_grow(host):
    budget, table = MemoryBudget(), Sized(0)
    budget.join(table)
    host.available = 3000 * MIB
    assert budget.room() == 2000 * MIB
    host.available = 1500 * MIB
    table.nbytes = 15 * MIB
    assert budget.room() == 1985 * MIB, "asking costs: not before 16 MiB more"
    table.nbytes = 16 * MIB
    assert budget.room() == 500 * MIB, "another process took memory"
    host.available = 1001 * MIB
    table.nbytes = 40 * MIB
    assert budget.room() == 1 * MIB
    host.available = 1002 * MIB
    assert budget.room() == 2 * MIB, "with little left it is asked for each time"
    host.available = 900 * MIB
    assert budget.room() == 0
    host.available = 3000 * MIB
    assert budget.room() == 2000 * MIB


def test_a_table_that_dies_gives_its_share_back():
    budget = MemoryBudget(1000)
    one, two = Sized(300), Sized(600)
    budget.join(one)
    budget.join(two)
    assert budget.room() == 100
    del two
    gc.collect()
    assert budget.room() == 700
    one.nbytes = 2000
    assert budget.room() == 0


TWO_RULES = ByField((MinCount(3), ShowClick(1.0)))


@pytest.mark.parametrize(
    ("settings", "stream"),
    [
        ({}, new_ids),
        ({"row_type": "bfloat16", "statistics": True}, new_ids),
        ({"eviction": (LeastRecent(),)}, new_ids),
        ({"admission": MinCount(3)}, repeated),
        ({"admission": MinCount(3), "eviction": (LeastRecent(), Unseen(steps=50))}, repeated),
        ({"admission": MinCountSketch(3, nbytes=MIB)}, repeated),
        ({"admission": TWO_RULES}, repeated),
    ],
    ids=lambda given: getattr(given, "__name__", str(given)),
)
def test_a_table_stays_within_its_bytes_and_uses_them(host, settings, stream):
    most = 4 * MIB
    table = HashTable(16, Adagrad(), max_bytes=most, budget=MemoryBudget(), **settings)
    for _, ids in zip(range(250), stream()):
        assert step(table, ids) <= 1.02 * most
    assert table.nbytes > 0.94 * most
    stats = table.stats()
    assert stats.rows > 8000
    assert (stats.evicted if "eviction" in settings else stats.refused) > 0


@pytest.mark.parametrize("admission", [MinCount(60_000), ShowClick(1e9), TWO_RULES], ids=repr)
def test_ids_that_wait_leave_half_to_rows(host, admission):
    table = HashTable(16, Adagrad(), max_bytes=2 * MIB, budget=MemoryBudget(), admission=admission)
    for _, ids in zip(range(150), new_ids()):
        assert step(table, ids) <= 1.02 * 2 * MIB
    assert table.nbytes == pytest.approx(MIB, rel=0.05)
    waiting = [array for key, array in table.state().items() if key.startswith("waiting.") and key.endswith(".ids")]
    assert np.isin(ids, np.concatenate(waiting)).all(), "the ones seen last still wait"
    assert table.stats().waiting > 10_000


def test_the_rules_of_a_batch_share_the_room_of_ids_that_wait(host):
    table = HashTable(16, Adagrad(), max_bytes=2 * MIB, budget=MemoryBudget(), admission=TWO_RULES)
    for count in (16_000, 40_000):
        step(table, next(new_ids(count)))
    assert MIB * 0.95 < table.nbytes < MIB * 1.05
    assert all(table.state()[f"waiting.{rule}.ids"].size > 0 for rule in (0, 1))


def test_waiting_ids_do_not_keep_others_from_rows_they_have_come_often_enough_for(host):
    table = HashTable(16, Adagrad(), max_bytes=2 * MIB, budget=MemoryBudget(), admission=MinCount(2))
    for _, ids in zip(range(150), new_ids()):
        step(table, ids)
    regulars = np.arange(1000)
    for _ in range(2):
        step(table, regulars)
    assert (table.find(regulars).rows >= 0).all()


def test_a_large_sketch_leaves_room_to_wait_for_another_rule(host):
    rules = ByField((MinCountSketch(3, nbytes=2 * MIB), MinCount(3)))
    table = HashTable(16, Adagrad(), max_bytes=3 * MIB, budget=MemoryBudget(), admission=rules)
    for _, ids in zip(range(100), new_ids()):
        step(table, ids)
    assert table.nbytes == pytest.approx(2.5 * MIB, rel=0.05)
    assert table.stats().waiting > 10_000


def test_ids_can_wait_where_rows_have_taken_all_the_bytes_before(host):
    full = HashTable(16, Adagrad(), max_bytes=2 * MIB, budget=MemoryBudget(), statistics=True)
    for _, ids in zip(range(60), new_ids()):
        step(full, ids)
    settings = {"admission": MinCount(2), "eviction": (LeastRecent(),)}
    table = HashTable(16, Adagrad(), max_bytes=2 * MIB, budget=MemoryBudget(), **settings)
    table.load_state(full.state())
    regulars = np.arange(500)
    for _ in range(2):
        assert step(table, regulars) <= 1.05 * 2 * MIB
    assert (table.find(regulars).rows >= 0).all()


def test_two_tables_share_a_budget(host, caplog):
    budget = MemoryBudget(4 * MIB)
    one, two = (HashTable(16, SGD(), budget=budget, name=name) for name in ("one", "two"))
    ids = new_ids()
    while one.nbytes < 3 * MIB:
        step(one, next(ids))
    for _ in range(60):
        step(two, next(ids))
        assert one.nbytes + two.nbytes <= 1.02 * budget.limit
    assert one.nbytes + two.nbytes > 0.95 * budget.limit
    assert caplog.text.count("table 'two' is full at") == 1
    before = len(one)
    step(one, next(ids))
    assert len(one) - before < 300, "the other has the rest"
    assert "table 'one' is full at" in caplog.text
    del one
    gc.collect()
    for _ in range(80):
        step(two, next(ids))
    assert 0.95 * budget.limit < two.nbytes <= 1.02 * budget.limit


def test_no_more_ids_where_another_process_took_the_memory(host, caplog):
    table, ids = HashTable(16, SGD(), budget=MemoryBudget(), name="deep"), new_ids()
    for _ in range(5):
        step(table, next(ids))
    host.available = 1000 * MIB  # the twentieth that is not ours
    step(table, np.arange(250_000))  # more than 16 MiB
    rows = len(table)
    for _ in range(5):
        step(table, next(ids))
    assert len(table) <= rows + 500
    assert table.stats().refused > 2000
    assert caplog.text.count("table 'deep' is full at") == 1
    host.available = 20_000 * MIB
    rows = len(table)
    step(table, next(ids))
    assert len(table) == rows + 500
