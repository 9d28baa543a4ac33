"""Metrics of a part: within groups by the slot's first value, and those of all ranks as if one had seen the rows."""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

import numpy as np
import pytest

from mindspore_rec.distributed.exchange import Alone
from mindspore_rec.embedding.bags import Bags
from mindspore_rec.metrics.group_auc import GroupAUC
from mindspore_rec.train.part_metrics import PartMetrics
from tests.distributed.thread_exchange import run_ranks

LARGE = 2**63 + 5


def some_rows(seed: int, count: int = 200) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 9, count).astype(np.uint64) + np.uint64(2**63)
    labels = rng.integers(0, 2, (count, 1)).astype(np.float32)
    return labels, rng.random((count, 1)), groups.view(np.int64)


def metrics_of(*seeds: int, place: Optional[int] = 0) -> PartMetrics:
    metrics = PartMetrics(place)
    for seed in seeds:
        metrics.update(*some_rows(seed))
    return metrics


def assert_same(found: PartMetrics, wanted: PartMetrics) -> None:
    np.testing.assert_array_equal(found.all.counts, wanted.all.counts)
    np.testing.assert_allclose(found.all.sums, wanted.all.sums, rtol=1e-12)
    assert found.summary().rows == wanted.summary().rows
    assert found.summary().auc == wanted.summary().auc
    assert found.gauc == wanted.gauc


def test_groups_are_the_first_values_of_a_slot() -> None:
    large = np.array([LARGE], np.uint64).view(np.int64)[0]
    #          row 0: 7 8 |    | 1     row 1: 9 | 5 6 |      row 2:  | | large 2
    ids = np.array([7, 8, 1, 9, 5, 6, large, 2])
    bags = Bags(3, ids, np.array([0, 2, 2, 3, 4, 6, 6, 6, 6, 8]))
    assert [PartMetrics(place).groups_of(bags).tolist() for place in range(3)] == [[7, 9, 0], [0, 5, 0], [1, 0, large]]
    assert PartMetrics().groups_of(bags) is None
    none = bags.first_rows(0)
    assert [PartMetrics(place).groups_of(none).tolist() for place in range(3)] == [[]] * 3


def test_gauc_is_that_of_the_groups() -> None:
    labels, probabilities, groups = some_rows(0)
    wanted = GroupAUC()
    wanted.update(groups, labels, probabilities)
    metrics = metrics_of(0)
    assert metrics.gauc == wanted.auc() != metrics.summary().auc
    assert metrics_of(0, place=None).gauc is None


def test_groups_tell_rows_apart_that_the_whole_does_not() -> None:
    """In each group the click is above the other row; over all rows it is not."""
    metrics = PartMetrics(0)
    metrics.update(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.8, 0.9]), np.array([3, 3, 4, 4]))
    assert (metrics.gauc, metrics.summary().auc) == (1.0, 0.75)


def test_what_another_one_counted_is_added() -> None:
    for place in (0, None):
        metrics = metrics_of(1, place=place)
        metrics.add(metrics_of(2, place=place))
        metrics.add(PartMetrics(place))
        assert_same(metrics, metrics_of(1, 2, place=place))
    first, second = metrics_of(1), metrics_of(2)
    first.add(second)
    assert_same(second, metrics_of(2))


@pytest.mark.parametrize("place", [0, None])
def test_metrics_of_all_ranks(place: Optional[int]) -> None:
    """Rank 1 has no rows; what a rank counted itself stays its own."""
    seeds: List[Tuple[int, ...]] = [(1, 2), (), (3,)]

    def run(exchange: Any) -> Tuple[PartMetrics, PartMetrics]:
        mine = metrics_of(*seeds[exchange.rank], place=place)
        return mine.of_all_ranks(exchange), mine

    for rank, (total, mine) in enumerate(run_ranks(3, run)):
        assert_same(total, metrics_of(1, 2, 3, place=place))
        assert_same(mine, metrics_of(*seeds[rank], place=place))


def test_metrics_of_one_rank() -> None:
    metrics = metrics_of(4)
    assert metrics.of_all_ranks(Alone()) is metrics
