"""The line every few batches."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Iterator

import pytest

from mindspore_rec.train.batch_line import BatchLine
from mindspore_rec.train.part_metrics import PartMetrics


def test_loss_and_speed_are_of_the_batches_since_the_last_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock: Iterator[float] = iter([100.0, 102.0, 103.0])
    metrics = PartMetrics()
    line = BatchLine("epoch: 7", metrics, every=2, clock=lambda: next(clock))
    for loss, rows in ((1.0, 30), (2.0, 10), (0.5, 20), (0.25, 20), (9.0, 1)):
        result = SimpleNamespace(loss=loss, rows=rows)
        metrics.update([0, 1], [0.2, 0.8], None)
        line.on_train_step_end(SimpleNamespace(original_args=lambda result=result: SimpleNamespace(step_result=result)))
    assert caplog.messages == [
        "epoch: 7, batch: 2, loss: 1.250000, auc: 1.000000, speed: 20 samples/s",
        "epoch: 7, batch: 4, loss: 0.375000, auc: 1.000000, speed: 40 samples/s",
    ]
