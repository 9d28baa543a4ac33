"""The lines people search logs for."""

from __future__ import annotations

import re

from mindspore_rec.metrics.pass_log import base_line, checkpoint_line, delta_line, metric_line, shrink_line
from mindspore_rec.metrics.pass_metrics import PassMetrics
from mindspore_rec.stream.pass_schedule import PassKey

KEY = PassKey("20190720", 12)


def test_metrics_of_both_stages() -> None:
    metrics = PassMetrics()
    metrics.update([0, 1], [0.2, 0.6])
    names = ("AUC", "BUCKET_ERROR", "MAE", "RMSE", "Actual_CTR", "Predicted_CTR", "COPC")
    numbers = " ".join(rf"{name}=\d\.\d{{6}}" for name in names)
    for stage in ("Infer", "Train"):
        line = metric_line(KEY, stage, metrics.summary())
        assert re.fullmatch(rf"Day:20190720, Pass: 12, {stage} Global Metric: {numbers} Ins number=2", line)


def test_saves_and_shrink() -> None:
    assert checkpoint_line(KEY, 6).startswith("finished save checkpoint model epoch 12")
    assert delta_line(KEY, 6).startswith("finished save delta model epoch 12")
    assert base_line("20190721", 6).startswith("finished save base model day 20190721")
    assert re.fullmatch(r"shrink table done, cost \d+\.\d+ min", shrink_line(6))
