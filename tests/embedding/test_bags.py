"""Bags and their pooling, against plain loops and finite differences."""

import numpy as np
import pytest

from mindspore_rec.embedding.bag_ids import bags_of_ids, distinct_of_bags
from mindspore_rec.embedding.bags import POOLINGS, Bags, Pool, columns_of_values, rows_of_values

SLOTS = 3


def random_bags(rows=20, seed=0, weighted=False):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, rows * SLOTS)
    offsets = np.concatenate(([0], np.cumsum(counts)))
    weights = rng.uniform(0.5, 2.0, offsets[-1]).astype(np.float32) if weighted else None
    return Bags(SLOTS, rng.integers(0, 30, offsets[-1]), offsets, weights)


def lists_of(bags):
    return [bags.ids[begin:end].tolist() for begin, end in zip(bags.offsets[:-1], bags.offsets[1:])]


def plain_pool(bags, rows, pooling):
    weights = np.ones(len(bags.ids)) if bags.weights is None else bags.weights.astype(np.float64)
    pooled = np.zeros((len(bags.offsets) - 1, rows.shape[1]))
    for k, (begin, end) in enumerate(zip(bags.offsets[:-1], bags.offsets[1:])):
        if begin == end:
            continue
        values = rows[begin:end] * weights[begin:end, None]
        pooled[k] = {
            "sum": lambda v=values: v.sum(axis=0),
            "mean": lambda v=values, b=begin, e=end: v.sum(axis=0) / weights[b:e].sum(),
            "max": lambda v=values: v.max(axis=0),
        }[pooling]()
    return pooled


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_is_that_of_a_plain_loop(pooling, weighted):
    bags = random_bags(weighted=weighted)
    rows = np.random.default_rng(1).standard_normal((len(bags.ids), 5)).astype(np.float32)
    np.testing.assert_allclose(Pool(bags, pooling).forward(rows), plain_pool(bags, rows, pooling), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradients_are_those_of_finite_differences(pooling, weighted):
    bags = random_bags(rows=6, weighted=weighted)
    rng = np.random.default_rng(2)
    rows = rng.permutation(len(bags.ids) * 2).reshape(-1, 2).astype(np.float32)  # no ties
    wanted = rng.standard_normal((len(bags.offsets) - 1, 2)).astype(np.float32)
    pool = Pool(bags, pooling)
    pool.forward(rows)
    found = pool.backward(wanted)
    for k in np.ndindex(rows.shape):
        moved = rows.copy()
        moved[k] += 0.25
        change = (plain_pool(bags, moved, pooling) - plain_pool(bags, rows, pooling)) * wanted
        assert found[k] == pytest.approx(change.sum() / 0.25, rel=1e-4, abs=1e-5)


def test_an_empty_bag_is_zeros_also_in_a_buffer_that_was_used():
    out = np.full((2, 1), 9.0, np.float32)
    Pool(Bags(1, np.array([5]), np.array([0, 0, 1])), "max").forward(np.array([[-3.0]], np.float32), out=out)
    assert out.tolist() == [[0.0], [-3.0]]


def test_weights_that_cancel_leave_a_mean_of_zero():
    bags = Bags(1, np.array([5, 6]), np.array([0, 2]), np.array([1.0, -1.0], np.float32))
    assert Pool(bags, "mean").forward(np.ones((2, 1), np.float32)).tolist() == [[0.0]]


def test_parts_of_bags():
    bags = random_bags(weighted=True)
    lists = lists_of(bags)
    assert lists_of(bags.first_rows(4)) == lists[: 4 * SLOTS]
    assert lists_of(bags.of_columns([2, 0])) == [lists[row * SLOTS + k] for row in range(20) for k in (2, 0)]
    assert lists_of(bags.padded(22)) == lists + [[]] * 2 * SLOTS
    assert bags.first_rows(4).shape == (4, SLOTS)
    assert bags.padded(22).placeholder.tolist() == [[0, 1, 2]] * 22


def test_weights_follow_their_values():
    bags = Bags(2, np.array([7, 8, 9]), np.array([0, 2, 3]), np.array([0.5, 2.0, 3.0], np.float32))
    assert bags.of_columns([1]).weights.tolist() == [3.0]
    assert bags.of_columns([1, 0]).weights.tolist() == [3.0, 0.5, 2.0]


def test_values_know_their_rows_and_columns():
    bags = random_bags()
    wanted = [(k // SLOTS, k % SLOTS) for k, ids in enumerate(lists_of(bags)) for _ in ids]
    assert list(zip(rows_of_values(bags).tolist(), columns_of_values(bags).tolist())) == wanted


def test_what_ids_get_of_rows_and_columns():
    bags, more = random_bags(seed=3), random_bags(seed=4)
    distinct = distinct_of_bags([bags, more])
    by_row = np.random.default_rng(5).integers(0, 9, 20).astype(np.float32)
    by_column = np.array([5, 3, 8, 2, 9, 4], np.float32)
    sums, least = {}, {}
    for first, each in ((0, bags), (SLOTS, more)):
        for k, ids in enumerate(lists_of(each)):
            for id in ids:
                sums[id] = sums.get(id, 0.0) + by_row[k // SLOTS]
                least[id] = min(least.get(id, np.inf), by_column[first + k % SLOTS])
    assert dict(zip(distinct.ids.tolist(), distinct.sum_of_rows(by_row).tolist())) == sums
    assert dict(zip(distinct.ids.tolist(), distinct.smallest_of_columns(by_column, np.inf).tolist())) == least


def test_ids_as_bags_of_one():
    ids = np.arange(6).reshape(2, 3)
    assert lists_of(bags_of_ids(ids)) == [[k] for k in range(6)]


def test_another_pooling_is_refused():
    with pytest.raises(ValueError, match="pooling = 'avg': expected one of sum, mean, max"):
        Pool(random_bags(), "avg")
