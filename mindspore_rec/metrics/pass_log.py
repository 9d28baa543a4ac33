"""The lines a pass-by-pass run logs, in PaddleRec's words, which people search their logs for.

``wait for data ready: ...`` is logged by `ready_parts`.
"""

from __future__ import annotations

from typing import Literal

from mindspore_rec.metrics.pass_metrics import PassSummary
from mindspore_rec.stream.pass_schedule import PassKey


def metric_line(key: PassKey, stage: Literal["Infer", "Train"], summary: PassSummary) -> str:
    """Metrics of a pass, predicted before it is trained (Infer) or while it is (Train).

    >>> from mindspore_rec.metrics.pass_metrics import PassMetrics
    >>> metric_line(PassKey("20190720", 6), "Infer", PassMetrics().summary())[:60]
    'Day:20190720, Pass: 6, Infer Global Metric: AUC=0.500000 BUC'
    """
    return f"Day:{key.day}, Pass: {key.number}, {stage} Global Metric: {summary.line()}"


def checkpoint_line(key: PassKey, seconds: float) -> str:
    """A checkpoint after a pass is there; ``seconds`` it took.

    >>> checkpoint_line(PassKey("20190720", 6), 90)
    'finished save checkpoint model epoch 6 day 20190720, cost 1.500 min'
    """
    return f"finished save checkpoint model epoch {key.number} day {key.day}, cost {_minutes(seconds)} min"


def delta_line(key: PassKey, seconds: float) -> str:
    """A delta export after a pass is there.

    >>> delta_line(PassKey("20190720", 6), 90)
    'finished save delta model epoch 6 day 20190720, cost 1.500 min'
    """
    return f"finished save delta model epoch {key.number} day {key.day}, cost {_minutes(seconds)} min"


def base_line(day: str, seconds: float) -> str:
    """The base export that a day begins with is there.

    >>> base_line("20190721", 90)
    'finished save base model day 20190721, cost 1.500 min'
    """
    return f"finished save base model day {day}, cost {_minutes(seconds)} min"


def shrink_line(seconds: float) -> str:
    """The tables have been shrunk.

    >>> shrink_line(3)
    'shrink table done, cost 0.050 min'
    """
    return f"shrink table done, cost {_minutes(seconds)} min"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.3f}"
