"""Snapshots that are read while the table goes on: each is the state of its moment, and deltas add up to it."""

from __future__ import annotations

import threading
from typing import Dict, List

import numpy as np
import pytest

from mindspore_rec.checkpoint.merge import MergedArrays, row_columns, row_digests, row_prefixes
from mindspore_rec.embedding import snapshot as snapshot_module
from mindspore_rec.embedding.admission import Always, MinCount, MinCountSketch, ShowClick
from mindspore_rec.embedding.delta_score import DeltaScore
from mindspore_rec.embedding.eviction import LeastRecent, ShowClickDecay, Unseen
from mindspore_rec.embedding.export_rule import ExportRule
from mindspore_rec.embedding.optimizers import Adagrad, LazyAdam
from mindspore_rec.embedding.snapshot import TableSnapshot
from mindspore_rec.embedding.table import HashTable

DIM = 3
TABLES = {
    "plain": lambda: HashTable(DIM, LazyAdam(), max_rows=3000),
    "counted": lambda: HashTable(DIM, Adagrad(), max_rows=3000, admission=MinCount(3), eviction=[Unseen(steps=9)]),
    "sketched": lambda: HashTable(DIM, Adagrad(), max_rows=3000, admission=MinCountSketch(3, 4096)),
    "full": lambda: HashTable(DIM, Adagrad(), max_rows=150, admission=Always(), eviction=[LeastRecent(0.2)]),
    "bounded": lambda: HashTable(DIM, Adagrad(), max_rows=3000, admission=MinCount(4), max_bytes=9000),
    "halves": lambda: HashTable(DIM, Adagrad(), max_rows=3000, row_type="bfloat16", statistics=True),
    "daily": lambda: HashTable(
        DIM, Adagrad(), max_rows=3000, admission=ShowClick(0.5), eviction=[ShowClickDecay(delete_threshold=0.3)]
    ),
    "exported": lambda: HashTable(
        DIM, Adagrad(), max_rows=3000, admission=ShowClick(0.5), row_type="float16", delta_score=DeltaScore()
    ),
}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(snapshot_module, "_CHUNK_ROWS", 16)
    monkeypatch.setattr(snapshot_module, "_LARGEST_STEP", 64)


def train(table: HashTable, rng: np.random.Generator) -> None:
    ids = (rng.zipf(1.3, 60) % 400).astype(np.int64) * (1 << 40)
    batch = table.prepare(ids)
    if rng.random() < 0.05:
        return  # a batch that was skipped
    sums, _ = table.sum_gradients(batch, rng.standard_normal((60, DIM), dtype=np.float32))
    clicks = rng.integers(0, 2, batch.distinct.ids.size).astype(np.float32)
    table.apply(batch, sums, clicks=clicks, seconds=float(table.step))
    if rng.random() < 0.2:
        table.evict(rng.permutation(np.unique(ids))[:5])
    if table.about()["slots"][-1][0] == "delta_score" and rng.random() < 0.2:
        assert len(table.export_delta(ExportRule(base_threshold=1.0, delta_threshold=0.3))) or table.step < 20


def copied(table: HashTable) -> Dict[str, np.ndarray]:
    return {name: array.copy() for name, array in table.state().items()}


def read(taken: TableSnapshot, table: HashTable, rng: np.random.Generator, busy: float) -> Dict[str, np.ndarray]:
    """All arrays of a snapshot, read while the table is trained on."""
    arrays = dict(taken.arrays)
    for prefix, rows in taken.rows.items():
        parts: Dict[str, List[np.ndarray]] = {name: [] for name in rows.columns}
        for chunk in rows.chunks():
            for name, array in chunk.items():
                parts[name].append(array.copy())
            if rng.random() < busy:
                train(table, rng)
        for name, (dtype, width) in rows.columns.items():
            none = np.empty((0, width) if width else 0, dtype)
            arrays[prefix + name] = np.concatenate([none, *parts[name]])
        arrays[f"{prefix}removed"] = rows.removed
        assert arrays[f"{prefix}ids"].size == rows.count
        assert rows.finite
    return arrays


def by_id(arrays: Dict[str, np.ndarray]) -> Dict[str, bytes]:
    """The state, whatever the order of rows."""
    content = {}
    for prefix in row_prefixes(arrays):
        columns = row_columns(arrays, prefix)
        order = np.argsort(columns["ids"])
        content.update({prefix + name: column[order].tobytes() for name, column in columns.items()})
    rest = {name: array for name, array in arrays.items() if name not in content and not name.endswith("removed")}
    return {**content, **{name: array.tobytes() for name, array in rest.items()}}


@pytest.mark.parametrize("busy", [0.0, 0.7])
@pytest.mark.parametrize("kind", TABLES)
def test_base_and_deltas_are_the_state_of_their_moment(kind: str, busy: float) -> None:
    rng = np.random.default_rng(5)
    table = TABLES[kind]()
    for _ in range(5):
        train(table, rng)
    table.changes.follow()
    base: Dict[str, np.ndarray] = {}
    deltas: List[Dict[str, np.ndarray]] = []
    for number in range(40):
        for _ in range(rng.integers(0, 4)):
            train(table, rng)
        if kind == "daily" and number % 7 == 6:
            table.shrink()
            table.end_day()
            assert not table.changes.known
        whole = not base or not table.changes.known or rng.random() < 0.1
        expected = copied(table)
        taken = table.changes.capture(whole)
        found = read(taken, table, rng, busy)
        if whole:
            base, deltas = found, []
        else:
            deltas.append(found)
        merging = MergedArrays(base, room=3000)
        for delta in deltas:
            merging.apply(delta)
        merged = merging.arrays()
        assert by_id(merged) == by_id(expected)
        digests = {prefix: rows.digest for prefix, rows in taken.rows.items()}
        assert digests == row_digests(expected) == row_digests(merged)


def test_a_delta_holds_what_was_touched_and_no_more() -> None:
    table = HashTable(DIM, Adagrad())
    train(table, np.random.default_rng(0))
    table.changes.follow()
    ids = np.array([1 << 40, 77 << 40])
    batch = table.prepare(ids)
    table.apply(batch, np.ones((2, DIM), np.float32))
    table.evict(np.array([2 << 40]))
    found = read(table.changes.capture(False), table, np.random.default_rng(1), 0.0)
    assert sorted(found["ids"].tolist()) == ids.tolist()
    assert found["removed"].tolist() == [2 << 40]
    assert read(table.changes.capture(False), table, np.random.default_rng(1), 0.0)["ids"].size == 0


def test_rows_before_and_after_following_have_one_digest() -> None:
    table = TABLES["counted"]()
    rng = np.random.default_rng(2)
    for _ in range(8):
        train(table, rng)
    assert table.changes.follow() == row_digests(table.state())
    other = TABLES["counted"]()
    other.load_state(copied(table))
    assert other.changes.follow() == table.changes.follow()


def test_a_snapshot_that_was_not_read_makes_the_next_one_whole() -> None:
    table = TABLES["plain"]()
    train(table, np.random.default_rng(0))
    with pytest.raises(RuntimeError):
        table.changes.capture(True)
    table.changes.follow()
    taken = table.changes.capture(False)
    with pytest.raises(RuntimeError):
        table.changes.capture(True)
    for rows in taken.rows.values():
        rows.close()
        rows.close()
    assert not table.changes.known
    with pytest.raises(RuntimeError):
        table.changes.capture(False)
    train(table, np.random.default_rng(1))
    found = read(table.changes.capture(True), table, np.random.default_rng(1), 0.0)
    assert by_id(found) == by_id(table.state())
    assert table.changes.known


def test_the_end_of_a_day_waits_for_what_is_being_read() -> None:
    table = TABLES["daily"]()
    rng = np.random.default_rng(3)
    for _ in range(8):
        train(table, rng)
    table.changes.follow()
    expected = copied(table)
    taken = table.changes.capture(True)
    shrinking = threading.Thread(target=table.shrink)
    shrinking.start()
    shrinking.join(0.2)
    assert shrinking.is_alive()
    assert by_id(read(taken, table, rng, 0.0)) == by_id(expected)
    shrinking.join(10)
    assert not shrinking.is_alive()
    assert by_id(copied(table)) != by_id(expected)
    assert not table.changes.known


def test_a_value_that_is_not_finite_is_noticed() -> None:
    table = HashTable(DIM, Adagrad())
    table.changes.follow()
    batch = table.prepare(np.array([3]))
    table.apply(batch, np.full((1, DIM), np.nan, np.float32))
    rows = table.changes.capture(True).rows[""]
    assert [chunk["ids"].tolist() for chunk in rows.chunks()] == [[3]]
    assert not rows.finite
