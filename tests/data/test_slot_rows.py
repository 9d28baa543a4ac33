"""Ragged rows against rows as Python lists."""

from __future__ import annotations

from typing import List, Tuple

import numpy as np
import pytest

from mindspore_rec.data.slot_rows import SlotRows, concatenate_rows, rows_of_fields, slice_rows, take_rows

Row = Tuple[List[List[int]], float, List[float], List[List[float]]]


def as_lists(rows: SlotRows) -> List[Row]:
    """Ids by slot, label, dense numbers and weights by slot of each row."""
    found = []
    for r in range(len(rows)):
        bounds = rows.offsets[r * rows.num_slots : (r + 1) * rows.num_slots + 1].tolist()
        spans = list(zip(bounds, bounds[1:]))
        ids = [rows.ids[start:stop].tolist() for start, stop in spans]
        weights = [] if rows.weights is None else [rows.weights[start:stop].tolist() for start, stop in spans]
        found.append((ids, float(rows.labels[r, 0]), rows.dense[r].tolist(), weights))
    return found


def random_rows(n: int, slots: int, dense: int, weighted: bool, seed: int) -> SlotRows:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, n * slots)
    counts[rng.random(n * slots) < 0.3] = 0
    offsets = np.concatenate(([0], np.cumsum(counts)))
    bounds = np.iinfo(np.int64)
    ids = rng.integers(bounds.min, bounds.max, offsets[-1], endpoint=True)
    labels = rng.integers(0, 2, (n, 1)).astype(np.float32)
    numbers = rng.standard_normal((n, dense)).astype(np.float32)
    weights = rng.standard_normal(offsets[-1]).astype(np.float32) if weighted else None
    return SlotRows(slots, ids, offsets, labels, numbers, weights)


SHAPES = [(0, 3, 0, False), (1, 1, 2, True), (17, 5, 3, False), (40, 3, 0, True), (9, 0, 2, False)]
shapes = pytest.mark.parametrize(("n", "slots", "dense", "weighted"), SHAPES)


def assert_typed(rows: SlotRows) -> None:
    assert rows.ids.dtype == rows.offsets.dtype == np.int64
    assert rows.labels.dtype == rows.dense.dtype == np.float32
    assert rows.weights is None or rows.weights.dtype == np.float32


@shapes
def test_slices(n: int, slots: int, dense: int, weighted: bool) -> None:
    rows = random_rows(n, slots, dense, weighted, seed=1)
    whole = as_lists(rows)
    for start in range(n + 2):
        for stop in range(start, n + 3):
            part = slice_rows(rows, start, stop)
            assert as_lists(part) == whole[start:stop]
            assert_typed(part)
    assert n == 0 or np.shares_memory(slice_rows(rows, 0, n).labels, rows.labels)


@shapes
def test_slices_put_together_again_are_the_whole(n: int, slots: int, dense: int, weighted: bool) -> None:
    rows = random_rows(n, slots, dense, weighted, seed=2)
    for size in (1, 4, 100):
        parts = [slice_rows(rows, start, start + size) for start in range(0, max(n, 1), size)]
        joined = concatenate_rows(parts)
        assert as_lists(joined) == as_lists(rows)
        assert joined.offsets.tolist() == rows.offsets.tolist()
        assert_typed(joined)


@shapes
def test_rows_taken_in_any_order(n: int, slots: int, dense: int, weighted: bool) -> None:
    rows = random_rows(n, slots, dense, weighted, seed=3)
    whole = as_lists(rows)
    rng = np.random.default_rng(4)
    orders = [rng.permutation(n), np.arange(n)[::-1], np.arange(0)]
    orders += [rng.integers(0, n, 2 * n)] if n else []
    for order in orders:
        taken = take_rows(rows, order)
        assert as_lists(taken) == [whole[r] for r in order]
        assert_typed(taken)


def test_the_same_permutation_gives_the_same_bits() -> None:
    rows = random_rows(100, 7, 2, True, seed=5)
    first, second = (take_rows(rows, np.random.default_rng(6).permutation(100)) for _ in range(2))
    for name in ("ids", "offsets", "labels", "dense", "weights"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


@pytest.mark.parametrize("order", [[3], [-1], [0, 1, 2, 3]])
def test_rows_that_are_not_there(order: List[int]) -> None:
    with pytest.raises(IndexError, match="of 3"):
        take_rows(random_rows(3, 2, 0, False, seed=7), np.array(order))


@pytest.mark.parametrize("order", [[True, False, True], [0.0, 1.5], []])
def test_an_order_of_no_integers(order: List[float]) -> None:
    with pytest.raises(TypeError, match="expected the numbers of rows"):
        take_rows(random_rows(3, 2, 0, False, seed=7), np.array(order))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_an_order_of_any_integers(dtype: type) -> None:
    rows = random_rows(3, 2, 0, False, seed=7)
    assert as_lists(take_rows(rows, np.array([2, 0], dtype))) == [as_lists(rows)[r] for r in (2, 0)]


def test_rows_of_one_value_a_slot() -> None:
    ids, weights = np.arange(6).reshape(2, 3), np.arange(6, dtype=np.float32).reshape(2, 3)
    rows = rows_of_fields(ids, weights, np.ones((2, 1), np.float32))
    assert as_lists(rows)[1] == ([[3], [4], [5]], 1.0, [], [[3.0], [4.0], [5.0]])
    assert np.shares_memory(rows.ids, ids)


def test_parts_that_differ() -> None:
    rows = random_rows(3, 2, 1, False, seed=8)
    others = [random_rows(3, 3, 1, False, 8), random_rows(3, 2, 2, False, 8), random_rows(3, 2, 1, True, 8)]
    for parts in ([], *([rows, other] for other in others)):
        with pytest.raises(ValueError, match="same slots"):
            concatenate_rows(parts)


def test_shapes_that_do_not_go_together() -> None:
    ids, offsets = np.zeros(2, np.int64), np.array([0, 1, 2])
    labels, dense = np.zeros((2, 1), np.float32), np.zeros((2, 0), np.float32)
    SlotRows(1, ids, offsets, labels, dense)
    for wrong in (offsets[:2], np.array([0, 1, 3]), np.array([1, 1, 2])):
        with pytest.raises(ValueError, match="offsets"):
            SlotRows(1, ids, wrong, labels, dense)
    with pytest.raises(ValueError, match="labels"):
        SlotRows(1, ids, offsets, labels, dense[:1])
    with pytest.raises(ValueError, match="weights"):
        SlotRows(1, ids, offsets, labels, dense, np.ones(1, np.float32))
