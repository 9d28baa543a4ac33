"""The table of a day: a line for each pass and one for the day."""

from __future__ import annotations

import math
from typing import Dict, Iterable, List, Sequence

from mindspore_rec.metrics.pass_records import STAGES, PassRecord

HEADER = ("rows", "AUC", "GAUC", "log loss", "MAE", "RMSE", "CTR", "predicted", "COPC", "bucket error")
_TITLES = {"Infer": "predicted before it is trained", "Train": "while it is trained"}
_GAP = "  "


def day_table(records: Iterable[PassRecord]) -> str:
    """The tables of one day, one for each stage that there are records of; without an end of line.

    Args:
        records: of the day, in order, its own after those of its passes where it has ended.

    >>> from mindspore_rec.metrics.pass_metrics import PassMetrics
    >>> metrics = PassMetrics()
    >>> metrics.update([0, 1], [0.25, 0.75])
    >>> summary = metrics.summary()
    >>> rows = [PassRecord("20190720", 1, "Infer", 1, summary), PassRecord("20190720", None, "Infer", 1, summary, 0.5)]
    >>> print(day_table(rows))
    20190720 Infer: predicted before it is trained
    pass  rows     AUC    GAUC  log loss     MAE    RMSE     CTR  predicted    COPC  bucket error
       1     2  1.0000            0.2877  0.2500  0.2500  0.5000     0.5000  1.0000        0.0000
     day     2  1.0000  0.5000    0.2877  0.2500  0.2500  0.5000     0.5000  1.0000        0.0000
    """
    given = list(records)
    tables = []
    for stage in STAGES:
        of_stage = [record for record in given if record.stage == stage]
        if of_stage:
            tables.append(f"{of_stage[0].day} {stage}: {_TITLES[stage]}\n{_aligned([_cells(r) for r in of_stage])}")
    return "\n".join(tables)


def day_tables(records: Iterable[PassRecord]) -> List[str]:
    """The tables of each day, as `day_table` gives them.

    Args:
        records: of days in order.
    """
    days: Dict[str, List[PassRecord]] = {}
    for record in records:
        days.setdefault(record.day, []).append(record)
    return [day_table(of_day) for of_day in days.values()]


def _cells(record: PassRecord) -> List[str]:
    found = record.summary
    gauc = math.nan if record.gauc is None else record.gauc
    numbers = (found.auc, gauc, found.log_loss, found.mae, found.rmse, found.actual_ctr, found.predicted_ctr)
    name = "day" if record.number is None else str(record.number)
    return [name, f"{found.rows:,}", *map(_number, (*numbers, found.copc, found.bucket_error))]


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    lines = [("pass", *HEADER), *rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(_GAP.join(cell.rjust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)
