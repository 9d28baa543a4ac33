"""AUC by group against the exact AUC of each group's rows."""

from __future__ import annotations

from typing import Any, Iterator

import numpy as np
import pytest

from mindspore_rec.metrics import group_auc
from mindspore_rec.metrics.auc import auc
from mindspore_rec.metrics.group_auc import GroupAUC


def rows(seed: int, count: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    names = random.integers(0, 2**64, 60, dtype=np.uint64)
    probabilities = random.random(count)
    return names[random.zipf(1.3, count) % 60], (random.random(count) < probabilities).astype(int), probabilities


def oracle(groups: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, buckets: int = 4096) -> float:
    total = weight = 0.0
    for group in set(groups.tolist()):
        mine = groups == group
        if 0 < labels[mine].sum() < mine.sum():
            total += mine.sum() * auc(labels[mine], np.floor(probabilities[mine] * buckets))
            weight += mine.sum()
    return total / weight


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("buckets", [8, 4096, 65536])
def test_is_the_mean_of_the_groups(seed: int, buckets: int) -> None:
    columns = rows(seed)
    metric = GroupAUC(buckets)
    for at in range(0, 4000, 333):
        metric.update(*(column[at : at + 333] for column in columns))
    assert metric.auc() == pytest.approx(oracle(*columns, buckets), abs=1e-12)


def test_workers_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_auc, "_LEAST_COMPACTED", 50)
    columns = rows(4)
    whole, left, right = GroupAUC(), GroupAUC(), GroupAUC()
    whole.update(*columns)
    for at in range(0, 4000, 100):
        metric = left if at < 1700 else right
        metric.update(*(column[at : at + 100] for column in columns))
    right.add(left.state())
    right.add(GroupAUC().state())
    for name, value in whole.state().items():
        assert np.array_equal(right.state()[name], value), name
    assert right.auc() == whole.auc()


def test_what_is_kept_is_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_auc, "_LEAST_COMPACTED", 10)
    metric = GroupAUC()
    for _ in range(100):
        metric.update([1, 1, 2], [0, 1, 1], [0.5, 0.5, 0.5])
        assert sum(cells[0].size for cells in metric._cells) <= 10
    state = metric.state()
    assert state["groups"].tolist() == [1, 2]
    assert (state["negatives"].tolist(), state["positives"].tolist()) == ([100, 0], [100, 100])


def test_ends_and_groups_of_one_class() -> None:
    metric = GroupAUC()
    assert metric.auc() == 0.5
    metric.update(np.array([2**64 - 1, 0], np.uint64), [1, 0], [0.0, 1.0])
    assert metric.auc() == 0.5
    metric.update(np.array([2**64 - 1], np.uint64), [0], [1.0])
    assert metric.auc() == 0.0
    metric.update([-1], [0], [0.0])  # the same 64 bits
    assert metric.auc() == 0.25
    metric.reset()
    assert metric.state()["groups"].size == 0


@pytest.mark.parametrize("buckets", [2, 4096, 65536])
def test_a_probability_of_one_is_in_the_last_bucket(buckets: int) -> None:
    metric = GroupAUC(buckets)
    metric.update([1, 1], [1, 0], [1.0, 0.0])
    assert metric.state()["bucket"].tolist() == [0, buckets - 1]
    assert metric.auc() == 1.0


def test_a_batch_costs_no_look_at_those_before_it() -> None:
    class Counted(list):
        looks = 0

        def __iter__(self) -> Iterator[Any]:
            Counted.looks += 1
            return super().__iter__()

    metric = GroupAUC()
    metric._cells = Counted()
    for group in range(100):
        metric.update([group], [1], [0.5])
    assert Counted.looks == 0
    assert metric.state()["groups"].size == 100


def test_groups_of_a_list_keep_all_of_their_bits() -> None:
    groups = [2**63 + 1, 2**63 + 2, 1, -1, 2**64 - 1]
    metric = GroupAUC()
    metric.update(groups, [1] * 5, [0.5] * 5)
    assert metric.state()["groups"].tolist() == [1, 2**63 + 1, 2**63 + 2, 2**64 - 1]
    metric.update(tuple(np.array(groups[:3], np.uint64)), [1] * 3, [0.5] * 3)
    metric.update(np.array([-1], np.int32), [1], [0.5])
    assert metric.state()["positives"].tolist() == [2, 2, 2, 3]


@pytest.mark.parametrize("group", [2**64, -(2**63) - 1, 1.0, True, "1", None, [1]])
def test_a_group_that_is_no_64_bit_number_is_refused(group: Any) -> None:
    with pytest.raises(ValueError, match="groups must be whole numbers of 64 bits, got"):
        GroupAUC().update([group], [1], [0.5])


@pytest.mark.parametrize(
    ("groups", "labels", "probabilities"),
    [([1], [0, 1], [0.1, 0.2]), ([1.0, 2.0], [0, 1], [0.1, 0.2]), ([1, 2], [0, 2], [0.1, 0.2]), ([1], [1], [1.1])],
)
def test_wrong_rows_are_refused(groups: list, labels: list, probabilities: list) -> None:
    metric = GroupAUC()
    with pytest.raises(ValueError, match="must"):
        metric.update(groups, labels, probabilities)
    assert metric.state()["groups"].size == 0
    with pytest.raises(ValueError, match="buckets must be 4096, got 8"):
        metric.add(GroupAUC(8).state())
    with pytest.raises(ValueError, match="buckets must be 2 to 65536"):
        GroupAUC(1)
