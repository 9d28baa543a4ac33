"""The metrics of a day: sums of its passes, the same after a state was loaded."""

from __future__ import annotations

from typing import List, Optional, Tuple

import numpy as np
import pytest

from mindspore_rec.metrics.day_metrics import DayMetrics
from mindspore_rec.metrics.group_auc import GroupAUC
from mindspore_rec.metrics.pass_metrics import PassMetrics
from mindspore_rec.metrics.pass_records import Stage
from mindspore_rec.stream.pass_schedule import PassKey

DAY = "20190720"
Columns = Tuple[np.ndarray, np.ndarray, np.ndarray]


def columns(number: int) -> Columns:
    """Groups, labels and probabilities of a pass."""
    random = np.random.default_rng(number)
    probabilities = random.random(500)
    labels = (random.random(500) < probabilities).astype(np.float64)
    return random.integers(0, 20, 500).astype(np.uint64) + np.uint64(2**63), labels, probabilities


def metrics_of(given: List[Columns], with_groups: bool = True) -> Tuple[PassMetrics, Optional[GroupAUC]]:
    metrics, groups = PassMetrics(), GroupAUC()
    for group, labels, probabilities in given:
        metrics.update(labels, probabilities)
        groups.update(group, labels, probabilities)
    return metrics, groups if with_groups else None


def add(day: DayMetrics, number: int, stage: Stage = "Infer", with_groups: bool = True) -> None:
    day.add(PassKey(DAY, number), stage, *metrics_of([columns(number)], with_groups))


def test_the_day_is_all_rows_at_once() -> None:
    day = DayMetrics()
    for number in (1, 2, 3):
        add(day, number)
    add(day, 3, "Train")
    infer, train = day.end()
    metrics, groups = metrics_of([columns(number) for number in (1, 2, 3)])
    assert groups is not None
    assert infer.summary == pytest.approx(metrics.summary(), rel=1e-12)
    assert (infer.summary.auc, infer.gauc) == (metrics.summary().auc, groups.auc())
    assert (infer.number, infer.passes, infer.stage, infer.day) == (None, 3, "Infer", DAY)
    assert (train.passes, train.summary.rows, train.stage) == (1, 500, "Train")
    assert [(record.number, record.stage) for record in day.records] == [
        *((number, "Infer") for number in (1, 2, 3)),
        (3, "Train"),
    ]


def test_what_was_counted_is_not_the_callers() -> None:
    day = DayMetrics()
    given, _ = metrics_of([columns(1)])
    day.add(PassKey(DAY, 1), "Infer", given)
    given.update([1], [0.5])
    assert day.end()[0].summary.rows == 500


def test_a_pass_that_was_there_begins_a_new_sum() -> None:
    """As where a model of another run was taken over, with its day."""
    day = DayMetrics()
    for number in (1, 2, 1, 2, 3):
        add(day, number)
    assert [record.number for record in day.records] == [1, 2, 3]
    assert (day.end()[0].passes, day.end()[0].summary.rows) == (3, 1500)


@pytest.mark.parametrize("with_groups", [True, False])
def test_a_day_goes_on_from_its_state(with_groups: bool) -> None:
    whole, first = DayMetrics(), DayMetrics()
    for day in (whole, first):
        add(day, 1, with_groups=with_groups)
        add(day, 1, "Train", with_groups=with_groups)
    state = first.state()
    assert all(np.isfinite(array).all() for array in state.values())  # as checkpoints ask for
    add(first, 2, with_groups=with_groups)  # the state does not change with it
    second = DayMetrics()
    add(second, 7)
    second.load_state(state)
    for day in (whole, second):
        add(day, 2, with_groups=with_groups)
    assert second.end() == whole.end()
    assert second.records == whole.records
    assert (second.end()[0].gauc is not None) == with_groups


def test_an_empty_day_and_another_day() -> None:
    day = DayMetrics()
    assert day.end() == []
    day.load_state(DayMetrics().state())
    assert day.end() == [] and day.records == []
    add(day, 24)
    day.add(PassKey("20190721", 1), "Infer", *metrics_of([columns(1)]))
    assert [(record.day, record.passes) for record in day.end()] == [("20190721", 1)]
    day.reset()
    assert day.end() == [] and day.records == []


def test_a_state_that_is_none_is_refused() -> None:
    day = DayMetrics()
    add(day, 1)
    state = day.state()
    with pytest.raises(ValueError, match="counts must have shape"):
        day.load_state({**state, "Infer.counts": np.zeros((2, 5), np.int64)})
    with pytest.raises(ValueError, match="stage"):
        day.load_state({**state, "records": np.frombuffer(b'[{"passes": 1, "rows": 1, "pass": 1}]', np.uint8)})
